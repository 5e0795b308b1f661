package httpapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/session"
)

type mutated struct {
	Channel        string
	MessageSerial  string `json:"message_serial"`
	Action         string
	Accepted       bool
	VersionSerial  string `json:"version_serial"`
	HistorySerial  uint64 `json:"history_serial"`
	DeliverySerial uint64 `json:"delivery_serial"`
	Version        int
	Status         string
}

type item struct {
	Event         string
	Name          string
	Data          json.RawMessage
	Serial        uint64
	Extras        map[string]json.RawMessage
	Action        string
	Key           string
	MessageID     string `json:"message_id"`
	MessageSerial string `json:"message_serial"`
	Version       struct {
		Serial      string
		Number      int
		ClientID    string `json:"client_id"`
		Description string
		Metadata    json.RawMessage
	}
	Annotations struct {
		Summary map[string]map[string]struct {
			Total     int
			ClientIDs []string
		}
	}
}

func (w *world) message(path string) item {
	w.t.Helper()
	var got struct{ Item item }
	a := w.do("GET", "channels/c/"+path, "")
	if a.status != 200 {
		w.t.Fatal(a.body)
	}
	a.into(&got)
	return got.Item
}

func TestMutations(t *testing.T) {
	w := newWorld(t, setup{})
	w.do("POST", "events", `{"name":"chat","channel":"c","data":"hel","extras":{"headers":{"x":1},"o":2}}`)
	w.do("POST", "channels/c/messages/1/append", `{"data":"lo"}`).is(200,
		`{"channel":"c","message_serial":"1","action":"append","accepted":true,"version_serial":"2","history_serial":1,"delivery_serial":2,"version":2,"status":"applied"}`)
	if m := w.message("messages/1"); m.Event != "sockudo:message.append" || m.Name != "chat" || string(m.Data) != `"hello"` || m.Serial != 2 || m.MessageSerial != "1" ||
		string(m.Extras["o"]) != "2" || !strings.Contains(string(m.Extras["headers"]), `"sockudo_action":"message.append"`) || !strings.Contains(string(m.Extras["headers"]), `"x":1`) {
		t.Fatalf("%+v", m)
	}
	w.do("POST", "channels/c/messages/1/update", `{"name":"talk","data":{"a":1},"description":"edit","metadata":{"m":[1]},"client_id":"u1"}`).is(200, "")
	if m := w.message("messages/1?data=value"); m.Name != "talk" || string(m.Data) != `{"a":1}` || m.Version.Number != 3 || m.Version.ClientID != "u1" ||
		m.Version.Description != "edit" || string(m.Version.Metadata) != `{"m":[1]}` {
		t.Fatalf("%+v", m)
	}
	w.do("POST", "channels/c/messages/1/append", `{"data":"x"}`).fails(400, "invalid_input", "not a text")
	w.do("POST", "channels/c/messages/1/update", `{"clear_fields":["data","extras"],"name":"gone"}`).is(200, "")
	if m := w.message("messages/1"); m.Data != nil || m.Extras["o"] != nil || m.Name != "gone" {
		t.Fatalf("%+v", m)
	}
	w.do("POST", "channels/c/messages/1/update", `{"data":"back","if_version":4}`).is(200, "")
	w.do("POST", "channels/c/messages/1/update", `{"data":"lost","if_version":4}`).
		is(409, `{"error":"the message is at version 5, not 4","code":"conflict","status":409,"current_version":5}`)
	w.do("POST", "channels/c/messages/1/delete", ``).is(200, "")
	if m := w.message("messages/1"); m.Action != "delete" || string(m.Data) != `"back"` {
		t.Fatalf("%+v", m)
	}
	for _, action := range []string{"update", "append", "delete"} {
		w.do("POST", "channels/c/messages/1/"+action, `{"data":"x"}`).fails(409, "conflict", "was deleted")
	}
}

