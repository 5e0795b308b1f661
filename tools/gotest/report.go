package main

import (
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strings"
)

// marker begins the part of a test's log line that is shown although the test passed.
const marker = "summary: "

// slowest is how many packages the end of a report names by their time.
const slowest = 3

// event is one line of `go test -json`; see `go doc test2json` and `go help buildjson`.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64
}

type testID struct{ pkg, test string }

// report collects the events of one run.
type report struct {
	out      io.Writer
	output   map[testID][]string // of tests and packages that have not ended; Test "" is the package itself
	packages struct{ ok, failed, empty int }
	tests    struct{ passed, failed, skipped int }
	builds   int // packages that did not compile
	seconds  map[string]float64
}

func newReport(out io.Writer) *report {
	return &report{out: out, output: map[testID][]string{}, seconds: map[string]float64{}}
}

// line takes one line of the stream. What is not an event is shown as it is.
func (r *report) line(line []byte) {
	var e event
	if json.Unmarshal(line, &e) != nil || e.Action == "" {
		r.out.Write(line)
		return
	}
	id := testID{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		io.WriteString(r.out, e.Output)
	case "build-fail":
		r.builds++
	case "output":
		r.keep(id, e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(id, e)
		} else {
			r.endTest(id, e)
		}
	}
}

// keep stores output until it is known whether anybody wants it; closing lines and summaries are shown at once.
func (r *report) keep(id testID, output string) {
	if id.test == "" && isClosing(output) {
		io.WriteString(r.out, output)
		return
	}
	if _, text, found := strings.Cut(output, marker); found {
		fmt.Fprintf(r.out, "%s%s", marker, text)
	}
	r.output[id] = append(r.output[id], output)
}

func isClosing(line string) bool {
	return strings.HasPrefix(line, "ok  \t") || strings.HasPrefix(line, "FAIL\t") || strings.HasPrefix(line, "?   \t")
}

func (r *report) endTest(id testID, e event) {
	switch e.Action {
	case "pass":
		r.tests.passed++
	case "skip":
		r.tests.skipped++
		r.show(id)
	case "fail":
		r.tests.failed++
		r.show(id)
	}
	delete(r.output, id)
}

func (r *report) endPackage(id testID, e event) {
	r.seconds[e.Package] = e.Elapsed
	switch e.Action {
	case "pass":
		r.packages.ok++
	case "skip":
		r.packages.empty++
	case "fail":
		r.packages.failed++
		r.showUnfinished(e.Package)
		r.show(id)
	}
	delete(r.output, id)
}

// showUnfinished shows the tests that were running when their package died (a panic, a timeout, a fatal error).
func (r *report) showUnfinished(pkg string) {
	var ids []testID
	for id := range r.output {
		if id.pkg == pkg && id.test != "" {
			ids = append(ids, id)
		}
	}
	sort.Slice(ids, func(i, j int) bool { return ids[i].test < ids[j].test })
	for _, id := range ids {
		r.tests.failed++
		r.show(id)
		delete(r.output, id)
	}
}

func (r *report) show(id testID) {
	for _, line := range r.output[id] {
		if !strings.HasPrefix(line, "=== ") { // RUN, PAUSE, CONT, NAME: the order of things, not what they said
			io.WriteString(r.out, line)
		}
	}
}

// close writes the last lines and tells whether anything failed.
func (r *report) close() (failed bool) {
	names := make([]string, 0, len(r.seconds))
	for name := range r.seconds {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool {
		if r.seconds[names[i]] != r.seconds[names[j]] {
			return r.seconds[names[i]] > r.seconds[names[j]]
		}
		return names[i] < names[j]
	})
	for _, name := range names[:min(slowest, len(names))] {
		fmt.Fprintf(r.out, "slowest: %6.1f s  %s\n", r.seconds[name], name)
	}
	fmt.Fprintf(r.out, "go test: %d packages ok, %d failed, %d without tests; %d tests passed, %d failed, %d skipped\n",
		r.packages.ok, r.packages.failed, r.packages.empty, r.tests.passed, r.tests.failed, r.tests.skipped)
	return r.packages.failed > 0 || r.tests.failed > 0 || r.builds > 0
}
