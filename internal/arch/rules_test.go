package arch

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

// source is a small Go file of package p with the given imports and body.
func source(body string, imports ...string) string {
	var file strings.Builder
	file.WriteString("// Package p is a fixture.\npackage p\n")
	for _, imported := range imports {
		fmt.Fprintf(&file, "import %s\n", imported)
	}
	return file.String() + body + "\n"
}

// ours is the import of a package of this module.
func ours(dir string) string { return fmt.Sprintf("%q", Module+"/"+dir) }

// violations runs one rule on a tree of files.
func violations(t *testing.T, rule string, files map[string]string) []string {
	t.Helper()
	fsys := fstest.MapFS{"go.mod": {Data: []byte("module " + Module + "\n")}}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	tree, err := Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range Rules() {
		if r.Name != rule {
			continue
		}
		var lines []string
		for _, violation := range Check(tree, r) {
			lines = append(lines, violation.String())
		}
		return lines
	}
	t.Fatalf("no rule %q", rule)
	return nil
}

// TestImportTable tries single imports against the table: one arrow per line of the guide, allowed and forbidden.
func TestImportTable(t *testing.T) {
	tests := []struct {
		dir, imported string
		allowed       bool
	}{
		{"cmd/continuo", ours("internal/ops/cli"), true},
		{"cmd/continuo", ours("internal/ops/server"), false},

		{"internal/core/auth", ours("internal/core/app"), true},
		{"internal/core/auth", ours("internal/wire/pusher"), false},
		{"internal/core/auth", `"crypto/hmac"`, true},
		{"internal/core/auth", `"crypto/rand"`, false},
		{"internal/core/stream", `"time"`, true},
		{"internal/core/stream", `"math/rand/v2"`, true},
		{"internal/core/stream", `"os"`, false},
		{"internal/core/stream", `"net"`, false},
		{"internal/core/stream", `"net/url"`, true},
		{"internal/core/stream", `"net/http"`, false},
		{"internal/core/stream", `"sync"`, false},
		{"internal/core/stream", `"sync/atomic"`, false},
		{"internal/core/stream", `"log/slog"`, false},
		{"internal/core/stream", `"runtime"`, false},
		{"internal/core/stream", `"testing"`, false},
		{"internal/core/stream", `"github.com/segmentio/encoding/json"`, false},
		{"internal/core/stream/streamtest", `"testing"`, true},
		{"internal/core/stream/streamtest", `"sync"`, true},
		{"internal/core/stream/streamtest", ours("internal/core/stream"), true},
		{"internal/core/stream/streamtest", ours("internal/engine/memory"), false},
		{"internal/core/digest", `"testing"`, false},

		{"internal/wire/pusher", ours("internal/core/fault"), true},
		{"internal/wire/pusher", ours("internal/wire/envelope"), true},
		{"internal/wire/pusher", ours("internal/wire/feed"), false},
		{"internal/wire/pusher/v2", ours("internal/wire/pusher"), true},
		{"internal/wire/pusher", ours("internal/run/hub"), false},
		{"internal/wire/pusher", `"sync"`, false},
		{"internal/wire/feed", `"github.com/vmihailenco/msgpack/v5"`, true},
		{"internal/wire/feed", `"google.golang.org/protobuf/proto"`, true},
		{"internal/wire/feed", `"github.com/gobwas/ws"`, false},
		{"internal/wire/wiretest", ours("internal/wire/pusher"), true},
		{"internal/wire/wiretest", `"os"`, true},

		{"internal/run/conn", ours("internal/run/hub"), true},
		{"internal/run/conn", ours("internal/run/node"), false},
		{"internal/run/node", ours("internal/run/hub"), true},
		{"internal/run/node", ours("internal/run/conn"), false},
		{"internal/run/hub", `"sync"`, true},
		{"internal/run/hub", `"github.com/gobwas/ws"`, false},
		{"internal/run/hub", ours("internal/engine/memory"), false},

		{"internal/engine/disk", `"github.com/cockroachdb/pebble/v2/vfs"`, true},
		{"internal/engine/disk", `"github.com/cockroachdb/pebble"`, false},
		{"internal/engine/disk", ours("internal/core/stream"), true},
		{"internal/engine/disk", ours("internal/engine/memory"), false},
		{"internal/engine/memory", `"github.com/cockroachdb/pebble/v2"`, false},
		{"internal/engine/clay", `"fmt"`, false}, // a new engine needs a row

		{"internal/sink/webhook", ours("internal/run/relay"), true},
		{"internal/sink/webhook", ours("internal/run/node"), false},

		{"internal/edge/gateway", ours("internal/run/node"), true},
		{"internal/edge/gateway", `"github.com/gobwas/ws"`, true},
		{"internal/edge/gateway", `"github.com/gobwas/ws/wsutil"`, true},
		{"internal/edge/gateway", `"github.com/gobwas/wsx"`, false},
		{"internal/edge/gateway", ours("internal/edge/httpapi"), false},
		{"internal/edge/gateway", ours("internal/engine/disk"), false},

		{"internal/ops/server", ours("internal/engine/disk"), true},
		{"internal/ops/server", `"go.yaml.in/yaml/v3"`, true},
		{"internal/ops/server", `"github.com/prometheus/client_golang/prometheus"`, false},
		{"internal/ops/metrics", `"github.com/prometheus/client_golang/prometheus"`, true},

		{"internal/sim", ours("internal/engine/memory"), true},
		{"internal/sim", ours("internal/engine/disk"), false},
		{"internal/sim", ours("internal/edge/gateway"), false},

		{"sdk/go", `"github.com/gobwas/ws"`, true},
		{"sdk/go", ours("sdk/go/codec"), true},
		{"sdk/go", ours("internal/core/fault"), false},
		{"examples/chat", ours("sdk/go"), true},
		{"examples/chat", ours("internal/core/fault"), false},

		{"internal/attic", `"fmt"`, false}, // no row
		{"internal/run/hub", `. "fmt"`, false},
		{"internal/run/hub", `_ "net/http/pprof"`, false},
		{"internal/ops/cli", `_ "embed"`, true},
	}
	for _, tt := range tests {
		t.Run(tt.dir+" "+strings.Trim(tt.imported, `"`), func(t *testing.T) {
			found := violations(t, "imports point inward", map[string]string{tt.dir + "/p.go": source("", tt.imported)})
			if (len(found) == 0) != tt.allowed {
				t.Errorf("allowed %v, want %v: %v", len(found) == 0, tt.allowed, found)
			}
		})
	}
}

