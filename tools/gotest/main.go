// Command gotest condenses the events of `go test -json` (standard input) to what a person reads: one closing line per
// package, the whole output of what failed, every line that a test marked with "summary: ", and one line at the end.
package main

import (
	"bufio"
	"fmt"
	"os"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	report := newReport(out)
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			report.line(line)
		}
		if err != nil {
			break
		}
		if lines.Buffered() == 0 {
			out.Flush() // nothing more is waiting: show what there is
		}
	}
	failed := report.close()
	out.Flush()
	if failed {
		fmt.Fprintln(os.Stderr, "gotest: there were failures")
		os.Exit(1)
	}
}
