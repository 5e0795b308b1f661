//go:build linux || darwin

package bench

import (
	"fmt"
	"syscall"
)

// allowFiles makes room for so many connections, each of which is an open file.
func allowFiles(connections int) error {
	const others = 256
	want := uint64(connections + others)
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	if l.Cur >= want {
		return nil
	}
	l.Max = max(l.Max, want)
	l.Cur = want
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("%d connections need %d open files (ulimit -n): %w", connections, want, err)
	}
	return nil
}
