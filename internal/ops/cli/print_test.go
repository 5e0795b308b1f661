package cli

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// Colours are for terminals alone, and for those who want them.
func TestPaint(t *testing.T) {
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	device, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device, as a terminal is one
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	if got := paint(device, red, "x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("%q", got)
	}
	if got := paint(&bytes.Buffer{}, red, "x") + paint(device, red, ""); got != "x" {
		t.Errorf("%q", got)
	}
	t.Setenv("NO_COLOR", "1")
	if got := paint(device, red, "x"); got != "x" {
		t.Errorf("%q", got)
	}
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	if err := table(&b, "lr", []string{"NAME", "N", "LAST"}, []string{"ä", "12345", ""}, []string{"longer", "1", "x"}); err != nil {
		t.Fatal(err)
	}
	want := "NAME        N  LAST\nä       12345  \nlonger      1  x\n"
	if b.String() != want {
		t.Errorf("got\n%q\nwant\n%q", b.String(), want)
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 5 << 30: "5.0 GiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

func TestCandidates(t *testing.T) {
	env := &Env{Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}}
	parser, err := newParser(env)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ words, want string }{
		{"ver", "version"},
		{"store ", "stats backup verify repair"},
		{"store verify --j", "--json"},
		{"store verify --data ", ":dirs"},
		{"store verify --data x --j", "--json"},
		{"serve --config ", ":files"},
		{"completion f", "fish"},
		{"restore ", ":dirs"},
		{"restore x ", ""},
		{"import ", ":files"},
		{"nonsense --", "--help"},
	} {
		var got []string
		for _, c := range candidates(parser.Model.Node, strings.Split(tt.words, " ")) {
			name, _, _ := strings.Cut(c, "\t")
			got = append(got, name)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%q: %v", tt.words, got)
		}
	}
}
