package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// historyPage is what the documents promise about a page of history.
type historyPage struct {
	Items []struct {
		StreamID      string `json:"stream_id"`
		Serial        uint64 `json:"serial"`
		PublishedAtMS int64  `json:"published_at_ms"`
		MessageID     string `json:"message_id"`
		EventName     string `json:"event_name"`
		OperationKind string `json:"operation_kind"`
		Size          int    `json:"payload_size_bytes"`
		Message       struct {
			Event, Channel string
			Data           json.RawMessage
			Action         string
			MessageSerial  string `json:"message_serial"`
			HistorySerial  uint64 `json:"history_serial"`
			Key            string
		}
	}
	Direction  string
	Limit      int
	HasMore    bool    `json:"has_more"`
	NextCursor *string `json:"next_cursor"`
	Bounds     struct {
		StartSerial *uint64 `json:"start_serial"`
		EndTimeMS   *int64  `json:"end_time_ms"`
	}
	Continuity struct {
		StreamID  string  `json:"stream_id"`
		Oldest    *uint64 `json:"oldest_available_serial"`
		Newest    *uint64 `json:"newest_available_serial"`
		Retained  uint64  `json:"retained_messages"`
		Complete  bool
		Truncated bool `json:"truncated_by_retention"`
	}
	State struct {
		Durable string `json:"durable_state"`
	} `json:"stream_state"`
}

func (p *historyPage) serials() (all []uint64) {
	for _, i := range p.Items {
		all = append(all, i.Serial)
	}
	return all
}

func (w *world) history(query string) historyPage {
	w.t.Helper()
	var p historyPage
	a := w.do("GET", "channels/c/history"+query, "")
	if a.status != 200 {
		w.t.Fatal(a.status, a.body)
	}
	a.into(&p)
	return p
}

// publish publishes n messages to c, one a second.
func (w *world) publish(n int, member string) {
	w.t.Helper()
	for range n {
		w.do("POST", "events", `{"name":"e","channel":"c","data":{"n":1}`+member+`}`).is(200, `{}`)
		w.clock.Add(1000)
	}
}

// immutable is an app whose channels keep messages as they are, five of them.
func immutable(a *app.App) {
	p := app.Default(app.Production)
	p.Retention = stream.Retention{Entries: 5}
	a.Policies = []app.Policy{p}
}

func TestHistoryExact(t *testing.T) {
	w := newWorld(t, setup{app: immutable})
	w.do("POST", "events", `{"name":"order.created","channel":"c","data":{"id":1},"message_id":"m1","tags":{"a":"b"}}`)
	id := w.history("").Continuity.StreamID
	message := `{"event":"order.created","channel":"c","data":"{\"id\":1}","tags":{"a":"b"},"message_id":"m1","stream_id":"` + id + `","serial":1}`
	state := `{"stream_id":"` + id + `","durable_state":"healthy","recovery_allowed":true,"reset_required":false,"reason":null,"node_id":null,` +
		`"last_transition_at_ms":null,"authoritative_source":"in_memory","observed_source":"in_memory"}`
	bytes := w.entries("c")[0].Size()
	w.do("GET", "channels/c/history", "").is(200, `{"items":[{"stream_id":"`+id+`","serial":1,"published_at_ms":1766414833000,"message_id":"m1",`+
		`"event_name":"order.created","operation_kind":"append","payload_size_bytes":`+fmt.Sprint(len(message))+`,"message":`+message+`}],`+
		`"direction":"newest_first","limit":100,"has_more":false,"next_cursor":null,`+
		`"bounds":{"start_serial":null,"end_serial":null,"start_time_ms":null,"end_time_ms":null},`+
		`"continuity":{"stream_id":"`+id+`","oldest_available_serial":1,"newest_available_serial":1,"oldest_available_published_at_ms":1766414833000,`+
		`"newest_available_published_at_ms":1766414833000,"retained_messages":1,"retained_bytes":`+fmt.Sprint(bytes)+`,"complete":true,`+
		`"truncated_by_retention":false},"stream_state":`+state+`}`)
	w.do("GET", "channels/c/history/state", "").is(200, `{"channel":"c","stream":{"stream_id":"`+id+`","next_serial":2,"retained":{"stream_id":"`+id+
		`","oldest_available_serial":1,"newest_available_serial":1,"oldest_available_published_at_ms":1766414833000,`+
		`"newest_available_published_at_ms":1766414833000,"retained_messages":1,"retained_bytes":`+fmt.Sprint(bytes)+`},"state":`+state+`}}`)
	if got := string(w.history("?data=value").Items[0].Message.Data); got != `{"id":1}` {
		t.Fatal(got)
	}
}

