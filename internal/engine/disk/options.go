package disk

import (
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Options configure a store. The zero value works.
type Options struct {
	// Now is the clock, unix ms. It is asked often and must be cheap.
	Now func() int64
	// Rules says what a stream's policy is. It is asked whenever an answer is needed, so a reload takes effect at once.
	Rules func(stream.Ref) stream.Rules
	// Folds make the states of messages, one per log. A log without a fold keeps no states and no checkpoints.
	Folds map[stream.Log]stream.Fold

	Shards        int           // committers; 1
	IntervalEvery time.Duration // how often streams of durability Interval are synced; 10 ms
	SweepEvery    time.Duration // how often queues (expiry, age, forgetting) are looked at; 1 s. Negative: only by Maintain
	ForgetAfter   time.Duration // a stream that was empty and idle for so long is forgotten; 30 days

	FreeReserve int64 // appends are refused when less space than this is free; 256 MiB. Negative: no reserve
	MaxBytes    int64 // appends are refused when the store is larger than this; 0 = no limit

	CacheBytes    int64 // pebble's block cache; 16 MiB
	MemTableBytes uint64
	CacheStreams  int // streams whose row is kept in memory; 32,768

	FS     vfs.FS // the file system; tests inject faults with it
	Events Events
}

func (o Options) withDefaults() Options {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	if o.Now == nil {
		o.Now = func() int64 { return time.Now().UnixMilli() }
	}
	if o.Rules == nil {
		o.Rules = func(stream.Ref) stream.Rules { return stream.Rules{Retention: stream.DefaultRetention()} }
	}
	o.Shards = min(max(o.Shards, 1), 1<<slotBits)
	def(&o.IntervalEvery, 10*time.Millisecond)
	def(&o.SweepEvery, time.Second)
	def(&o.ForgetAfter, 30*24*time.Hour)
	if o.FreeReserve == 0 {
		o.FreeReserve = 256 << 20
	}
	if o.CacheBytes <= 0 {
		o.CacheBytes = 16 << 20
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = 16 << 20
	}
	if o.CacheStreams <= 0 {
		o.CacheStreams = 32_768
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	return o
}