func TestMutationOnce(t *testing.T) {
	w := newWorld(t, setup{})
	w.do("POST", "events", `{"name":"chat","channel":"c","data":"a"}`)
	var first, second mutated
	w.do("POST", "channels/c/messages/1/append", `{"data":"b","op_id":"o1"}`).into(&first)
	w.do("POST", "channels/c/messages/1/append", `{"data":"b","op_id":"o1"}`).into(&second)
	if first.Status != "applied" || second.Status != "duplicate" {
		t.Fatalf("%+v %+v", first, second)
	}
	if second.Status = "applied"; first != second {
		t.Fatalf("%+v %+v", first, second)
	}
	w.do("POST", "channels/c/messages/1/append", `{"data":"c","op_id":"o1"}`).fails(409, "idempotency_mismatch", "op_id")
	w.do("POST", "channels/c/messages/1/update", `{"data":"z","op_id":"o1"}`).is(200, "")
	if m := w.message("messages/1"); string(m.Data) != `"z"` || m.Version.Number != 3 {
		t.Fatalf("%+v", m)
	}
}

func TestMutationFaults(t *testing.T) {
	w := newWorld(t, setup{app: func(a *app.App) {
		p, few := app.Default(app.Production), app.Default(app.Development)
		p.Pattern = "fixed"
		few.Pattern, few.MaxVersion, few.MaxMessage = "few", 2, 10<<10
		a.Policies = []app.Policy{p, few}
	}})
	for _, c := range []string{"c", "fixed", "few"} {
		w.do("POST", "events", `{"name":"chat","channel":"`+c+`","data":"a"}`)
	}
	tests := []struct {
		path, body string
		status     int
		code, part string
	}{
		{"channels/c/messages/2/update", `{"data":"x"}`, 404, "not_found", "no such message"},
		{"channels/c/messages/0/update", `{"data":"x"}`, 400, "invalid_input", "message_serial"},
		{"channels/c/messages/x/update", `{"data":"x"}`, 400, "invalid_input", "message_serial"},
		{"channels/c/messages/01/update", `{"data":"x"}`, 400, "invalid_input", "message_serial"},
		{"channels/c/messages/9007199254740992/update", `{"data":"x"}`, 400, "invalid_input", "message_serial"},
		{"channels/c/messages/1/update", ``, 400, "invalid_input", "not valid JSON"},
		{"channels/c/messages/1/update", `{}`, 400, "invalid_input", "changes nothing"},
		{"channels/c/messages/1/update", `{"data":null}`, 400, "invalid_input", "changes nothing"},
		{"channels/c/messages/1/update", `{"clear_fields":[]}`, 400, "invalid_input", "changes nothing"},
		{"channels/c/messages/1/update", `{"clear_fields":"data"}`, 400, "invalid_input", "clear_fields"},
		{"channels/c/messages/1/update", `{"clear_fields":["tags"]}`, 400, "invalid_input", "tags"},
		{"channels/c/messages/1/update", `{"clear_fields":[1]}`, 400, "invalid_input", "clear_fields"},
		{"channels/c/messages/1/update", `{"clear_fields":["data","data"]}`, 400, "invalid_input", "data twice"},
		{"channels/c/messages/1/update", `{"data":"x","clear_fields":["data"]}`, 400, "invalid_input", "replaced and cleared"},
		{"channels/c/messages/1/update", `{"name":"pusher:x"}`, 400, "invalid_input", "reserved"},
		{"channels/c/messages/1/update", `{"data":"x","if_versoin":1}`, 400, "invalid_input", `"if_versoin" is not known`},
		{"channels/c/messages/1/update", `{"data":"x","if_version":0}`, 400, "invalid_input", "if_version"},
		{"channels/c/messages/1/update", `{"data":"x","if_version":"1"}`, 400, "invalid_input", "if_version"},
		{"channels/c/messages/1/update", `{"data":"x","op_id":""}`, 400, "invalid_input", "op_id is empty"},
		{"channels/c/messages/1/update", `{"data":"x","op_id":"` + strings.Repeat("o", 65) + `"}`, 400, "invalid_input", "65 bytes"},
		{"channels/c/messages/1/update", `{"data":"` + strings.Repeat("x", 10<<10+1) + `"}`, 413, "payload_too_large", ""},
		{"channels/c/messages/1/update", `{"data":"x","socket_id":"9.9"}`, 401, "auth_failed", "no connection"},
		{"channels/c/messages/1/update", `{"extras":{"headers":{"sockudo_action":"x"}}}`, 400, "invalid_input", "reserved"},
		{"channels/c/messages/1/append", `{}`, 400, "invalid_input", "append needs data"},
		{"channels/c/messages/1/append", `{"data":""}`, 400, "invalid_input", "append needs data"},
		{"channels/c/messages/1/append", `{"data":1}`, 400, "invalid_input", "append needs data"},
		{"channels/c/messages/1/append", `{"data":"x","name":"n"}`, 400, "invalid_input", "no name"},
		{"channels/c/messages/1/delete", `{"name":"n"}`, 400, "invalid_input", "no name"},
		{"channels/fixed/messages/1/update", `{"data":"x"}`, 422, "feature_disabled", "mutable"},
		{"channels/few/messages/1/append", `{"data":"` + strings.Repeat("x", 10<<10) + `"}`, 413, "payload_too_large", "10240 are allowed"},
	}
	for _, tt := range tests {
		w.do("POST", tt.path, tt.body).fails(tt.status, tt.code, tt.part)
	}
	if n := len(w.entries("c")) + len(w.entries("fixed")) + len(w.entries("few")); n != 3 {
		t.Fatalf("%d entries", n)
	}
	w.do("POST", "channels/few/messages/1/append", `{"data":"x"}`).is(200, "")
	w.do("POST", "channels/few/messages/1/append", `{"data":"x"}`).fails(400, "limit_exceeded", "2 versions")
	w.do("GET", "channels/c/messages/7", "").fails(404, "not_found", "")
	w.do("GET", "channels/c/messages/7/versions", "").fails(404, "not_found", "")
	w.do("GET", "channels/c/messages/1/versions?cursor=x", "").fails(400, "invalid_input", "cursor")
	w.do("GET", "channels/c/messages/1/versions?direction=reverse", "").fails(400, "invalid_input", "direction")
}

