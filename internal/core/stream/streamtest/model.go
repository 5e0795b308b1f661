package streamtest

import (
	"maps"
	"strings"
	"unicode/utf8"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// model is the reference: one stream as a list of everything that was ever appended to its incarnation. It knows no
// headers, rows or indexes; whatever it is asked it finds by looking at every entry again.
type model struct {
	class    stream.Durability
	entries  []*stream.Entry // all of this incarnation, trimmed ones too
	base     uint64
	floor    uint64
	purged   uint64 // the newest purge's floor
	head     uint64
	headTime int64
	baseTime int64
	baseCum  uint64
	headCum  uint64
	mutated  bool
	receipts map[string]modelReceipt
}

type modelReceipt struct {
	print   [16]byte
	expires int64
	result  stream.Result
}

func (m *model) clone() *model {
	c := *m
	c.receipts = maps.Clone(m.receipts)
	return &c
}

func (m *model) reset(now int64) {
	m.head++
	m.headTime = max(m.headTime, now)
	m.base, m.floor, m.purged = m.head, m.head, m.head
	m.baseTime, m.baseCum = m.headTime, m.headCum
	m.entries, m.mutated = nil, false
}

// cut moves the floor; below it the entries stay, for folding.
func (m *model) cut(kind stream.CutKind, through uint64) {
	through = min(through, m.head)
	if through <= m.floor {
		return
	}
	m.floor = through
	if kind == stream.Purge {
		m.purged = through
	}
}

// retained are the entries above the floor.
func (m *model) retained() []*stream.Entry { return m.entries[m.floor-m.base:] }

// bounds are the stream's bounds, without stream id and birth.
func (m *model) bounds(keep bool) stream.Bounds {
	b := stream.Bounds{Base: m.base, Floor: m.floor, Head: m.head, FloorTime: m.baseTime, HeadTime: m.headTime,
		FloorCum: m.baseCum, HeadCum: m.headCum, Logged: true, Mutated: m.mutated, Keys: uint64(len(m.live(keep, m.head)))}
	if m.floor > m.base {
		e := m.entries[m.floor-m.base-1]
		b.FloorTime, b.FloorCum = e.Time, e.Cum
	}
	return b
}

// fold folds the entries that pick chooses, from a serial (exclusive) to another (inclusive).
func (m *model) fold(from, to uint64, pick func(*stream.Entry) bool) *Folded {
	var s *Folded
	for _, e := range m.entries {
		if e.Serial <= from || e.Serial > to || !pick(e) {
			continue
		}
		next, err := s.apply(e)
		if err != nil {
			panic(err) // the model's own entries
		}
		s = next
	}
	return s
}

// key is the state of a key at a serial, nil if there is nothing.
func (m *model) key(key string, keep bool, at uint64) *Folded {
	if key == "" {
		return nil
	}
	from := m.floor
	if keep {
		from = m.purged
	}
	s := m.fold(from, at, func(e *stream.Entry) bool { return e.Key == key })
	if s != nil && s.Deleted && s.Last <= m.floor {
		return nil
	}
	return s
}

// message is the state of a message without a key at a serial.
func (m *model) message(serial, at uint64) *Folded {
	if serial <= m.floor {
		return nil
	}
	return m.fold(m.floor, at, func(e *stream.Entry) bool { return e.Key == "" && e.Message == serial })
}

// live are the keys that are there at a serial.
func (m *model) live(keep bool, at uint64) map[string]*Folded {
	keys := map[string]*Folded{}
	for _, e := range m.entries {
		if e.Key == "" || keys[e.Key] != nil {
			continue
		}
		if s := m.key(e.Key, keep, at); s != nil && !s.Deleted {
			keys[e.Key] = s
		}
	}
	return keys
}

// keyOf is the key of the keyed message that began at a serial.
func (m *model) keyOf(serial uint64) string {
	for _, e := range m.entries {
		if e.Serial == serial && e.Kind == stream.Put && e.Message == serial {
			return e.Key
		}
	}
	return ""
}

// append decides an op as the rules of the design say, and keeps what it appends.
func (m *model) append(op stream.Op, rules stream.Rules, now int64) stream.Result {
	if !possible(&op) {
		return no(fault.Invalid)
	}
	if op.Receipt != nil {
		if r, ok := m.receipts[op.Receipt.Key]; ok && r.expires > now {
			if r.print != op.Receipt.Fingerprint {
				return no(fault.Mismatch)
			}
			r.result.Outcome = stream.Duplicate
			return r.result
		}
	}
	next := *m
	if m.head > 0 && m.class != rules.Durability {
		next.reset(now)
	}
	next.class = rules.Durability
	e := op.Entry
	e.Serial, e.Time = next.head+1, max(now, next.headTime)
	row := e.Serial
	if e.Kind == stream.Create {
		e.Message, e.Version = e.Serial, 1
	} else {
		kind, r := next.target(&e, op.Guard, rules)
		if kind != 0 {
			return no(kind)
		}
		row, next.mutated = r, true
	}
	e.Cum = next.headCum + uint64(e.Size())
	next.entries = append(next.entries[:len(next.entries):len(next.entries)], &e)
	next.head, next.headTime, next.headCum = e.Serial, e.Time, e.Cum
	*m = next
	res := stream.Result{Outcome: stream.Applied, Entry: e.ID(), Message: e.Message, Row: row, Version: e.Version}
	if op.Receipt != nil {
		if m.receipts == nil {
			m.receipts = map[string]modelReceipt{}
		}
		m.receipts[op.Receipt.Key] = modelReceipt{op.Receipt.Fingerprint, now + op.Receipt.TTL.Milliseconds(), res}
	}
	return res
}

func no(kind fault.Kind) stream.Result {
	return stream.Result{Outcome: stream.Refused, Err: fault.New(kind, "refused by the model")}
}

// target finds the message of a put or change, judges the op and fills e's message, version and key. 0 is no fault.
func (m *model) target(e *stream.Entry, g stream.Guard, rules stream.Rules) (kind fault.Kind, row uint64) {
	keep := rules.Retention.KeepLatest
	var s *Folded
	wrong := fault.Kind(0)
	if e.Key == "" {
		if key := m.keyOf(e.Message); key != "" {
			e.Key = key
			if s = m.key(key, keep, m.head); s != nil && s.Message != e.Message {
				if wrong = fault.Conflict; e.Message <= m.floor {
					wrong = fault.NotFound
				}
			}
		} else {
			s = m.message(e.Message, m.head)
		}
	} else {
		s = m.key(e.Key, keep, m.head)
	}
	if wrong == fault.NotFound {
		s = nil
	}
	if g.IfSerial > 0 && (s == nil || s.Last != g.IfSerial) && wrong != fault.Conflict {
		return fault.Conflict, 0
	}
	if wrong != 0 {
		return wrong, 0
	}
	if e.Kind == stream.Put {
		return m.put(e, s, g, rules)
	}
	switch {
	case s == nil:
		return fault.NotFound, 0
	case s.Deleted, g.IfVersion > 0 && g.IfVersion != s.Version:
		return fault.Conflict, 0
	case e.Kind.Mutation() && g.MaxVersion > 0 && s.Version >= g.MaxVersion:
		return fault.LimitExceeded, 0
	case e.Kind == stream.Append && !s.IsText:
		return fault.Invalid, 0
	}
	e.Message, e.Version = s.Message, s.Version
	if e.Kind.Mutation() {
		e.Version++
	}
	after, err := s.apply(e)
	if err != nil {
		panic(err)
	}
	if g.MaxBytes > 0 && uint64(len(after.Data)) > g.MaxBytes && len(after.Data) > len(s.Data) {
		return fault.TooLarge, 0
	}
	return 0, s.Row
}

func (m *model) put(e *stream.Entry, s *Folded, g stream.Guard, rules stream.Rules) (fault.Kind, uint64) {
	live := s != nil && !s.Deleted
	switch {
	case live && g.IfAbsent, g.IfVersion > 0 && (!live || s.Version != g.IfVersion):
		return fault.Conflict, 0
	case live && g.MaxVersion > 0 && s.Version >= g.MaxVersion:
		return fault.LimitExceeded, 0
	}
	limit := rules.Retention.MaxKeys
	if !live && limit > 0 && uint64(len(m.live(rules.Retention.KeepLatest, m.head))) >= limit {
		return fault.LimitExceeded, 0
	}
	e.Message, e.Version = e.Serial, 1
	if live {
		e.Message, e.Version = s.Message, s.Version+1
	}
	return 0, e.Serial
}

// possible is what can be said about an op without looking at the stream.
func possible(op *stream.Op) bool {
	e := &op.Entry
	switch e.Kind {
	case stream.Create:
		return e.Key == ""
	case stream.Put:
		return e.Key != "" && len(e.Key) <= 200
	}
	names := e.Message != 0 || e.Key != ""
	valid := e.Data.Type != stream.Text || utf8.Valid(e.Data.Bytes)
	switch {
	case e.Kind < stream.Create || e.Kind > stream.Unannotate || !names || !valid || e.Set&e.Clear != 0 || len(e.Key) > 200:
		return false
	case e.Kind == stream.Append:
		return e.Data.Type == stream.Text && len(e.Data.Bytes) > 0
	case e.Kind == stream.Update:
		return e.Set|e.Clear != 0
	}
	return true
}

// page answers a query by looking at every entry.
func (m *model) page(q stream.Query) (out []*stream.Entry, more bool) {
	all := m.retained()
	for i := range all {
		e := all[i]
		if q.Reverse {
			e = all[len(all)-1-i]
		}
		if q.From > 0 && e.Serial < q.From || q.To > 0 && e.Serial > q.To || q.FromTime > 0 && e.Time < q.FromTime ||
			q.ToTime > 0 && e.Time > q.ToTime || q.RowsOnly && !e.Kind.Row() || q.Key != "" && e.Key != q.Key ||
			q.Message > 0 && e.Message != q.Message {
			continue
		}
		size := e.Size()
		for _, o := range out {
			size += o.Size()
		}
		if len(out) == q.Limit || q.Bytes > 0 && len(out) > 0 && size > q.Bytes {
			return out, true
		}
		out = append(out, e)
	}
	return out, false
}

// witness answers for a cursor.
func (m *model) witness(c uint64, b stream.Bounds) (w stream.Witness) {
	if c < m.floor || c > m.head {
		return w
	}
	w.At, w.Bytes = b.FloorID(), b.HeadCum-b.FloorCum
	for _, e := range m.retained() {
		if e.Serial == c {
			w.At, w.Bytes = e.ID(), b.HeadCum-e.Cum
		}
		if e.Serial == c+1 {
			w.Next = e.ID()
		}
	}
	return w
}

// rows answers for the keys at a serial, sorted, without paging.
func (m *model) rows(keep bool, at uint64, after, prefix string) map[string]string {
	out := map[string]string{}
	for key, s := range m.live(keep, at) {
		if key > after && strings.HasPrefix(key, prefix) {
			out[key] = s.Data
		}
	}
	return out
}
