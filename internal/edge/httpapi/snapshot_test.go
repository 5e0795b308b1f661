package httpapi_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

type snapshotPage struct {
	Channel  string
	StreamID string `json:"stream_id"`
	Serial   uint64
	EntryID  string `json:"entry_id"`
	Epoch    string
	Complete bool
	Items    []struct {
		Key           string
		MessageSerial string `json:"message_serial"`
		Version       int
		Event         string
		Data          string
		Serial        uint64
		HistorySerial uint64 `json:"history_serial"`
		PublishedAtMS int64  `json:"published_at_ms"`
		UpdatedAtMS   int64  `json:"updated_at_ms"`
	}
	HasMore bool    `json:"has_more"`
	Next    *string `json:"next_cursor"`
}

func (p *snapshotPage) state() string {
	var all []string
	for _, i := range p.Items {
		name := i.Key
		if name == "" {
			name = "#" + i.MessageSerial
		}
		all = append(all, name+"="+i.Data)
	}
	return strings.Join(all, " ")
}

func (w *world) snapshot(query string) snapshotPage {
	w.t.Helper()
	var p snapshotPage
	a := w.do("GET", "channels/c/snapshot"+query, "")
	if a.status != 200 {
		w.t.Fatal(a.status, a.body)
	}
	a.into(&p)
	if a.header.Get("X-Serial") != fmt.Sprint(p.Serial) || a.header.Get("X-Stream-Id") != p.StreamID || a.header.Get("X-Entry-Id") != p.EntryID || a.header.Get("ETag") == "" {
		w.t.Fatal("the headers disagree with the body", a.header)
	}
	return p
}

// change makes a stream of 9 entries: two keys and two messages live, one of each deleted.
func (w *world) change() {
	w.t.Helper()
	for _, step := range []string{
		`events {"name":"price","channel":"c","data":"1","key":"BTC"}`,
		`events {"name":"chat","channel":"c","data":"hel"}`,
		`events {"name":"price","channel":"c","data":"1","key":"ETH"}`,
		`events {"name":"price","channel":"c","data":"2","key":"BTC"}`,
		`events {"name":"chat","channel":"c","data":"gone"}`,
		`channels/c/messages/2/append {"data":"lo"}`,
		`channels/c/messages/5/delete {}`,
		`events {"name":"chat","channel":"c","data":"second"}`,
		`channels/c/messages/3/delete {}`,
	} {
		path, body, _ := strings.Cut(step, " ")
		if a := w.do("POST", path, body); a.status != 200 && a.status != 404 { // retention may have been faster
			w.t.Fatal(step, a.body)
		}
		w.clock.Add(1000)
	}
}

func TestSnapshot(t *testing.T) {
	w := newWorld(t, setup{})
	start := w.clock.Load()
	if p := w.snapshot(""); p.Serial != 0 || len(p.Items) != 0 || !p.Complete || p.StreamID == "" {
		t.Fatalf("%+v", p)
	}
	w.change()
	p := w.snapshot("")
	if p.Serial != 9 || p.EntryID != fmt.Sprintf("%d-9", start+8000) || !p.Complete || p.HasMore || len(p.Epoch) != 32 {
		t.Fatalf("%+v", p)
	}
	if got := p.state(); got != "BTC=2 #2=hello #8=second" {
		t.Fatal(got)
	}
	if i := p.Items[0]; i.MessageSerial != "1" || i.Version != 2 || i.Serial != 4 || i.HistorySerial != 1 || i.Event != "price" ||
		i.PublishedAtMS != start || i.UpdatedAtMS != start+3000 {
		t.Fatalf("%+v", i)
	}
	tests := []struct{ query, want string }{
		{"?at_serial=0", ""},
		{"?at_serial=1", "BTC=1"},
		{"?atSerial=2", "BTC=1 #2=hel"},
		{"?at_serial=5", "BTC=2 ETH=1 #2=hel #5=gone"},
		{"?at_serial=6", "BTC=2 ETH=1 #2=hello #5=gone"},
		{fmt.Sprintf("?at_time_ms=%d", start-1), ""},
		{fmt.Sprintf("?at_time_ms=%d", start), "BTC=1"},
		{fmt.Sprintf("?atTimeMs=%d", start+4999), "BTC=2 ETH=1 #2=hel #5=gone"},
		{"?prefix=B", "BTC=2"},
		{"?prefix=E", ""},
		{"?prefix=", "BTC=2 #2=hello #8=second"},
	}
	for _, tt := range tests {
		if p := w.snapshot(tt.query); p.state() != tt.want {
			t.Errorf("%s: %s, want %s", tt.query, p.state(), tt.want)
		}
	}
	if a := w.do("GET", "channels/c/snapshot?at_serial=1&data=value", ""); !strings.Contains(a.body, `"data":"1"`) {
		t.Fatal(a.body)
	}
}

// TestSnapshotPaging: pages show the moment of the first, whatever happens meanwhile.
func TestSnapshotPaging(t *testing.T) {
	for limit := 1; limit <= 5; limit++ {
		w := newWorld(t, setup{})
		w.change()
		query := fmt.Sprintf("?limit=%d", limit)
		var shown []string
		for {
			p := w.snapshot(query)
			if p.Serial != 9 || len(p.Items) > limit {
				t.Fatalf("%+v", p)
			}
			if s := p.state(); s != "" {
				shown = append(shown, s)
			}
			w.do("POST", "events", `{"name":"price","channel":"c","data":"9","key":"BTC"}`)
			w.do("POST", "events", `{"name":"price","channel":"c","data":"9"}`)
			w.do("POST", "channels/c/messages/8/append", `{"data":"!"}`)
			if p.Next == nil {
				break
			}
			query = fmt.Sprintf("?limit=%d&cursor=%s", limit, *p.Next)
		}
		if got := strings.Join(shown, " "); got != "BTC=2 #2=hello #8=second" {
			t.Fatalf("limit %d: %s", limit, got)
		}
	}
}