// TestAppendConcurrently: each fragment is there exactly once, in commit order.
func TestAppendConcurrently(t *testing.T) {
	w := newWorld(t, setup{})
	w.do("POST", "events", `{"name":"chat","channel":"c","data":""}`)
	var all sync.WaitGroup
	for k := range 10 {
		all.Go(func() {
			for i := range 10 {
				w.do("POST", "channels/c/messages/1/append", fmt.Sprintf(`{"data":"<%d.%d>"}`, k, i)).is(200, "")
			}
		})
	}
	all.Wait()
	want := ""
	for _, e := range w.entries("c")[1:] {
		want += string(e.Data.Bytes)
	}
	var got string
	if err := json.Unmarshal(w.message("messages/1").Data, &got); err != nil || got != want || strings.Count(got, "<") != 100 {
		t.Fatal(err, got)
	}
}

func TestVersions(t *testing.T) {
	w := newWorld(t, setup{})
	w.do("POST", "events", `{"name":"chat","channel":"c","data":"a"}`)
	for i := range 6 {
		w.do("POST", "events", `{"name":"other","channel":"c","data":"x"}`)
		w.do("POST", "channels/c/messages/1/append", fmt.Sprintf(`{"data":"%d"}`, i))
	}
	w.do("POST", "channels/c/messages/1/update", `{"data":"new"}`)
	for _, direction := range []string{"", "&direction=oldest_first"} {
		var shown, actions []string
		for cursor := ""; ; {
			var page struct {
				Direction string
				HasMore   bool    `json:"has_more"`
				Next      *string `json:"next_cursor"`
				Items     []item
			}
			w.do("GET", "channels/c/messages/1/versions?limit=3"+direction+cursor, "").is(200, "").into(&page)
			for _, i := range page.Items {
				shown, actions = append(shown, string(i.Data)), append(actions, i.Action)
			}
			if page.HasMore != (page.Next != nil) {
				t.Fatal("has_more and next_cursor disagree")
			}
			if page.Next == nil {
				break
			}
			cursor = "&cursor=" + *page.Next
		}
		want := `["new" "5" "4" "3" "2" "1" "0" "a"]`
		if direction != "" {
			want = `["a" "0" "1" "2" "3" "4" "5" "new"]`
		}
		if got := fmt.Sprint(shown); got != want {
			t.Fatalf("%s %v", got, actions)
		}
	}
}

