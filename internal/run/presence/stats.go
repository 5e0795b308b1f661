package presence

// Stats says what a register holds.
type Stats struct {
	Channels  int // with members of this node
	Members   int // with a connection to this node
	Leaving   int // connections in their grace time
	Unwritten int // members whose log could not be written
}

// Stats counts.
func (g *Register) Stats() Stats {
	g.mu.Lock()
	rolls := make([]*roll, 0, len(g.rolls))
	for _, r := range g.rolls {
		rolls = append(rolls, r)
	}
	g.mu.Unlock()
	var s Stats
	for _, r := range rolls {
		r.mu.Lock()
		if len(r.users) > 0 {
			s.Channels++
		}
		s.Members += len(r.users)
		for _, u := range r.users {
			s.Leaving += len(u.leaving)
			if u.dirty {
				s.Unwritten++
			}
		}
		r.mu.Unlock()
	}
	return s
}
