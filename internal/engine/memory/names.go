package memory

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

func keyOf(s stream.Subject) (string, bool) { return strings.CutPrefix(string(s), "k") }

func messageOf(s stream.Subject) (uint64, bool) {
	if len(s) != 9 || s[0] != 'm' {
		return 0, false
	}
	return binary.BigEndian.Uint64([]byte(s[1:])), true
}

// keyOrder knows the keys of a log in order. New keys wait unsorted until somebody asks; keys that are gone stay until
// they are half of all, so callers must look each one up.
type keyOrder struct {
	sorted []string
	fresh  []string
	dead   int
}

func (k *keyOrder) add(key string) { k.fresh = append(k.fresh, key) }

// settled reports whether sorted is good to be read.
func (k *keyOrder) settled() bool { return len(k.fresh) == 0 && k.dead <= len(k.sorted)/2 }

// settle merges the new keys in and drops those that alive denies.
func (k *keyOrder) settle(alive func(string) bool) {
	slices.Sort(k.fresh)
	merged := make([]string, 0, len(k.sorted)+len(k.fresh))
	i, j := 0, 0
	for i < len(k.sorted) || j < len(k.fresh) {
		var key string
		if j == len(k.fresh) || i < len(k.sorted) && k.sorted[i] <= k.fresh[j] {
			key = k.sorted[i]
			i++
		} else {
			key = k.fresh[j]
			j++
		}
		if (len(merged) == 0 || merged[len(merged)-1] != key) && alive(key) {
			merged = append(merged, key)
		}
	}
	*k = keyOrder{sorted: merged}
}

// from is the index of the first key that may be greater than after and have the prefix.
func (k *keyOrder) from(after, prefix string) int {
	if after < prefix {
		i, _ := slices.BinarySearch(k.sorted, prefix)
		return i
	}
	i, found := slices.BinarySearch(k.sorted, after)
	if found {
		i++
	}
	return i
}

// receipts keep first answers until they expire.
type receipts struct {
	kept  map[string]stream.Kept
	sweep int // size at which the expired ones are looked for
}

func (r *receipts) put(key string, k stream.Kept, now int64) {
	if r.kept == nil {
		r.kept = map[string]stream.Kept{}
	}
	r.kept[key] = k
	if len(r.kept) > max(r.sweep, 64) {
		r.expire(now)
	}
}

// expire drops the receipts that ended before now; amortized over the puts it costs a constant.
func (r *receipts) expire(now int64) {
	for key, k := range r.kept {
		if k.Expires <= now {
			delete(r.kept, key)
		}
	}
	r.sweep = 2 * len(r.kept)
}
