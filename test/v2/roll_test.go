package v2

import (
	"slices"
	"strings"
	"testing"
)

// TestRollup: a connection that asks for it is given the appends of a moment as one, with the position of the last; one
// that does not, each; and whoever resumes from before them is given them as they were.
func TestRollup(t *testing.T) {
	s := newServer(t, setup{})
	rolled, plain := s.client(t), s.client(t)
	rolled.query = "&append_rollup_window=500"
	for _, c := range []*client{rolled, plain} {
		c.connect("answer")
		c.until("sockudo_internal:subscription_succeeded")
	}
	s.event("answer", "e", "born")
	rolled.reach("answer", 1)
	before := rolled.positions["answer"]
	for _, token := range []string{"a ", "log ", "only ", "grows"} {
		if status, body := s.call("POST", appID+"/channels/answer/messages/1/append", `{"data":"`+token+`"}`); status != 200 {
			t.Fatal(status, body)
		}
	}
	plain.reach("answer", 5)
	plain.sees("answer", []string{"born", "a ", "log ", "only ", "grows"})
	for strings.Join(rolled.seen["answer"], "") != "borna log only grows" {
		rolled.next()
	}
	if got := rolled.seen["answer"]; len(got) >= 5 {
		t.Fatalf("nothing was joined: %v", got)
	}
	if rolled.positions["answer"] != plain.positions["answer"] {
		t.Fatalf("the client stands at %+v", rolled.positions["answer"])
	}
	rolled.quiet()
	rolled.cut()
	rolled.positions["answer"], rolled.seen["answer"] = before, nil
	rolled.connect("answer")
	rolled.until("sockudo:resume_success")
	if got := rolled.seen["answer"]; !slices.Equal(got, plain.seen["answer"][1:]) {
		t.Fatalf("the replay gave %v", got)
	}
}