func TestHistoryData(t *testing.T) {
	tests := []struct{ given, text, value string }{
		{`,"data":"a"`, `"a"`, `"a"`},
		{`,"data":"42"`, `"42"`, `"42"`},
		{`,"data":42`, `"42"`, `42`},
		{`,"data":"[1, 2]"`, `"[1, 2]"`, `[1,2]`},
		{`,"data":"[1, 2"`, `"[1, 2"`, `"[1, 2"`},
		{`,"data":{"a":"b"}`, `"{\"a\":\"b\"}"`, `{"a":"b"}`},
		{`,"data":null`, `"null"`, `null`},
		{``, `"null"`, `null`},
	}
	for _, tt := range tests {
		w := newWorld(t, setup{})
		w.do("POST", "events", `{"name":"e","channel":"c"`+tt.given+`}`).is(200, `{}`)
		text, value := w.history("").Items[0].Message.Data, w.history("?data=value").Items[0].Message.Data
		if string(text) != tt.text || string(value) != tt.value {
			t.Errorf("%s is shown as %s and %s", tt.given, text, value)
		}
	}
}

// TestHistoryPaging walks every page in both directions, while new messages come in.
func TestHistoryPaging(t *testing.T) {
	for _, direction := range []string{"newest_first", "oldest_first", "BACKWARDS", "forward"} {
		w := newWorld(t, setup{})
		w.publish(23, "")
		var all []uint64
		query := "?limit=5&direction=" + direction
		for page := w.history(query); ; page = w.history("?limit=5&cursor=" + *page.NextCursor) {
			all = append(all, page.serials()...)
			w.publish(1, "")
			if page.NextCursor == nil {
				if page.HasMore {
					t.Fatal("more without a cursor")
				}
				break
			}
		}
		if strings.HasPrefix(direction, "newest") || direction == "BACKWARDS" {
			slices.Reverse(all)
		}
		if len(all) != 23 || !slices.IsSorted(all) || all[0] != 1 {
			t.Fatalf("%s: %v", direction, all)
		}
	}
}

func TestHistoryBounds(t *testing.T) {
	w := newWorld(t, setup{})
	start := w.clock.Load()
	w.publish(10, "")
	tests := []struct {
		query string
		want  string
	}{
		{"?start_serial=3&end_serial=5", "[5 4 3]"},
		{"?startSerial=3&endSerial=5&direction=oldest_first", "[3 4 5]"},
		{"?start_serial=9", "[10 9]"},
		{"?end_serial=0", "[]"},
		{"?end_time_ms=0", "[]"},
		{"?start_serial=0&limit=2", "[10 9]"},
		{"?start_serial=11", "[]"},
		{fmt.Sprintf("?start_time_ms=%d", start+8000), "[10 9]"},
		{fmt.Sprintf("?start=%d&end=%d", start+1000, start+2999), "[3 2]"},
		{fmt.Sprintf("?endTimeMs=%d", start), "[1]"},
		{"?limit=1000", "[10 9 8 7 6 5 4 3 2 1]"},
	}
	for _, tt := range tests {
		p := w.history(tt.query)
		if got := fmt.Sprint(p.serials()); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.query, got, tt.want)
		}
		if p.Limit > 100 {
			t.Errorf("%s: limit %d", tt.query, p.Limit)
		}
	}
	first := w.history("?limit=2&start_serial=3&end_serial=6")
	second := w.history("?limit=2&cursor=" + *first.NextCursor)
	if got := fmt.Sprint(second.serials()); got != "[4 3]" || second.HasMore || second.Bounds.StartSerial == nil {
		t.Fatal(got, "a cursor keeps its bounds")
	}
}

