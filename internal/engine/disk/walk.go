package disk

import (
	"encoding/binary"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// fewEntries is how many entries are cheaper to get one by one than with an iterator.
const fewEntries = 4

// entry reads an entry that is within the bounds.
func (r *reader) entry(serial uint64) (*stream.Entry, error) {
	if r.gets++; r.gets > fewEntries {
		return r.seek(serial)
	}
	e, err := r.l.entry(r.src, r.v.num, serial)
	if err == nil && e == nil {
		err = errMoved
	}
	return e, err
}

// seek is entry with an iterator: cheap when the serials of many calls ascend.
func (r *reader) seek(serial uint64) (*stream.Entry, error) {
	v, err := r.value(serial)
	if err != nil {
		return nil, err
	}
	return r.l.decodeEntry(serial, r.buf.clone(v))
}

// value is the stored form of an entry, until the next call.
func (r *reader) value(serial uint64) ([]byte, error) {
	it, err := r.iter(&r.log, tagEntry)
	if err != nil {
		return nil, err
	}
	var ok bool
	if it.Valid() && binary.BigEndian.Uint64(it.Key()[numbered:])+1 == serial {
		ok = it.Next()
	} else {
		var buf [numbered + 8]byte
		ok = it.SeekGE(entryKey(buf[:0], r.v.num, serial))
	}
	switch {
	case !ok && it.Error() != nil:
		return nil, r.l.readError(it.Error())
	case !ok || binary.BigEndian.Uint64(it.Key()[numbered:]) != serial:
		return nil, errMoved
	}
	v, err := it.ValueAndErr()
	return v, r.l.readError(err)
}

// walk calls f for every entry of the span in order until it answers false.
func (r *reader) walk(s span, reverse bool, f func(*stream.Entry) bool) error {
	if s.lo > s.hi {
		return nil
	}
	if s.hi-s.lo < fewEntries {
		return r.few(s, reverse, f)
	}
	it, err := r.src.NewIter(&pebble.IterOptions{
		LowerBound: entryKey(nil, r.v.num, s.lo), UpperBound: entryKey(nil, r.v.num, s.hi+1)})
	if err != nil {
		return r.l.readError(err)
	}
	defer it.Close()
	next, want, step := it.Next, s.lo, uint64(1)
	ok := false
	if reverse {
		next, want, step = it.Prev, s.hi, math.MaxUint64
		ok = it.Last()
	} else {
		ok = it.First()
	}
	var buf arena
	for left := s.hi - s.lo + 1; left > 0; left-- {
		if !ok {
			if err := it.Error(); err != nil {
				return r.l.readError(err)
			}
			return errMoved
		}
		if binary.BigEndian.Uint64(it.Key()[numbered:]) != want {
			return errMoved
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return r.l.readError(err)
		}
		e, err := r.l.decodeEntry(want, buf.clone(v))
		if err != nil {
			return err
		}
		if !f(e) {
			return nil
		}
		want += step
		ok = next()
	}
	return nil
}

func (r *reader) few(s span, reverse bool, f func(*stream.Entry) bool) error {
	for i := range s.hi - s.lo + 1 {
		n := s.lo + i
		if reverse {
			n = s.hi - i
		}
		e, err := r.entry(n)
		if err != nil || !f(e) {
			return err
		}
	}
	return nil
}

// arena copies small values into shared blocks.
type arena struct {
	free []byte
	size int
}

func (a *arena) clone(v []byte) []byte {
	if len(v) > 4<<10 {
		return append([]byte(nil), v...)
	}
	if cap(a.free)-len(a.free) < len(v) {
		a.size = min(max(2*a.size, 1<<10, len(v)), 16<<10)
		a.free = make([]byte, 0, a.size)
	}
	n := len(a.free)
	a.free = append(a.free, v...)
	return a.free[n:len(a.free):len(a.free)]
}
