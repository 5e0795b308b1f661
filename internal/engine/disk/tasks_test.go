package disk

import "testing"

// A task that is due again while it is done is done by the second worker too; it is over when both are.
func TestATaskIsBusyUntilAllWorkersAreDone(t *testing.T) {
	s := &strm{}
	one := task{s: s}
	var q tasks
	q.wake.L = &q.mu
	q.in, q.busy = map[task]bool{}, map[task]int{}
	for range taskWorkers {
		q.queue = append(q.queue, one)
		if got, ok := q.take(); !ok || got != one {
			t.Fatal(got, ok)
		}
	}
	q.done(one)
	if left := q.left(); len(left) != 1 || left[0] != s {
		t.Fatalf("left: %v", left)
	}
	q.done(one)
	if left := q.left(); len(left) != 0 {
		t.Fatalf("left: %v", left)
	}
}
