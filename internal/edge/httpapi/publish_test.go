package httpapi_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/engine/memory"
)

func TestPublish(t *testing.T) {
	w := newWorld(t, setup{})
	w.do("POST", "events", `{"name":"hello","channel":"news","data":{"a": 1}}`).is(200, `{}`)
	w.signed("POST", "/apps/app-id/events", "", `{"name":"hello","channels":["news","other","news"],"data":"text"}`).is(200, `{}`)
	if got := w.entries("news"); len(got) != 2 || string(got[0].Data.Bytes) != `{"a":1}` {
		t.Fatal(got)
	}
}

// TestPublishEntry checks what reaches the log.
func TestPublishEntry(t *testing.T) {
	tests := []struct{ name, member, want string }{
		{"text", `"data":"a\u00e9 \"b\""`, `create text a` + "é" + ` "b"`},
		{"text that looks like JSON", `"data":"{\"a\":1}"`, `create text {"a":1}`},
		{"object", `"data":{"a" : [ 1, "x y" ]}`, `create json {"a":[1,"x y"]}`},
		{"number", `"data":42`, `create json 42`},
		{"null", `"data":null`, `create json null`},
		{"no data", `"delta":false`, `create none `},
		{"empty text", `"data":""`, `create text `},
		{"put", `"data":"1","key":"BTC"`, `put text 1 key=BTC`},
		{"tags", `"data":"1","tags":{"b":"2","a":"1"}`, `create text 1 tags={"a":"1","b":"2"}`},
		{"no tags", `"data":"1","tags":{}`, `create text 1`},
		{"extras", `"data":"1","extras":{"headers":{"x": 1}, "other":[true]}`, `create text 1 extras={"headers":{"x":1},"other":[true]}`},
		{"socket", `"data":"1","socket_id":"12.34"`, `create text 1 conn=12.34 noecho`},
		{"socket alias", `"data":"1","socketId":"12.34"`, `create text 1 conn=12.34 noecho`},
		{"absent by null", `"data":"1","socket_id":null,"info":null,"key":null,"tags":null,"extras":null,"idempotency_key":null`, `create text 1`},
		{"message id", `"data":"1","message_id":"m-1"`, `create text 1 frame=m-1`},
		{"unknown members", `"data":"1","later":{"x":1}`, `create text 1`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, setup{})
			a := w.do("POST", "events", `{"name":"e","channel":"c",`+tt.member+`}`)
			if a.status != 200 {
				t.Fatal(a.body)
			}
			all := w.entries("c")
			if len(all) != 1 || strings.TrimSpace(shown(all[0])) != strings.TrimSpace(tt.want) {
				t.Fatalf("%d entries: %s\nwant %s", len(all), shown(all[0]), tt.want)
			}
		})
	}
}

func shown(e *stream.Entry) string {
	s := e.Kind.String() + " " + [...]string{"none", "text", "json", "bytes"}[e.Data.Type] + " " + string(e.Data.Bytes)
	for _, part := range []struct{ name, value string }{{"key", e.Key}, {"tags", string(e.Tags)}, {"extras", string(e.Extras)},
		{"conn", e.Conn}, {"frame", e.Frame}} {
		if part.value != "" {
			s += " " + part.name + "=" + part.value
		}
	}
	if e.NoEcho {
		s += " noecho"
	}
	return s
}

