package node

import (
	"testing"

	"github.com/continuo-rt/continuo/internal/core/session"
)

type someone struct{ id string }

func (s *someone) ID() string         { return s.id }
func (s *someone) Post(session.Input) {}

// TestAdopt lets sessions go by the id of an earlier one, one after the other.
func TestAdopt(t *testing.T) {
	s := NewSessions()
	first, second, third := &someone{"first"}, &someone{"second"}, &someone{"third"}
	for _, one := range []*someone{first, second, third} {
		if err := s.Add("app", one, 0); err != nil {
			t.Fatal(err)
		}
	}
	want := func(id string, want Session) {
		t.Helper()
		got, ok := s.ByID("app", id)
		if got != want || ok != (want != nil) {
			t.Errorf("%s is %v, want %v", id, got, want)
		}
	}
	if holder := s.Adopt("app", second, "first"); holder != Session(first) {
		t.Fatalf("the holder was %v", holder)
	}
	want("first", second)
	want("second", second)
	s.Remove("app", first) // the one that was replaced ends: the id stays its successor's
	want("first", second)
	if holder := s.Adopt("app", third, "first"); holder != Session(second) {
		t.Fatalf("the holder was %v", holder)
	}
	if holder := s.Adopt("app", third, "first"); holder != nil {
		t.Fatalf("adopted from itself: %v", holder)
	}
	if holder := s.Adopt("app", third, "nobody's"); holder != nil {
		t.Fatalf("the holder was %v", holder)
	}
	want("first", nil)
	want("nobody's", third)
	s.Remove("app", third)
	want("nobody's", nil)
	if holder := s.Adopt("app", third, "second"); holder != nil {
		t.Fatalf("a session that is gone adopted from %v", holder)
	}
	s.Remove("app", second)
	if s.Len() != 0 {
		t.Errorf("%d sessions are left", s.Len())
	}
}
