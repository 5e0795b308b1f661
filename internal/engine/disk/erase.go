package disk

import (
	"context"
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// erasure is what a cut leaves behind: rows that are out of bounds since its floor is visible. Deleting them is not
// part of the cut, so that a reader who took its bounds before finds either the rows or a newer floor.
type erasure struct {
	everything bool // look at every row of the stream: purge and reset
	keyed      []keyedEntry
	state      map[string]checkpointed // keys that were looked at
}

// checkpointed is a key's new row in the checkpoint: its serial and message, 0 when the key has none.
type checkpointed struct{ at, message uint64 }

type keyedEntry struct {
	key    string
	serial uint64
	first  bool // a first put: it has an alias
}

func (x *erasure) add(e *stream.Entry) {
	if x.state == nil {
		x.state = make(map[string]checkpointed)
	}
	x.state[e.Key] = checkpointed{}
	x.keyed = append(x.keyed, keyedEntry{e.Key, e.Serial, e.Kind == stream.Put && e.Message == e.Serial})
}

const (
	eraseBatch  = 512 // rows of one batch
	fewRows     = 256 // up to so many rows are deleted one by one: fresh range tombstones make every read slower
	eraseJobMax = 256 // headers that one job looks at
)

// eraser deletes rows beside the committer, in bounded batches.
type eraser struct {
	l     *life
	num   uint64
	floor uint64
	batch *pebble.Batch
}

func (l *life) erase(ctx context.Context, j *cutJob) error {
	if j.before.num == 0 {
		return nil
	}
	x := &eraser{l: l, num: j.before.num, floor: j.after.Floor, batch: l.db.NewBatch()}
	defer func() { x.batch.Close() }()
	if err := x.rows(j); err != nil {
		return err
	}
	if err := x.flush(0); err != nil {
		return err
	}
	return x.headers(ctx, j)
}

// flush applies the batch when it has grown to n rows.
func (x *eraser) flush(n int) error {
	if x.batch.Empty() || int(x.batch.Count()) < n {
		return nil
	}
	err := x.l.write(func() error { return x.l.db.Apply(x.batch, pebble.NoSync) })
	x.batch.Close()
	x.batch = x.l.db.NewBatch()
	return err
}

func (x *eraser) delete(key []byte) error {
	if err := x.batch.Delete(key, nil); err != nil {
		return err
	}
	return x.flush(eraseBatch)
}

func (x *eraser) rows(j *cutJob) error {
	lo := j.before.swept + 1
	if err := x.entries(lo); err != nil || !j.before.Mutated {
		return err
	}
	from, to := stream.MessageSubject(lo), stream.MessageSubject(x.floor+1)
	for _, s := range [...][2][]byte{
		{headerKey(nil, x.num, from), headerKey(nil, x.num, to)},
		{subjectKey(nil, tagIndex, x.num, from), subjectKey(nil, tagIndex, x.num, to)},
		{subjectKey(nil, tagState, x.num, from), subjectKey(nil, tagState, x.num, to)},
	} {
		if err := x.span(s[0], s[1]); err != nil {
			return err
		}
	}
	if j.erase.everything {
		if err := x.filed(numberKey(nil, tagIndex, x.num), func(serial uint64, _ []byte) bool { return serial <= x.floor }); err != nil {
			return err
		}
		return x.filed(numberKey(nil, tagState, x.num), func(serial uint64, v []byte) bool {
			return serial <= x.floor || over(serial, v, j.after)
		})
	}
	for _, e := range j.erase.keyed {
		if err := x.delete(subjectSerialKey(nil, tagIndex, x.num, stream.KeySubject(e.key), e.serial)); err != nil {
			return err
		}
	}
	for key, checkpoint := range j.erase.state {
		err := x.filed(subjectKey(nil, tagState, x.num, stream.KeySubject(key)), func(serial uint64, v []byte) bool {
			if j.keep {
				return serial <= x.floor && serial != checkpoint.at
			}
			return over(serial, v, j.after)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// entries deletes the entries up to the floor.
func (x *eraser) entries(lo uint64) error {
	if x.floor-lo >= fewRows {
		return x.batch.DeleteRange(entryKey(nil, x.num, lo), entryKey(nil, x.num, x.floor+1), nil)
	}
	for n := lo; n <= x.floor; n++ {
		if err := x.batch.Delete(entryKey(nil, x.num, n), nil); err != nil {
			return err
		}
	}
	return nil
}

// over says whether a state row is of a message that has ended.
func over(serial uint64, v []byte, after *row) bool {
	f, err := decodeState(serial, v)
	return err == nil && f.row <= after.ended
}

// span deletes the rows of a range: one by one when they are few.
func (x *eraser) span(lo, hi []byte) error {
	it, err := x.l.db.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		return err
	}
	defer it.Close()
	var keys [][]byte
	for ok := it.First(); ok; ok = it.Next() {
		if len(keys) == fewRows {
			return x.batch.DeleteRange(lo, hi, nil)
		}
		keys = append(keys, append([]byte(nil), it.Key()...))
	}
	for _, k := range keys {
		if err := x.batch.Delete(k, nil); err != nil {
			return err
		}
	}
	return it.Error()
}

// filed deletes the index or state rows under a prefix for which f holds. Such rows never change once written.
func (x *eraser) filed(prefix []byte, f func(serial uint64, v []byte) bool) error {
	it, err := x.l.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: upper(prefix)})
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		key := it.Key()
		if f(binary.BigEndian.Uint64(key[len(key)-8:]), v) {
			if err := x.delete(append([]byte(nil), key...)); err != nil {
				return err
			}
		}
	}
	return it.Error()
}

// headers deletes the headers and aliases of keys that are over, through the committer, which may be writing them.
func (x *eraser) headers(ctx context.Context, j *cutJob) error {
	var keys []string
	var aliases []keyedEntry
	if j.erase.everything {
		if err := x.all(j.before, &keys, &aliases); err != nil {
			return err
		}
	} else {
		// What the checkpoint holds is not over. Looking for itself would cost the committer a read for every key.
		for key, row := range j.erase.state {
			if row.at == 0 {
				keys = append(keys, key)
			}
		}
		for _, e := range j.erase.keyed {
			if e.first && j.erase.state[e.key].message != e.serial {
				aliases = append(aliases, e)
			}
		}
	}
	for {
		job := &eraseJob{s: j.s, num: x.num, floor: x.floor, answer: make(chan error, 1)}
		n := min(len(keys), eraseJobMax)
		job.keys, keys = keys[:n], keys[n:]
		n = min(len(aliases), eraseJobMax)
		job.aliases, aliases = aliases[:n], aliases[n:]
		job.last = len(keys) == 0 && len(aliases) == 0
		// Nobody rests on the last one: the next cut of the stream comes after it in the shard.
		if !x.l.post(job, j.s) || job.last {
			return nil
		}
		if err := await(ctx, job.answer); err != nil {
			return err
		}
	}
}

// all lists the headers and aliases of a stream that may be over.
func (x *eraser) all(before *row, keys *[]string, aliases *[]keyedEntry) error {
	r := x.l.reader(before)
	err := r.headers("", "", func(key string, h *header) (bool, error) {
		if h.Row <= x.floor {
			*keys = append(*keys, key)
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	prefix := numberKey(nil, tagAlias, x.num)
	it, err := x.l.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: aliasKey(nil, x.num, x.floor+1)})
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		*aliases = append(*aliases, keyedEntry{string(it.Value()), binary.BigEndian.Uint64(it.Key()[numbered:]), true})
	}
	return it.Error()
}

// eraseJob deletes what may be over and is, in the order of the appends.
type eraseJob struct {
	s          *strm
	num, floor uint64
	keys       []string
	aliases    []keyedEntry
	last       bool
	answer     chan error
}

func (j *eraseJob) done(err error) { j.answer <- err }

func (j *eraseJob) build(b *builder) error {
	a := &j.s.alloc
	if a.num != j.num {
		return nil
	}
	for _, key := range j.keys {
		name := stream.KeySubject(key)
		h, ok, err := b.header(a.num, name)
		if err != nil {
			return err
		}
		if ok && (!a.alive(name, &h.Header) || h.Deleted && h.Last <= a.Floor) {
			b.remove(headerKey(nil, a.num, name))
		}
	}
	for _, e := range j.aliases {
		name := stream.KeySubject(e.key)
		h, ok, err := b.header(a.num, name)
		if err != nil {
			return err
		}
		if !ok || h.Message != e.serial || !a.alive(name, &h.Header) {
			b.remove(aliasKey(nil, a.num, e.serial))
		}
	}
	if j.last {
		a.swept = max(a.swept, min(j.floor, a.Floor)) // written with the stream's next row
	}
	return nil
}

// remove deletes a header or alias row.
func (b *builder) remove(key []byte) {
	b.delete(key)
	delete(b.headers, string(key))
	delete(b.aliases, string(key))
	b.gone[string(key)] = true
}
