package sdk

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// step is one of the scenario, as spec/vectors/client/README.md describes it.
type step map[string]any

func (s step) text(name string) string {
	v, _ := s[name].(string)
	return v
}

func (s step) number(name string) int {
	v, _ := s[name].(float64)
	return int(v)
}

// rest is what a step says beside these members.
func (s step) rest(without ...string) map[string]any {
	out := map[string]any{}
	for name, v := range s {
		out[name] = v
	}
	for _, name := range without {
		delete(out, name)
	}
	return out
}

// script is scenario.json.
type script struct {
	Config []string
	App    struct{ ID, Key, Secret string }
	Scenes []struct {
		Name  string
		Steps []step
	}
}

// TestScenario plays spec/vectors/client/scenario.json.
func TestScenario(t *testing.T) {
	raw, err := os.ReadFile("../../spec/vectors/client/scenario.json")
	if err != nil {
		t.Fatal(err)
	}
	var script script
	if err := json.Unmarshal(raw, &script); err != nil {
		t.Fatal(err)
	}
	s := serve(t, strings.Join(script.Config, "\n"))
	for _, play := range script.Scenes {
		t.Run(play.Name, func(t *testing.T) {
			scene := &scene{t: t, server: s, backend: newBackend(s, &script), board: newBoard(),
				saved: map[string]any{}, clients: map[string]*client{}, stores: map[string]*store{}, requests: map[string]chan outcome{}}
			for _, raw := range play.Steps {
				for i := range max(1, raw.number("repeat")) {
					if raw["repeat"] != nil {
						scene.saved["$i"] = float64(i + 1)
					}
					if err := scene.play(step(resolve(map[string]any(raw), scene.saved).(map[string]any))); err != nil {
						t.Fatalf("%s:\n%v", shown(raw), err)
					}
				}
			}
		})
	}
	t.Logf("summary: scenario: %d scenes", len(script.Scenes))
}

// scene is what one scene has to do with.
type scene struct {
	t        *testing.T
	server   *server
	backend  *backend
	board    *board // guards what clients write into the records below
	saved    map[string]any
	clients  map[string]*client
	stores   map[string]*store
	requests map[string]chan outcome
}

// outcome is how a request ended.
type outcome struct {
	result any
	err    error
}

// record is what was seen, and how far it was looked at.
type record struct {
	all   []any
	found int
}

// find waits for something after what was found last.
func (s *scene) find(r *record, want any) error {
	return s.board.until(s.t.Context(), func() error {
		for i := r.found; i < len(r.all); i++ {
			if matches(r.all[i], want) {
				r.found = i + 1
				return nil
			}
		}
		return fmt.Errorf("there is %s", shown(r.all[r.found:]))
	})
}

// none tells that nothing like it is there now, after what was found last.
func (s *scene) none(r *record, like any) error {
	s.board.mu.Lock()
	defer s.board.mu.Unlock()
	for _, one := range r.all[r.found:] {
		if matches(one, like) {
			return fmt.Errorf("there is %s", shown(one))
		}
	}
	return nil
}

func (s *scene) play(st step) error {
	c := s.clients[st.text("client")]
	switch do := st.text("do"); do {
	case "connect":
		return s.connect(c, st)
	case "await":
		return s.settle(st, <-s.requests[st.text("request")])
	case "stored":
		return s.stored(st)
	case "kill_server", "stop_server":
		s.server.end(map[string]os.Signal{"kill_server": syscall.SIGKILL, "stop_server": syscall.SIGTERM}[do])
	case "start_server":
		s.server.start()
	case "tokens":
		s.board.do(func() { c.tokens, _ = st["tokens"].([]any) })
	case "close":
		return c.close()
	case "state":
		return s.find(&c.states, st.rest("do", "client"))
	case "no_state":
		return s.none(&c.states, st.rest("do", "client"))
	case "asked":
		return s.asked(c, st.number("times"))
	case "proxy":
		answer := httptest.NewRecorder()
		c.proxy.Control().ServeHTTP(answer, httptest.NewRequest(http.MethodPost, st.text("post"), nil))
		if answer.Code != http.StatusNoContent {
			return fmt.Errorf("%d %s", answer.Code, answer.Body)
		}
	default:
		if strings.HasPrefix(do, "server_") {
			return s.ask(st, func(ctx context.Context) (any, error) { return s.backend.call(ctx, st) })
		}
		return s.inRoom(st, c.room(st.text("room")))
	}
	return nil
}