func TestPublishAnswer(t *testing.T) {
	w := newWorld(t, setup{})
	id := func(channel string) string {
		p, err := w.store.Read(t.Context(), stream.Query{Ref: stream.Ref{App: "app-id", Channel: channel}})
		if err != nil {
			t.Fatal(err)
		}
		return string(p.Bounds.Stream)
	}
	w.do("POST", "events", `{"name":"e","channel":"c","data":"1","info":"position"}`).
		is(200, `{"channels":{"c":{"stream_id":"`+id("c")+`","serial":1,"entry_id":"1766414833000-1","message_serial":"1","version":1}}}`)
	w.do("POST", "events", `{"name":"e","channels":["c","presence-p"],"data":"1","info":"user_count, subscription_count"}`).
		is(200, `{"channels":{"c":{"subscription_count":0},"presence-p":{"user_count":0,"subscription_count":0}}}`)
	w.do("POST", "events", `{"name":"e","channel":"c","data":"1","message_id":"m1"}`).
		is(200, `{"channels":{"c":{"acknowledgement_id":"m1","message_serial":"3","history_serial":3,"delivery_serial":3,"version_serial":"3"}}}`)
	w.do("POST", "events", `{"name":"e","channel":"c","data":"1","message_id":"m2","info":"position"}`).
		is(200, `{"channels":{"c":{"acknowledgement_id":"m2","message_serial":"4","history_serial":4,"delivery_serial":4,"version_serial":"4",`+
			`"stream_id":"`+id("c")+`","serial":4,"entry_id":"1766414833000-4","version":1}}}`)
	w.do("POST", "events", `{"name":"e","channel":"k","data":"1","key":"a","info":"position"}`).is(200,
		`{"channels":{"k":{"stream_id":"`+id("k")+`","serial":1,"entry_id":"1766414833000-1","message_serial":"1","version":1}}}`)
	w.do("POST", "events", `{"name":"e","channel":"k","data":"2","key":"a","info":"position"}`).is(200,
		`{"channels":{"k":{"stream_id":"`+id("k")+`","serial":2,"entry_id":"1766414833000-2","message_serial":"1","version":2}}}`)
	w.do("POST", "events", `{"name":"e","channel":"c","data":"1","ephemeral":true,"info":"position,subscription_count"}`).
		is(200, `{"channels":{"c":{"subscription_count":0}}}`)
	w.do("POST", "events", `{"name":"e","channel":"c","data":"1","extras":{"ephemeral":true}}`).is(200, `{}`)
	if n := len(w.entries("c")); n != 4 {
		t.Fatalf("%d entries: ephemeral messages are not logged", n)
	}
}

func TestIdempotency(t *testing.T) {
	w := newWorld(t, setup{})
	once := `{"name":"e","channel":"c","data":{"a":1},"info":"position","idempotency_key":"k1"}`
	first := w.do("POST", "events", once)
	first.is(200, first.body)
	w.do("POST", "events", once).is(200, first.body)
	w.signed("POST", "/apps/app-id/events", "", `{"idempotency_key":"k1","data":{ "a" : 1 },"channel":"c","info":"position","name":"e"}`).is(200, first.body)
	w.do("POST", "events", `{"name":"e","channel":"c","data":{"a":1},"info":"position"}`, "X-Idempotency-Key", "k1").is(200, first.body)
	w.do("POST", "events", `{"name":"e","channel":"c","data":"other"}`, "X-Idempotency-Key", "k1").fails(409, "idempotency_mismatch", "another payload")
	w.do("POST", "events", `{"name":"e","channel":"c","data":"other","idempotency_key":"k2"}`, "X-Idempotency-Key", "k1").is(200, `{}`)
	w.do("POST", "events", `{"name":"e","channel":"c","data":"x","extras":{"idempotencyKey":"k2"}}`).fails(409, "idempotency_mismatch", "")
	w.do("POST", "events", `{"name":"e","channel":"c","data":"x","message_id":"m"}`).is(200,
		`{"channels":{"c":{"acknowledgement_id":"m","message_serial":"3","history_serial":3,"delivery_serial":3,"version_serial":"3"}}}`)
	w.do("POST", "events", `{"name":"e","channel":"c","data":"x","message_id":"m"}`).is(200,
		`{"channels":{"c":{"acknowledgement_id":"m","message_serial":"3","history_serial":3,"delivery_serial":3,"version_serial":"3"}}}`)
	w.do("POST", "events", `{"name":"e","channel":"c","data":"y","message_id":"m"}`).fails(409, "idempotency_mismatch", "")
	if n := len(w.entries("c")); n != 3 {
		t.Fatalf("%d entries", n)
	}
	w.clock.Add(app.DefaultIdempotency.Milliseconds() + 1)
	if a := w.do("POST", "events", once); a.status != 200 || !strings.Contains(a.body, `"serial":4`) {
		t.Fatalf("the key should be forgotten: %s", a.body)
	}
}