func TestKeys(t *testing.T) {
	w := newWorld(t, setup{})
	w.do("POST", "events", `{"name":"price","channel":"c","data":"1","key":"a/b"}`)
	w.do("POST", "events", `{"name":"price","channel":"c","data":"2","key":"a/b"}`)
	if m := w.message("keys/a%2Fb"); string(m.Data) != `"2"` || m.MessageSerial != "1" || m.Version.Number != 2 || m.Key != "a/b" || m.Action != "update" {
		t.Fatalf("%+v", m)
	}
	if m := w.message("messages/1"); string(m.Data) != `"2"` {
		t.Fatalf("%+v", m)
	}
	w.do("DELETE", "channels/c/keys/a%2Fb?if_version=1", "").fails(409, "conflict", "version 2")
	w.do("DELETE", "channels/c/keys/a%2Fb?op_id=o&if_version=2", "").is(200,
		`{"channel":"c","message_serial":"1","action":"delete","accepted":true,"version_serial":"3","history_serial":1,"delivery_serial":3,"version":3,"status":"applied"}`)
	w.do("DELETE", "channels/c/keys/a%2Fb?op_id=o", `{"if_version":2}`).is(200,
		`{"channel":"c","message_serial":"1","action":"delete","accepted":true,"version_serial":"3","history_serial":1,"delivery_serial":3,"version":3,"status":"duplicate"}`)
	w.do("DELETE", "channels/c/keys/a%2Fb", "").fails(409, "conflict", "deleted")
	w.do("DELETE", "channels/c/keys/none", "").fails(404, "not_found", "")
	w.do("DELETE", "channels/c/keys/none?if_version=x", "").fails(400, "invalid_input", "if_version")
	w.do("DELETE", "channels/c/keys/none?op_id=", "").fails(400, "invalid_input", "op_id")
	w.do("GET", "channels/c/keys/a%2Fb", "").fails(404, "not_found", "was deleted")
	w.do("GET", "channels/c/keys/none", "").fails(404, "not_found", "no such message")
	w.do("GET", "channels/c/keys/"+strings.Repeat("k", 201), "").fails(400, "invalid_input", "200 bytes")
	w.do("POST", "events", `{"name":"price","channel":"c","data":"3","key":"a/b"}`)
	if m := w.message("keys/a%2Fb"); m.MessageSerial != "4" || m.Version.Number != 1 || m.Action != "create" {
		t.Fatalf("%+v", m)
	}
}

// connection is a session that notes what it is told.
type connection struct {
	id   string
	can  map[string]bool
	mu   sync.Mutex
	told []session.Input
}

func (c *connection) ID() string { return c.id }
func (c *connection) Post(in session.Input) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, in)
}

// limited is a connection whose client was given capabilities.
type limited struct{ connection }

func (l *limited) Capable(capability, channel string) bool { return l.can[capability+" "+channel] }

func TestAttribution(t *testing.T) {
	w := newWorld(t, setup{})
	alice := &limited{connection{id: "1.1", can: map[string]bool{"message_update_own c": true, "message_append_any c": true}}}
	free := &connection{id: "2.2"}
	for _, s := range []interface {
		ID() string
		Post(session.Input)
	}{alice, free} {
		if err := w.node.Sessions().Add("app-id", s, 0); err != nil {
			t.Fatal(err)
		}
	}
	w.node.Sessions().Identify("app-id", alice, "alice")
	w.do("POST", "events", `{"name":"chat","channel":"c","data":"a"}`)
	w.do("POST", "channels/c/messages/1/update", `{"data":"x","socket_id":"1.1"}`).fails(403, "mutable_not_permitted", "message_update_any")
	w.do("POST", "channels/c/messages/1/append", `{"data":"x","socket_id":"1.1","client_id":"bob"}`).fails(401, "auth_failed", "not signed in")
	w.do("POST", "channels/c/messages/1/append", `{"data":"x","socket_id":"1.1"}`).is(200, "")
	if m := w.message("messages/1"); m.Version.ClientID != "alice" {
		t.Fatalf("%+v", m)
	}
	w.do("POST", "channels/c/messages/1/delete", `{"socket_id":"1.1"}`).fails(403, "mutable_not_permitted", "")
	w.do("POST", "channels/c/messages/1/update", `{"data":"y","socket_id":"2.2"}`).is(200, "")
	w.do("POST", "channels/c/messages/1/annotations", `{"type":"reactions:distinct.v1","name":"like","socketId":"1.1"}`).
		fails(403, "mutable_not_permitted", "annotation-publish")
}

