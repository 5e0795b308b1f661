package gateway

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/continuo-rt/continuo/internal/core/app"
)

// configure puts another version of the rig's app in place of the first.
func (r *rig) configure(change func(*app.App)) {
	r.Helper()
	a := app.App{ID: "app", Enabled: true, Mode: app.Development, Features: app.DefaultFeatures(app.Development),
		Keys: []app.Key{{Key: "app-key", Secret: "s", Enabled: true}}}
	change(&a)
	made, err := app.New(a)
	if err != nil {
		r.Fatal(err)
	}
	registry, faults := app.NewRegistry(made)
	if len(faults) > 0 {
		r.Fatal(faults)
	}
	r.node.SetApps(registry)
}

// knock opens a connection and expects no greeting.
func (l *members) knock() *peer {
	l.Helper()
	c, buffered, _, err := ws.Dialer{}.Dial(l.Context(), l.url+"/app/app-key?protocol=7")
	if err != nil {
		l.Fatal(err)
	}
	p := &peer{T: l.T, Conn: c, in: c}
	if buffered != nil {
		p.in = buffered
	}
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	l.Cleanup(func() { _ = c.Close() })
	return p
}

// subscribe subscribes with an auth string where the channel needs one.
func (l *members) subscribe(x *tab, channel, data string) {
	l.Helper()
	sign, err := l.key.SignChannel(x.id, channel, data)
	if err != nil {
		l.Fatal(err)
	}
	fields := map[string]string{"channel": channel, "auth": sign}
	if data != "" {
		fields["channel_data"] = data
	}
	x.frame("pusher:subscribe", fields)
}

func wireError(code int, message string) string {
	return fmt.Sprintf(`{"event":"pusher:error","data":{"code":%d,"message":%q}}`, code, message)
}

// native is the same on V2, without its message_id.
func native(code int, message string) string {
	return strings.Replace(wireError(code, message), "pusher:", "sockudo:", 1)
}

var messageID = regexp.MustCompile(`,"message_id":"[^"]*"`)

// limited is one limit and what a client is answered beyond it: every frame until the connection is told all.
type limited struct {
	name   string
	change func(*app.Limits)
	beyond func(l *members) *peer
	want   []string
}