// TestIdempotencyPerChannel: a retry of a publish to several channels completes what was missing and repeats nothing.
func TestIdempotencyPerChannel(t *testing.T) {
	w := newWorld(t, setup{})
	w.do("POST", "events", `{"name":"e","channels":["a"],"data":"1","idempotency_key":"k"}`).is(200, `{}`)
	w.do("POST", "events", `{"name":"e","channels":["a","b"],"data":"1","idempotency_key":"k"}`).is(200, `{}`)
	if a, b := len(w.entries("a")), len(w.entries("b")); a != 1 || b != 1 {
		t.Fatal(a, b)
	}
}

func TestIdempotentConcurrently(t *testing.T) {
	w := newWorld(t, setup{})
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			w.do("POST", "events", `{"name":"e","channel":"c","data":"1","idempotency_key":"k","info":"position"}`)
		})
	}
	all.Wait()
	if n := len(w.entries("c")); n != 1 {
		t.Fatalf("%d entries", n)
	}
}

func TestBatch(t *testing.T) {
	w := newWorld(t, setup{})
	w.do("POST", "batch_events", `{"batch":[{"name":"e","channel":"a","data":"1"},{"name":"e","channel":"b","data":{"x":1}}]}`).is(200, `{}`)
	w.do("POST", "batch_events", `{"batch":[]}`).is(200, `{}`)
	w.do("POST", "batch_events", `{"batch":[{"name":"e","channel":"a","data":"1"},{"name":"e","channel":"a","data":"2","info":"subscription_count"}]}`).
		is(200, `{"batch":[{},{"subscription_count":0}]}`)
	if n := len(w.entries("a")); n != 3 {
		t.Fatalf("%d entries", n)
	}
	for range 2 {
		w.do("POST", "batch_events", `{"batch":[{"name":"e","channel":"c","data":"1"},{"name":"e","channel":"c","data":"1"}]}`, "X-Idempotency-Key", "k").is(200, `{}`)
	}
	if n := len(w.entries("c")); n != 2 {
		t.Fatalf("%d entries: items of a batch have keys of their own", n)
	}
	w.do("POST", "batch_events", `{"batch":[{"name":"e","channel":"c","data":"2"}]}`, "X-Idempotency-Key", "k").
		fails(409, "idempotency_mismatch", "")
}

