package message

import (
	"slices"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// An entry stands for an earlier one of the same message when a reader of the folded message at the later entry misses
// nothing. That needs care with echo: an entry that is hidden from its publisher's session may stand only for what
// was hidden from the same session, or it must be all that there is to say (a put, a delete).

// cover remembers what the later entries of one message stand for.
type cover struct {
	all   bool     // for everything
	conns []string // for what is hidden from these sessions
}

func (c *cover) covers(e *stream.Entry) bool {
	return c.all || e.NoEcho && slices.Contains(c.conns, e.Conn)
}

func (c *cover) add(e *stream.Entry) {
	switch {
	case !e.NoEcho || e.Conn == "" || e.Kind == stream.Put || e.Kind == stream.Delete:
		c.all = true
	case !slices.Contains(c.conns, e.Conn):
		c.conns = append(c.conns, e.Conn)
	}
}

// Conflate keeps of a page what a follower that is behind needs to see of keyed messages: of each key the newest
// version and the newest annotation, at their own serials and in order. Entries without a key stay as they are. An
// entry that stays and is no put must be shown folded, as the message at its serial, since what came before it may be
// gone: Folded says which can be had from the page itself. The page is not changed.
func Conflate(entries []*stream.Entry) []*stream.Entry {
	type class struct {
		key        string
		annotation bool
	}
	covers := make(map[class]*cover)
	return keep(entries, func(e *stream.Entry) bool {
		if e.Key == "" {
			return true
		}
		k := class{e.Key, !e.Kind.Row() && !e.Kind.Mutation()}
		c := covers[k]
		if c == nil {
			c = &cover{}
			covers[k] = c
		}
		if c.covers(e) {
			return false
		}
		c.add(e)
		return true
	})
}

// CollapseAppends keeps of each run of appends to one message the last, for followers that are shown the whole text at
// each append anyway. A run is not broken by entries of other messages, nor by annotations. The page is not changed.
func CollapseAppends(entries []*stream.Entry) []*stream.Entry {
	covers := make(map[uint64]*cover)
	return keep(entries, func(e *stream.Entry) bool {
		if e.Kind != stream.Append {
			if e.Kind.Mutation() || e.Kind.Row() {
				delete(covers, e.Message)
			}
			return true
		}
		c := covers[e.Message]
		if c == nil {
			c = &cover{}
			covers[e.Message] = c
		}
		if c.covers(e) {
			return false
		}
		c.add(e)
		return true
	})
}

// keep filters from the last entry to the first, and gives the page itself when everything stays.
func keep(entries []*stream.Entry, wanted func(*stream.Entry) bool) []*stream.Entry {
	var drop []bool
	dropped := 0
	for i := len(entries) - 1; i >= 0; i-- {
		if wanted(entries[i]) {
			continue
		}
		if drop == nil {
			drop = make([]bool, len(entries))
		}
		drop[i] = true
		dropped++
	}
	if dropped == 0 {
		return entries
	}
	kept := make([]*stream.Entry, 0, len(entries)-dropped)
	for i, e := range entries {
		if !drop[i] {
			kept = append(kept, e)
		}
	}
	return kept
}

// Folded gives for each of the entries shown (a selection of page, in order) the message as that entry left it, or the
// zero State where the page does not hold the message's row and before is nil or does not know it. before gives the
// state of a message (by its serial) just before the page.
func Folded(page, shown []*stream.Entry, before func(e *stream.Entry) (State, error)) ([]State, error) {
	states := make([]State, 0, len(shown))
	at := make(map[string]*State) // subject → its state so far
	for _, e := range page {
		if len(states) == len(shown) {
			break
		}
		subject := subjectOf(e)
		s := at[subject]
		if s == nil {
			s = &State{}
			if before != nil && !(e.Kind.Row() && e.Message == e.Serial) {
				b, err := before(e)
				if err != nil {
					return nil, err
				}
				*s = b
			}
			at[subject] = s
		}
		if err := s.Apply(e); err != nil {
			return nil, err
		}
		if shown[len(states)].Serial == e.Serial {
			states = append(states, *s)
		}
	}
	return states, nil
}

func subjectOf(e *stream.Entry) string {
	if e.Key != "" {
		return string(stream.KeySubject(e.Key))
	}
	return string(stream.MessageSubject(e.Message))
}
