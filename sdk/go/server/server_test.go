package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// asked is a call as the server has seen it.
type asked struct {
	method, path string
	query        url.Values
	body         map[string]any
	raw          string
}

// record is what a server was asked.
type record struct {
	mu    sync.Mutex
	calls []asked
}

func (r *record) add(c asked) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, c)
	return len(r.calls)
}

func (r *record) all() []asked {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// backend answers calls one after another, the last answer for ever.
func backend(t *testing.T, o Options, answers ...func(w http.ResponseWriter)) (*Server, *record) {
	t.Helper()
	calls := &record{}
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		c := asked{method: r.Method, path: r.URL.EscapedPath(), query: r.URL.Query(), raw: string(text)}
		if len(text) > 0 {
			if err := json.Unmarshal(text, &c.body); err != nil {
				t.Error(err)
			}
		}
		answers[min(calls.add(c), len(answers))-1](w)
	}))
	t.Cleanup(h.Close)
	o.Random = func() float64 { return 0 }
	o.Now = func() time.Time { return time.Unix(1787000000, 0) }
	return New(h.URL+"/", "app id", "key", "secret", o), calls
}

func says(status int, body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func cut(http.ResponseWriter) { panic(http.ErrAbortHandler) }

func TestAWriteIsRepeatedUntilItsOutcomeIsKnown(t *testing.T) {
	s, calls := backend(t, Options{}, cut, says(500, "<h1>oops</h1>"), says(200, "<h1>hello</h1>"),
		says(503, `{"error":"it may have been written","code":"outcome_unknown","status":503}`),
		says(429, `{"error":"slow down","code":"rate_limited","status":429}`),
		says(200, `{"channels":{"lobby":{"stream_id":"A","serial":42,"entry_id":"1-42","message_serial":"42","version":1}}}`))
	at, err := s.Publish(t.Context(), "lobby", Message{Event: "news", Data: map[string]int{"a": 1}})
	if err != nil || at != (Published{"A", 42, "1-42", "42", 1}) {
		t.Fatalf("%+v, %v", at, err)
	}
	if len(calls.all()) != 6 {
		t.Fatalf("%d calls", len(calls.all()))
	}
	for _, c := range calls.all() {
		if c.raw != calls.all()[0].raw || len(c.body["idempotency_key"].(string)) != 32 {
			t.Errorf("the body was %s, then %s", calls.all()[0].raw, c.raw)
		}
	}
	want := map[string]any{"name": "news", "channel": "lobby", "data": map[string]any{"a": 1.0}, "info": "position"}
	delete(calls.all()[0].body, "idempotency_key")
	if !reflect.DeepEqual(calls.all()[0].body, want) || calls.all()[0].path != "/apps/app%20id/events" {
		t.Errorf("asked %+v", calls.all()[0])
	}
}

// A refusal for now says nothing of a try before it whose outcome is not known; one for good does.
func TestAnUnknownOutcomeStaysUnknown(t *testing.T) {
	busy := says(429, `{"error":"slow down","code":"rate_limited","status":429}`)
	for code, last := range map[string]func(http.ResponseWriter){
		"outcome_unknown": busy, "conflict": says(409, `{"error":"at version 4","code":"conflict","status":409}`)} {
		s, calls := backend(t, Options{Tries: 3}, cut, busy, last)
		_, err := s.Mutate(t.Context(), "a", "7", Mutation{Op: Delete})
		var e *Error
		if !errors.As(err, &e) || e.Code != code || len(calls.all()) != 3 {
			t.Errorf("want %s: %v after %d calls", code, err, len(calls.all()))
		}
	}
}

func TestWhatIsNotRepeated(t *testing.T) {
	for _, c := range []struct {
		name    string
		answer  func(http.ResponseWriter)
		call    func(s *Server) error
		calls   int
		code    string
		version int64
		again   bool
	}{
		{"too many tries", says(503, `{"error":"busy","code":"backpressure","status":503}`), func(s *Server) error { _, err := s.Publish(t.Context(), "a", Message{}); return err }, 3, "backpressure", 0, true},
		{"ephemeral", cut, func(s *Server) error {
			_, err := s.Publish(t.Context(), "a", Message{Event: "typing", Ephemeral: true})
			return err
		}, 1, "outcome_unknown", 0, true},
		{"ephemeral in a batch", cut, func(s *Server) error {
			_, err := s.PublishBatch(t.Context(), []BatchItem{{"a", Message{}}, {"a", Message{Ephemeral: true}}})
			return err
		}, 1, "outcome_unknown", 0, true},
		{"a conflict", says(409, `{"error":"at version 4","code":"conflict","status":409,"current_version":4}`), func(s *Server) error {
			_, err := s.Mutate(t.Context(), "a", "7", Mutation{Op: Update, Data: "x", IfVersion: 3})
			return err
		}, 1, "conflict", 4, false},
		{"a gateway that says nothing of the outcome", says(502, "<h1>Bad Gateway</h1>"), func(s *Server) error { _, err := s.Publish(t.Context(), "a", Message{}); return err }, 3, "outcome_unknown", 0, true},
		{"a conflict of a key", says(409, `{"error":"at version 4","code":"conflict","status":409,"current_version":4}`), func(s *Server) error {
			_, err := s.DeleteKey(t.Context(), "a", "k", Condition{IfVersion: 3})
			return err
		}, 1, "conflict", 4, false},
		{"a moment that is gone", says(422, `{"error":"gone","code":"not_provable","status":422,"floor":7}`), func(s *Server) error {
			_, err := s.PresenceAt(t.Context(), "presence-a", Moment{AtSerial: new(int64(3))})
			return err
		}, 1, "not_provable", 0, false},
		{"not Continuo", says(404, "404 page not found"), func(s *Server) error { _, err := s.Presence(t.Context(), "a"); return err }, 1, "http_404", 0, false},
		{"wrong types", says(200, `{"items":5}`), func(s *Server) error { _, err := s.History(t.Context(), "a", HistoryQuery{}); return err }, 3, "outcome_unknown", 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, calls := backend(t, Options{Tries: 3}, c.answer)
			var e *Error
			if err := c.call(s); !errors.As(err, &e) || e.Code != c.code || e.Version != c.version || e.Retryable != c.again || e.Message == "" {
				t.Errorf("failed with %#v", err)
			}
			if len(calls.all()) != c.calls {
				t.Errorf("%d calls, want %d", len(calls.all()), c.calls)
			}
		})
	}
	s, calls := backend(t, Options{}, says(200, "{}"))
	if _, err := s.Mutate(t.Context(), "a", "7", Mutation{Op: "../events"}); err == nil || len(calls.all()) != 0 {
		t.Errorf("an odd mutation: %v, %d calls", err, len(calls.all()))
	}
	if _, err := s.Publish(t.Context(), "a", Message{Data: func() {}}); err == nil || len(calls.all()) != 0 {
		t.Errorf("data that is no JSON: %v, %d calls", err, len(calls.all()))
	}
}

