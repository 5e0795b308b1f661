package feed

import (
	"slices"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// attach is a login on its way: until all channels are decided and everything that was missed has been sent.
type attach struct {
	login   *Login
	key     Entitlement
	fields  []field
	subs    []*subscription // by tag
	decided int
	resumed bool // a channel was accepted: resume_complete is due
	running int  // replays
}

// field is a filter in force for the login; nil values: not filtered.
type field struct {
	name   string
	values []string
}

// subscription is one effective channel of a login.
type subscription struct {
	channel string
	ref     stream.Ref
	enc     Encoder
	start   session.Start
	stage   stage
	refused stream.Reason // if the cursor was not accepted
	bounds  stream.Bounds // at attach
	count   uint64        // entries to replay, then entries replayed
}

// stage is how far a channel has come.
type stage uint8

const (
	asked    stage = iota // its start is being decided
	fresh                 // without a cursor: live once the login is answered
	refused               // its cursor was refused: live after snapshot_required
	replays               // accepted, and there is something to replay
	complete              // accepted, and at its attach serial
	lost                  // accepted, and lost before resume_complete
)

// choose fixes the effective channels, their filters and their starts.
func (m *Machine) choose(a *attach) *Refusal {
	wanted := a.login.Channels
	if wanted == nil {
		wanted = a.named()
	}
	for _, name := range wanted {
		policy := a.key.Policy(name)
		if policy == nil {
			continue
		}
		set, r := m.filter(a, name, policy.Feed.Filters)
		if r != nil {
			return r
		}
		s := &subscription{channel: name, ref: stream.Ref{App: a.key.App.ID, Channel: name}}
		s.enc = Encoder{Packed: a.login.Binary, Conflate: policy.Conflate, Filter: set}
		s.start.Limits = policy.Window(policy.Feed.StrictWindow)
		s.present(a.login, m.opts.Epoch)
		a.subs = append(a.subs, s)
		m.channels = append(m.channels, name)
		m.narrow(policy)
	}
	switch most := a.key.App.Limits.ChannelsPerConnection; {
	case len(a.subs) == 0 && a.login.Channels == nil:
		return &Refusal{Code: "login_failed", Msg: "name your channels in `channels`", Close: closeFix}
	case len(a.subs) == 0:
		return &Refusal{Code: "login_failed", Msg: "name your channels in `channels`: the key is entitled to none of those", Close: closeFix}
	case len(a.subs) > most:
		return invalid("channels", "%d channels; %d are allowed", len(a.subs), most)
	}
	return nil
}

// named are the channels of a login without `channels`: those that the entitlement names one by one, and those that
// the client has cursors for.
func (a *attach) named() []string {
	names := a.key.Channels.Named()
	for _, name := range sortedKeys(a.login.Cursors) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// narrow keeps the shortest window of the login's channels: a gap of that length is replayed on all of them.
func (m *Machine) narrow(p *app.Policy) {
	if p.NoLog {
		return
	}
	age := p.ResumeAge().Milliseconds()
	if age == 0 {
		age = unlimited
	}
	if m.window == 0 || age < m.window {
		m.window = age
	}
}

// unlimited is what a window is said to be where no time limits it: the largest whole number of JavaScript.
const unlimited = stream.MaxSerial

// present places a subscription at the client's cursor, if it presented one.
func (s *subscription) present(l *Login, epoch string) {
	given, ok := l.Cursors[s.channel]
	if !ok {
		return
	}
	id, err := stream.ParseEntryID(given)
	switch {
	case l.Epoch != epoch:
		s.refused = stream.StreamReset
	case err != nil:
		s.refused = stream.PositionAhead
	default:
		s.start.Resume = true
		s.start.Cursor = stream.Cursor{Serial: id.Serial, Time: id.Time, Timed: true}
	}
}
