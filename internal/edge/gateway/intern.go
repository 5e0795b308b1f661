package gateway

import (
	"runtime"
	"sync"
	"weak"

	"github.com/continuo-rt/continuo/internal/core/filter"
)

// interner gives one pointer for all filter sets that are equal, so that their followers share what is encoded. Sets
// that nobody uses any more are forgotten.
type interner struct {
	mu   sync.Mutex
	sets map[string]weak.Pointer[filter.Set]
}

func (i *interner) intern(s *filter.Set) *filter.Set {
	key := s.Key()
	i.mu.Lock()
	defer i.mu.Unlock()
	if known := i.sets[key].Value(); known != nil {
		return known
	}
	if i.sets == nil {
		i.sets = map[string]weak.Pointer[filter.Set]{}
	}
	i.sets[key] = weak.Make(s)
	runtime.AddCleanup(s, i.forget, key)
	return s
}

// forget drops what was collected, unless an equal set has taken its place.
func (i *interner) forget(key string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.sets[key].Value() == nil {
		delete(i.sets, key)
	}
}
