package disk

import (
	"github.com/cockroachdb/pebble/v2"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// plan reads, beside the committer, everything that one step of a trim or purge needs: the entry at the new floor, the
// checkpoint's rows, the keys that end. It answers nil when the floor is there already.
func (l *life) plan(st *strm, kind stream.CutKind, target uint64) (*cutJob, error) {
	v := l.visible(st)
	if v.Floor >= target {
		return nil, nil
	}
	if kind == stream.Trim && v.Mutated {
		target = min(target, v.Floor+stepEntries)
	}
	r := l.reader(v)
	defer r.close()
	e, err := r.entry(target)
	if err != nil {
		return nil, err
	}
	fold := l.opt.Folds[st.ref.Log]
	j := &cutJob{s: st, kind: kind, floor: v.Floor, resets: v.Resets, head: v.Head, to: e.ID(), cum: e.Cum,
		keep: kind == stream.Trim && fold != nil && l.opt.Rules(st.ref).Retention.KeepLatest, answer: make(chan error, 1)}
	if !v.Mutated {
		return j, nil
	}
	j.ending = make(map[string]bool)
	if kind == stream.Trim {
		if err := j.scan(r, fold); err != nil {
			return nil, err
		}
	} else {
		j.erase.everything = true
	}
	if kind == stream.Purge || v.kept && !j.keep {
		j.erase.everything = true
		return j, j.scanKeys(r)
	}
	return j, nil
}

// scan reads the entries that go: it folds them into the checkpoint, or finds the keys that end with them.
func (j *cutJob) scan(r *reader, fold stream.Fold) error {
	type work struct {
		folded
		entries []*stream.Entry
	}
	states := make(map[string]*work)
	var failed error
	err := r.walk(span{r.v.Floor + 1, j.to.Serial}, false, func(e *stream.Entry) bool {
		if e.Key == "" {
			return true
		}
		j.erase.add(e)
		name := stream.KeySubject(e.Key)
		f := states[e.Key]
		if f == nil {
			f = &work{}
			if j.keep {
				if f.folded, failed = r.newestState(name, j.to.Serial, 0); failed != nil {
					return false
				}
			}
			states[e.Key] = f
		}
		if j.keep && e.Serial > f.at {
			f.entries = append(f.entries, e)
		}
		return true
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return err
	}
	for key, f := range states {
		if j.keep {
			if err := f.next(fold, f.entries...); err != nil {
				return err
			}
			if f.live || f.base > 0 { // a row of what ended hides the older one until both are erased
				j.rows = append(j.rows, stateRow{stream.KeySubject(key), f.folded})
			}
			if f.live {
				j.erase.state[key] = checkpointed{f.at, f.message}
			}
			continue
		}
		if err := j.ends(r, key); err != nil {
			return err
		}
	}
	return nil
}

// ends notes a key whose message is live and begins at or below the new floor.
func (j *cutJob) ends(r *reader, key string) error {
	name := stream.KeySubject(key)
	h, ok, err := r.header(name)
	if err == nil && ok && j.isEnding(r, name, &h) {
		j.ending[key] = true
	}
	return err
}

func (j *cutJob) isEnding(r *reader, name stream.Subject, h *header) bool {
	return r.v.alive(name, &h.Header) && !h.Deleted && h.Row <= j.to.Serial
}

// scanKeys finds all keys that end, wherever their entries are.
func (j *cutJob) scanKeys(r *reader) error {
	return r.headers("", "", func(key string, h *header) (bool, error) {
		if j.isEnding(r, stream.KeySubject(key), h) {
			j.ending[key] = true
		}
		return true, nil
	})
}

// headers walks the headers of keys greater than after that begin with prefix, in order of key bytes. What it shows may
// be newer than the reader's bounds, and is good until f returns.
func (r *reader) headers(after, prefix string, f func(key string, h *header) (bool, error)) error {
	base := headerKey(nil, r.v.num, stream.KeySubject(prefix))
	lower := base
	if after != "" && after >= prefix {
		lower = append(headerKey(nil, r.v.num, stream.KeySubject(after)), 0)
	}
	it, err := r.src.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper(base)})
	if err != nil {
		return r.l.readError(err)
	}
	defer it.Close()
	var h header
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return r.l.readError(err)
		}
		if h, err = decodeHeader(v); err != nil {
			return r.l.corrupt("a message header", err)
		}
		if more, err := f(string(it.Key()[numbered+1:]), &h); err != nil || !more {
			return err
		}
	}
	return r.l.readError(it.Error())
}
