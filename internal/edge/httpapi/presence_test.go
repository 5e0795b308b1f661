package httpapi_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/edge/httpapi"
	"github.com/continuo-rt/continuo/internal/engine/memory"
	"github.com/continuo-rt/continuo/internal/run/hub"
	register "github.com/continuo-rt/continuo/internal/run/presence"
)

// crowd is a world whose presence channel is filled by hand.
type crowd struct {
	*world
	reg *register.Register
}

var lobby = stream.Ref{App: "app-id", Channel: "presence-lobby", Log: stream.Presence}

func newCrowd(t *testing.T, change func(*app.App)) *crowd {
	t.Helper()
	c := &crowd{}
	s := setup{app: change, memory: func(o *memory.Options) {
		o.Epoch = "0123456789abcdef0123456789abcdef"
		o.Folds[stream.Presence] = presence.Fold
	}}
	s.options = func(o *httpapi.Options) {
		c.reg = register.New(register.Options{Store: o.Node.Store(), Hub: o.Node.Hub(), Apps: o.Node.Apps, Node: "n", Boot: "b", Now: o.Now})
		t.Cleanup(c.reg.Close)
		o.Presence = c.reg
	}
	c.world = newWorld(t, s)
	return c
}

var _ register.Hub = (*hub.Hub)(nil)

// member is a session of the test.
type member struct {
	id string
	in chan session.Input
}

func (m member) ID() string            { return m.id }
func (m member) Post(in session.Input) { m.in <- in }

func (c *crowd) enter(conn, user, info string) member {
	c.t.Helper()
	m := member{conn, make(chan session.Input, 8)}
	c.reg.Enter(m, session.Enter{Tag: 1, Ref: lobby, Member: session.Member{User: user, Info: []byte(info)}})
	if in := (<-m.in).(session.Entered); in.Err != nil {
		c.t.Fatal(in.Err)
	}
	c.clock.Add(1000)
	return m
}

// exit takes a member out and waits until the log says so.
func (c *crowd) exit(m member, cause string) {
	c.t.Helper()
	left := make(chan struct{}, 8)
	stop := c.store.Watch(func(stream.Advance) { left <- struct{}{} })
	defer stop()
	c.reg.Exit(m, session.Exit{Tag: 1, Ref: lobby, Cause: cause})
	<-left
	c.clock.Add(1000)
}

const lobbyPath = "channels/presence-lobby/presence/history"

func (a answer) want(status int, parts ...string) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	for _, p := range parts {
		if !strings.Contains(a.body, p) {
			a.t.Fatalf("%s\nlacks\n%s", a.body, p)
		}
	}
	if status != 304 && !json.Valid([]byte(a.body)) {
		a.t.Fatalf("no JSON: %s", a.body)
	}
	return a
}

func fill(c *crowd) {
	a := c.enter("1.1", "ann", `{"name":"A"}`)  // 1
	a2 := c.enter("1.2", "ann", `{"name":"A"}`) // 2
	c.enter("2.1", "bob", `1`)                  // 3
	c.exit(a, presence.Disconnect)              // 4
	c.exit(a2, presence.Forced)                 // 5
	c.enter("3.1", "cid", `null`)               // 6
}

