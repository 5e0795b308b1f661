package pusher

import (
	"strconv"

	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// user is who the connection has signed in as.
type user struct {
	id   string
	info []byte // user_info, for presence channels whose auth string carries no member
	capabilities
}

// signin verifies that the application vouches for a user.
func (m *Machine) signin(r *request) (problem string) {
	fields, problem := r.fields()
	if problem != "" {
		return problem
	}
	if !m.opts.App.Features.UserAuth {
		m.fail(codeUnauthorized, "User authentication is disabled for this app")
		return ""
	}
	signature, _ := fields.Get("auth").Text()
	data, ok := fields.Get("user_data").Text()
	if !ok {
		return "signin needs user_data, a string that holds a JSON object"
	}
	grant, err := auth.SignIn{App: m.opts.App.ID, Socket: m.conn.id, Auth: signature, Data: data}.Verify(m.opts.Keys)
	if err != nil {
		m.fail(codeUnauthorized, err.Error())
		return ""
	}
	v, err := envelope.Parse([]byte(grant.Data()))
	if err != nil {
		return "the user_data is no JSON: " + err.Error()
	}
	return m.vouched(v, data)
}

// vouched takes on the user that a verified sign-in describes.
func (m *Machine) vouched(v envelope.Value, data string) (problem string) {
	id, ok := v.Get("id").Text()
	if n, number := v.Get("id").Uint(); number {
		id, ok = strconv.FormatUint(n, 10), true
	}
	name, err := channel.Parse(channel.ForUser(id), m.opts.App.Limits.ChannelNameLength)
	switch {
	case !ok || id == "":
		return "the user_data has no id, or one that is no string"
	case err != nil:
		return err.Error()
	case m.user.id != "" && m.user.id != id:
		m.fail(codeUnauthorized, "the connection has signed in as another user")
		return ""
	}
	caps, problem := capabilitiesOf(v.Get("capabilities"))
	if problem != "" {
		return problem
	}
	watch, ok := m.watchlist(v.Get("watchlist"))
	if !ok {
		return ""
	}
	m.user.capabilities = caps
	if info := v.Get("user_info"); info.Given() {
		m.user.info = append([]byte(nil), info...)
	}
	f := m.protocol().event("signin_success", len(data)+len(data)/4)
	f.data()
	f.b = envelope.AppendString(append(f.b, `{"user_data":`...), data)
	f.b = append(f.b, '}')
	m.send(f.end(m.nextID()))
	again := m.user.id != ""
	m.user.id = id
	m.do(session.Identify{User: id, Capable: caps.capable()})
	if !again {
		m.followUser(name)
	}
	if len(watch) > 0 {
		m.do(session.Watch{Users: watch})
	}
	return ""
}

// followUser follows the user's own channel: what is published to it reaches every connection of the user, subscribed
// or not.
func (m *Machine) followUser(name channel.Name) {
	policy := m.opts.App.Policy(name.String())
	if m.subs.find(name.String()) != nil || !policy.ClientsSubscribe() {
		return
	}
	s := &subscription{name: name, policy: policy, enc: m.encoder(policy, nil), flags: flags{hidden: true}}
	m.subs.add(s)
	m.begin(s)
}

// watchlist reads the users that the client wants to hear of; false: a problem was told.
func (m *Machine) watchlist(v envelope.Value) (users []string, ok bool) {
	if !m.opts.App.Features.Watchlist || !v.Given() {
		return nil, true
	}
	if v.Kind() != envelope.Array {
		m.fail(codeFormat, "the watchlist must be an array of user ids")
		return nil, false
	}
	for item := range v.Items() {
		id, ok := item.Text()
		if !ok {
			m.fail(codeFormat, "the watchlist must be an array of user ids")
			return nil, false
		}
		users = append(users, id)
	}
	if most := m.opts.App.Limits.WatchlistSize; len(users) > most {
		m.fail(codeList, "The watchlist has "+strconv.Itoa(len(users))+" users, more than the "+strconv.Itoa(most)+" allowed")
		return nil, false
	}
	return users, true
}

// watched tells who of the watchlist came or went.
func (m *Machine) watched(in session.Watched) {
	if len(in.Online)+len(in.Offline) == 0 {
		return
	}
	f := m.protocol().inner("watchlist_events", 256)
	f.data()
	f.b = append(f.b, `{"events":[`...)
	f.b = appendUsers(f.b, "online", in.Online)
	f.b = appendUsers(f.b, "offline", in.Offline)
	f.b = append(f.b, `]}`...)
	m.send(f.end(m.nextID()))
}

func appendUsers(dst []byte, name string, users []string) []byte {
	if len(users) == 0 {
		return dst
	}
	dst = append(append(append(comma(dst), `{"name":"`...), name...), `","user_ids":[`...)
	for _, u := range users {
		dst = envelope.AppendString(comma(dst), u)
	}
	return append(dst, `]}`...)
}