// TestPublishFaults: bad input of every kind has its precise answer and never reaches the log.
func TestPublishFaults(t *testing.T) {
	big := `"` + strings.Repeat("x", 10<<10+1) + `"`
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	tests := []struct {
		name, body string
		status     int
		code, part string
	}{
		{"empty", ``, 400, "invalid_input", "not valid JSON"},
		{"garbage", `garbage`, 400, "invalid_input", "byte 0"},
		{"cut off", `{"name":"e"`, 400, "invalid_input", "byte 11"},
		{"array", `[]`, 400, "invalid_input", "not a JSON object"},
		{"invalid UTF-8", "{\"name\":\"e\",\"channel\":\"c\",\"data\":\"\xff\"}", 400, "invalid_input", "UTF-8"},
		{"duplicate member", `{"name":"e","name":"f","channel":"c"}`, 400, "invalid_input", "twice"},
		{"half a surrogate", `{"name":"e","channel":"c","data":"\ud83d"}`, 400, "invalid_input", "surrogate"},
		{"too deep", `{"name":"e","channel":"c","data":` + deep + `}`, 400, "invalid_input", "nested"},
		{"no name", `{"channel":"c"}`, 400, "invalid_input", "event name is empty"},
		{"name is a number", `{"name":1,"channel":"c"}`, 400, "invalid_input", "name must be a string, not a number"},
		{"long name", `{"name":"` + strings.Repeat("n", 201) + `","channel":"c"}`, 400, "invalid_input", "201 bytes"},
		{"protocol event", `{"name":"pusher:ping","channel":"c"}`, 400, "invalid_input", "reserved"},
		{"protocol event V2", `{"name":"sockudo:message.update","channel":"c"}`, 400, "invalid_input", "reserved"},
		{"no channel", `{"name":"e"}`, 400, "missing_channel_info", "names no channel"},
		{"no channels", `{"name":"e","channels":[]}`, 400, "missing_channel_info", "names no channel"},
		{"bad channel", `{"name":"e","channel":"a b"}`, 400, "invalid_input", `' ' at byte 1`},
		{"long channel", `{"name":"e","channel":"` + strings.Repeat("c", 201) + `"}`, 400, "invalid_input", "201 bytes"},
		{"channel is a list", `{"name":"e","channel":["c"]}`, 400, "invalid_input", "channel must be"},
		{"channels is a string", `{"name":"e","channels":"c"}`, 400, "invalid_input", "channels must be an array"},
		{"channel is a number", `{"name":"e","channels":[1]}`, 400, "invalid_input", "channel names"},
		{"too many channels", `{"name":"e","channels":[` + list(101) + `]}`, 400, "invalid_input", "100 channels"},
		{"large data", `{"name":"e","channel":"c","data":` + big + `}`, 413, "payload_too_large", "10241 bytes"},
		{"large JSON", `{"name":"e","channel":"c","data":[` + big + `]}`, 413, "payload_too_large", "data has"},
		{"large extras", `{"name":"e","channel":"c","extras":{"x":` + big + `}}`, 413, "payload_too_large", "extras have"},
		{"large tags", `{"name":"e","channel":"c","tags":{"x":` + big + `}}`, 413, "payload_too_large", "tags have"},
		{"bad socket", `{"name":"e","channel":"c","socket_id":"1"}`, 400, "invalid_input", "socket_id"},
		{"socket is a number", `{"name":"e","channel":"c","socket_id":1.2}`, 400, "invalid_input", "socket_id must be a string"},
		{"unknown info", `{"name":"e","channel":"c","info":"user_count,users"}`, 400, "invalid_input", `"users"`},
		{"tags is a list", `{"name":"e","channel":"c","tags":[]}`, 400, "invalid_input", "tags must be"},
		{"tag is a number", `{"name":"e","channel":"c","tags":{"a":1}}`, 400, "invalid_input", "tags.a must be a string"},
		{"extras is a string", `{"name":"e","channel":"c","extras":""}`, 400, "invalid_input", "extras must be"},
		{"header is an object", `{"name":"e","channel":"c","extras":{"headers":{"a":{}}}}`, 400, "invalid_input", "extras.headers.a"},
		{"forged header", `{"name":"e","channel":"c","extras":{"headers":{"sockudo_action":"message.delete"}}}`, 400, "invalid_input", "reserved"},
		{"ephemeral is a string", `{"name":"e","channel":"c","extras":{"ephemeral":"yes"}}`, 400, "invalid_input", "extras.ephemeral"},
		{"push is a string", `{"name":"e","channel":"c","extras":{"push":"x"}}`, 400, "invalid_input", "extras.push"},
		{"push data is nested", `{"name":"e","channel":"c","extras":{"push":{"data":{"a":{}}}}}`, 400, "invalid_input", "extras.push.data.a"},
		{"empty key", `{"name":"e","channel":"c","key":""}`, 400, "invalid_input", "key is empty"},
		{"long key", `{"name":"e","channel":"c","key":"` + strings.Repeat("k", 201) + `"}`, 400, "invalid_input", "201 bytes"},
		{"control character in key", `{"name":"e","channel":"c","key":"a\u0000"}`, 400, "invalid_input", "control character"},
		{"empty idempotency key", `{"name":"e","channel":"c","idempotency_key":""}`, 400, "invalid_input", "idempotency_key is empty"},
		{"long idempotency key", `{"name":"e","channel":"c","idempotency_key":"` + strings.Repeat("k", 129) + `"}`, 400, "invalid_input", "129 bytes"},
		{"ephemeral is a number", `{"name":"e","channel":"c","ephemeral":1}`, 400, "invalid_input", "ephemeral must be true or false"},
		{"one bad channel of two", `{"name":"e","channels":["c","a b"]}`, 400, "invalid_input", "at byte 1"},
	}
	w := newWorld(t, setup{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := *w
			w.t = t
			w.do("POST", "events", tt.body).fails(tt.status, tt.code, tt.part)
			w.signed("POST", "/apps/app-id/events", "", tt.body).fails(tt.status, tt.code, tt.part)
			if strings.HasPrefix(tt.body, "{") && strings.HasSuffix(tt.body, "}") && !strings.Contains(tt.body, `"channels"`) {
				a := w.do("POST", "batch_events", `{"batch":[{"name":"e","channel":"c"},`+tt.body+`]}`)
				if a.status != tt.status || !strings.Contains(a.body, tt.code) {
					t.Fatal(a.body)
				}
			}
		})
	}
	for _, key := range []string{strings.Repeat("k", 129), "a b", "\t"} {
		a := w.do("POST", "events", `{"name":"e","channel":"c"}`, "X-Idempotency-Key", key)
		if strings.TrimSpace(key) != "" {
			a.fails(400, "invalid_input", "X-Idempotency-Key")
		}
	}
	w.do("POST", "batch_events", `{"batch":{}}`).fails(400, "invalid_input", "batch must be an array")
	w.do("POST", "batch_events", `{"batch":[1]}`).fails(400, "invalid_input", "batch[0] must be an event")
	w.do("POST", "batch_events", `{"batch":[{"name":"e","channels":["c"]}]}`).fails(400, "invalid_input", "batch[0]: ")
	w.do("POST", "batch_events", `{"batch":[`+strings.TrimSuffix(strings.Repeat(`{"name":"e","channel":"c"},`, 11), ",")+`]}`).
		fails(400, "invalid_input", "10 events")
	if n := len(w.entries("c")); n > 0 {
		t.Fatalf("%d entries are in the log", n)
	}
}

