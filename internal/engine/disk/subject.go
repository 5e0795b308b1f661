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
	if q.Message <= v.Floor {
		return r.trimmed(q.Message)
	}
	e, err := r.entry(q.Message)
	switch {
	case err != nil:
		return "", nil, err
	case e.Kind == stream.Put && e.Message == e.Serial:
		return stream.KeySubject(e.Key), nil, nil
	case e.Kind != stream.Create:
		return "", nil, nil
	}
	s = stream.MessageSubject(q.Message)
	if v.Mutated {
		_, ok, err := r.header(s)
		if err != nil || ok {
			return s, nil, err
		}
	}
	return s, e, nil
}

// trimmed finds the key of a message whose first put was trimmed: the message may still be there.
func (r *reader) trimmed(message uint64) (s stream.Subject, single *stream.Entry, err error) {
	if !r.v.Mutated {
		return "", nil, nil
	}
	key, ok, err := r.l.alias(r.src, aliasKey(nil, r.v.num, message))
	if err != nil || !ok {
		return "", nil, err
	}
	s = stream.KeySubject(key)
	h, ok, err := r.header(s)
	if err != nil || !ok || h.Message != message || !r.v.alive(s, &h.Header) {
		return "", nil, err
	}
	return s, nil, nil
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
		if c.p.More = len(c.p.Entries) == q.Limit; c.p.More {
			return false, nil
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
	h, ok, err := r.header(name)
	if err != nil || !ok || !r.v.alive(name, &h.Header) {
		return err
	}
	fold := r.l.opt.Folds[q.Ref.Log]
	f, err := r.start(fold, q.Ref.Log, name, &h, at, q.Message)
	if err != nil {
		return err
	}
	defer func() {
		if f.at > 0 {
			p.State, p.StateAt = f.state, f.at
		}
	}()
	return r.since(name, &h, &f, at, q.Message, func(e *stream.Entry) (bool, error) {
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
