package disk

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// folded is the fold of a subject up to and including an entry.
type folded struct {
	at      uint64 // the entry's serial; 0: nothing yet
	row     uint64 // serial of the newest create or put in it
	message uint64
	live    bool
	state   []byte
	steps   int // entries that were folded since the state row it began with
	base    uint64
}

const stateRowVersion = 1

func appendState(dst []byte, f *folded) []byte {
	live := byte(0)
	if f.live {
		live = 1
	}
	dst = append(dst, stateRowVersion, live)
	dst = binary.AppendUvarint(dst, f.row)
	dst = binary.AppendUvarint(dst, f.message)
	return append(dst, f.state...)
}

func decodeState(at uint64, b []byte) (f folded, err error) {
	bad := fmt.Errorf("state row: %w", stream.ErrCorrupt)
	if len(b) < 4 || b[0] != stateRowVersion {
		return f, bad
	}
	f.at, f.base, f.live = at, at, b[1] != 0
	b = b[2:]
	for _, v := range [...]*uint64{&f.row, &f.message} {
		n := 0
		if *v, n = binary.Uvarint(b); n <= 0 {
			return folded{}, bad
		}
		b = b[n:]
	}
	f.state = b[:len(b):len(b)]
	return f, nil
}

// newestState finds the newest state row of a subject at or below a serial; message restricts it when it is not 0. Rows
// of messages that have ended are passed over.
func (r *reader) newestState(name stream.Subject, at, message uint64) (found folded, err error) {
	if r.v.num == 0 {
		return found, nil
	}
	it, err := r.iter(&r.states, tagState)
	if err != nil {
		return found, err
	}
	prefix := subjectKey(make([]byte, 0, 64), tagState, r.v.num, name)
	for ok := it.SeekLT(binary.BigEndian.AppendUint64(prefix, at+1)); ok; ok = it.Prev() {
		key := it.Key()
		if !bytes.HasPrefix(key, prefix) || len(key) != len(prefix)+8 {
			break
		}
		serial := binary.BigEndian.Uint64(key[len(prefix):])
		if serial < r.v.Base {
			break
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return found, r.l.readError(err)
		}
		f, err := decodeState(serial, v)
		if err != nil {
			return found, r.l.corrupt("a state row", err)
		}
		if message != 0 && f.message != message || name[0] == 'k' && f.row <= r.v.ended {
			continue
		}
		f.state = append([]byte(nil), f.state...)
		return f, nil
	}
	return found, r.l.readError(it.Error())
}

// stateAt reads the state row that was filed at a serial.
func (r *reader) stateAt(name stream.Subject, serial uint64) (f folded, ok bool, err error) {
	var buf [64]byte
	v, closer, err := r.l.getFrom(r.src, subjectSerialKey(buf[:0], tagState, r.v.num, name, serial))
	if err != nil || closer == nil {
		return f, false, err
	}
	defer closer.Close()
	if f, err = decodeState(serial, bytes.Clone(v)); err != nil {
		return f, false, r.l.corrupt("a state row", err)
	}
	return f, true, nil
}

// start is where the fold of a subject up to a serial may begin: a state, and the serial from which its entries
// continue it.
type start struct {
	folded
	from uint64
	put  *stream.Entry // the entry at from, a put or a create, when it was read already
}

// start finds where to begin, h being the subject's header. message restricts it to one message when it is not 0.
//
// In the log of messages that is the last put, whatever it superseded, if its ancestor can stand for that. Else it is
// the newest state row.
func (r *reader) start(fold stream.Fold, log stream.Log, name stream.Subject, h *header, at, message uint64) (s start, err error) {
	if name[0] == 'm' && h.base == 0 {
		return start{from: h.Message}, nil
	}
	if name[0] == 'm' && h.base <= at {
		f, ok, err := r.stateAt(name, h.base)
		if err != nil || ok {
			return start{folded: f, from: f.at + 1}, err
		}
	}
	if name[0] == 'k' && log == stream.Messages && fold != nil && !h.Annotated && (message == 0 || message == h.Message) {
		row, err := r.lastPut(name, h, at)
		if err != nil {
			return s, err
		}
		if row != nil && (h.base <= row.Serial || h.base > at) {
			if a, ok := h.Ancestor(row); ok {
				s.from, s.put = row.Serial, row
				if a.Serial != 0 {
					err = s.next(fold, &a)
					s.row, s.steps = 0, 0
				}
				return s, err
			}
		}
	}
	s.folded, err = r.newestState(name, at, message)
	s.from = s.at + 1
	return s, err
}

