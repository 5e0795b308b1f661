package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func statLine(pid, parent int, name string, utime, stime, cutime, cstime int) string {
	return fmt.Sprintf("%d (%s) S %d 1 1 0 -1 4194560 100 0 0 0 %d %d %d %d 20 0 9 0 100 1000 50 184467\n",
		pid, name, parent, utime, stime, cutime, cstime)
}

func TestParseStat(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     stat
		bad      bool
	}{
		{name: "plain", in: statLine(7, 1, "nginx", 100, 50, 0, 0), want: stat{1, 1500 * time.Millisecond}},
		{name: "name with spaces and brackets", in: statLine(7, 3, "a) S (b c", 1, 2, 3, 4), want: stat{3, 100 * time.Millisecond}},
		{name: "empty", in: "", bad: true},
		{name: "no name", in: "7 nginx S 1", bad: true},
		{name: "short", in: "7 (nginx) S 1 2 3", bad: true},
		{name: "letters", in: strings.Replace(statLine(7, 1, "x", 100, 50, 0, 0), " 100 50 ", " ab 50 ", 1), bad: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseStat([]byte(c.in))
			if (err != nil) != c.bad || got != c.want {
				t.Errorf("%+v %v, want %+v, bad %v", got, err, c.want, c.bad)
			}
		})
	}
}

func TestParseRSS(t *testing.T) {
	for _, c := range []struct {
		in   string
		want int64
		bad  bool
	}{
		{"Name:\tx\nVmRSS:\t  2048 kB\nThreads: 3\n", 2048 << 10, false},
		{"Name:\tzombie\n", 0, false},
		{"VmRSS: lots\n", 0, true},
		{"VmRSS: x kB\n", 0, true},
	} {
		got, err := parseRSS([]byte(c.in))
		if got != c.want || (err != nil) != c.bad {
			t.Errorf("%q: %d %v", c.in, got, err)
		}
	}
}

func TestTreeSumsDescendants(t *testing.T) {
	root := t.TempDir()
	add := func(pid, parent, ticks, rssKB int) {
		dir := filepath.Join(root, fmt.Sprint(pid))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "stat"), statLine(pid, parent, "p", ticks, 0, 0, 0))
		write(t, filepath.Join(dir, "status"), fmt.Sprintf("VmRSS:\t%d kB\n", rssKB))
	}
	add(1, 0, 900, 900)
	add(10, 1, 100, 1)  // the server
	add(11, 10, 200, 2) // its worker
	add(12, 11, 300, 4) // the worker's child
	add(20, 1, 800, 800)
	write(t, filepath.Join(root, "uptime"), "1 1")

	got, err := Tree{Root: root, PID: 10}.Read()
	want := Usage{CPU: 6 * time.Second, RSS: 7 << 10, Processes: 3}
	if err != nil || got != want {
		t.Fatalf("%+v %v, want %+v", got, err, want)
	}
	if d := got.Sub(Usage{CPU: time.Second, RSS: 1 << 10}); d.CPU != 5*time.Second || d.RSS != 6<<10 {
		t.Errorf("difference %+v", d)
	}
	if _, err := (Tree{Root: root, PID: 99}).Read(); err == nil {
		t.Error("a process that does not run must be an error")
	}
	if _, err := (Tree{Root: filepath.Join(root, "none"), PID: 1}).Read(); err == nil {
		t.Error("a missing proc file system must be an error")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
