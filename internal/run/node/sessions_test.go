package node

import (
	"testing"

	"github.com/continuo-rt/continuo/internal/core/app"
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

// told is a session that keeps why it was ended.
type told struct {
	someone
	why []session.Cause
}

func (s *told) Post(in session.Input) { s.why = append(s.why, in.(session.Terminate).Cause) }

// TestSetAppsEndsWhatHasGone lets apps stay, be disabled and go.
func TestSetAppsEndsWhatHasGone(t *testing.T) {
	registry := func(apps ...app.App) *app.Registry {
		var made []*app.App
		for _, a := range apps {
			a.Mode, a.Keys = app.Production, []app.Key{{Key: "key-" + a.ID, Secret: "secret", Enabled: true}}
			one, err := app.New(a)
			if err != nil {
				t.Fatal(err)
			}
			made = append(made, one)
		}
		r, faults := app.NewRegistry(made...)
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		return r
	}
	n := New(Options{Apps: registry(app.App{ID: "stays", Enabled: true}, app.App{ID: "disabled", Enabled: true}, app.App{ID: "goes", Enabled: true})})
	sessions := map[string]*told{}
	for a := range n.Apps().All() {
		one := &told{someone: someone{"1"}}
		if err := n.Sessions().Add(a.ID, one, 0); err != nil {
			t.Fatal(err)
		}
		sessions[a.ID] = one
	}
	n.SetApps(registry(app.App{ID: "stays", Enabled: true}, app.App{ID: "disabled"}))
	for id, want := range map[string]int{"stays": 0, "disabled": 1, "goes": 1} {
		if got := sessions[id].why; len(got) != want || want > 0 && got[0] != session.Reconnect {
			t.Errorf("%s: %v", id, got)
		}
	}
	late := &told{someone: someone{"2"}} // let in by the registry of before
	if err := n.Admit("goes", late, 0, "", 0); err != nil || len(late.why) != 1 || late.why[0] != session.Reconnect {
		t.Errorf("a session that came while its app went: %v, %v", late.why, err)
	}
}
