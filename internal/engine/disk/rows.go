package disk

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// rows answers what Decide asks about a stream: the batch first, then what was applied before it.
type rows struct {
	b *builder
	s *strm
}

// Header implements stream.Rows. Headers of messages that a purge, a reset or a trim has ended are not there, though
// their rows may be deleted only later.
func (r rows) Header(s stream.Subject) (stream.Header, bool, error) {
	a := &r.s.alloc
	if a.num == 0 {
		return stream.Header{}, false, nil
	}
	h, ok, err := r.b.header(a.num, s)
	if err != nil {
		return stream.Header{}, false, err
	}
	if ok {
		if ok = a.alive(s, &h.Header); ok {
			r.b.last = h
		}
		return h.Header, ok, nil
	}
	if s[0] != 'm' {
		return stream.Header{}, false, nil
	}
	return r.alias(s)
}

// header is the header row of a subject, with what the batch did to it.
func (b *builder) header(num uint64, s stream.Subject) (h header, ok bool, err error) {
	b.key = headerKey(b.key[:0], num, s)
	if h, ok = b.headers[string(b.key)]; ok || b.gone[string(b.key)] {
		return h, ok, nil
	}
	return b.l.header(b.l.db, b.key)
}

// alive says whether a header is of this incarnation and its message was not ended. The header of a key whose tombstone
// was trimmed is erased a little later than what it stands for: it must not be read meanwhile.
func (r *row) alive(s stream.Subject, h *stream.Header) bool {
	if s[0] == 'k' {
		return h.Row > r.ended && !(h.Deleted && h.Last <= r.Floor)
	}
	return h.Row > r.Floor
}

func (r rows) alias(s stream.Subject) (stream.Header, bool, error) {
	b, a := r.b, &r.s.alloc
	serial := serialOf(s)
	if serial <= a.Base || a.Keys == 0 && !a.Mutated {
		return stream.Header{}, false, nil
	}
	b.key = aliasKey(b.key[:0], a.num, serial)
	key, ok := b.aliases[string(b.key)]
	if !ok && !b.gone[string(b.key)] {
		var err error
		if key, ok, err = b.l.alias(b.l.db, b.key); err != nil {
			return stream.Header{}, false, err
		}
	}
	if ok && serial <= a.Floor { // the key may have been begun anew since, or be over
		h, found, err := b.header(a.num, stream.KeySubject(key))
		if err != nil {
			return stream.Header{}, false, err
		}
		ok = found && h.Message == serial && a.alive(stream.KeySubject(key), &h.Header)
	}
	return stream.Header{Alias: key}, ok, nil
}

// Entry implements stream.Rows.
func (r rows) Entry(serial uint64) (*stream.Entry, error) {
	a := &r.s.alloc
	if serial <= a.Floor || serial > a.Head {
		return nil, nil
	}
	if t := r.s.touch; t != nil && len(t.entries) > 0 && serial >= t.entries[0].Serial {
		return t.entries[serial-t.entries[0].Serial], nil
	}
	return r.b.l.entry(r.b.l.db, a.num, serial)
}

// Receipt implements stream.Rows.
func (r rows) Receipt(key string) (stream.Kept, bool, error) {
	a := &r.s.alloc
	if a.num == 0 {
		return stream.Kept{}, false, nil
	}
	b, hash := r.b, receiptHash(key)
	b.key = receiptKey(b.key[:0], a.num, hash[:])
	if k, ok := b.receipts[string(b.key)]; ok {
		return k, true, nil
	}
	return b.l.receipt(b.key)
}

func (l *life) header(src pebble.Reader, key []byte) (h header, ok bool, err error) {
	v, closer, err := l.getFrom(src, key)
	if err != nil || closer == nil {
		return h, false, err
	}
	defer closer.Close()
	if h, err = decodeHeader(v); err != nil {
		return h, false, l.corrupt("a message header", err)
	}
	return h, true, nil
}

func (l *life) alias(src pebble.Reader, key []byte) (string, bool, error) {
	v, closer, err := l.getFrom(src, key)
	if err != nil || closer == nil {
		return "", false, err
	}
	defer closer.Close()
	return string(v), true, nil
}

func (l *life) receipt(key []byte) (k stream.Kept, ok bool, err error) {
	v, closer, err := l.get(key)
	if err != nil || closer == nil {
		return k, false, err
	}
	defer closer.Close()
	if k, err = stream.DecodeKept(v); err != nil {
		return k, false, l.corrupt("a receipt", err)
	}
	return k, true, nil
}

// entry reads one entry, nil when it is not there.
func (l *life) entry(src pebble.Reader, num, serial uint64) (*stream.Entry, error) {
	var buf [numbered + 8]byte
	v, closer, err := l.getFrom(src, entryKey(buf[:0], num, serial))
	if err != nil || closer == nil {
		return nil, err
	}
	defer closer.Close()
	return l.decodeEntry(serial, append([]byte(nil), v...))
}

func (l *life) decodeEntry(serial uint64, v []byte) (*stream.Entry, error) {
	e, err := stream.DecodeEntry(serial, v)
	if err != nil {
		return nil, l.corrupt("an entry", err)
	}
	return e, nil
}

// numbers hands out stream numbers. What is reserved is written before the batch that uses it, in the same log, so a
// crash that keeps the use keeps the reservation.
type numbers struct {
	mu        sync.Mutex
	upto, end uint64 // the next counter, the end of what is reserved
}

const numberBlock = 1 << 16

var numbersKey = storeKey("numbers")

func (n *numbers) next(l *life, slot uint64) (uint64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.upto == n.end {
		end := n.end + numberBlock
		if err := l.db.Set(numbersKey, numberKey(nil, 1, end), pebble.NoSync); err != nil {
			return 0, fault.New(fault.Unavailable, "the store cannot be written: %w", err)
		}
		n.end = end
	}
	num := n.upto<<slotBits | slot
	n.upto++
	return num, nil
}
