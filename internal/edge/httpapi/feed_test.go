package httpapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/record"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/edge/httpapi"
	"github.com/continuo-rt/continuo/internal/run/keyring"
)

const feedStart = "1766414833000"

// feedWorld has a key ring, and a feed with a filter.
func feedWorld(t *testing.T, change func(*app.App)) *world {
	return newWorld(t, setup{
		app: func(a *app.App) {
			p := app.Default(app.Development)
			p.Feed.Filters = map[string]app.FeedFilter{"sportIds": {Path: "/sportId"}}
			closed := p
			closed.Pattern, closed.Feed.Enabled = "closed", false
			a.Policies = []app.Policy{closed, p}
			a.Limits.SnapshotPage = 3
			if change != nil {
				change(a)
			}
		},
		options: func(o *httpapi.Options) {
			ring, err := keyring.Load(t.Context(), keyring.Options{Records: o.Node.Store().(record.Store), Node: o.Node, Now: o.Now})
			if err != nil {
				t.Fatal(err)
			}
			o.FeedKeys = ring
		},
	})
}

func (w *world) feedState(target string, header ...string) answer {
	w.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/feed/snapshot/"+target, nil)
	return w.feed(r, header...)
}

func (w *world) feed(r *http.Request, header ...string) answer {
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.api.(*httpapi.API).FeedSnapshot(rec, r)
	return answer{w.t, rec.Code, rec.Header(), rec.Body.String()}
}

// key makes an API key.
func (w *world) feedKey(body string) (given, id string) {
	w.t.Helper()
	var made struct {
		APIKey string `json:"api_key"`
		ID     string
	}
	w.do("POST", "feed_keys", body).into(&made)
	if made.APIKey == "" {
		w.t.Fatal("no key was made")
	}
	return made.APIKey, made.ID
}

func (w *world) put(channel, key, data string) {
	w.t.Helper()
	body := fmt.Sprintf(`{"name":"UPDATE","channel":%q,"key":%q,"data":%s}`, channel, key, data)
	if key == "" {
		body = fmt.Sprintf(`{"name":"say","channel":%q,"data":%s}`, channel, data)
	}
	w.do("POST", "events", body).is(200, "")
	w.clock.Add(1)
}

func TestFeedKeys(t *testing.T) {
	w := feedWorld(t, nil)
	w.do("GET", "feed_keys", "").is(200, `{"keys":[]}`)
	made := w.do("POST", "feed_keys", `{"id":"desk","label":"desk-7","channels":["scores","odds-*"],"filters":{"sportIds":[1,"2"]},"connections":5,"access":{"live":false},"expires_at_ms":1766414834000}`)
	if made.header.Get("Cache-Control") != "no-store" {
		t.Error("the secret may be cached")
	}
	var key struct {
		APIKey string `json:"api_key"`
	}
	made.into(&key)
	if !strings.HasPrefix(key.APIKey, "desk.") || made.status != 201 {
		t.Fatal(made)
	}
	const shown = `{"id":"desk","label":"desk-7","channels":["scores","odds-*"],"filters":{"sportIds":["1","2"]},"connections":5,"access":{"live":false},"created_at_ms":1766414833000,"expires_at_ms":1766414834000,"revoked":false,"configured":false}`
	w.do("GET", "feed_keys", "").is(200, `{"keys":[`+shown+`]}`)
	w.clock.Add(1)
	gone := strings.Replace(shown, `"revoked":false`, `"revoked":true,"revoked_at_ms":1766414833001`, 1)
	w.do("DELETE", "feed_keys/desk", "").is(200, gone)
	w.do("DELETE", "feed_keys/desk", "").is(200, gone)
	w.do("DELETE", "feed_keys/nobody", "").fails(404, "not_found", "no API key")
	for body, part := range map[string]string{
		``:                                     "not valid JSON",
		`{"channels":["*"],"channels":["a"]}`:  "twice",
		`{"channels":["*"],"chanels":["a"]}`:   "chanels",
		`{"channels":"*"}`:                     "no API key",
		`{}`:                                   "no channel",
		`{"channels":["*"],"filters":{"a":1}}`: "array",
		`{"channels":["a b"]}`:                 "' '",
	} {
		w.do("POST", "feed_keys", body).fails(400, "invalid_input", part)
	}
	w.do("POST", "feed_keys", `{"id":"desk","channels":["*"]}`).fails(409, "conflict", "taken")
	w.do("PUT", "feed_keys", "").fails(405, "method_not_allowed", "")
	w.send("GET", "/apps/app-id/feed_keys", "").fails(401, "auth_failed", "")
	newWorld(t, setup{}).do("GET", "feed_keys", "").fails(422, "feature_disabled", "API keys")
}