func TestHistoryTruncated(t *testing.T) {
	w := newWorld(t, setup{app: immutable})
	w.publish(12, "")
	p := w.history("?limit=2")
	if !p.Continuity.Truncated || p.Continuity.Complete || *p.Continuity.Oldest != 8 || p.Continuity.Retained != 5 {
		t.Fatalf("%+v", p.Continuity)
	}
	if p := w.history("?start_serial=8"); p.Continuity.Truncated || !p.Continuity.Complete {
		t.Fatalf("%+v", p.Continuity)
	}
	if p := w.history("?start_serial=7"); !p.Continuity.Truncated {
		t.Fatalf("%+v", p.Continuity)
	}
	oldest := w.history("?limit=2&direction=oldest_first")
	w.publish(5, "")
	w.do("GET", "channels/c/history?cursor="+*oldest.NextCursor, "").fails(400, "invalid_input", "Expired history cursor")
}

func TestHistoryFaults(t *testing.T) {
	other := app.App{ID: "other", Mode: app.Development, Enabled: true, Keys: []app.Key{{Key: "other-key", Secret: "other-secret", Enabled: true}}}
	w := newWorld(t, setup{other: &other, app: func(a *app.App) {
		p := app.Default(app.Production)
		p.Pattern, p.NoLog = "live", true
		a.Policies = []app.Policy{p}
	}})
	w.publish(5, "")
	cursor := *w.history("?limit=2&start_serial=2").NextCursor
	snapshot := func() string {
		var p struct {
			Next string `json:"next_cursor"`
		}
		w.do("GET", "channels/c/snapshot?limit=1", "").into(&p)
		return p.Next
	}()
	flipped := []byte(cursor)
	flipped[10] ^= 1
	tests := []struct{ path, part string }{
		{"channels/c/history?limit=0", "limit"},
		{"channels/c/history?limit=-1", "limit"},
		{"channels/c/history?limit=x", "limit"},
		{"channels/c/history?limit=1&limit=2", "twice"},
		{"channels/c/history?direction=up", "direction"},
		{"channels/c/history?start_serial=5&end_serial=4", "start_serial 5 lies after"},
		{"channels/c/history?start_time_ms=5&end_time_ms=4", "start_time_ms 5 lies after"},
		{"channels/c/history?start_serial=-1", "not a serial"},
		{"channels/c/history?start_serial=1.5", "not a serial"},
		{"channels/c/history?start_serial=01", "not a serial"},
		{"channels/c/history?start_serial=", "not a serial"},
		{"channels/c/history?start_serial=9007199254740992", "largest"},
		{"channels/c/history?start_serial=99999999999999999999999", "not a serial"},
		{"channels/c/history?start_serial=1&startSerial=2", "twice"},
		{"channels/c/history?start=1&start_time_ms=1", "same parameter"},
		{"channels/c/history?start_time_ms=yesterday", "start_time_ms"},
		{"channels/c/history?data=raw", "data"},
		{"channels/c/history?Limit=1", `"Limit" is not known`},
		{"channels/c/history?from=1", `"from" is not known`},
		{"channels/c/history?cursor=x", "damaged"},
		{"channels/c/history?cursor=" + strings.Repeat("A", 5000), "5000 bytes"},
		{"channels/c/history?cursor=" + cursor[:len(cursor)-3], "cursor"},
		{"channels/c/history?cursor=" + string(flipped), "cursor"},
		{"channels/c/history?cursor=" + snapshot, "another kind"},
		{"channels/d/history?cursor=" + cursor, `belongs to the channel "c"`},
		{"channels/c/history?direction=oldest_first&cursor=" + cursor, "other direction"},
		{"channels/c/history?start_serial=1&cursor=" + cursor, "other bounds"},
		{"channels/c/history?end_serial=9&cursor=" + cursor, "other bounds"},
		{"channels/c/history/state?limit=1", `"limit" is not known`},
	}
	for _, tt := range tests {
		w.do("GET", tt.path, "").fails(400, "invalid_input", tt.part)
	}
	w.send("GET", "/apps/other/channels/c/history?cursor="+cursor, "", "Authorization", "Bearer other-key:other-secret").
		fails(400, "invalid_input", "not made by this server for this app")
	w.do("GET", "channels/live/history", "").fails(422, "feature_disabled", "keeps no log")
	w.do("GET", "channels/live/history/state", "").fails(422, "feature_disabled", "keeps no log")
	w.do("POST", "channels/c/history/reset", `{"confirm_channel":"c","confirm_operation":"reset","reason":"x"}`)
	w.do("GET", "channels/c/history?cursor="+cursor, "").fails(400, "invalid_input", "stream changed")
}

