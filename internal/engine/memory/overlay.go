package memory

import "github.com/continuo-rt/continuo/internal/core/stream"

// overlay is what is allotted beyond the visible rows of a log. Decisions are made against it.
type overlay struct {
	meta     stream.Meta
	id       stream.ID
	units    int    // pending
	hide     uint64 // unit with the newest pending reset; the visible rows count no more. 0: none
	entries  []*stream.Entry
	headers  map[stream.Subject]pendingHeader
	receipts map[string]pendingReceipt
}

type pendingHeader struct {
	header stream.Header
	gone   bool
	unit   uint64
}

type pendingReceipt struct {
	kept stream.Kept
	unit uint64
}

var _ stream.Rows = (*log)(nil)

// Header implements stream.Rows against everything allotted.
func (l *log) Header(s stream.Subject) (stream.Header, bool, error) {
	if p, ok := l.over.headers[s]; ok {
		return p.header, !p.gone, nil
	}
	if l.over.hide != 0 {
		return stream.Header{}, false, nil
	}
	h, ok := l.header(s)
	return h, ok, nil
}

// Entry implements stream.Rows against everything allotted.
func (l *log) Entry(serial uint64) (*stream.Entry, error) {
	if p := l.over.entries; len(p) > 0 && serial >= p[0].Serial {
		if i := serial - p[0].Serial; i < uint64(len(p)) {
			return p[i], nil
		}
		return nil, nil
	}
	if l.over.hide != 0 {
		return nil, nil
	}
	return l.at(serial), nil
}

// Receipt implements stream.Rows against everything allotted.
func (l *log) Receipt(key string) (stream.Kept, bool, error) {
	if p, ok := l.over.receipts[key]; ok {
		return p.kept, true, nil
	}
	k, ok := l.receipts.kept[key]
	return k, ok, nil
}

// allot notes a decision of a unit.
func (l *log) allot(unit uint64, op *stream.Op, d *stream.Decision) {
	if d.Reset {
		l.allotReset(unit)
	}
	o := &l.over
	o.entries = append(o.entries, d.Entry)
	if d.Subject != "" {
		o.header(d.Subject, pendingHeader{header: d.Header, unit: unit})
	}
	if d.Alias {
		o.header(stream.MessageSubject(d.Entry.Serial), pendingHeader{header: stream.Header{Alias: d.Entry.Key}, unit: unit})
	}
	if d.Receipt != nil {
		if o.receipts == nil {
			o.receipts = map[string]pendingReceipt{}
		}
		o.receipts[op.Receipt.Key] = pendingReceipt{*d.Receipt, unit}
	}
}

func (l *log) allotReset(unit uint64) {
	l.over.hide, l.over.entries, l.over.headers = unit, nil, nil
}

func (o *overlay) header(s stream.Subject, p pendingHeader) {
	if o.headers == nil {
		o.headers = map[stream.Subject]pendingHeader{}
	}
	o.headers[s] = p
}

// settle drops what unit u allotted, now that it is visible.
func (l *log) settle(u *unit) {
	o := &l.over
	o.units--
	if o.units == 0 {
		l.rewind()
		return
	}
	if o.hide == u.seq {
		o.hide = 0
	}
	for i := range u.steps {
		d := &u.steps[i].decision
		if d.Entry == nil {
			continue
		}
		if len(o.entries) > 0 && o.entries[0].Serial == d.Entry.Serial {
			o.entries[0] = nil
			o.entries = o.entries[1:]
		}
		o.drop(d.Subject, u.seq)
		if d.Alias {
			o.drop(stream.MessageSubject(d.Entry.Serial), u.seq)
		}
		if k := u.steps[i].receipt; k != "" && o.receipts[k].unit == u.seq {
			delete(o.receipts, k)
		}
	}
	if u.cut != nil {
		for _, s := range u.cut.gone {
			o.drop(s, u.seq)
		}
	}
}

func (o *overlay) drop(s stream.Subject, unit uint64) {
	if p, ok := o.headers[s]; ok && p.unit == unit {
		delete(o.headers, s)
	}
}

// rewind forgets everything allotted: what is visible is all there is.
func (l *log) rewind() { l.over = overlay{meta: l.meta, id: l.id} }