// lastPut is the newest put of a key at or below a serial, nil when the log has none.
func (r *reader) lastPut(name stream.Subject, h *header, at uint64) (*stream.Entry, error) {
	serial := h.Row
	if serial > at {
		serial = 0
		err := r.index(name, span{r.v.Floor + 1, at}, true, func(n uint64, kind stream.Kind, _ uint64) (bool, error) {
			if kind.Row() {
				serial = n
			}
			return serial == 0, nil
		})
		if err != nil {
			return nil, err
		}
	}
	if serial <= r.v.Floor {
		return nil, nil
	}
	return r.entry(serial)
}

// since calls f for the entries of a subject from where its fold starts, up to a serial, in order.
func (r *reader) since(name stream.Subject, h *header, s *start, at, message uint64, f func(*stream.Entry) (bool, error)) error {
	from, to := max(s.from, r.v.Floor+1), min(at, r.v.Head)
	if h.Last != 0 && h.Last < to {
		to = h.Last
	}
	if s.put != nil {
		if more, err := f(s.put); err != nil || !more {
			return err
		}
		if from++; h.chain == 2 && h.base == 0 && name[0] == 'm' {
			from = max(from, to) // there is one other
		}
	}
	switch {
	case from > to:
		return nil
	case to-from < 2*h.chain+fewEntries: // without the index: most entries are of this subject
		var failed error
		err := r.walk(span{from, to}, false, func(e *stream.Entry) bool {
			if !of(name, e, cmp.Or(message, serialOf(name))) {
				return true
			}
			more := false
			more, failed = f(e)
			return more && failed == nil
		})
		if err == nil {
			err = failed
		}
		return err
	}
	return r.index(name, span{from, to}, false, func(serial uint64, _ stream.Kind, of uint64) (bool, error) {
		if message != 0 && of != message {
			return true, nil
		}
		e, err := r.entry(serial)
		if err != nil {
			return false, err
		}
		return f(e)
	})
}

// of reports whether an entry is about a message, or, when that is 0, about the key that the subject is.
func of(name stream.Subject, e *stream.Entry, message uint64) bool {
	if message != 0 {
		return e.Message == message
	}
	return e.Key == string(name[1:])
}

// foldTo folds a subject up to and including a serial.
func (r *reader) foldTo(fold stream.Fold, log stream.Log, name stream.Subject, h *header, at uint64) (folded, error) {
	s, err := r.start(fold, log, name, h, at, 0)
	if err != nil {
		return s.folded, err
	}
	var batch []*stream.Entry
	err = r.since(name, h, &s, at, 0, func(e *stream.Entry) (_ bool, err error) {
		if batch = append(batch, e); len(batch) == foldBatch {
			err = s.next(fold, batch...)
			batch = batch[:0]
		}
		return err == nil, err
	})
	if err == nil {
		err = s.next(fold, batch...)
	}
	return s.folded, err
}

// foldBatch is how many entries are given to a fold at a time: each time may copy the state once.
const foldBatch = 256

// next folds further entries.
func (f *folded) next(fold stream.Fold, entries ...*stream.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	last := entries[len(entries)-1]
	state, live, err := fold(f.state, entries...)
	if err != nil {
		return fmt.Errorf("the entries up to %d cannot be folded: %w", last.Serial, err)
	}
	f.state, f.live, f.at, f.message = state, live, last.Serial, last.Message
	for _, e := range entries {
		if e.Kind.Row() {
			f.row = e.Serial
		}
	}
	f.steps += len(entries)
	return nil
}