var socketLimits = []limited{
	{"connections of an app", func(l *app.Limits) { l.Connections = 1 }, func(l *members) *peer {
		l.open(7)
		return l.knock()
	}, []string{wireError(4004, "The application is over its connection quota."), "close 4004 The application is over its connection quota."}},
	{"channels of a connection", func(l *app.Limits) { l.ChannelsPerConnection = 2 }, func(l *members) *peer {
		x := l.open(7)
		for _, name := range []string{"a", "b"} {
			x.frame("pusher:subscribe", map[string]string{"channel": name})
			x.want("subscription_succeeded")
		}
		x.frame("pusher:subscribe", map[string]string{"channel": "c"})
		return x.peer
	}, []string{wireError(4100, "Over capacity: the connection has the 2 subscriptions that it may have")}},
	{"channel name", func(l *app.Limits) { l.ChannelNameLength = 10 }, func(l *members) *peer {
		x := l.open(7)
		x.frame("pusher:subscribe", map[string]string{"channel": "elevenbytes"})
		return x.peer
	}, []string{wireError(4300, `Channel error: the channel name "elevenbytes" has 11 bytes, more than the 10 allowed`)}},
	{"event name", func(l *app.Limits) { l.EventNameLength = 10 }, func(l *members) *peer {
		x := l.private()
		x.send(`{"event":"client-abcd","channel":"private-a","data":1}`)
		return x.peer
	}, []string{wireError(4301, `Client event error: the event name "client-abcd" has 11 bytes, more than the 10 allowed`)}},
	{"payload of a client event", func(l *app.Limits) { l.PayloadBytes = 10 }, func(l *members) *peer {
		x := l.private()
		x.send(`{"event":"client-a","channel":"private-a","data":"ninebytes"}`)
		return x.peer
	}, []string{wireError(4301, "Client event error: the data has 11 bytes, more than the 10 allowed")}},
	{"client events per second", func(l *app.Limits) { l.ClientEventsPerSecond = 2 }, func(l *members) *peer {
		x := l.private()
		for range 3 {
			x.send(`{"event":"client-a","channel":"private-a","data":1}`)
		}
		return x.peer
	}, []string{wireError(4301, "Client event rejected due to rate limit")}},
	{"members of a channel", func(l *app.Limits) { l.PresenceMembers = 2 }, func(l *members) *peer {
		for _, user := range []string{"a", "b"} {
			l.join(l.open(7), "pusher:", user, "1")
		}
		x := l.open(7)
		l.subscribe(x, "presence-lobby", `{"user_id":"c"}`)
		return x.peer
	}, []string{wireError(4100, `Over capacity: the channel "presence-lobby" has the 2 members that it may have`)}},
	{"size of a member", func(l *app.Limits) { l.PresenceMemberBytes = 10 }, func(l *members) *peer {
		x := l.open(7)
		l.subscribe(x, "presence-lobby", `{"user_id":"c","user_info":"ninebytes"}`)
		return x.peer
	}, []string{wireError(4300, "Channel error: the user_info has 11 bytes, more than the 10 allowed")}},
	{"size of a presence update", func(l *app.Limits) { l.PresenceUpdateBytes = 10 }, func(l *members) *peer {
		x := l.open(2)
		l.join(x, "pusher:", "c", "1")
		x.frame("pusher:presence_update", map[string]any{"channel": "presence-lobby", "data": "ninebytes"})
		return x.peer
	}, []string{native(4300, "Channel error: the user_info has 11 bytes, more than the 10 allowed")}},
	{"presence updates per second", func(l *app.Limits) { l.PresenceUpdatesPerSecond = 1 }, func(l *members) *peer {
		x := l.open(2)
		l.join(x, "pusher:", "c", "1")
		update := map[string]any{"channel": "presence-lobby", "data": 2}
		x.frame("pusher:presence_update", update)
		x.want("presence_update")
		x.frame("pusher:presence_update", update)
		return x.peer
	}, []string{native(4301, "Client event error: presence updates are sent too fast")}},
	{"watchlist", func(l *app.Limits) { l.WatchlistSize = 1 }, func(l *members) *peer {
		x := l.open(7)
		user := `{"id":"u","watchlist":["a","b"]}`
		sign, err := l.key.SignUser(x.id, user)
		if err != nil {
			l.Fatal(err)
		}
		x.frame("pusher:signin", map[string]string{"auth": sign, "user_data": user})
		return x.peer
	}, []string{wireError(4302, "The watchlist has 2 users, more than the 1 allowed")}},
	{"frame", func(l *app.Limits) { l.FrameBytes, l.PayloadBytes = 1<<10, 100 }, func(l *members) *peer {
		x := l.open(7)
		x.send(`{"event":"pusher:ping","data":"` + strings.Repeat("x", 1<<10) + `"}`)
		return x.peer
	}, []string{"close 1009 message too large"}},
}

// private is a connection that has joined private-a.
func (l *members) private() *tab {
	l.Helper()
	x := l.open(7)
	l.subscribe(x, "private-a", "")
	x.want("subscription_succeeded")
	return x
}

// Beyond every limit of the sockets there is one exact frame or close code; below it, the limit is not felt.
func TestSocketLimits(t *testing.T) {
	for _, tt := range socketLimits {
		t.Run(tt.name, func(t *testing.T) {
			l := newMembers(t)
			l.configure(func(a *app.App) { tt.change(&a.Limits) })
			p := tt.beyond(l)
			for _, want := range tt.want {
				got, _ := p.read()
				if got = messageID.ReplaceAllString(got, ""); got != want {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
			}
		})
	}
	t.Run("connections of the node", func(t *testing.T) {
		r := newRig(t, func(o *Options) { o.MaxConnections = 1 })
		l := &members{rig: r}
		r.configure(func(*app.App) {})
		l.open(7)
		p := l.knock()
		p.exactly(wireError(4100, "The server is over capacity."), "close 4100 The server is over capacity.")
	})
	t.Logf("summary: limits: %d limits of the sockets, each with its exact answer", len(socketLimits)+1)
}

// exactly reads frames that must be these.
func (p *peer) exactly(want ...string) {
	p.Helper()
	for _, w := range want {
		if got, _ := p.read(); got != w {
			p.Fatalf("got\n%s\nwant\n%s", got, w)
		}
	}
}