func TestFeedSnapshot(t *testing.T) {
	w := feedWorld(t, nil)
	given, _ := w.feedKey(`{"channels":["scores","closed"]}`)
	bearer := []string{"Authorization", "Bearer " + given}
	epoch := w.store.Info().Epoch
	empty := w.feedState("scores", bearer...).is(200, `{"channel":"scores","serverEpoch":"`+epoch+`","entryId":"`+feedStart+`-0","items":[],"has_more":false,"next_cursor":null}`)
	if empty.header.Get("X-Entry-Id") != feedStart+"-0" || empty.header.Get("X-Server-Epoch") != epoch {
		t.Error(empty.header)
	}
	w.put("scores", "f-1", `{"sportId":1}`)
	w.put("scores", "f-2", `{"sportId":2}`)
	w.put("scores", "", `{"sportId":1,"text":true}`)
	w.put("scores", "f-1", `{"sportId":1,"goals":1}`)
	items := `{"key":"f-1","entryId":"1766414833003-4","ts":1766414833003,"payload":{"sportId":1,"goals":1}},{"key":"f-2","entryId":"1766414833001-2","ts":1766414833001,"payload":{"sportId":2}},{"messageSerial":"3","event":"say","entryId":"1766414833002-3","ts":1766414833002,"payload":{"sportId":1,"text":true}}`
	head := `{"channel":"scores","serverEpoch":"` + epoch + `","entryId":"1766414833003-4","items":[`
	const tail = `],"has_more":false,"next_cursor":null}`
	full := w.feedState("scores", bearer...).is(200, head+items+tail)
	if full.header.Get("X-Entry-Id") != "1766414833003-4" {
		t.Error(full.header)
	}
	w.feedState("scores?apiKey="+given).is(200, full.body)
	w.feedState("scores", append(bearer, "If-None-Match", full.header.Get("Etag"))...).is(304, "")
	one := w.feedState("scores?sportIds=1,7", bearer...)
	one.is(200, head+`{"key":"f-1","entryId":"1766414833003-4","ts":1766414833003,"payload":{"sportId":1,"goals":1}},{"messageSerial":"3","event":"say","entryId":"1766414833002-3","ts":1766414833002,"payload":{"sportId":1,"text":true}}`+tail)
	w.feedState(`scores?sportIds=[1,"7"]`, bearer...).is(200, one.body)
	if one.header.Get("Etag") == full.header.Get("Etag") {
		t.Error("another filter, the same ETag")
	}
	w.feedState("scores", append(bearer, "If-None-Match", one.header.Get("Etag"))...).is(200, "")
	w.feedState("scores?at_serial=1", bearer...).is(200, `{"channel":"scores","serverEpoch":"`+epoch+`","entryId":"1766414833000-1","items":[{"key":"f-1","entryId":"1766414833000-1","ts":1766414833000,"payload":{"sportId":1}}]`+tail[1:])
	w.feedState("scores?prefix=f-2", bearer...).is(200, head+`{"key":"f-2","entryId":"1766414833001-2","ts":1766414833001,"payload":{"sportId":2}}`+tail)
}

func TestFeedSnapshotPages(t *testing.T) {
	w := feedWorld(t, nil)
	given, _ := w.feedKey(`{"channels":["scores"]}`)
	bearer := []string{"Authorization", "Bearer " + given}
	for i := range 7 {
		w.put("scores", fmt.Sprintf("f-%d", i), fmt.Sprintf(`{"sportId":%d}`, i%2))
	}
	var seen []string
	var at string
	for target := "scores?limit=2&sportIds=1"; target != ""; {
		var page struct {
			EntryID string `json:"entryId"`
			Items   []struct{ Key string }
			HasMore bool   `json:"has_more"`
			Next    string `json:"next_cursor"`
		}
		w.feedState(target, bearer...).is(200, "").into(&page)
		if at != "" && page.EntryID != at || page.HasMore != (page.Next != "") {
			t.Fatalf("%+v", page)
		}
		at = page.EntryID
		for _, item := range page.Items {
			seen = append(seen, item.Key)
		}
		target = ""
		if page.HasMore {
			w.put("scores", "f-9", `{"sportId":1}`) // after the first page's serial: not in this snapshot
			target = "scores?limit=2&sportIds=1&cursor=" + page.Next
			w.feedState("scores?limit=2&sportIds=0&cursor="+page.Next, bearer...).fails(400, "invalid_input", "cursor")
			w.feedState("scores?limit=2&cursor="+page.Next, bearer...).fails(400, "invalid_input", "cursor")
		}
	}
	if strings.Join(seen, " ") != "f-1 f-3 f-5" {
		t.Error(seen)
	}
	var page struct {
		Next string `json:"next_cursor"`
	}
	w.feedState("scores?limit=2", bearer...).into(&page)
	w.clock.Add((6 * time.Minute).Milliseconds())
	w.feedState("scores?cursor="+page.Next, bearer...).fails(410, "snapshot_expired", "older")
}

