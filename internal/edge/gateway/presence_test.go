package gateway

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/continuo-rt/continuo/internal/core/auth"
	corepresence "github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/presence"
)

// members is a rig with a register of members.
type members struct {
	*rig
	reg *presence.Register
	key *auth.Key
}

var lobbyLog = stream.Ref{App: "app", Channel: "presence-lobby", Log: stream.Presence}

func newMembers(t *testing.T) *members {
	l := &members{}
	l.rig = newRig(t, func(o *Options) {
		l.reg = presence.New(presence.Options{Store: o.Node.Store(), Hub: o.Node.Hub(), Apps: o.Node.Apps, Online: o.Node.Sessions().Online,
			Node: "n", Boot: "b", Now: o.Now})
		o.Presence = l.reg
	})
	t.Cleanup(l.reg.Close)
	var err error
	if l.key, err = auth.NewKey("app", "app-key", "s", true); err != nil {
		t.Fatal(err)
	}
	return l
}

// tab is one connection of a Pusher client.
type tab struct {
	*peer
	id string
}

func (l *members) open(protocol int) *tab {
	l.Helper()
	d := ws.Dialer{Header: ws.HandshakeHeaderHTTP{"Origin": {"https://good.example"}}}
	c, buffered, _, err := d.Dial(l.Context(), fmt.Sprintf("%s/app/app-key?protocol=%d", l.url, protocol))
	if err != nil {
		l.Fatal(err)
	}
	p := &peer{T: l.T, Conn: c, in: c}
	if buffered != nil {
		p.in = buffered
	}
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	l.Cleanup(func() { _ = c.Close() })
	greeting := p.want("connection_established")
	id := greeting[strings.Index(greeting, `socket_id\":\"`)+14:]
	return &tab{p, id[:strings.IndexByte(id, '\\')]}
}

func (l *members) join(x *tab, prefix, user, info string) string {
	l.Helper()
	data := fmt.Sprintf(`{"user_id":%q,"user_info":%s}`, user, info)
	sign, err := l.key.SignChannel(x.id, "presence-lobby", data)
	if err != nil {
		l.Fatal(err)
	}
	x.frame(prefix+"subscribe", map[string]string{"channel": "presence-lobby", "auth": sign, "channel_data": data})
	return x.want("subscription_succeeded")
}

func (x *tab) frame(event string, data any) {
	x.Helper()
	b, err := json.Marshal(map[string]any{"event": event, "data": data})
	if err != nil {
		x.Fatal(err)
	}
	x.send(string(b))
}

// Three tabs of two users, on both protocols: every user comes once and goes once, and nobody hears of itself.
func TestPresenceOverSockets(t *testing.T) {
	l := newMembers(t)
	a1, a2, b := l.open(7), l.open(2), l.open(2)
	got := l.join(a1, "pusher:", "ann", `{"name":"A"}`)
	if !strings.Contains(got, `"data":"{\"presence\":{\"ids\":[\"ann\"],\"hash\":{\"ann\":{\"name\":\"A\"}},\"count\":1}}"`) {
		t.Fatal(got)
	}
	l.join(b, "sockudo:", "bob", `1`)
	a1.want(`"event":"pusher_internal:member_added","channel":"presence-lobby","data":"{\"user_id\":\"bob\",\"user_info\":1}"`)
	if got := l.join(a2, "sockudo:", "ann", `{"name":"A"}`); !strings.Contains(got, `\"ids\":[\"ann\",\"bob\"]`) {
		t.Fatal(got)
	}
	b.frame("sockudo:presence_update", map[string]any{"channel": "presence-lobby", "data": map[string]int{"mood": 1}})
	for _, x := range []*tab{a2, b} { // the sender hears of it too
		x.want(`"event":"sockudo_internal:presence_update"`, `"data":"{\"user_id\":\"bob\",\"user_info\":{\"mood\":1}}"`, `"message_id":"`)
	}
	a1.frame("pusher:unsubscribe", map[string]string{"channel": "presence-lobby"})
	a1.frame("pusher:subscribe", map[string]string{"channel": "elsewhere"})
	a1.want(`"channel":"elsewhere"`)
	a2.frame("sockudo:unsubscribe", map[string]string{"channel": "presence-lobby"})
	b.want(`"event":"sockudo_internal:member_removed","channel":"presence-lobby","data":"{\"user_id\":\"ann\"}"`)
	if users, err := l.reg.Users(t.Context(), "app", "presence-lobby"); err != nil || fmt.Sprint(users) != "[bob]" {
		t.Fatal(users, err)
	}
	h, err := l.reg.History(t.Context(), presence.HistoryQuery{Ref: lobbyLog, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	var changes []string
	for _, e := range h.Rows {
		changes = append(changes, e.Key+" "+corepresence.ChangeOf(e).String()+" "+e.Member.Cause)
	}
	if want := "[ann member_added join bob member_added join bob member_updated join ann member_removed disconnect]"; fmt.Sprint(changes) != want {
		t.Fatal(changes)
	}
}

// A closed socket takes its member out: at once after a close frame and, on V1, also without one; an end by the
// application says so.
func TestPresenceEndsWithTheSocket(t *testing.T) {
	l := newMembers(t)
	watcher, clean, dropped, forced := l.open(7), l.open(7), l.open(7), l.open(7)
	l.join(watcher, "pusher:", "watcher", `1`)
	for user, x := range map[string]*tab{"clean": clean, "dropped": dropped, "forced": forced} {
		l.join(x, "pusher:", user, `1`)
		watcher.want("member_added", user)
	}
	_ = ws.WriteFrame(clean.Conn, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, ""))))
	watcher.want("member_removed", `\"clean\"`)
	_ = dropped.Close()
	watcher.want("member_removed", `\"dropped\"`)
	one, _ := l.node.Sessions().ByID("app", forced.id)
	one.Post(session.Terminate{Cause: session.ByApp})
	for got := ""; !strings.HasPrefix(got, "close 4009"); {
		got, _ = forced.read()
	}
	watcher.want("member_removed", `\"forced\"`)
	h, err := l.reg.History(t.Context(), presence.HistoryQuery{Ref: lobbyLog, Limit: 3, Reverse: true})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"forced forced_disconnect", "dropped timeout", "clean disconnect"} {
		if got := h.Rows[i].Key + " " + h.Rows[i].Member.Cause; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// Who signs in is online for those who watch.
func TestWatchlistOverSockets(t *testing.T) {
	l := newMembers(t)
	signIn := func(x *tab, data string) {
		t.Helper()
		sign, err := l.key.SignUser(x.id, data)
		if err != nil {
			t.Fatal(err)
		}
		x.frame("pusher:signin", map[string]string{"auth": sign, "user_data": data})
		x.want("signin_success")
	}
	ann := l.open(7)
	signIn(ann, `{"id":"ann","watchlist":["bob","cid"]}`)
	bob := l.open(7)
	signIn(bob, `{"id":"bob","watchlist":["ann"]}`)
	bob.want(`"event":"pusher_internal:watchlist_events"`, `{"name":"online","user_ids":["ann"]}`)
	ann.want(`"event":"pusher_internal:watchlist_events"`, `{"name":"online","user_ids":["bob"]}`)
	_ = bob.Close()
	ann.want(`"event":"pusher_internal:watchlist_events"`, `{"name":"offline","user_ids":["bob"]}`)
}