// TestRulesCatch shows on small trees what each of the other rules finds, and what it lets pass.
func TestRulesCatch(t *testing.T) {
	const core = "internal/core/x/p.go"
	tests := []struct {
		name, rule string
		files      map[string]string
		want       []string
	}{
		{"module", "module path", map[string]string{"go.mod": "module example.com/other\n"},
			[]string{`go.mod:1: "module example.com/other", want "module ` + Module + `"`}},
		{"the clock in core", "pure code is pure",
			map[string]string{core: source("var now = time.Now\nvar d = time.Duration(3)", `"time"`)},
			[]string{core + ":4: time.Now: time is an argument here"}},
		{"the clock under another name", "pure code is pure",
			map[string]string{core: source("var t = clock.NewTimer(1)", `clock "time"`)},
			[]string{core + ":4: time.NewTimer: time is an argument here"}},
		{"a variable that hides the import", "pure code is pure",
			map[string]string{core: source("type c struct{ Now int }\nfunc f(time c) int { return time.Now }", `"time"`)}, nil},
		{"the clock elsewhere", "pure code is pure",
			map[string]string{"internal/run/x/p.go": source("var now = time.Now", `"time"`)}, nil},
		{"the clock in a suite", "pure code is pure",
			map[string]string{"internal/core/x/xtest/p.go": source("var now = time.Now", `"time"`)}, nil},
		{"global and seeded randomness", "pure code is pure",
			map[string]string{core: source("var a = rand.IntN(3)\nvar b = rand.New(rand.NewPCG(1, 2))", `"math/rand/v2"`)},
			[]string{core + ":4: math/rand/v2.IntN: randomness comes from a seeded source here"}},
		{"a context made in core", "pure code is pure",
			map[string]string{core: source("var a = context.Background()\ntype b interface{ f(context.Context) }", `"context"`)},
			[]string{core + ":4: context.Background: a context is passed through here, never made"}},
		{"concurrency", "pure code is pure",
			map[string]string{"internal/wire/x/p.go": source("func f(c chan int) {\n\tgo f(nil)\n\tc <- 1\n\t<-c\n\tselect {}\n}")},
			[]string{
				"internal/wire/x/p.go:3: channel: no goroutine in pure code",
				"internal/wire/x/p.go:4: go statement: no goroutine in pure code",
				"internal/wire/x/p.go:5: send: no goroutine in pure code",
				"internal/wire/x/p.go:6: receive: no goroutine in pure code",
				"internal/wire/x/p.go:7: select: no goroutine in pure code",
			}},
		{"package comments", "every package says what it is",
			map[string]string{core: "package p\n", "internal/core/y/p.go": source(""), "cmd/x/main.go": "// Command x.\npackage main\n"},
			[]string{"internal/core/x: no package comment (“Package p …”)"}},
		{"vague names", "packages are named for a noun",
			map[string]string{"internal/core/util/p.go": source(""), "internal/core/y/p.go": "package helpers\n"},
			[]string{`internal/core/util: "util" names no noun of the project`, `internal/core/y: "helpers" names no noun of the project`}},
		{"long file", "files and functions are small",
			map[string]string{core: source(strings.Repeat("\n", 600)), "internal/core/x/p_test.go": source(strings.Repeat("\n", 600))},
			[]string{core + ": 603 lines, at most 600"}},
		{"long generated file", "files and functions are small",
			map[string]string{core: "// Code generated by x. DO NOT EDIT.\n\n" + source(strings.Repeat("\n", 600))}, nil},
		{"long main", "files and functions are small",
			map[string]string{"cmd/x/main.go": source(strings.Repeat("\n", 20))},
			[]string{"cmd/x/main.go: 23 lines, at most 20"}},
		{"long function", "files and functions are small",
			map[string]string{core: source("func f() {\n" + strings.Repeat("\n", 79) + "}\n\nfunc g() {\n" + strings.Repeat("\n", 78) + "}")},
			[]string{core + ":3: func f has 81 lines, at most 80"}},
		{"decoders", "every decoder is fuzzed",
			map[string]string{
				core: source(`
func Decode(b []byte)           {}
func decodeRow(b []byte)        {}
func ParseName(s string)        {}
func (x) UnmarshalText(b []byte) {}
func decoded(b []byte)          {}
func ParseInt(i int)            {}
func Unmarshal()                {}
type x struct{}`),
				"internal/core/x/p_test.go": source("func FuzzDecode(f *testing.F) {\n\tDecode(nil) // reaches decodeRow\n}\nfunc TestX() { ParseName(\"\") }", `"testing"`),
				"internal/run/x/p.go":       source("func Decode(b []byte) {}"),
			},
			[]string{
				core + ":6: decoder ParseName: no Fuzz function of internal/core/x names it",
				core + ":7: decoder UnmarshalText: no Fuzz function of internal/core/x names it",
			}},
		{"init", "nothing happens at init",
			map[string]string{core: source("func init() {}\ntype x struct{}\nfunc (x) init() {}"), "internal/core/x/p_test.go": source("func init() {}")},
			[]string{core + ":3: func init: the wiring lists what exists"}},
		{"sleeping and skipping tests", "tests neither sleep nor skip",
			map[string]string{
				"internal/run/x/p_test.go": source(`
func TestA(t *testing.T) { time.Sleep(1) }
func TestB(t *testing.T) { synctest.Test(t, func(t *testing.T) { time.Sleep(1) }) }
func TestC(t *testing.T) { t.Skip() }`, `"testing"`, `"testing/synctest"`, `"time"`),
				"internal/run/x/p.go": source("func f() { time.Sleep(1) }", `"time"`),
			},
			[]string{
				"internal/run/x/p_test.go:7: time.Sleep in a test: use a signal, or testing/synctest",
				"internal/run/x/p_test.go:9: a skipped test says nothing: make what it needs, or delete it",
			}},
		{"nested modules and testdata are not ours", "every package says what it is",
			map[string]string{"tools/go.mod": "module x\n", "tools/p.go": "package p\n", "internal/testdata/p.go": "package p\n", ".venv/p.go": "package p\n"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found := violations(t, tt.rule, tt.files)
			if got, want := strings.Join(found, "\n"), strings.Join(tt.want, "\n"); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func TestMatch(t *testing.T) {
	tests := []struct {
		pattern, name, star string
		ok                  bool
	}{
		{"**", "", "", true},
		{"**", "a/b", "", true},
		{"a/**", "a", "", true},
		{"a/**", "a/b/c", "", true},
		{"a/**", "ab", "", false},
		{"a/*/**", "a", "", false},
		{"a/*/**", "a/b", "b", true},
		{"a/*/**", "a/b/c", "b", true},
		{"a/**/*test", "a/b/ctest", "c", true},
		{"a.b", "axb", "", false},
	}
	for _, tt := range tests {
		star, ok := match(tt.pattern, tt.name)
		if star != tt.star || ok != tt.ok {
			t.Errorf("match(%q, %q) = %q, %v, want %q, %v", tt.pattern, tt.name, star, ok, tt.star, tt.ok)
		}
	}
}
