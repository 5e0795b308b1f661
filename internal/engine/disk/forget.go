package disk

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// maxForget bounds how many streams are forgotten at a time: every raise of the forget number changes the ids of all
// channels without a row, so it should be worth it.
const maxForget = 100_000

// Forget drops the rows of streams that hold nothing and were idle for so long, and returns how many. The store does it
// on its own after Options.ForgetAfter; this looks at all streams.
func (s *Store) Forget(ctx context.Context, idle time.Duration) (int, error) {
	if idle < 0 {
		return 0, fault.New(fault.Invalid, "the idle time is negative")
	}
	l, err := s.use()
	if err != nil {
		return 0, err
	}
	now := s.opt.Now()
	var quiet []stream.Ref
	err = l.eachRow([]byte{tagStream}, nil, func(ref stream.Ref, r *row) (bool, error) {
		if r.forgettable(idle, now) {
			quiet = append(quiet, ref)
		}
		return len(quiet) < maxForget, ctx.Err()
	})
	l.release()
	if err != nil || len(quiet) == 0 {
		return 0, err
	}
	return l.forget(ctx, quiet, idle, now)
}

func (r *row) forgettable(idle time.Duration, now int64) bool {
	return r.Head == r.Floor && r.Keys == 0 && now-r.HeadTime >= idle.Milliseconds()
}

// forget raises the forget number durably, so that a stream which comes back gets another id, and then drops the rows.
func (l *life) forget(ctx context.Context, quiet []stream.Ref, idle time.Duration, now int64) (n int, err error) {
	if err := l.acquire(); err != nil {
		return 0, err
	}
	defer l.release()
	next := &forgot{number: l.forgot.Load().number + 1, at: now}
	var jobs []*forgetJob
	defer func() {
		for _, j := range jobs {
			l.unpin(j.s)
		}
	}()
	for _, ref := range quiet {
		st, err := l.pin(ref)
		if err != nil {
			return 0, err
		}
		j := &forgetJob{s: st, idle: idle, now: now, answer: make(chan error, 1)}
		jobs = append(jobs, j)
		next.at = max(next.at, l.visible(st).HeadTime+1)
	}
	if len(jobs) == 0 {
		return 0, nil
	}
	v := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, next.number), uint64(next.at))
	if err := l.write(func() error { return l.db.Set(forgetKey, v, pebble.Sync) }); err != nil {
		return 0, err
	}
	l.forgot.Store(next)
	for _, j := range jobs {
		if err := l.commit(ctx, j, j.answer, j.s); err != nil {
			return n, err
		}
		if j.gone {
			n++
		}
	}
	l.opt.Events.forget(ForgetInfo{Streams: n})
	return n, nil
}

// forgetJob drops a stream's row if the stream is still quiet.
type forgetJob struct {
	s      *strm
	idle   time.Duration
	now    int64
	gone   bool
	answer chan error
}

func (j *forgetJob) done(err error) { j.answer <- err }

func (j *forgetJob) build(b *builder) error {
	s := j.s
	if s.alloc.num == 0 || !s.alloc.forgettable(j.idle, j.now) {
		return nil
	}
	if kept, err := b.l.receipts(s.alloc.num, j.now); err != nil || kept {
		return err
	}
	c := b.touch(s)
	b.close(c)
	b.putDue(s, 0)
	num := s.alloc.num
	for _, tag := range [...]byte{tagEntry, tagHeader, tagAlias, tagIndex, tagState} {
		if err := b.dropAll(numberKey(nil, tag, num)); err != nil {
			return err
		}
	}
	s.alloc = b.l.rowless(s.ref)
	b.step(c, stream.Reset)
	b.delete(s.name)
	c.dropped = true
	b.sync = true
	j.gone = true
	return nil
}

// dropAll deletes what is left under a prefix, usually nothing.
func (b *builder) dropAll(prefix []byte) error {
	it, err := b.l.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: upper(prefix)})
	if err != nil {
		return b.l.readError(err)
	}
	defer it.Close()
	if it.First() {
		b.must(b.batch.DeleteRange(prefix, upper(prefix), nil))
	}
	return b.l.readError(it.Error())
}

// receipts reports whether a stream has receipts that have not expired.
func (l *life) receipts(num uint64, now int64) (bool, error) {
	prefix := numberKey(nil, tagReceipt, num)
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: upper(prefix)})
	if err != nil {
		return false, l.readError(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		k, err := stream.DecodeKept(it.Value())
		if err != nil {
			return false, l.corrupt("a receipt", err)
		}
		if k.Expires > now {
			return true, nil
		}
	}
	return false, l.readError(it.Error())
}

// eachRow walks the rows of streams from a key on, up to end (nil: all streams), in order of app and channel.
func (l *life) eachRow(from, end []byte, f func(stream.Ref, *row) (bool, error)) error {
	if end == nil {
		end = []byte{tagStream + 1}
	}
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: end})
	if err != nil {
		return l.readError(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		ref, named := refOf(it.Key())
		v, err := it.ValueAndErr()
		if err != nil {
			return l.readError(err)
		}
		r, err := decodeRow(v)
		if err != nil || !named {
			return l.corrupt("a stream row", err)
		}
		if more, err := f(ref, &r); err != nil || !more {
			return err
		}
	}
	return l.readError(it.Error())
}
