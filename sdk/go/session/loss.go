package session

// class is what a client does when a connection is lost.
type class int

const (
	backOff class = iota
	atOnce
	longer
	newToken
	stop
)

// reasons are the codes after which nothing is tried again.
var reasons = map[int]string{
	1000: ReasonRejected, 1002: ReasonRejected, 1003: ReasonRejected, 1007: ReasonRejected, 1008: ReasonRejected,
	1009: ReasonTooLarge, 4413: ReasonTooLarge, 4403: ReasonForbidden, 403: ReasonForbidden,
	4406: ReasonProtocol, 4409: ReasonReplaced,
}

// classify says what a close code, or the HTTP status of a handshake, asks for.
func classify(code int) class {
	switch code {
	case 4200:
		return atOnce
	case 1013, 4301, 4302, 429, 503:
		return longer
	case 4401, 401:
		return newToken
	}
	if reasons[code] != "" {
		return stop
	}
	return backOff
}

// lost ends the connection, or the attempt to have one.
func (m *Machine) lost(code int, retryAfter int64) {
	c := &m.conn
	if c.line.helloAt != never && m.now-c.line.helloAt >= stableAfter {
		c.attempt, c.failed, c.replaced, c.prompt = 0, 0, false, false
	}
	after := c.after
	c.code, c.after, c.renewing, c.line = code, -1, false, newLine()
	kind := classify(code)
	if kind == atOnce && (after < 0 || c.prompt) {
		kind = backOff
	}
	switch {
	case kind == stop:
		m.stop(reasons[code], code)
		return
	case kind == newToken && c.replaced:
		m.stop(ReasonUnauthorized, code)
		return
	case kind == newToken:
		c.replaced, c.unwanted = true, code
		c.attempt++
		c.phase = asking
		m.setState(State{State: StateConnecting, Attempt: c.attempt})
	default:
		c.replaced, c.unwanted = false, 0
		m.retry(kind, after, retryAfter)
	}
	m.forgetJoins()
	m.loseRequests()
	if kind == newToken {
		m.do(Effect{Do: WantToken})
	}
}

// retry waits for the next attempt.
func (m *Machine) retry(kind class, after, retryAfter int64) {
	c := &m.conn
	delay := after
	switch kind {
	case atOnce:
		c.prompt = true
	case longer:
		c.failed = max(c.failed, 4)
		delay = max(m.draw(c.failed), retryAfter)
		c.failed++
	default:
		delay = m.draw(c.failed)
		c.failed++
	}
	if c.offline {
		c.phase = offline
		m.setState(State{State: StateOffline})
		return
	}
	m.wait(delay)
}

// stop is the end until the application connects again.
func (m *Machine) stop(reason string, code int) {
	c := &m.conn
	c.phase, c.line, c.renewing, c.unwanted, c.after = stopped, newLine(), false, 0, -1
	m.setState(State{State: StateStopped, Reason: reason, Code: code})
	m.forgetJoins()
	m.loseRequests()
	m.endRequests("the client has stopped: " + reason)
}
