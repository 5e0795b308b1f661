// Package recordtest is what every store of small records must do.
package recordtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/record"
)

// Harness is a store under test.
type Harness struct {
	Store record.Store
	// Reopen opens the same data again; nil when nothing survives the process.
	Reopen func() record.Store
}

// Run runs the suite against the stores that open makes, a new one for each test.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	for name, run := range map[string]func(*world){
		"put, get, delete":        (*world).testBasics,
		"conditions":              (*world).testConditions,
		"versions are not reused": (*world).testVersions,
		"lists":                   (*world).testLists,
		"spaces are apart":        (*world).testSpaces,
		"values are copied":       (*world).testCopies,
		"one winner of a race":    (*world).testRace,
		"a caller that gave up":   (*world).testGaveUp,
		"random against a map":    (*world).testRandom,
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			run(&world{T: t, h: h, s: h.Store})
		})
	}
}

type world struct {
	*testing.T
	h Harness
	s record.Store
}

func (w *world) reopen() {
	if w.h.Reopen != nil {
		w.s = w.h.Reopen()
	}
}

func (w *world) put(space, key, value string, ifVersion uint64) uint64 {
	w.Helper()
	v, err := w.s.Put(w.Context(), space, key, []byte(value), ifVersion)
	if err != nil {
		w.Fatalf("put %s/%q: %v", space, key, err)
	}
	return v
}

func (w *world) get(space, key string) record.Record {
	w.Helper()
	r, err := w.s.Get(w.Context(), space, key)
	if err != nil {
		w.Fatalf("get %s/%q: %v", space, key, err)
	}
	return r
}

func (w *world) remove(space, key string, ifVersion uint64) {
	w.Helper()
	if err := w.s.Delete(w.Context(), space, key, ifVersion); err != nil {
		w.Fatalf("delete %s/%q: %v", space, key, err)
	}
}

func (w *world) want(space, key, value string, version uint64) {
	w.Helper()
	r := w.get(space, key)
	if r.Version != version || string(r.Value) != value || version > 0 && r.Key != key {
		w.Fatalf("%s/%q is %+v, want %q at version %d", space, key, r, value, version)
	}
}

func (w *world) conflict(what string, err error, version uint64) {
	w.Helper()
	if err == nil || fault.KindOf(err) != fault.Conflict || fault.Of(err).Detail != version {
		w.Fatalf("%s: %v; want a conflict with version %d", what, err, version)
	}
}

func (w *world) testBasics() {
	w.want("s", "k", "", 0)
	if v := w.put("s", "k", "a", record.Any); v != 1 {
		w.Fatalf("the first version is %d", v)
	}
	w.put("s", "empty", "", record.Any)
	w.want("s", "k", "a", 1)
	w.want("s", "empty", "", 1)
	w.put("s", "k", "b", record.Any)
	w.reopen()
	w.want("s", "k", "b", 2)
	w.want("s", "empty", "", 1)
	w.remove("s", "k", record.Any)
	w.remove("s", "k", record.Any)
	w.remove("s", "never", record.Any)
	w.want("s", "k", "", 0)
	w.reopen()
	w.want("s", "k", "", 0)
	big := strings.Repeat("0123456789", 10_000)
	w.put("s", "big", big, 0)
	w.reopen()
	w.want("s", "big", big, 1)
}

func (w *world) testConditions() {
	_, err := w.s.Put(w.Context(), "s", "k", nil, 1)
	w.conflict("version 1 of nothing", err, 0)
	w.put("s", "k", "a", 0)
	_, err = w.s.Put(w.Context(), "s", "k", []byte("x"), 0)
	w.conflict("none there", err, 1)
	w.put("s", "k", "b", 1)
	_, err = w.s.Put(w.Context(), "s", "k", []byte("x"), 1)
	w.conflict("an older version", err, 2)
	w.conflict("delete of an older version", w.s.Delete(w.Context(), "s", "k", 1), 2)
	w.conflict("delete of none there", w.s.Delete(w.Context(), "s", "k", 0), 2)
	w.want("s", "k", "b", 2)
	w.remove("s", "k", 2)
	w.conflict("delete of what is gone", w.s.Delete(w.Context(), "s", "k", 2), 0)
	w.remove("s", "k", 0)
	_, err = w.s.Put(w.Context(), "s", "k", nil, 2)
	w.conflict("a version that is gone", err, 0)
}

func (w *world) testVersions() {
	last := uint64(0)
	for i := range 10 {
		v := w.put("s", "k", fmt.Sprint(i), record.Any)
		if v <= last {
			w.Fatalf("version %d after %d", v, last)
		}
		last = v
		switch i % 3 {
		case 1:
			w.remove("s", "k", last)
		case 2:
			w.reopen()
		}
	}
}

func (w *world) list(space, after string, limit int) []string {
	w.Helper()
	records, err := w.s.List(w.Context(), space, after, limit)
	if err != nil {
		w.Fatalf("list: %v", err)
	}
	var keys []string
	for _, r := range records {
		if r.Version == 0 || string(r.Value) != "v"+r.Key {
			w.Fatalf("listed %+v", r)
		}
		keys = append(keys, r.Key)
	}
	return keys
}