func TestPresenceHistory(t *testing.T) {
	c := newCrowd(t, nil)
	fill(c)
	b, _, _ := c.reg.Bounds(t.Context(), lobby)
	got := c.do("GET", lobbyPath+"?direction=oldest_first", "").want(200,
		`{"items":[{"stream_id":"`+string(b.Stream)+`","serial":1,"published_at_ms":1766414833000,"event":"member_added","cause":"join",`+
			`"user_id":"ann","connection_id":"1.1","dead_node_id":null,"payload_size_bytes":`,
		`"presence_event":{"stream_id":"`+string(b.Stream)+`","serial":1,"published_at_ms":1766414833000,"event":"member_added","cause":"join",`+
			`"user_id":"ann","connection_id":"1.1","user_info":{"name":"A"},"dead_node_id":null}}`,
		`"serial":5,"published_at_ms":1766414837000,"event":"member_removed","cause":"forced_disconnect","user_id":"ann","connection_id":"1.2","user_info":{"name":"A"}`,
		`"direction":"oldest_first","limit":100,"has_more":false,"next_cursor":null,"bounds":{"start_serial":null,"end_serial":null,"start_time_ms":null,"end_time_ms":null},`,
		`"continuity":{"stream_id":"`+string(b.Stream)+`","oldest_available_serial":1,"newest_available_serial":6,"oldest_available_published_at_ms":1766414833000,`+
			`"newest_available_published_at_ms":1766414838000,"retained_events":6,"retained_bytes":`,
		`"complete":true,"truncated_by_retention":false,"degraded":false},"stream_state":{"stream_id":"`+string(b.Stream)+`","durable_state":"healthy","continuity_proven":true,`)
	if serials := serialsOf(t, got.body); !slices.Equal(serials, []int{1, 3, 5, 6}) {
		t.Fatal(serials)
	}
	for query, want := range map[string][]int{
		"": {6, 5, 3, 1}, "?limit=2": {6, 5}, "?start_serial=2&end_serial=5": {5, 3}, "?startSerial=4": {6, 5},
		"?start=1766414835000&end=1766414837000": {5, 3}, "?end_time_ms=1766414834999&direction=forwards": {1}, "?end_serial=0": {},
	} {
		if got := serialsOf(t, c.do("GET", lobbyPath+query, "").want(200).body); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
}

func serialsOf(t *testing.T, body string) []int {
	t.Helper()
	var page struct {
		Items []struct{ Serial int } `json:"items"`
	}
	if err := json.Unmarshal([]byte(body), &page); err != nil {
		t.Fatal(err)
	}
	list := []int{}
	for _, i := range page.Items {
		list = append(list, i.Serial)
	}
	return list
}

func TestPresenceHistoryPages(t *testing.T) {
	c := newCrowd(t, nil)
	for i := range 270 { // many further connections between few transitions
		c.enter(fmt.Sprint("a.", i), fmt.Sprint("u", i/90), `1`)
	}
	for _, direction := range []string{"newest_first", "oldest_first"} {
		var all []int
		cursor := ""
		for {
			body := c.do("GET", lobbyPath+"?limit=1&direction="+direction+cursor, "").want(200).body
			all = append(all, serialsOf(t, body)...)
			var page struct {
				Next *string `json:"next_cursor"`
			}
			_ = json.Unmarshal([]byte(body), &page)
			if page.Next == nil {
				break
			}
			cursor = "&cursor=" + *page.Next
		}
		if direction == "newest_first" {
			slices.Reverse(all)
		}
		if !slices.Equal(all, []int{1, 91, 181}) {
			t.Errorf("%s: %v", direction, all)
		}
	}
	next := c.do("GET", lobbyPath+"?limit=1", "").body
	cursor := next[strings.Index(next, `"next_cursor":"`)+15:]
	cursor = cursor[:strings.IndexByte(cursor, '"')]
	c.do("GET", "channels/presence-lobby/history?cursor="+cursor, "").want(400, `"code":"invalid_input"`)
	c.do("GET", "channels/presence-other/presence/history?cursor="+cursor, "").want(400, "belongs to the channel")
	c.do("GET", lobbyPath+"?direction=oldest_first&cursor="+cursor, "").want(400, "other direction")
	c.do("POST", lobbyPath+"/reset", `{"confirm_channel":"presence-lobby","confirm_operation":"reset","reason":"test"}`).want(200)
	c.do("GET", lobbyPath+"?cursor="+cursor, "").want(400, "Expired history cursor")
}

func TestPresenceSnapshot(t *testing.T) {
	c := newCrowd(t, nil)
	c.do("GET", lobbyPath+"/snapshot", "").want(200, `{"channel":"presence-lobby","members":[],"member_count":0,"events_replayed":0,"snapshot_serial":null,"snapshot_time_ms":null`)
	fill(c)
	c.do("GET", lobbyPath+"/snapshot", "").want(200,
		`"members":[{"user_id":"bob","user_info":1,"last_event":"member_added","last_event_serial":3,"last_event_at_ms":1766414835000},{"user_id":"cid",`,
		`"member_count":2,"events_replayed":6,"snapshot_serial":6,"snapshot_time_ms":1766414838000,"continuity":{`, `"retained_events":6`)
	for query, want := range map[string][]string{
		"?at_serial=0": {}, "?at_serial=1": {"ann"}, "?atSerial=4": {"ann", "bob"}, "?at_serial=5": {"bob"}, "?at_serial=6": {"bob", "cid"},
		"?at_time_ms=0": {}, "?at_time_ms=1766414832999": {}, "?at=1766414835000": {"ann", "bob"}, "?atTimeMs=1766414837500": {"bob"},
		"?at_serial=6&at=1766414835000": {"ann", "bob"}, "?at_serial=1&at=1766414835000": {"ann"},
	} {
		if got := usersOf(c.do("GET", lobbyPath+"/snapshot"+query, "").want(200).body); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

func usersOf(body string) []string {
	var page struct {
		Members []struct {
			User string `json:"user_id"`
		} `json:"members"`
	}
	_ = json.Unmarshal([]byte(body), &page)
	list := []string{}
	for _, m := range page.Members {
		list = append(list, m.User)
	}
	return list
}

// Retention takes the entries, and the members at every serial that is left stay right; before that nothing is claimed.
func TestPresenceSnapshotAfterTrimming(t *testing.T) {
	c := newCrowd(t, func(a *app.App) {
		p := app.Default(app.Development)
		p.Pattern, p.Presence.Retention = "*", stream.Retention{Entries: 3}
		a.Policies = []app.Policy{p}
	})
	fill(c)
	if err := c.store.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, _, _ := c.reg.Bounds(t.Context(), lobby)
	if b.Floor < 2 {
		t.Fatalf("nothing was trimmed: %+v", b)
	}
	for serial, want := range map[uint64][]string{3: {"ann", "bob"}, 4: {"ann", "bob"}, 5: {"bob"}, 6: {"bob", "cid"}} {
		if serial >= b.Floor {
			if got := usersOf(c.do("GET", fmt.Sprint(lobbyPath, "/snapshot?at_serial=", serial), "").want(200, `"truncated_by_retention":true`).body); !slices.Equal(got, want) {
				t.Errorf("at %d: %q, want %q", serial, got, want)
			}
		}
	}
	floor := fmt.Sprintf(`"code":"not_provable","status":422,"floor":%d}`, b.Floor)
	c.do("GET", lobbyPath+"/snapshot?at_serial=1", "").want(422, floor)
	c.do("GET", lobbyPath+"/snapshot?at_serial=0", "").want(422, floor)
	c.do("GET", lobbyPath+"/snapshot?at_time_ms=1766414833000", "").want(422, floor)
	c.do("GET", lobbyPath, "").want(200, `"complete":false,"truncated_by_retention":true`)
}

func TestPresenceStateAndReset(t *testing.T) {
	c := newCrowd(t, nil)
	fill(c)
	b, _, _ := c.reg.Bounds(t.Context(), lobby)
	c.do("GET", lobbyPath+"/state", "").want(200, `{"channel":"presence-lobby","stream":{"stream_id":"`+string(b.Stream)+`","next_serial":7,"retained":{`,
		`"retained_events":6`, `"state":{"stream_id":"`+string(b.Stream)+`","durable_state":"healthy","continuity_proven":true`)
	c.do("POST", lobbyPath+"/reset", `{"confirm_channel":"presence-lobby","confirm_operation":"reset","reason":"a test","requested_by":"me"}`).want(200,
		`{"ok":true,"operation":"reset","channel":"presence-lobby","reason":"a test","requested_by":"me","previous_stream_id":"`+string(b.Stream)+`","new_stream_id":"`,
		`"purged_events":6,"purged_bytes":`, `"stream":{"stream_id":"`)
	if got := usersOf(c.do("GET", lobbyPath+"/snapshot", "").want(200).body); !slices.Equal(got, []string{"bob", "cid"}) {
		t.Fatalf("those who are there are gone: %q", got)
	}
	c.do("GET", "channels/presence-lobby/users", "").want(200, `{"users":[{"id":"bob"},{"id":"cid"}]}`)
}

func TestPresenceBadInput(t *testing.T) {
	c := newCrowd(t, nil)
	fill(c)
	for target, want := range map[string]string{
		"channels/private-x/presence/history":                "Only presence channels support this endpoint",
		"channels/private-presence-x/presence/history/state": "Only presence channels support this endpoint",
		"channels/x/presence/history/snapshot":               "Only presence channels support this endpoint",
		lobbyPath + "?at_serial=1":                           "at_serial is not known",
		lobbyPath + "?data=value":                            "data is not known",
		lobbyPath + "?limit=0":                               "limit",
		lobbyPath + "?direction=up":                          "direction",
		lobbyPath + "?cursor=x":                              "cursor",
		lobbyPath + "?start=5&end=4":                         "start",
		lobbyPath + "/snapshot?at_serial=7":                  "beyond the newest entry, 6",
		lobbyPath + "/snapshot?at_serial=-1":                 "at_serial",
		lobbyPath + "/snapshot?at_serial=01":                 "at_serial",
		lobbyPath + "/snapshot?at_time_ms=1766414899000":     "is in the future",
		lobbyPath + "/snapshot?at_time_ms=1&at=1":            "same parameter",
		lobbyPath + "/snapshot?limit=1":                      "limit is not known",
		lobbyPath + "/state?x=1":                             "x is not known",
	} {
		c.do("GET", target, "").want(400, `"code":"invalid_input"`)
		if body := c.do("GET", target, "").body; !strings.Contains(strings.ReplaceAll(body, `\"`, ""), want) {
			t.Errorf("%s: %s lacks %q", target, body, want)
		}
	}
	for _, body := range []string{``, `{}`, `{"confirm_channel":"presence-lobby","confirm_operation":"purge","reason":"x"}`,
		`{"confirm_channel":"presence-other","confirm_operation":"reset","reason":"x"}`} {
		c.do("POST", lobbyPath+"/reset", body).want(400)
	}
	c.do("POST", lobbyPath, "").want(405)
	c.send("GET", "/apps/app-id/"+lobbyPath, "").want(401)
}
