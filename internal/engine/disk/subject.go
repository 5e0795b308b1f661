package disk

import (
	"bytes"
	"encoding/binary"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// serialOf reads the serial of a MessageSubject.
func serialOf(s stream.Subject) uint64 {
	if len(s) != 9 || s[0] != 'm' {
		return 0
	}
	return binary.BigEndian.Uint64([]byte(s[1:]))
}

// filing says where the rows of a query's message or key are.
type filing struct {
	name   stream.Subject // empty: there are none
	create *stream.Entry  // of a message without a key
	alone  bool           // nobody touched the create: it is not filed, and all that there is
	header header         // of a message without a key that is not alone
}

// file finds what a query by message or key is about.
func (r *reader) file(q *stream.Query) (f filing, err error) {
	if q.Key != "" {
		f.name = stream.KeySubject(q.Key)
		return f, nil
	}
	v := r.v
	if q.Message <= v.Base || q.Message > v.Head || v.num == 0 {
		return f, nil
	}
	if q.Message <= v.Floor {
		return r.trimmed(q.Message)
	}
	e, err := r.entry(q.Message)
	switch {
	case err != nil:
		return f, err
	case e.Kind == stream.Put && e.Message == e.Serial:
		f.name = stream.KeySubject(e.Key)
		return f, nil
	case e.Kind != stream.Create:
		return f, nil
	}
	f.name, f.create, f.alone = stream.MessageSubject(q.Message), e, true
	if v.Mutated {
		var touched bool
		f.header, touched, err = r.header(f.name)
		f.alone = !touched
	}
	return f, err
}

// trimmed finds the key of a message whose first put was trimmed: the message may still be there.
func (r *reader) trimmed(message uint64) (f filing, err error) {
	if !r.v.Mutated {
		return f, nil
	}
	key, ok, err := r.l.alias(r.src, aliasKey(nil, r.v.num, message))
	if err != nil || !ok {
		return f, err
	}
	name := stream.KeySubject(key)
	h, ok, err := r.header(name)
	if err == nil && ok && h.Message == message && r.v.alive(name, &h.Header) {
		f.name = name
	}
	return f, err
}

func (r *reader) subjectEntries(q *stream.Query, s span, c *collect) error {
	at, err := r.file(q)
	if err != nil || at.name == "" {
		return err
	}
	if at.alone {
		if n := at.create.Serial; n >= s.lo && n <= s.hi {
			c.add(at.create)
		}
		return nil
	}
	return r.index(at.name, s, q.Reverse, func(serial uint64, kind stream.Kind, message uint64) (bool, error) {
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
	filed, err := r.file(q)
	if err != nil || filed.name == "" || filed.create != nil && at < filed.create.Serial {
		return err
	}
	if filed.alone {
		p.Entries = []*stream.Entry{filed.create}
		return nil
	}
	name, h := filed.name, filed.header
	if filed.create == nil {
		var ok bool
		if h, ok, err = r.header(name); err != nil || !ok || !r.v.alive(name, &h.Header) {
			return err
		}
	}
	fold := r.l.opt.Folds[q.Ref.Log]
	f, err := r.start(fold, q.Ref.Log, name, &h, at, q.Message)
	if err != nil {
		return err
	}
	if c := filed.create; c != nil && f.from == c.Serial {
		f.put = c
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
