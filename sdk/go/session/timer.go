package session

// timer does what is due.
func (m *Machine) timer() {
	m.armed = never
	l := &m.conn.line
	switch {
	case l.retryAt <= m.now:
		m.attempt()
	case l.dialBy <= m.now, l.pongAt <= m.now && !l.ponged:
		m.do(Effect{Do: HangUp, Code: 4000})
		m.lost(0, 0)
	case l.pongAt <= m.now, l.beatAt <= m.now:
		l.pongAt, l.beatAt = never, l.lastAt+l.beat
		if l.beatAt <= m.now {
			m.ping()
		}
	}
	for _, r := range m.order {
		if r.retryAt <= m.now && m.conn.joinable() {
			m.sendJoin(r)
		}
		if r.snap.fetchAt <= m.now {
			m.fetch(r)
		}
	}
	m.flush()
}

// arm asks for the next timer, if the earliest time is another one now.
func (m *Machine) arm() {
	l := &m.conn.line
	next := min(l.retryAt, l.dialBy, l.pongAt, l.beatAt, m.requests.due(m))
	for _, r := range m.order {
		next = min(next, r.retryAt, r.snap.fetchAt)
	}
	if next == m.armed {
		return
	}
	m.armed = next
	if next == never {
		m.do(Effect{Do: SetTimer, InMS: -1})
		return
	}
	m.do(Effect{Do: SetTimer, InMS: max(0, next-m.now)})
}