func list(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%q", fmt.Sprint("c", i))
	}
	return strings.Join(all, ",")
}

// TestPublishPolicy: nothing is appended anywhere if the policy of one channel forbids it.
func TestPublishPolicy(t *testing.T) {
	w := newWorld(t, setup{app: func(a *app.App) {
		closed, nolog, few := app.Default(app.Development), app.Default(app.Development), app.Default(app.Development)
		closed.Pattern, closed.Publish = "closed", []string{app.PublishClient}
		nolog.Pattern, nolog.NoLog, nolog.Mutable = "live", true, false
		few.Pattern, few.Retention.KeepLatest, few.Retention.MaxKeys = "few", true, 1
		a.Policies = []app.Policy{closed, nolog, few}
	}})
	w.do("POST", "events", `{"name":"e","channel":"closed"}`).fails(403, "forbidden", "closed")
	w.do("POST", "events", `{"name":"e","channels":["open","closed"]}`).fails(403, "forbidden", "closed")
	if n := len(w.entries("open")); n != 0 {
		t.Fatalf("%d entries", n)
	}
	w.do("POST", "events", `{"name":"e","channel":"live","info":"position"}`).is(200, `{"channels":{"live":{}}}`)
	w.do("POST", "events", `{"name":"e","channel":"few","key":"a"}`).is(200, `{}`)
	w.do("POST", "events", `{"name":"e","channels":["few","open"],"key":"b"}`).fails(400, "limit_exceeded", `channel "few"`)
}

// TestStoreFaults: what a store that fails means for a publisher.
func TestStoreFaults(t *testing.T) {
	failing := func(err error) setup {
		return setup{wrap: func(s stream.Store) stream.Store { return refusing{s, err} }}
	}
	body := `{"name":"e","channel":"c","idempotency_key":"k"}`
	a := newWorld(t, failing(fault.New(fault.Full, "no room"))).do("POST", "events", body).fails(503, "store_full", "no room")
	if a.header.Get("Retry-After") != "10" {
		t.Fatal(a.header)
	}
	a = newWorld(t, failing(fault.New(fault.Backpressure, "busy"))).do("POST", "events", body).fails(503, "backpressure", "busy")
	if a.header.Get("Retry-After") != "1" {
		t.Fatal(a.header)
	}
	newWorld(t, failing(fmt.Errorf("disk on fire"))).do("POST", "events", body).fails(500, "internal_error", "internal server error")
	broken := true
	w := newWorld(t, setup{memory: func(o *memory.Options) {
		o.Sync = func() error {
			if broken {
				return fmt.Errorf("no sync")
			}
			return nil
		}
	}})
	w.do("POST", "events", body).fails(503, "outcome_unknown", "")
	broken = false
	w.do("POST", "events", body).is(200, `{}`)
	if n := len(w.entries("c")); n != 1 {
		t.Fatalf("%d entries", n)
	}
}

// refusing is a store that takes nothing.
type refusing struct {
	stream.Store
	err error
}

func (r refusing) Append(context.Context, []stream.Op) ([]stream.Result, error) { return nil, r.err }
