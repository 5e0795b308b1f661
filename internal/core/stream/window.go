package stream

import "time"

// HotLimits bound a hot window. Zero fields do not bound.
type HotLimits struct {
	Entries int
	Bytes   int // sum of Entry.Size
	Age     time.Duration
}

// HotEntry is one entry of a hot window, with what its owner keeps beside it (encoded frames).
type HotEntry[A any] struct {
	*Entry
	With A
	in   int64 // when it was pushed, unix ms
}

// Hot is the hot window: the newest entries of an active stream in memory, contiguous by serial. The zero value is
// not usable: call NewHot. Not safe for concurrent use.
type Hot[A any] struct {
	limits HotLimits
	items  []*HotEntry[A] // items[head:] are in the window
	head   int
	bytes  int
	// Dropped is called for every entry that leaves the window, after it left; nil: nobody asks.
	Dropped func(*HotEntry[A])
}

// NewHot makes an empty window.
func NewHot[A any](l HotLimits) *Hot[A] { return &Hot[A]{limits: l} }

// Push adds the next entry and evicts what is beyond the limits, never the entry itself. An entry that does not
// continue the newest one starts the window anew; one that is already there is ignored.
func (w *Hot[A]) Push(e *Entry, now int64) {
	if newest := w.Newest(); newest != 0 && e.Serial != newest+1 {
		if e.Serial <= newest && e.Serial >= w.Oldest() {
			return
		}
		w.Clear()
	}
	w.items = append(w.items, &HotEntry[A]{Entry: e, in: now})
	w.bytes += e.Size()
	w.Evict(now)
}

// Prepend adds entries that were read anew and that end where the window begins, as many of the newest of them as the
// limits allow; those that are there already are passed over. It returns how many were added.
func (w *Hot[A]) Prepend(entries []*Entry, now int64) (added int) {
	oldest := w.Oldest()
	for oldest != 0 && len(entries) > 0 && entries[len(entries)-1].Serial >= oldest {
		entries = entries[:len(entries)-1]
	}
	if len(entries) == 0 || oldest != 0 && entries[len(entries)-1].Serial != oldest-1 {
		return 0
	}
	if w.Len() > 0 {
		now = w.items[w.head].in // it leaves with those after it
	}
	bytes := w.bytes
	for added < len(entries) {
		e := entries[len(entries)-1-added]
		bytes += e.Size()
		if l := w.limits; l.Entries > 0 && w.Len()+added >= l.Entries || l.Bytes > 0 && bytes > l.Bytes {
			break
		}
		w.bytes = bytes
		added++
	}
	items := make([]*HotEntry[A], 0, added+w.Len())
	for _, e := range entries[len(entries)-added:] {
		items = append(items, &HotEntry[A]{Entry: e, in: now})
	}
	w.items, w.head = append(items, w.items[w.head:]...), 0
	return added
}

// Evict drops what is beyond the limits at now (unix ms), oldest first; the newest entry always stays.
func (w *Hot[A]) Evict(now int64) {
	l := w.limits
	for w.Len() > 1 {
		old := w.items[w.head]
		if !(l.Entries > 0 && w.Len() > l.Entries || l.Bytes > 0 && w.bytes > l.Bytes ||
			l.Age > 0 && now-old.in > l.Age.Milliseconds()) {
			break
		}
		w.Drop()
	}
}

// Drop removes the oldest entry, if there is one.
func (w *Hot[A]) Drop() {
	if w.Len() == 0 {
		return
	}
	old := w.items[w.head]
	w.bytes -= old.Size()
	w.items[w.head] = nil
	w.head++
	if w.head > len(w.items)/2 && w.head > 16 {
		n := copy(w.items, w.items[w.head:])
		clear(w.items[n:])
		w.items, w.head = w.items[:n], 0
	}
	if w.Dropped != nil {
		w.Dropped(old)
	}
}

// Clear empties the window.
func (w *Hot[A]) Clear() {
	gone := w.items[w.head:]
	w.items, w.head, w.bytes = nil, 0, 0
	if w.Dropped != nil {
		for _, e := range gone {
			w.Dropped(e)
		}
	}
}

// Len is the number of entries, Bytes the sum of their sizes.
func (w *Hot[A]) Len() int { return len(w.items) - w.head }

// Bytes is the sum of the entries' sizes.
func (w *Hot[A]) Bytes() int { return w.bytes }

// Oldest is the serial of the oldest entry, 0 when the window is empty.
func (w *Hot[A]) Oldest() uint64 {
	if w.Len() == 0 {
		return 0
	}
	return w.items[w.head].Serial
}

// Newest is the serial of the newest entry, 0 when the window is empty.
func (w *Hot[A]) Newest() uint64 {
	if w.Len() == 0 {
		return 0
	}
	return w.items[len(w.items)-1].Serial
}

// At returns the entry with a serial, nil when it is not in the window.
func (w *Hot[A]) At(serial uint64) *HotEntry[A] {
	if w.Len() == 0 || serial < w.Oldest() || serial > w.Newest() {
		return nil
	}
	return w.items[w.head+int(serial-w.Oldest())]
}

// After appends to dst the entries that follow a cursor, up to serial to and at most limit of them. It appends nothing
// when the entry after the cursor is not in the window.
func (w *Hot[A]) After(dst []*HotEntry[A], cursor, to uint64, limit int) []*HotEntry[A] {
	for serial := cursor + 1; serial <= to && len(dst) < limit; serial++ {
		e := w.At(serial)
		if e == nil {
			break
		}
		dst = append(dst, e)
	}
	return dst
}