func TestReactions(t *testing.T) {
	w := newWorld(t, setup{})
	w.do("POST", "events", `{"name":"chat","channel":"c","data":"a"}`)
	like := func(user string) string {
		return `{"type":"reactions:distinct.v1","name":"like","clientId":"` + user + `"}`
	}
	w.do("POST", "channels/c/messages/1/annotations", like("a")).is(200, `{"annotationSerial":"2"}`)
	w.do("POST", "channels/c/messages/1/annotations", strings.Replace(like("b"), "clientId", "client_id", 1)).is(200, `{"annotationSerial":"3"}`)
	if got := fmt.Sprint(w.message("messages/1").Annotations.Summary); got != "map[reactions:distinct.v1:map[like:{2 [a b]}]]" {
		t.Fatal(got)
	}
	for range 2 {
		w.do("DELETE", "channels/c/messages/1/annotations/2", "").is(200, `{"annotationSerial":"4","deletedAnnotationSerial":"2"}`)
	}
	if got := fmt.Sprint(w.message("messages/1").Annotations.Summary); got != "map[reactions:distinct.v1:map[like:{1 [b]}]]" {
		t.Fatal(got)
	}
	at := w.clock.Load()
	event := func(action string, serial int, user string) string {
		return fmt.Sprintf(`{"action":"annotation.%s","serial":"%d","messageSerial":"1","type":"reactions:distinct.v1","name":"like","clientId":"%s","count":1,"timestamp":%d}`,
			action, serial, user, at)
	}
	w.do("GET", "channels/c/messages/1/annotations", "").is(200, `{"channel":"c","messageSerial":"1","limit":100,"hasMore":false,"nextCursor":null,"items":[`+
		event("create", 2, "a")+","+event("create", 3, "b")+","+event("delete", 4, "a")+`]}`)
	w.do("GET", "channels/c/messages/1/annotations?limit=2&from_serial=3", "").is(200,
		`{"channel":"c","messageSerial":"1","limit":2,"hasMore":false,"nextCursor":null,"items":[`+event("create", 3, "b")+","+event("delete", 4, "a")+`]}`)
	w.do("GET", "channels/c/messages/1/annotations?limit=1&fromSerial=2", "").is(200,
		`{"channel":"c","messageSerial":"1","limit":1,"hasMore":true,"nextCursor":"3","items":[`+event("create", 2, "a")+`]}`)
	tests := []struct {
		method, path, body string
		status             int
		code, part         string
	}{
		{"POST", "1/annotations", `{"type":"reactions:distinct.v1","clientId":"a"}`, 400, "invalid_input", "needs a name"},
		{"POST", "1/annotations", `{"type":"reactions:distinct.v1","name":"like"}`, 400, "invalid_input", "needs a clientId"},
		{"POST", "1/annotations", `{"type":"reactions:total.v1","name":"like"}`, 422, "feature_disabled", "not counted yet"},
		{"POST", "1/annotations", `{"type":"reactions","name":"like"}`, 400, "invalid_input", "of the form"},
		{"POST", "1/annotations", `{"type":"reactions:distinct.v2","name":"like"}`, 400, "invalid_input", "of the form"},
		{"POST", "1/annotations", `{"type":"reactions:distinct.v1","name":"like","clientId":"a","count":0}`, 400, "invalid_input", "count"},
		{"POST", "1/annotations", `{"type":"reactions:distinct.v1","name":"like","clientId":"a","data":1}`, 422, "feature_disabled", "data"},
		{"POST", "1/annotations", `{"type":"reactions:distinct.v1","name":"like","user":"a"}`, 400, "invalid_input", `"user"`},
		{"POST", "9/annotations", like("a"), 404, "not_found", ""},
		{"DELETE", "1/annotations/1", "", 404, "not_found", "no annotation 1"},
		{"DELETE", "1/annotations/99", "", 404, "not_found", "no annotation 99"},
		{"DELETE", "1/annotations/x", "", 400, "invalid_input", "annotation_serial"},
		{"DELETE", "9/annotations/2", "", 404, "not_found", ""},
		{"GET", "9/annotations", "", 404, "not_found", ""},
		{"GET", "1/annotations?type=x", "", 400, "invalid_input", "type"},
	}
	for _, tt := range tests {
		w.do(tt.method, "channels/c/messages/"+tt.path, tt.body).fails(tt.status, tt.code, tt.part)
	}
}
