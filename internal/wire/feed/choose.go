package feed

import (
	"slices"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// subscription is one effective channel of the login.
type subscription struct {
	channel string
	ref     stream.Ref
	enc     Encoder
	start   session.Start
	cursor  bool // the client presented one
	refused stream.Reason
	state   session.Followed
	done    bool // the start was decided
	replay  bool // it is being replayed
}

// choose fixes the effective channels, their filters and their starts.
func (m *Machine) choose() *Refusal {
	wanted := m.login.Channels
	if wanted == nil {
		wanted = m.named()
	}
	a := m.key.App
	m.fields = map[string][]string{}
	for _, name := range wanted {
		parsed, err := channel.Parse(name, a.Limits.ChannelNameLength)
		if err != nil || !m.key.Channels.Match(name) {
			continue
		}
		policy := a.Policy(parsed.String())
		if !policy.Feed.Enabled || !policy.ClientsSubscribe() {
			continue
		}
		s := &subscription{channel: name, ref: stream.Ref{App: a.ID, Channel: name}}
		set, r := m.filter(name, policy.Feed.Filters)
		if r != nil {
			return r
		}
		s.enc = Encoder{Packed: m.login.Binary, Conflate: policy.Conflate, Filter: set}
		s.start.Limits = policy.Window(policy.Feed.StrictWindow)
		m.present(s)
		m.subs = append(m.subs, s)
	}
	if len(m.subs) == 0 {
		msg := "nothing is left of the wanted channels: the key is not entitled to any of them"
		if m.login.Channels == nil {
			msg = "name your channels in `channels`"
		}
		return &Refusal{Code: "login_failed", Msg: msg, Close: 4000}
	}
	slices.SortFunc(m.subs, func(x, y *subscription) int {
		if x.channel < y.channel {
			return -1
		}
		return 1
	})
	return nil
}

// named are the channels of a login without `channels`: those that the entitlement names one by one, and those that
// the client has cursors for.
func (m *Machine) named() []string {
	names := m.key.Channels.Named()
	for _, name := range sortedKeys(m.login.Cursors) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) > MaxChannels {
		names = names[:MaxChannels]
	}
	return names
}

// present places a subscription at the client's cursor, if it presented one.
func (m *Machine) present(s *subscription) {
	given, ok := m.login.Cursors[s.channel]
	if !ok {
		return
	}
	s.cursor = true
	if m.login.Epoch != m.opts.Epoch {
		s.refused = stream.StreamReset
		return
	}
	id, err := stream.ParseEntryID(given)
	if err != nil {
		s.refused = stream.PositionAhead
		return
	}
	s.start.Resume = true
	s.start.Cursor = stream.Cursor{Serial: id.Serial, Time: id.Time, Timed: true}
}