// TestHistoryVersions: rows show the newest version as of the first page's read, puts are rows of their own.
func TestHistoryVersions(t *testing.T) {
	w := newWorld(t, setup{})
	w.do("POST", "events", `{"name":"chat","channel":"c","data":"hel"}`)
	w.do("POST", "events", `{"name":"price","channel":"c","data":"1","key":"BTC"}`)
	w.do("POST", "channels/c/messages/1/append", `{"data":"lo"}`).is(200, "")
	w.do("POST", "events", `{"name":"price","channel":"c","data":"2","key":"BTC"}`)
	first := w.history("?limit=2")
	if got := fmt.Sprint(first.serials()); got != "[4 2]" {
		t.Fatal(got)
	}
	if i := first.Items[0]; i.OperationKind != "append" || i.EventName != "price" || i.Message.Action != "update" || i.Message.MessageSerial != "2" || i.Message.Key != "BTC" {
		t.Fatalf("%+v", i)
	}
	w.do("POST", "channels/c/messages/1/append", `{"data":" world"}`)
	rest := w.history("?limit=2&cursor=" + *first.NextCursor)
	if len(rest.Items) != 1 || string(rest.Items[0].Message.Data) != `"hello"` || rest.Items[0].OperationKind != "message.append" ||
		rest.Items[0].EventName != "sockudo:message.append" || rest.Items[0].Serial != 1 {
		t.Fatalf("%+v", rest.Items)
	}
	if now := w.history("?end_serial=1"); string(now.Items[0].Message.Data) != `"hello world"` {
		t.Fatalf("%+v", now.Items)
	}
}

func TestPercentEncoding(t *testing.T) {
	w := newWorld(t, setup{})
	w.do("POST", "events", `{"name":"e","channel":"a:b","data":"1"}`)
	for _, path := range []string{"/apps/app-id/channels/a%3Ab/history", "/apps/app-id/channels/a:b/history", "/apps/app%2Did/channels/%61%3ab/history"} {
		for _, query := range []string{"", "start_serial=1", "direction=" + url.QueryEscape("newest_first")} {
			a := w.signed("GET", path, query, "")
			if a.status != 200 || !strings.Contains(a.body, `"channel":"a:b"`) {
				t.Fatal(path, a.body)
			}
		}
	}
	q, err := w.key.SignQuery("GET", "/apps/app-id/channels/a:b/history", "", nil, w.now())
	if err != nil {
		t.Fatal(err)
	}
	w.send("GET", "/apps/app-id/channels/a%3Ab/history?"+q, "").fails(401, "auth_failed", "auth_signature")
}
