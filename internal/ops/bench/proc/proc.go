// Package proc reads what the Linux kernel says about a process and everything it started: processor time and resident
// memory. Servers that work in child processes (nginx) are thereby measured whole.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// userHz is the unit of the times in stat, fixed by the kernel's interface on every architecture Go runs on.
const userHz = 100

// Usage is what a process tree has used so far.
type Usage struct {
	CPU       time.Duration // user and system time of all live processes of the tree, and of children that were waited for
	RSS       int64         // resident bytes of all of them; memory they share is counted in each
	Processes int
}

// Sub returns what was used since an earlier reading. RSS is the difference, which may be negative.
func (u Usage) Sub(earlier Usage) Usage {
	return Usage{CPU: u.CPU - earlier.CPU, RSS: u.RSS - earlier.RSS, Processes: u.Processes}
}

// Tree is a process with its descendants, read through a proc file system.
type Tree struct {
	Root string // "/proc" when empty
	PID  int
}

// Read sums up the tree as it is now.
func (t Tree) Read() (Usage, error) {
	root := t.Root
	if root == "" {
		root = "/proc"
	}
	all, err := readAll(root)
	if err != nil {
		return Usage{}, err
	}
	if _, ok := all[t.PID]; !ok {
		return Usage{}, fmt.Errorf("process %d is not running", t.PID)
	}
	var sum Usage
	for pid := range all {
		if !descends(all, pid, t.PID) {
			continue
		}
		rss, err := readRSS(filepath.Join(root, strconv.Itoa(pid), "status"))
		if err != nil {
			continue // it ended between the two readings
		}
		sum.CPU += all[pid].cpu
		sum.RSS += rss
		sum.Processes++
	}
	return sum, nil
}

// descends walks up from pid; the bound breaks cycles that a pid reused during the reading could make.
func descends(all map[int]stat, pid, ancestor int) bool {
	for range len(all) + 1 {
		if pid == ancestor {
			return true
		}
		s, ok := all[pid]
		if !ok {
			return false
		}
		pid = s.parent
	}
	return false
}

func readAll(root string) (map[int]stat, error) {
	dirs, err := os.ReadDir(root)
	if err != nil {
		return nil, fmt.Errorf("process figures need a proc file system: %w", err)
	}
	all := make(map[int]stat, len(dirs))
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile(filepath.Join(root, d.Name(), "stat"))
		if err != nil {
			continue // it ended meanwhile
		}
		if s, err := parseStat(b); err == nil {
			all[pid] = s
		}
	}
	return all, nil
}

type stat struct {
	parent int
	cpu    time.Duration
}

var errStat = errors.New("malformed stat line")

// parseStat takes the parent (field 4) and the times (fields 14 to 17) out of a stat line. The name in field 2 may itself
// hold spaces and parentheses, so fields are counted from its last closing one.
func parseStat(b []byte) (stat, error) {
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return stat{}, errStat
	}
	f := bytes.Fields(b[i+1:])
	if len(f) < 15 {
		return stat{}, errStat
	}
	parent, err := strconv.Atoi(string(f[1]))
	if err != nil {
		return stat{}, errStat
	}
	var ticks int64
	for _, field := range f[11:15] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return stat{}, errStat
		}
		ticks += n
	}
	return stat{parent: parent, cpu: time.Duration(ticks) * time.Second / userHz}, nil
}

func readRSS(path string) (int64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return parseRSS(b)
}

// parseRSS finds "VmRSS:  1234 kB". A process without memory of its own (a zombie, a kernel thread) has none: 0.
func parseRSS(b []byte) (int64, error) {
	for line := range bytes.Lines(b) {
		value, ok := bytes.CutPrefix(line, []byte("VmRSS:"))
		if !ok {
			continue
		}
		f := bytes.Fields(value)
		if len(f) != 2 || string(f[1]) != "kB" {
			return 0, fmt.Errorf("malformed VmRSS line %q", line)
		}
		kb, err := strconv.ParseInt(string(f[0]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("malformed VmRSS line %q", line)
		}
		return kb << 10, nil
	}
	return 0, nil
}
