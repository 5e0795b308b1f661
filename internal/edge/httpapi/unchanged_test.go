package httpapi_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/engine/disk"
	"github.com/continuo-rt/continuo/internal/run/node"
)

// onDisk runs the API over a disk store instead of a memory store.
func onDisk(t *testing.T, w **world) func(stream.Store) stream.Store {
	return func(stream.Store) stream.Store {
		s, err := disk.Open(t.TempDir(), disk.Options{FreeReserve: -1, Folds: map[stream.Log]stream.Fold{stream.Messages: message.Fold},
			Rules: func(ref stream.Ref) stream.Rules { return node.Rules((*w).node.Apps(), ref) }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
}

// eachStore runs a test over a memory store and over a disk store.
func eachStore(t *testing.T, s setup, f func(t *testing.T, w *world)) {
	t.Run("memory", func(t *testing.T) { f(t, newWorld(t, s)) })
	t.Run("disk", func(t *testing.T) {
		var w *world
		s.wrap = onDisk(t, &w)
		w = newWorld(t, s)
		f(t, w)
	})
}

// shown is all that can be seen of a channel: its log, its state at the head, and where the head is.
func (w *world) shown(channel string) string {
	w.t.Helper()
	var all strings.Builder
	for _, path := range []string{"/history?direction=oldest_first", "/snapshot", "/messages/1", "/messages/1/versions", "/history/state"} {
		a := w.do("GET", "channels/"+channel+path, "")
		fmt.Fprintln(&all, path, a.status, a.header.Get("ETag"), a.body)
	}
	return all.String()
}

// TestNothingChanged: what is refused has a clear error and leaves no trace.
func TestNothingChanged(t *testing.T) {
	few := app.Default(app.Development)
	few.Pattern, few.MaxVersion = "few", 3
	keyed := app.Default(app.Development)
	keyed.Pattern, keyed.Retention.KeepLatest, keyed.Retention.MaxKeys = "keyed", true, 1
	off := app.Default(app.Production)
	off.Pattern = "off"
	large := strings.Repeat("x", 10_000)
	// In each channel message 1 is a text of version 3. In "c", 4 is JSON, 5 was deleted by 6, 7 is a key, 8 a deleted one,
	// and 10 has grown to almost 1 MiB.
	before := func(w *world) {
		post := func(path, body string) {
			if a := w.do("POST", path, body); a.status != 200 {
				t.Fatal(path, a.body)
			}
		}
		for _, c := range []string{"c", "few", "off"} {
			post("events", `{"name":"chat","channel":"`+c+`","data":"hel"}`)
		}
		for _, c := range []string{"c", "few"} {
			post("channels/"+c+"/messages/1/append", `{"data":"lo","op_id":"op"}`)
			post("channels/"+c+"/messages/1/update", `{"name":"talk","description":"why"}`)
		}
		post("events", `{"name":"chat","channel":"c","data":{"a":1}}`)
		post("events", `{"name":"chat","channel":"c","data":"gone"}`)
		post("channels/c/messages/5/delete", `{}`)
		post("events", `{"name":"price","channel":"c","data":"1","key":"live"}`)
		post("events", `{"name":"price","channel":"c","data":"1","key":"over"}`)
		w.do("DELETE", "channels/c/keys/over", "").is(200, "")
		post("events", `{"name":"chat","channel":"c","data":""}`)
		for range 104 {
			post("channels/c/messages/10/append", `{"data":"`+large+`"}`)
		}
		post("events", `{"name":"price","channel":"keyed","data":"1","key":"one"}`)
	}
	tests := []struct {
		name, method, path, body string
		status                   int
		code, part               string
	}{
		{"unknown serial", "POST", "c/messages/999/update", `{"data":"x"}`, 404, "not_found", "no such message"},
		{"unknown serial", "POST", "c/messages/999/append", `{"data":"x"}`, 404, "not_found", "no such message"},
		{"unknown serial", "POST", "c/messages/999/delete", `{}`, 404, "not_found", "no such message"},
		{"serial of a version", "POST", "c/messages/2/update", `{"data":"x"}`, 404, "not_found", "no such message"},
		{"serial of another channel", "POST", "off-by-one/messages/1/update", `{"data":"x"}`, 404, "not_found", "no such message"},
		{"unknown key", "DELETE", "c/keys/none", "", 404, "not_found", "no such message"},
		{"deleted", "POST", "c/messages/5/update", `{"data":"x"}`, 409, "conflict", "was deleted"},
		{"deleted", "POST", "c/messages/5/append", `{"data":"x"}`, 409, "conflict", "was deleted"},
		{"deleted", "POST", "c/messages/5/delete", `{}`, 409, "conflict", "was deleted"},
		{"deleted", "POST", "c/messages/5/annotations", `{"type":"reactions:distinct.v1","name":"like","client_id":"a"}`, 409, "conflict", "was deleted"},
		{"deleted key", "DELETE", "c/keys/over", "", 409, "conflict", "was deleted"},
		{"append to JSON", "POST", "c/messages/4/append", `{"data":"x"}`, 400, "invalid_input", "not a text"},
		{"append of no text", "POST", "c/messages/1/append", `{"data":{"a":1}}`, 400, "invalid_input", "append needs data"},
		{"append of nothing", "POST", "c/messages/1/append", `{"data":""}`, 400, "invalid_input", "append needs data"},
		{"empty patch", "POST", "c/messages/1/update", `{}`, 400, "invalid_input", "changes nothing"},
		{"empty patch", "POST", "c/messages/1/update", `{"data":null,"clear_fields":[]}`, 400, "invalid_input", "changes nothing"},
		{"clear and set", "POST", "c/messages/1/update", `{"data":"x","clear_fields":["data"]}`, 400, "invalid_input", "replaced and cleared"},
		{"clear and set", "POST", "c/messages/1/update", `{"name":"x","clear_fields":["extras","name"]}`, 400, "invalid_input", "replaced and cleared"},
		{"clear and set", "POST", "c/messages/1/delete", `{"extras":{},"clear_fields":["extras"]}`, 400, "invalid_input", "replaced and cleared"},
		{"clear twice", "POST", "c/messages/1/update", `{"clear_fields":["data","data"]}`, 400, "invalid_input", "twice"},
		{"oversized accumulation", "POST", "c/messages/10/append", `{"data":"` + large + `"}`, 413, "payload_too_large", "1048576 are allowed"},
		{"too many versions", "POST", "few/messages/1/append", `{"data":"x"}`, 400, "limit_exceeded", "3 versions"},
		{"too many versions", "POST", "few/messages/1/delete", `{}`, 400, "limit_exceeded", "3 versions"},
		{"snapshot of the future", "GET", "c/snapshot?at_serial=9999", "", 400, "invalid_input", "in the future"},
		{"snapshot of the future", "GET", "c/snapshot?at_time_ms=9999999999999", "", 400, "invalid_input", "in the future"},
		{"too many keys", "POST", "keyed", `{"name":"price","channel":"keyed","data":"1","key":"two"}`, 400, "limit_exceeded", "1 keys"},
		{"lost an edit", "POST", "c/messages/1/update", `{"data":"x","if_version":2}`, 409, "conflict", "version 3, not 2"},
		{"lost an edit of a key", "DELETE", "c/keys/live?if_version=7", "", 409, "conflict", "version 1, not 7"},
		{"op_id of another payload", "POST", "c/messages/1/append", `{"data":"LO","op_id":"op"}`, 409, "idempotency_mismatch", "op_id"},
		{"not mutable", "POST", "off/messages/1/update", `{"data":"x"}`, 422, "feature_disabled", "mutable"},
	}
	eachStore(t, setup{app: func(a *app.App) { a.Policies = []app.Policy{few, keyed, off} }}, func(t *testing.T, w *world) {
		before(w)
		see := func() (all string) {
			for _, c := range []string{"c", "few", "off", "keyed"} {
				all += w.shown(c)
			}
			return all
		}
		was := see()
		for _, tt := range tests {
			path := "channels/" + tt.path
			if tt.path == "keyed" {
				path = "events"
			}
			w.do(tt.method, path, tt.body).fails(tt.status, tt.code, tt.part)
			if now := see(); now != was {
				t.Fatalf("%s: %s %s changed\n%.2000s\nto\n%.2000s", tt.name, tt.method, tt.path, was, now)
			}
		}
		// What comes after is as if nothing had been asked.
		w.do("POST", "channels/c/messages/1/update", `{"data":"x","if_version":3}`).is(200, "")
		w.do("POST", "channels/c/messages/1/append", `{"data":"lo","op_id":"op"}`).is(200,
			`{"channel":"c","message_serial":"1","action":"append","accepted":true,"version_serial":"2","history_serial":1,"delivery_serial":2,"version":2,"status":"duplicate"}`)
	})
}

// TestEditorsAtOnce: of those who edit the same version at once exactly one wins, and the others are told the version.
func TestEditorsAtOnce(t *testing.T) {
	const editors, rounds = 4, 25
	eachStore(t, setup{}, func(t *testing.T, w *world) {
		w.do("POST", "events", `{"name":"chat","channel":"c","data":"0"}`).is(200, "")
		w.do("POST", "events", `{"name":"price","channel":"c","data":"0","key":"k"}`).is(200, "")
		for version := 1; version <= rounds; version++ {
			for serial := range 2 {
				answers := make([]answer, editors)
				var all sync.WaitGroup
				for i := range editors {
					all.Go(func() {
						answers[i] = w.do("POST", fmt.Sprintf("channels/c/messages/%d/update", serial+1),
							fmt.Sprintf(`{"data":"%d by %d","if_version":%d}`, version, i, version))
					})
				}
				all.Wait()
				winner := -1
				for i, a := range answers {
					switch {
					case a.status == 200 && winner < 0:
						winner = i
					case a.status == 200:
						t.Fatalf("editors %d and %d both made version %d", winner, i, version+1)
					default:
						a.fails(409, "conflict", fmt.Sprintf("version %d, not %d", version+1, version))
					}
				}
				if winner < 0 {
					t.Fatalf("nobody made version %d", version+1)
				}
				want := fmt.Sprintf(`"%d by %d"`, version, winner)
				if m := w.message(fmt.Sprint("messages/", serial+1)); string(m.Data) != want || m.Version.Number != version+1 {
					t.Fatalf("%s is version %d, want %s", m.Data, m.Version.Number, want)
				}
			}
		}
	})
}
