package stream

import (
	"github.com/continuo-rt/continuo/internal/core/fault"
)

// Rows is what Decide may ask about a stream: everything allotted so far, earlier ops of the same batch included.
type Rows interface {
	// Header returns the header filed under s.
	Header(s Subject) (h Header, ok bool, err error)
	// Entry returns the entry at a serial in (floor, allotted head]; nil when it is not there.
	Entry(serial uint64) (*Entry, error)
	// Receipt returns what was kept under an idempotency key, expired or not.
	Receipt(key string) (r Kept, ok bool, err error)
}

// Kept is a stored receipt: the first answer.
type Kept struct {
	Fingerprint [16]byte
	Expires     int64 // unix ms
	Entry       EntryID
	Message     uint64
	Row         uint64
	Version     uint32
	Incarnation // that the first answer named
}

// Decision is what one op means for the rows of its stream. An engine writes all of it in one atomic step.
type Decision struct {
	Result Result // complete but for Stream, which is that of m after it …
	// … unless Former is set: a duplicate's first answer named that incarnation.
	Former *Incarnation
	// Reset: the durability class changed, so a new incarnation begins before the entry. All rows of the stream but
	// its meta and its receipts go.
	Reset bool
	// Entry is the entry to write, nil when nothing is appended. Cum counts its encoded size.
	Entry *Entry
	// Subject and Header are the message's header after the entry, written when Subject is not empty; the entry is
	// then indexed under Subject too. First is set when the message's create has no index row yet and needs one.
	Subject Subject
	Header  Header
	First   *Entry
	// Alias is set on the first put of a key: MessageSubject(Entry.Serial) gets Header{Alias: key}.
	Alias bool
	// Receipt is to be kept under the op's receipt key.
	Receipt *Kept
}

// Decide decides one op against the allotted state and moves m forward when it appends. The caller runs ops in batch
// order and must write every Decision, in that order, with the meta after the last one. An error means that rows could
// not be read: nothing was decided and m is unchanged.
func (m *Meta) Decide(op *Op, rules Rules, rows Rows, now int64) (Decision, error) {
	if err := op.check(); err != nil {
		return refused(err), nil
	}
	if op.Receipt != nil {
		kept, ok, err := rows.Receipt(op.Receipt.Key)
		if err != nil {
			return Decision{}, err
		}
		if ok && kept.Expires > now {
			return m.repeat(kept, op.Receipt), nil
		}
	}
	next := *m
	d := Decision{}
	if m.Head > 0 && m.Class != rules.Durability {
		next.Reset(now)
		d.Reset = true
	}
	next.Class = rules.Durability
	e := op.Entry
	e.Serial, e.Time = next.Head+1, max(now, next.HeadTime)
	if e.Serial > MaxSerial {
		return refused(fault.New(fault.LimitExceeded, "the stream has used all its serials; reset it")), nil
	}
	e.Message, e.Version = op.Entry.Message, 0
	if e.Kind == Create {
		e.Message, e.Version = e.Serial, 1
	} else if err := next.subject(&d, &e, op, rules, rows); err != nil {
		if fault.KindOf(err) == fault.Internal || fault.KindOf(err) == fault.Unavailable {
			return Decision{}, err
		}
		return refused(err), nil
	}
	e.Cum = next.HeadCum + uint64(e.Size())
	next.Head, next.HeadTime, next.HeadCum = e.Serial, e.Time, e.Cum
	d.Entry = &e
	d.Result = Result{Outcome: Applied, Entry: e.ID(), Message: e.Message, Row: e.Message, Version: e.Version}
	if d.Subject != "" {
		d.Result.Row = d.Header.Row
	}
	if op.Receipt != nil {
		d.Receipt = &Kept{Fingerprint: op.Receipt.Fingerprint, Expires: now + op.Receipt.TTL.Milliseconds(), Entry: e.ID(),
			Message: e.Message, Row: d.Result.Row, Version: e.Version, Incarnation: next.Incarnation}
	}
	*m = next
	return d, nil
}

// subject finds the message that e is about, applies e to its header and notes what to write.
func (m *Meta) subject(d *Decision, e *Entry, op *Op, rules Rules, rows Rows) error {
	h, subject, first, ok, err := m.find(d.Reset, e, rules, rows)
	if err != nil {
		return err
	}
	existed := ok && !h.Deleted
	h, err = h.next(e, ok, op.Guard)
	if err != nil {
		return err
	}
	d.Subject, d.Header, d.First = subject, h, first
	m.Mutated = true
	switch {
	case e.Kind == Put && !existed:
		if rules.Retention.MaxKeys > 0 && m.Keys >= rules.Retention.MaxKeys {
			return fault.New(fault.LimitExceeded, "the channel holds the %d keys that its policy allows", rules.Retention.MaxKeys)
		}
		d.Alias = true
		m.Keys++
	case e.Kind == Delete && e.Key != "":
		m.Keys--
	}
	return nil
}

// find resolves e's target: by key, or by message serial through the alias of a keyed message. first is the create of
// a message that has no header yet.
func (m *Meta) find(reset bool, e *Entry, rules Rules, rows Rows) (h Header, s Subject, first *Entry, ok bool, err error) {
	keep := rules.Retention.KeepLatest
	if e.Key == "" {
		s = MessageSubject(e.Message)
		if reset {
			return Header{}, s, nil, false, nil
		}
		if h, ok, err = rows.Header(s); err != nil {
			return
		}
		if !ok {
			return m.create(e.Message, s, rows)
		}
		if h.Alias == "" {
			return h, s, nil, h.Live(false, m.Floor, false), nil
		}
		e.Key = h.Alias
		target := e.Message
		if h, ok, err = rows.Header(KeySubject(e.Key)); err != nil {
			return
		}
		if ok && h.Message != target { // the key was deleted and begun anew since: that message stays deleted
			if target <= m.Floor {
				return Header{}, KeySubject(e.Key), nil, false, nil
			}
			h = Header{Message: target, Row: h.Row, Deleted: true}
		}
		return h, KeySubject(e.Key), nil, ok && h.Live(true, m.Floor, keep), nil
	}
	s = KeySubject(e.Key)
	if reset {
		return Header{}, s, nil, false, nil
	}
	h, ok, err = rows.Header(s)
	return h, s, nil, ok && h.Live(true, m.Floor, keep), err
}

func (m *Meta) create(serial uint64, s Subject, rows Rows) (Header, Subject, *Entry, bool, error) {
	if serial <= m.Floor || serial > m.Head {
		return Header{}, s, nil, false, nil
	}
	c, err := rows.Entry(serial)
	if err != nil || c == nil || c.Kind != Create {
		return Header{}, s, nil, false, err
	}
	return HeaderOf(c), s, c, true, nil
}

func refused(err error) Decision {
	return Decision{Result: Result{Outcome: Refused, Err: err}}
}

func (m *Meta) repeat(k Kept, r *Receipt) Decision {
	if k.Fingerprint != r.Fingerprint {
		return refused(fault.New(fault.Mismatch, "this idempotency key was used before with another payload").In("idempotency_key"))
	}
	d := Decision{Result: Result{Outcome: Duplicate, Entry: k.Entry, Message: k.Message, Row: k.Row, Version: k.Version}}
	if k.Incarnation != m.Incarnation {
		d.Former = &k.Incarnation
	}
	return d
}