func (w *world) testLists() {
	keys := []string{"", "a", "a\x00", "a\x00b", "aa", "ab", "b", "c", "é", "\xff", "\xff\xff"}
	for _, i := range rand.New(rand.NewPCG(1, 1)).Perm(len(keys)) {
		w.put("s", keys[i], "v"+keys[i], 0)
	}
	w.put("s", "b1", "gone", 0)
	w.remove("s", "b1", record.Any)
	keys = keys[1:] // the empty key is not greater than an empty after
	for after := range keys {
		for _, limit := range []int{1, 3, 100} {
			want := keys[after+1:]
			want = want[:min(limit, len(want))]
			if got := w.list("s", keys[after], limit); !slices.Equal(got, want) {
				w.Fatalf("after %q, %d: %q, want %q", keys[after], limit, got, want)
			}
		}
	}
	if got := w.list("s", "", 100); !slices.Equal(got, keys) {
		w.Fatalf("all: %q, want %q", got, keys)
	}
	if got := w.list("s", "", 0); len(got) != 0 {
		w.Fatalf("a list of none: %q", got)
	}
	if got := w.list("nothing", "", 5); len(got) != 0 {
		w.Fatalf("a space without records: %q", got)
	}
}

func (w *world) testSpaces() {
	pairs := [][2]string{{"s", "k"}, {"sk", ""}, {"", "sk"}, {"s", "\x00k"}, {"s\x00", "k"}}
	for _, p := range pairs {
		w.put(p[0], p[1], p[0]+"|"+p[1], 0)
	}
	w.reopen()
	for _, p := range pairs {
		w.want(p[0], p[1], p[0]+"|"+p[1], 1)
	}
	w.remove("s", "k", 1)
	w.want("s\x00", "k", "s\x00|k", 1)
	records, err := w.s.List(w.Context(), "s", "", 10)
	if err != nil || len(records) != 1 || records[0].Key != "\x00k" {
		w.Fatalf("space s lists %+v (%v)", records, err)
	}
}

func (w *world) testCopies() {
	value := []byte("abc")
	if _, err := w.s.Put(w.Context(), "s", "k", value, 0); err != nil {
		w.Fatal(err)
	}
	value[0] = 'x'
	got := w.get("s", "k").Value
	got[1] = 'x'
	records, err := w.s.List(w.Context(), "s", "", 1)
	if err != nil || len(records) != 1 {
		w.Fatalf("list: %+v, %v", records, err)
	}
	records[0].Value[2] = 'x'
	w.want("s", "k", "abc", 1)
}

func (w *world) testRace() {
	w.put("s", "k", "0", 0)
	const rounds, writers = 20, 8
	for round := range uint64(rounds) {
		var wg sync.WaitGroup
		won := make([]bool, writers)
		for n := range writers {
			wg.Go(func() {
				v, err := w.s.Put(w.Context(), "s", "k", fmt.Append(nil, n), round+1)
				if err == nil && v != round+2 || err != nil && !errors.Is(err, &fault.Error{Kind: fault.Conflict}) {
					w.Errorf("version %d: %v", v, err)
				}
				won[n] = err == nil
			})
		}
		wg.Wait()
		winner := slices.Index(won, true)
		if winner < 0 || slices.Contains(won[winner+1:], true) {
			w.Fatalf("winners: %v", won)
		}
		w.want("s", "k", fmt.Sprint(winner), round+2)
	}
}

func (w *world) testGaveUp() {
	ctx, cancel := context.WithCancel(w.Context())
	cancel()
	v, err := w.s.Put(ctx, "s", "k", []byte("x"), 0)
	if err != nil && (v != 0 || fault.KindOf(err) == fault.Internal) {
		w.Fatalf("a caller that had given up: version %d, %v", v, err)
	}
	if err == nil {
		w.want("s", "k", "x", v)
	}
}

func (w *world) testRandom() {
	r := rand.New(rand.NewPCG(5, 5))
	want := map[string]string{}
	versions := map[string]uint64{}
	for range 1500 {
		key := fmt.Sprint(r.IntN(20))
		now := uint64(0)
		if _, ok := want[key]; ok {
			now = versions[key]
		}
		condition := []uint64{record.Any, now, now + 1}[r.IntN(3)]
		var err error
		switch n := r.IntN(40); {
		case n < 26:
			value := fmt.Sprint(r.IntN(1000))
			var v uint64
			if v, err = w.s.Put(w.Context(), "s", key, []byte(value), condition); err == nil {
				if v <= versions[key] {
					w.Fatalf("version %d after %d", v, versions[key])
				}
				want[key], versions[key] = value, v
			}
		case n < 39:
			if err = w.s.Delete(w.Context(), "s", key, condition); err == nil {
				delete(want, key)
			}
		default:
			w.reopen()
			continue
		}
		if condition == now+1 {
			w.conflict("another version", err, now)
		} else if err != nil {
			w.Fatalf("key %s: %v", key, err)
		}
	}
	got := map[string]string{}
	records, err := w.s.List(w.Context(), "s", "", 100)
	if err != nil {
		w.Fatal(err)
	}
	for _, rec := range records {
		got[rec.Key] = string(rec.Value)
		if rec.Version != versions[rec.Key] {
			w.Fatalf("%+v, want version %d", rec, versions[rec.Key])
		}
	}
	if !maps.Equal(got, want) {
		w.Fatalf("records %v, want %v", got, want)
	}
}