func TestFeedSnapshotErrors(t *testing.T) {
	w := feedWorld(t, func(a *app.App) {
		no := app.Default(app.Production)
		no.Pattern, no.NoLog, no.Mutable = "nolog", true, false
		a.Policies = append([]app.Policy{no}, a.Policies...)
	})
	given, id := w.feedKey(`{"channels":["scores","closed","nolog"]}`)
	confined, _ := w.feedKey(`{"channels":["*"],"filters":{"sportIds":["1"]}}`)
	bearer := []string{"Authorization", "Bearer " + given}
	w.put("scores", "f-1", `{"sportId":1}`)
	w.put("scores", "f-2", `{"sportId":2}`)
	w.feedState("scores").fails(401, "auth_failed", "apiKey")
	w.feedState("scores", "Authorization", "Basic x").fails(401, "auth_failed", "apiKey")
	w.feedState("scores", "Authorization", "Bearer nobody.secret").fails(401, "auth_failed", "not known")
	w.feedState("other", bearer...).fails(403, "forbidden", "not entitled")
	w.feedState("closed", bearer...).fails(403, "forbidden", "not entitled")
	w.feedState("nolog", bearer...).fails(422, "feature_disabled", "keeps no log")
	w.feedState("scores?sportids=1", bearer...).fails(400, "invalid_input", "sportids")
	w.feedState("scores?sportIds=", bearer...).fails(400, "invalid_input", "empty")
	w.feedState("scores?sportIds=[{}]", bearer...).fails(400, "invalid_input", "value 0")
	w.feedState("scores?cursor=zzz", bearer...).fails(400, "invalid_input", "cursor")
	w.feedState("scores?limit=0", bearer...).fails(400, "invalid_input", "limit")
	w.feedState("scores?at_serial=99", bearer...).fails(400, "invalid_input", "future")
	w.feedState("a/b", bearer...).fails(404, "not_found", "")
	w.feedState("", bearer...).fails(404, "not_found", "")
	w.feed(httptest.NewRequest(http.MethodPost, "/feed/snapshot/scores", nil), bearer...).fails(405, "method_not_allowed", "")
	var page struct{ Items []struct{ Key string } }
	w.feedState("scores?sportIds=1,2&apiKey="+confined).is(200, "").into(&page)
	if len(page.Items) != 1 || page.Items[0].Key != "f-1" {
		t.Errorf("%+v", page)
	}
	w.do("DELETE", "feed_keys/"+id, "").is(200, "")
	w.feedState("scores", bearer...).fails(401, "auth_failed", "revoked")
}

// A page may read snapshots: the preflight comes without the key.
func TestFeedSnapshotCORS(t *testing.T) {
	w := feedWorld(t, func(a *app.App) { a.Origins = []string{"https://good.example"} })
	given, _ := w.feedKey(`{"channels":["scores"]}`)
	preflight := httptest.NewRequest(http.MethodOptions, "/feed/snapshot/scores", nil)
	preflight.Header.Set("Access-Control-Request-Method", "GET")
	got := w.feed(preflight, "Origin", "https://good.example").is(204, "")
	if got.header.Get("Access-Control-Allow-Origin") != "https://good.example" {
		t.Error(got.header)
	}
	got = w.feedState("scores", "Origin", "https://good.example", "Authorization", "Bearer "+given).is(200, "")
	if !strings.Contains(got.header.Get("Access-Control-Expose-Headers"), "X-Server-Epoch") || got.header.Get("Access-Control-Allow-Origin") != "https://good.example" {
		t.Error(got.header)
	}
	w.feedState("scores", "Origin", "https://bad.example", "Authorization", "Bearer "+given).fails(403, "forbidden", "")
}

// The snapshot's position is a cursor: the state at it, and what comes after it, are the channel.
func TestFeedSnapshotIsNotProvableBelowTheFloor(t *testing.T) {
	w := feedWorld(t, nil)
	given, _ := w.feedKey(`{"channels":["scores"]}`)
	for i := range 4 {
		w.put("scores", "f", fmt.Sprintf(`{"n":%d}`, i))
	}
	if _, err := w.node.Cut(t.Context(), stream.Cut{Ref: stream.Ref{App: "app-id", Channel: "scores"}, Kind: stream.Trim, Through: 2}); err != nil {
		t.Fatal(err)
	}
	w.feedState("scores?at_serial=1", "Authorization", "Bearer "+given).fails(422, "not_provable", "")
}