func TestTheServersWaitIsRespectedAndTheCallersEndToo(t *testing.T) {
	s, calls := backend(t, Options{}, func(w http.ResponseWriter) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(503)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := s.Publish(ctx, "a", Message{})
	var e *Error
	if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &e) || e.Code != "outcome_unknown" || len(calls.all()) != 1 {
		t.Errorf("%v after %d calls", err, len(calls.all()))
	}
}

// TestSignature holds the signature to the example of the Pusher protocol.
func TestSignature(t *testing.T) {
	s := New("http://a", "3", "278d425bdf160c739803", "7ad3773142a6692b25b8", Options{Now: func() time.Time { return time.Unix(1353088179, 0) }})
	body := []byte(`{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}`)
	got := s.sign(request{method: "POST", path: "/apps/3/events"}, body)
	if want := "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"; !strings.HasSuffix(got, "auth_signature="+want) {
		t.Errorf("got %s", got)
	}
}

type answers func(*http.Request) *http.Response

func (f answers) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

func TestTheServersWaitIsAMinuteAtMost(t *testing.T) {
	for asked, want := range map[string]time.Duration{"7": 7 * time.Second, "3600": time.Minute, "99999999": time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			status := http.StatusServiceUnavailable
			transport := answers(func(*http.Request) *http.Response {
				defer func() { status = http.StatusOK }()
				return &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {asked}}, Body: io.NopCloser(strings.NewReader("{}"))}
			})
			s := New("http://a", "app", "key", "secret", Options{HTTP: &http.Client{Transport: transport}, Random: func() float64 { return 0 }})
			begun := time.Now()
			if _, err := s.Publish(t.Context(), "a", Message{}); err != nil || time.Since(begun) != want {
				t.Errorf("asked for %s s, waited %v: %v", asked, time.Since(begun), err)
			}
		})
	}
}

func TestTokens(t *testing.T) {
	s := New("http://a", "app", "key", "secret", Options{Now: func() time.Time { return time.Unix(1787000000, 0) }})
	got, err := s.MintToken(Claims{Subject: "ann", Rooms: []Grant{{"lobby-*", []string{"join"}}}, Info: map[string]string{"name": "Ann"}})
	if err != nil {
		t.Fatal(err)
	}
	var parts []map[string]any
	for _, part := range strings.Split(got, ".")[:2] {
		parts = append(parts, decodePart(t, part))
	}
	want := []map[string]any{{"alg": "HS256", "typ": "JWT", "kid": "key"}, {"app": "app", "sub": "ann", "iat": 1787000000.0, "exp": 1787003600.0,
		"rooms": []any{map[string]any{"pattern": "lobby-*", "can": []any{"join"}}}, "info": map[string]any{"name": "Ann"}}}
	if !reflect.DeepEqual(parts, want) {
		t.Errorf("got %v", parts)
	}
	for name, c := range map[string]Claims{"nobody": {}, "no JSON": {Subject: "ann", Info: func() {}}} {
		if _, err := s.MintToken(c); err == nil {
			t.Errorf("%s got a token", name)
		}
	}
	if len(Rights()) != 9 {
		t.Error(Rights())
	}
}

func decodePart(t *testing.T, part string) map[string]any {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	var to map[string]any
	if err := json.Unmarshal(text, &to); err != nil {
		t.Fatal(err)
	}
	return to
}
