package memory

import (
	"slices"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// log is one stream: what is visible, and over it what is only allotted.
type log struct {
	ref     stream.Ref
	fold    stream.Fold
	meta    stream.Meta
	id      stream.ID
	entries []*stream.Entry // (Floor, Head]
	// subjects has the rows of messages that were put or changed; a create that nobody touched has none.
	subjects map[stream.Subject]*subject
	alias    map[uint64]string // first put's serial → key
	keys     keyOrder
	receipts receipts
	over     overlay
	queued   bool // in the due queue
	// checkpoint is true while subjects may have state rows at or below the floor.
	checkpoint bool
}

// subject is what is kept about one message or key.
type subject struct {
	header  stream.Header
	live    bool            // header is valid
	entries []*stream.Entry // its entries above the floor
	states  []stateRow      // ascending
}

// stateRow is the fold of a subject up to and including an entry.
type stateRow struct {
	at      uint64 // the entry's serial
	row     uint64 // serial of the newest create or put in it
	message uint64
	state   []byte
	live    bool
}

func newLog(ref stream.Ref, m stream.Meta, id stream.ID, fold stream.Fold) *log {
	l := &log{ref: ref, fold: fold, meta: m, id: id}
	l.over = overlay{meta: m, id: id}
	return l
}

// at returns the visible entry with a serial, nil when it is not there.
func (l *log) at(serial uint64) *stream.Entry {
	if serial <= l.meta.Floor || serial > l.meta.Head {
		return nil
	}
	return l.entries[serial-l.meta.Floor-1]
}

// header is the visible header filed under s.
func (l *log) header(s stream.Subject) (stream.Header, bool) {
	if sub := l.subjects[s]; sub != nil && sub.live {
		return sub.header, true
	}
	if len(l.alias) > 0 {
		if serial, ok := messageOf(s); ok {
			key, ok := l.alias[serial]
			return stream.Header{Alias: key}, ok
		}
	}
	return stream.Header{}, false
}

// clear drops every row but the receipts.
func (l *log) clear() {
	l.entries, l.subjects, l.alias, l.keys = nil, nil, nil, keyOrder{}
}

// add makes a decided entry visible.
func (l *log) add(d *stream.Decision, keep bool) {
	e := d.Entry
	l.entries = append(l.entries, e)
	if d.Subject == "" {
		return
	}
	sub := l.subject(d.Subject)
	if d.First != nil && len(sub.entries) == 0 {
		sub.entries = append(sub.entries, d.First)
	}
	if sub.live && sub.header.Message != d.Header.Message && sub.header.Message <= l.meta.Floor {
		delete(l.alias, sub.header.Message)
	}
	sub.entries = append(sub.entries, e)
	sub.header, sub.live = d.Header, true
	if d.Alias {
		if l.alias == nil {
			l.alias = map[uint64]string{}
		}
		l.alias[e.Serial] = e.Key
	}
	if keep && l.fold != nil {
		if row, err := l.foldTo(sub, e.Serial); err == nil {
			sub.states = append(sub.states, row)
		}
	}
}

func (l *log) subject(s stream.Subject) *subject {
	sub := l.subjects[s]
	if sub == nil {
		if l.subjects == nil {
			l.subjects = map[stream.Subject]*subject{}
		}
		sub = &subject{}
		l.subjects[s] = sub
		if key, ok := keyOf(s); ok {
			l.keys.add(key)
		}
	}
	return sub
}

// tidy drops a subject that has nothing left.
func (l *log) tidy(s stream.Subject, sub *subject) {
	if !sub.live && len(sub.entries) == 0 && len(sub.states) == 0 {
		delete(l.subjects, s)
		if _, ok := keyOf(s); ok {
			l.keys.dead++
		}
	}
}

// base is the newest state row at or below a serial, and how many of the subject's entries it covers.
func (sub *subject) base(at uint64) (row stateRow, covered int) {
	i, _ := slices.BinarySearchFunc(sub.states, at+1, func(r stateRow, at uint64) int { return compare(r.at, at) })
	if i == 0 {
		return stateRow{}, 0
	}
	row = sub.states[i-1]
	return row, after(sub.entries, row.at)
}

// foldTo folds the subject up to and including a serial.
func (l *log) foldTo(sub *subject, at uint64) (stateRow, error) {
	row, i := sub.base(at)
	return foldOn(l.fold, row, sub.entries[i:after(sub.entries, at)])
}

func foldOn(fold stream.Fold, row stateRow, entries []*stream.Entry) (stateRow, error) {
	if len(entries) == 0 {
		return row, nil
	}
	next, live, err := fold(row.state, entries...)
	if err != nil {
		return row, err
	}
	newest := entries[len(entries)-1]
	row.state, row.live, row.at, row.message = next, live, newest.Serial, newest.Message
	for _, e := range entries {
		if e.Kind.Row() {
			row.row = e.Serial
		}
	}
	return row, nil
}

// after is the index of the first entry with a serial greater than the given one.
func after(entries []*stream.Entry, serial uint64) int {
	i, _ := slices.BinarySearchFunc(entries, serial+1, func(e *stream.Entry, s uint64) int { return compare(e.Serial, s) })
	return i
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
