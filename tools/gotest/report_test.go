package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	tests := []struct {
		name   string
		events string
		want   string
		failed bool
	}{
		{
			name: "a passing test is silent but for its summary",
			events: `
{"Action":"start","Package":"a"}
{"Action":"output","Package":"a","Test":"TestX","Output":"    x_test.go:3: noise\n"}
{"Action":"output","Package":"a","Test":"TestX","Output":"    x_test.go:4: summary: 12 cases\n"}
{"Action":"pass","Package":"a","Test":"TestX","Elapsed":0.1}
{"Action":"output","Package":"a","Output":"PASS\n"}
{"Action":"output","Package":"a","Output":"ok  \ta\t0.1s\n"}
{"Action":"pass","Package":"a","Elapsed":0.1}`,
			want: `summary: 12 cases
ok  	a	0.1s
slowest:    0.1 s  a
go test: 1 packages ok, 0 failed, 0 without tests; 1 tests passed, 0 failed, 0 skipped
`,
		},
		{
			name: "a failing test shows all it said",
			events: `
{"Action":"output","Package":"a","Test":"TestX","Output":"=== RUN   TestX\n"}
{"Action":"output","Package":"a","Test":"TestX","Output":"    x_test.go:3: why\n"}
{"Action":"fail","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Output":"FAIL\ta\t0.2s\n"}
{"Action":"fail","Package":"a","Elapsed":0.2}`,
			want: `    x_test.go:3: why
FAIL	a	0.2s
slowest:    0.2 s  a
go test: 0 packages ok, 1 failed, 0 without tests; 0 tests passed, 1 failed, 0 skipped
`,
			failed: true,
		},
		{
			name: "a package that dies shows what was running",
			events: `
{"Action":"output","Package":"a","Test":"TestX","Output":"panic: boom\n"}
{"Action":"output","Package":"a","Output":"exit status 2\n"}
{"Action":"fail","Package":"a"}`,
			want: `panic: boom
exit status 2
slowest:    0.0 s  a
go test: 0 packages ok, 1 failed, 0 without tests; 0 tests passed, 1 failed, 0 skipped
`,
			failed: true,
		},
		{
			name: "a build failure, a package without tests, a foreign line",
			events: `go: a warning
{"ImportPath":"a","Action":"build-output","Output":"a.go:1: undefined: x\n"}
{"ImportPath":"a","Action":"build-fail"}
{"Action":"output","Package":"b","Output":"?   \tb\t[no test files]\n"}
{"Action":"skip","Package":"b"}`,
			want: `go: a warning
a.go:1: undefined: x
?   	b	[no test files]
slowest:    0.0 s  b
go test: 0 packages ok, 0 failed, 1 without tests; 0 tests passed, 0 failed, 0 skipped
`,
			failed: true,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			r := newReport(&out)
			for line := range strings.Lines(strings.TrimPrefix(tt.events, "\n")) {
				r.line([]byte(line))
			}
			if failed := r.close(); failed != tt.failed {
				t.Errorf("failed = %v, want %v", failed, tt.failed)
			}
			if out.String() != tt.want {
				t.Errorf("got:\n%s\nwant:\n%s", &out, tt.want)
			}
		})
	}
}
