package continuo

import (
	"context"
	"iter"
	"sync"
)

// serial does one thing after another, in a goroutine that lives while there is something to do.
type serial struct {
	mu      sync.Mutex
	queue   []func()
	running bool
	wait    *sync.WaitGroup
}

func (s *serial) do(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, f)
	if !s.running {
		s.running = true
		s.wait.Go(s.run)
	}
}

func (s *serial) run() {
	for {
		s.mu.Lock()
		if len(s.queue) == 0 {
			s.running = false
			s.mu.Unlock()
			return
		}
		f := s.queue[0]
		s.queue = s.queue[1:]
		s.mu.Unlock()
		f()
	}
}

// value is something that changes, and those who follow it.
type value[T comparable] struct {
	mu        sync.Mutex
	now       T
	ended     bool
	followers map[*follower[T]]bool
}

// follower gets every change; queue holds those that were not taken yet.
type follower[T comparable] struct {
	queue []T
	wake  chan struct{}
}

func (v *value[T]) get() T {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.now
}

func (v *value[T]) set(now T) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.now = now
	for f := range v.followers {
		f.queue = append(f.queue, now)
		notify(f.wake)
	}
}

// end is the end of all iterators.
func (v *value[T]) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ended = true
	for f := range v.followers {
		notify(f.wake)
	}
}

func notify(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// all iterates over the value as it is, and over all that it becomes.
func (v *value[T]) all(ctx context.Context) iter.Seq[T] {
	return func(yield func(T) bool) {
		f := &follower[T]{wake: make(chan struct{}, 1)}
		v.mu.Lock()
		if v.followers == nil {
			v.followers = map[*follower[T]]bool{}
		}
		v.followers[f] = true
		f.queue = append(f.queue, v.now)
		v.mu.Unlock()
		defer func() {
			v.mu.Lock()
			defer v.mu.Unlock()
			delete(v.followers, f)
		}()
		for {
			v.mu.Lock()
			queue, ended := f.queue, v.ended
			f.queue = nil
			v.mu.Unlock()
			for _, now := range queue {
				if !yield(now) {
					return
				}
			}
			if ended {
				return
			}
			select {
			case <-f.wake:
			case <-ctx.Done():
				return
			}
		}
	}
}
