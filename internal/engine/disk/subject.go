package disk

import (
	"bytes"
	"encoding/binary"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// serialOf reads the serial of a MessageSubject.
func serialOf(s stream.Subject) uint64 {
	if len(s) != 9 {
		return 0
	}
	return binary.BigEndian.Uint64([]byte(s[1:]))
}

// subject finds what a query by message or key is filed under. single is set instead for a create that nobody touched,
// which is not filed.
func (r *reader) subject(q *stream.Query) (s stream.Subject, single *stream.Entry, err error) {
	if q.Key != "" {
		return stream.KeySubject(q.Key), nil, nil
	}
	v := r.v
	if q.Message <= v.Base || q.Message > v.Head || v.num == 0 {
		return "", nil, nil
	}
	if v.Mutated {
		key, ok, err := r.l.alias(aliasKey(nil, v.num, q.Message))
		if err != nil {
			return "", nil, err
		}
		if ok {
			ok, err = r.aliased(key, q.Message)
			if err != nil || !ok {
				return "", nil, err
			}
			return stream.KeySubject(key), nil, nil
		}
	}
	if q.Message <= v.Floor {
		return "", nil, nil
	}
	e, err := r.entry(q.Message)
	if err != nil || e.Kind != stream.Create {
		return "", nil, err
	}
	s = stream.MessageSubject(q.Message)
	if v.Mutated {
		_, ok, err := r.l.header(headerKey(nil, v.num, s))
		if err != nil || ok {
			return s, nil, err
		}
	}
	return s, e, nil
}

// aliased says whether a keyed message that an alias was kept for is still there.
func (r *reader) aliased(key string, message uint64) (bool, error) {
	if message > r.v.Floor {
		return true, nil
	}
	s := stream.KeySubject(key)
	h, ok, err := r.l.header(headerKey(nil, r.v.num, s))
	return ok && h.Message == message && r.v.alive(s, &h.Header), err
}

func (r *reader) subjectEntries(q *stream.Query, s span, c *collect) error {
	name, single, err := r.subject(q)
	if err != nil || name == "" {
		return err
	}
	if single != nil {
		if single.Serial >= s.lo && single.Serial <= s.hi {
			c.add(single)
		}
		return nil
	}
	return r.index(name, s, q.Reverse, func(serial uint64, kind stream.Kind, message uint64) (bool, error) {
		if q.RowsOnly && !kind.Row() || q.Message != 0 && message != q.Message {
			return true, nil
		}
		e, err := r.entry(serial)
		if err != nil {
			return false, err
		}
		return c.add(e), nil
	})
}

// index walks the index rows of a subject within a span.
func (r *reader) index(name stream.Subject, s span, reverse bool,
	f func(serial uint64, kind stream.Kind, message uint64) (bool, error)) error {
	s.lo, s.hi = max(s.lo, r.v.Floor+1), min(s.hi, r.v.Head)
	if s.lo > s.hi || r.v.num == 0 {
		return nil
	}
	it, err := r.iter(&r.indexes, tagIndex)
	if err != nil {
		return err
	}
	prefix := subjectKey(make([]byte, 0, 64), tagIndex, r.v.num, name)
	var ok bool
	next := it.Next
	if reverse {
		ok, next = it.SeekLT(binary.BigEndian.AppendUint64(prefix, s.hi+1)), it.Prev
	} else {
		ok = it.SeekGE(binary.BigEndian.AppendUint64(prefix, s.lo))
	}
	for ; ok; ok = next() {
		key := it.Key()
		if !bytes.HasPrefix(key, prefix) || len(key) != len(prefix)+8 {
			break
		}
		serial := binary.BigEndian.Uint64(key[len(prefix):])
		if serial < s.lo || serial > s.hi {
			break
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return r.l.readError(err)
		}
		kind, message, err := decodeIndex(v)
		if err != nil {
			return r.l.corrupt("an index row", err)
		}
		more, err := f(serial, kind, message)
		if err != nil || !more {
			return err
		}
	}
	return r.l.readError(it.Error())
}

// provable checks the serial that a fold is asked for; 0 is the head.
func (r *reader) provable(at uint64) (uint64, error) {
	switch v := r.v; {
	case at == 0:
		return v.Head, nil
	case at < v.Floor:
		return 0, fault.New(fault.NotProvable,
			"the state at serial %d is not provable: retention has removed what is before serial %d", at, v.Floor).With(v.Floor)
	case at > v.Head:
		return 0, fault.New(fault.Invalid, "serial %d is in the future: the head is %d", at, v.Head).In("at_serial")
	}
	return at, nil
}

// state answers a query for a folded state: the newest row, and the entries after it.
func (r *reader) state(q *stream.Query, p *stream.Page) error {
	at, err := r.provable(q.At)
	if err != nil || r.v.num == 0 {
		return err
	}
	name, single, err := r.subject(q)
	if err != nil || name == "" {
		return err
	}
	if single != nil {
		if single.Serial <= at {
			p.Entries = []*stream.Entry{single}
		}
		return nil
	}
	f, err := r.newestState(name, at, q.Message)
	if err != nil {
		return err
	}
	defer func() {
		if f.at > 0 {
			p.State, p.StateAt = f.state, f.at
		}
	}()
	fold := r.l.opt.Folds[q.Ref.Log]
	return r.index(name, span{f.at + 1, at}, false, func(serial uint64, _ stream.Kind, message uint64) (bool, error) {
		if q.Message != 0 && message != q.Message {
			return true, nil
		}
		e, err := r.entry(serial)
		if err != nil {
			return false, err
		}
		if p.Entries = append(p.Entries, e); len(p.Entries) <= stateTail || fold == nil {
			return true, nil
		}
		err = f.next(fold, p.Entries...) // the row that is due is not kept yet
		p.Entries = nil
		return err == nil, err
	})
}

// stateTail is how many entries an answer for a state may carry beside it.
const stateTail = 64