func TestSnapshotTag(t *testing.T) {
	w := newWorld(t, setup{})
	w.change()
	a := w.do("GET", "channels/c/snapshot", "")
	tag := a.header.Get("ETag")
	not := w.do("GET", "channels/c/snapshot", "", "If-None-Match", `"x", W/`+tag)
	if not.status != 304 || not.body != "" || not.header.Get("X-Serial") != "9" {
		t.Fatal(not)
	}
	for _, query := range []string{"?limit=1", "?prefix=B", "?data=value", "?at_serial=8"} {
		if got := w.do("GET", "channels/c/snapshot"+query, "", "If-None-Match", tag); got.status != 200 {
			t.Fatal(query, got.status)
		}
	}
	w.do("POST", "events", `{"name":"e","channel":"c"}`)
	if got := w.do("GET", "channels/c/snapshot", "", "If-None-Match", tag); got.status != 200 {
		t.Fatal(got.status)
	}
}

func TestSnapshotRetention(t *testing.T) {
	for _, keep := range []bool{true, false} {
		w := newWorld(t, setup{app: func(a *app.App) {
			p := app.Default(app.Development)
			p.Retention = stream.Retention{Entries: 4, KeepLatest: keep}
			a.Policies = []app.Policy{p}
		}})
		w.change()
		for _, key := range []string{"A", "B"} {
			w.do("POST", "events", `{"name":"price","channel":"c","data":"1","key":"`+key+`"}`).is(200, "{}")
		}
		pinned := *w.snapshot("?limit=1").Next
		for range 4 {
			w.do("POST", "events", `{"name":"price","channel":"c","data":"3","key":"SOL"}`).is(200, "{}")
		}
		p := w.snapshot("")
		want := "SOL=3"
		if keep {
			want = "A=1 B=1 BTC=2 SOL=3"
		}
		if p.state() != want || p.Complete != keep {
			t.Fatalf("keep %v: %s, complete %v", keep, p.state(), p.Complete)
		}
		w.do("POST", "events", `{"name":"e","channel":"c"}`)
		w.do("GET", "channels/c/snapshot?cursor="+pinned, "").fails(410, "snapshot_expired", "begin again")
		a := w.do("GET", "channels/c/snapshot?at_serial=3", "").fails(422, "not_provable", "serial 3")
		if !strings.Contains(a.body, `"floor":`) || a.header.Get("ETag") != "" {
			t.Fatal(a.body, a.header)
		}
		w.do("GET", "channels/c/snapshot?at_time_ms=1000", "").fails(422, "not_provable", "time 1000")
	}
}

func TestSnapshotFaults(t *testing.T) {
	w := newWorld(t, setup{app: func(a *app.App) {
		p := app.Default(app.Production)
		p.Pattern, p.NoLog = "live", true
		a.Policies = []app.Policy{p}
	}})
	w.change()
	next := *w.snapshot("?limit=1&prefix=").Next
	byKey := func() string {
		w.do("POST", "events", `{"name":"e","channel":"c","key":"BX"}`)
		return *w.snapshot("?limit=1&prefix=B").Next
	}()
	history := *w.history("?limit=1").NextCursor
	tests := []struct{ query, part string }{
		{"?limit=0", "limit"},
		{"?at_serial=99", "in the future"},
		{"?at_serial=x", "at_serial"},
		{"?at_serial=-1", "at_serial"},
		{"?at_time_ms=99999999999999", "in the future"},
		{"?at_serial=1&at_time_ms=1", "two moments"},
		{"?at_serial=1&atSerial=1", "twice"},
		{"?prefix=" + strings.Repeat("p", 201), "200 bytes"},
		{"?prefix=%ff", "UTF-8"},
		{"?cursor=x", "damaged"},
		{"?cursor=" + history, "another kind"},
		{"?prefix=B&cursor=" + next, "belongs to the prefix"},
		{"?prefix=C&cursor=" + byKey, `belongs to the prefix "B"`},
		{"?at_serial=3&cursor=" + next, "another moment"},
		{"?at_time_ms=3&cursor=" + next, "another moment"},
		{"?at=3", `"at" is not known`},
	}
	for _, tt := range tests {
		w.do("GET", "channels/c/snapshot"+tt.query, "").fails(400, "invalid_input", tt.part)
	}
	w.do("GET", "channels/d/snapshot?cursor="+next, "").fails(400, "invalid_input", `belongs to the channel "c"`)
	w.do("GET", "channels/live/snapshot", "").fails(422, "feature_disabled", "keeps no log")
	w.clock.Add(5*60*1000 - 1)
	w.do("GET", "channels/c/snapshot?cursor="+next, "").is(200, "")
	w.clock.Add(1)
	w.do("GET", "channels/c/snapshot?cursor="+next, "").fails(410, "snapshot_expired", "older than")
	fresh := *w.snapshot("?limit=1").Next
	w.do("POST", "channels/c/history/reset", `{"confirm_channel":"c","confirm_operation":"reset","reason":"x"}`)
	w.do("GET", "channels/c/snapshot?cursor="+fresh, "").fails(410, "snapshot_expired", "was reset")
	if p := w.snapshot(""); len(p.Items) != 0 || !p.Complete {
		t.Fatalf("%+v", p)
	}
}
