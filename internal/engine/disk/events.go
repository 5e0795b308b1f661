package disk

import (
	"time"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Events is told what happens inside. Any func may be nil; they are called on the engine's goroutines, may overlap and
// must return quickly.
type Events struct {
	Commit   func(CommitInfo)
	Trim     func(TrimInfo)
	Forget   func(ForgetInfo)
	Failed   func(FailedInfo)
	Reopened func(ReopenedInfo)
	Error    func(ErrorInfo)
}

// CommitInfo describes one batch of one shard.
type CommitInfo struct {
	Ops   int
	Bytes int
	Build time.Duration // deciding and applying
	Sync  time.Duration // waiting for stable storage; 0 when the batch did not wait
}

// TrimInfo describes one step of retention.
type TrimInfo struct {
	Ref     stream.Ref
	Entries uint64
	Bytes   uint64
}

// ForgetInfo says how many long-quiet streams were forgotten.
type ForgetInfo struct{ Streams int }

// FailedInfo says why the store was closed; it is reopened in the background.
type FailedInfo struct{ Err error }

// ReopenedInfo says how long the store was closed.
type ReopenedInfo struct{ Closed time.Duration }

// ErrorInfo is an error of background work that did not close the store; the work is tried again.
type ErrorInfo struct {
	What string
	Err  error
}

func (e *Events) commit(i CommitInfo) {
	if e.Commit != nil {
		e.Commit(i)
	}
}

func (e *Events) trim(i TrimInfo) {
	if e.Trim != nil {
		e.Trim(i)
	}
}

func (e *Events) forget(i ForgetInfo) {
	if e.Forget != nil {
		e.Forget(i)
	}
}

func (e *Events) failed(i FailedInfo) {
	if e.Failed != nil {
		e.Failed(i)
	}
}

func (e *Events) reopened(i ReopenedInfo) {
	if e.Reopened != nil {
		e.Reopened(i)
	}
}

func (e *Events) err(what string, err error) {
	if e.Error != nil && err != nil {
		e.Error(ErrorInfo{What: what, Err: err})
	}
}
