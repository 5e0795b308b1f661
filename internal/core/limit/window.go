package limit

import "time"

// Window counts events in windows of a fixed length, each beginning with the first event after the one before has
// ended: what "at most n client events per second" means to Pusher. The zero Window is empty.
type Window struct {
	start time.Duration
	used  uint32
	open  bool
}

// Allow counts one event, if the window has room for it; else retry is how long the window still lasts. max or span of
// 0 or less is unlimited.
func (w *Window) Allow(max int, span, now time.Duration) (ok bool, retry time.Duration) {
	if max <= 0 || span <= 0 {
		return true, 0
	}
	if !w.open || now-w.start >= span {
		*w = Window{start: now, used: 1, open: true}
		return true, 0
	}
	if int64(w.used) < int64(max) && w.used < ^uint32(0) {
		w.used++
		return true, 0
	}
	return false, span - clamp(now-w.start)
}

func clamp(d time.Duration) time.Duration { return max(d, 0) }

// Quota counts things that are held for a while: connections of an app, channels of a connection. The zero Quota holds
// nothing.
type Quota struct {
	used int
}

// Take takes one, unless max are held already. max of 0 or less is unlimited: it is counted all the same.
func (q *Quota) Take(max int) bool {
	if max > 0 && q.used >= max {
		return false
	}
	q.used++
	return true
}

// Give returns one. Giving back what was never taken is ignored, so that the count cannot drift below zero.
func (q *Quota) Give() {
	if q.used > 0 {
		q.used--
	}
}

// Used is how many are held.
func (q *Quota) Used() int { return q.used }
