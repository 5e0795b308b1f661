package disk

import (
	"bytes"
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

// foldTo folds a subject up to and including a serial.
func (r *reader) foldTo(fold stream.Fold, name stream.Subject, at uint64) (folded, error) {
	f, err := r.newestState(name, at, 0)
	if err != nil {
		return f, err
	}
	var batch []*stream.Entry
	err = r.index(name, span{f.at + 1, at}, false, func(serial uint64, _ stream.Kind, _ uint64) (bool, error) {
		e, err := r.entry(serial)
		if err != nil {
			return false, err
		}
		if batch = append(batch, e); len(batch) == foldBatch {
			err = f.next(fold, batch...)
			batch = batch[:0]
		}
		return err == nil, err
	})
	if err == nil {
		err = f.next(fold, batch...)
	}
	return f, err
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