// inRoom plays a step that is about a room of a client.
func (s *scene) inRoom(st step, r *room) error {
	switch st.text("do") {
	case "join":
		until := st["until"]
		if until == nil {
			until = map[string]any{"state": "live"}
		}
		r.join(st.text("room"), st)
		return s.find(&r.states, until)
	case "room":
		return s.find(&r.states, st.rest("do", "client", "room"))
	case "hold", "release":
		s.board.do(func() { r.held = st.text("do") == "hold" })
	case "leave":
		r.room.Leave()
	case "events":
		return s.events(st, r)
	case "no_more":
		return s.none(&r.handed, map[string]any{})
	case "ids":
		return s.board.until(s.t.Context(), func() error { return inOrder(r.handed.all, st.number("from"), st.number("to")) })
	case "messages", "members":
		return s.board.until(s.t.Context(), func() error { return r.shows(st) })
	default:
		return s.ask(st, func(ctx context.Context) (any, error) { return r.call(ctx, st) })
	}
	return nil
}

// ask asks something of the server, and waits for the answer unless the step says only to begin.
func (s *scene) ask(st step, call func(context.Context) (any, error)) error {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	name := st.text("start")
	if name == "" {
		defer cancel()
		result, err := call(ctx)
		return s.settle(st, outcome{result, err})
	}
	done := make(chan outcome, 1)
	s.requests[name] = done
	waited := &watched{Context: ctx, begun: make(chan struct{})}
	go func() {
		defer cancel()
		defer waited.once.Do(func() { close(waited.begun) })
		result, err := call(waited)
		done <- outcome{result, err}
	}()
	<-waited.begun
	return nil
}

// watched is a context that tells when somebody waits for its end: whoever asked has handed over the request by then.
type watched struct {
	context.Context
	once  sync.Once
	begun chan struct{}
}

// Done implements context.Context.
func (w *watched) Done() <-chan struct{} {
	w.once.Do(func() { close(w.begun) })
	return w.Context.Done()
}

// settle holds an answer to what a step expects of it.
func (s *scene) settle(st step, got outcome) error {
	if want := st["error"]; want != nil {
		if got.err == nil || !matches(wireError(got.err), want) {
			return fmt.Errorf("the error is %v %s", got.err, shown(wireError(got.err)))
		}
		return nil
	}
	if got.err != nil {
		return got.err
	}
	result := plain(got.result)
	if want := st["expect"]; want != nil && !matches(result, want) {
		return fmt.Errorf("the result is %s", shown(result))
	}
	return s.save(st, result)
}

func (s *scene) save(st step, from any) error {
	names, _ := st["save"].(map[string]any)
	for name, member := range names {
		object, _ := from.(map[string]any)
		value, ok := object[member.(string)]
		if !ok {
			return fmt.Errorf("no %s in %s", member, shown(from))
		}
		s.saved["$"+name] = value
	}
	return nil
}

// events waits for the next events of a room: these, in this order.
func (s *scene) events(st step, r *room) error {
	list := st["list"].([]any)
	return s.board.until(s.t.Context(), func() error {
		got := r.handed.all[r.handed.found:]
		got = got[:min(len(got), len(list))]
		for i := range got {
			if !matches(got[i], list[i]) {
				return fmt.Errorf("%w: number %d is %s", errNever, i, shown(got[i]))
			}
		}
		if len(got) < len(list) {
			return fmt.Errorf("there is %s", shown(got))
		}
		r.handed.found += len(list)
		return s.save(st, got[len(got)-1])
	})
}

// inOrder holds the event ids of what was handed over to be these numbers, each once.
func inOrder(events []any, from, to int) error {
	next := from
	for _, e := range events {
		id, ok := e.(map[string]any)["event_id"].(float64)
		if !ok {
			continue
		}
		if int(id) != next || next > to {
			return fmt.Errorf("%w: event %v came in the place of %d", errNever, id, next)
		}
		next++
	}
	if next <= to {
		return fmt.Errorf("event %d has not come", next)
	}
	return nil
}

func (s *scene) asked(c *client, times int) error {
	return s.board.until(s.t.Context(), func() error {
		switch {
		case c.asked > times:
			return fmt.Errorf("%w: it was asked %d times", errNever, c.asked)
		case c.asked < times:
			return fmt.Errorf("it was asked %d times", c.asked)
		}
		return nil
	})
}
