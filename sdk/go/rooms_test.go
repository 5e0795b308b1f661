package continuo

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func decodeJSON(t *testing.T, text string, to any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), to); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func TestEventsComeOnceAcrossConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{})
		s := w.up()
		r := w.joined(s)
		for n := 1; n <= 3; n++ {
			s.in <- message(n)
		}
		if got := take(t, r, 3); !reflect.DeepEqual(got, []int64{1, 2, 3}) {
			t.Fatalf("got %v", got)
		}
		if at, _ := r.Position(); at != (Cursor{StreamID: "A", EventID: 3}) {
			t.Fatalf("the position is %v", at)
		}
		s.drop(1006)
		s = w.greet()
		m := s.said(t, "client.join")
		if m["resume_from"] != 3.0 || m["stream_id"] != "A" {
			t.Fatalf("the client joins by %v", m)
		}
		s.in <- `{"kind":"room.joined","room_id":"a","stream_id":"A","event_id":5,"resumed":true,"replaying":2}`
		for _, n := range []int{3, 4, 4, 5} {
			s.in <- message(n)
		}
		s.in <- `{"kind":"room.resumed","room_id":"a","event_id":5,"count":2}`
		if got := take(t, r, 2); !reflect.DeepEqual(got, []int64{4, 5}) {
			t.Fatalf("got %v", got)
		}
		if got := awaitRoom(t, r, "live"); got.Describe() != "resumed, 2 missed messages" {
			t.Errorf("the room is %q", got.Describe())
		}
	})
}

func TestSlowLoopHoldsTheRoomUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{Buffer: 4})
		s := w.up()
		r := w.joined(s)
		for n := 1; n <= 6; n++ {
			s.in <- message(n)
		}
		synctest.Wait()
		if got := r.State().State; got != "behind" {
			t.Fatalf("the room is %s", got)
		}
		if got := take(t, r, 2); !reflect.DeepEqual(got, []int64{1, 2}) {
			t.Fatalf("got %v", got)
		}
		s.said(t, "client.leave")
		if m := s.said(t, "client.join"); m["resume_from"] != 4.0 {
			t.Fatalf("the client joins by %v", m)
		}
		s.in <- `{"kind":"room.joined","room_id":"a","stream_id":"A","event_id":6,"resumed":true,"replaying":2}`
		s.in <- message(5)
		s.in <- message(6)
		if got := take(t, r, 4); !reflect.DeepEqual(got, []int64{3, 4, 5, 6}) {
			t.Fatalf("got %v", got)
		}
	})
}

func TestSendGoesThroughALostConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{})
		s := w.up()
		r := w.joined(s)
		got := make(chan Accepted, 1)
		go func() {
			a, err := r.Send(t.Context(), Send{Text: "hello"})
			if err != nil {
				t.Error(err)
			}
			got <- a
		}()
		first := s.said(t, "chat.send")
		s.drop(1006)
		s = w.greet()
		s.admit(t, `"event_id":1,"resumed":true,"replaying":1`)
		second := s.said(t, "chat.send")
		if !reflect.DeepEqual(first, second) || len(first["idempotency_key"].(string)) != 32 {
			t.Fatalf("%v, then %v", first, second)
		}
		s.in <- `{"kind":"chat.accepted","room_id":"a","event_id":1,"message_id":"1","version":1,"correlation_id":"` + first["correlation_id"].(string) + `"}`
		if a := <-got; a != (Accepted{1, "1", 1}) {
			t.Errorf("got %+v", a)
		}
	})
}

func TestCallsAndTheirErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{})
		s := w.up()
		r := w.joined(s)
		answer := func(text string) func(map[string]any) {
			return func(m map[string]any) {
				s.in <- strings.ReplaceAll(text, "ID", m["correlation_id"].(string))
			}
		}
		conflict := `{"kind":"server.error","code":"conflict","message":"the message is at version 4, not 3","retryable":false,"version":4,"room_id":"a","correlation_id":"ID"}`
		accepted := `{"kind":"message.accepted","room_id":"a","event_id":9,"message_id":"7","version":2,"correlation_id":"ID"}`
		five := int64(5)
		for _, c := range []struct {
			name string
			call func() error
			want map[string]any
			say  string
			err  string
		}{
			{"edit", func() error { _, err := r.Edit(t.Context(), "7", Edit{Text: "x", IfVersion: 3}); return err }, map[string]any{"kind": "message.update", "text": "x", "if_version": 3.0}, conflict, "conflict"},
			{"edit to nothing", func() error { _, err := r.Edit(t.Context(), "7", Edit{}); return err }, map[string]any{"kind": "message.update", "text": ""}, accepted, ""},
			{"append", func() error { _, err := r.Append(t.Context(), "7", "!"); return err }, map[string]any{"kind": "message.append", "text": "!"}, accepted, ""},
			{"delete", func() error { _, err := r.Delete(t.Context(), "7", 0); return err }, map[string]any{"kind": "message.delete"}, accepted, ""},
			{"react", func() error { _, err := r.React(t.Context(), "7", "like"); return err }, map[string]any{"kind": "message.react", "name": "like"}, accepted, ""},
			{"unreact", func() error { _, err := r.Unreact(t.Context(), "7", "like"); return err }, map[string]any{"kind": "message.unreact", "name": "like"}, accepted, ""},
			{"a payload", func() error {
				_, err := r.Send(t.Context(), Send{Payload: map[string]int{"a": 1}, Event: "news", Key: "k", IdempotencyKey: "mine"})
				return err
			}, map[string]any{"kind": "chat.send", "payload": map[string]any{"a": 1.0}, "event": "news", "key": "k", "idempotency_key": "mine"}, accepted, ""},
			{"typing", func() error { _, err := r.Send(t.Context(), Send{Event: "typing", Ephemeral: true}); return err }, map[string]any{"kind": "chat.send", "event": "typing", "ephemeral": true}, `{"kind":"chat.accepted","room_id":"a","correlation_id":"ID"}`, ""},
			{"history", func() error {
				e, err := r.History(t.Context(), HistoryQuery{Limit: 2, After: &five})
				if err == nil && (len(e.Items) != 1 || e.Items[0].EventID != 6) {
					t.Errorf("history is %+v", e)
				}
				return err
			}, map[string]any{"kind": "client.history", "limit": 2.0, "after": 5.0}, `{"kind":"room.history","room_id":"a","items":[{"kind":"chat.message","room_id":"a","event_id":6,"message_id":"6","ts":1,"text":"x"}],"has_more":false,"next_cursor":null,"correlation_id":"ID"}`, ""},
			{"presence", func() error { _, err := r.Presence(t.Context(), PresenceQuery{AtMS: &five}); return err }, map[string]any{"kind": "client.presence", "at_ms": 5.0}, `{"kind":"server.error","code":"unauthorized","message":"no","retryable":false,"correlation_id":"ID"}`, "unauthorized"},
		} {
			t.Log(c.name)
			done := make(chan error, 1)
			go func() { done <- c.call() }()
			m := s.said(t, c.want["kind"].(string))
			for name, value := range c.want {
				if !reflect.DeepEqual(m[name], value) {
					t.Errorf("%s: %s is %v, want %v", c.name, name, m[name], value)
				}
			}
			answer(c.say)(m)
			err := <-done
			var e *Error
			if c.err == "" && err != nil || c.err != "" && (!errors.As(err, &e) || e.Code != c.err) {
				t.Errorf("%s: %v, want %q", c.name, err, c.err)
			}
		}
	})
}

func TestACallThatNobodyWaitsForAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.Room("a").Send(ctx, Send{Text: "x"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if _, err := w.Room("a").Send(t.Context(), Send{Payload: func() {}}); err == nil {
			t.Error("a function is no payload")
		}
		var e *Error
		if _, err := w.Room("a").Send(t.Context(), Send{Text: "x", Ephemeral: true}); !errors.As(err, &e) || e.Code != "not_connected" || !e.Retryable {
			t.Errorf("got %v", err)
		}
	})
}

func TestHandlersThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var reported []string
		w := newWorld(t, Options{OnError: func(err error) {
			mu.Lock()
			defer mu.Unlock()
			reported = append(reported, err.Error())
		}})
		s := w.up()
		r := w.joined(s)
		var ids []int64
		r.OnEvent(func(_ context.Context, e *Event) error {
			ids = append(ids, e.EventID)
			switch e.EventID {
			case 1:
				return errors.New("one is wrong")
			case 2:
				panic("two is worse")
			}
			return nil
		})
		for n := 1; n <= 3; n++ {
			s.in <- message(n)
		}
		synctest.Wait()
		if !reflect.DeepEqual(ids, []int64{1, 2, 3}) {
			t.Errorf("handled %v", ids)
		}
		if at, _ := r.Position(); at.EventID != 3 {
			t.Errorf("the position is %v", at)
		}
		mu.Lock()
		defer mu.Unlock()
		if len(reported) != 2 || !strings.Contains(reported[0], "one is wrong") || !strings.Contains(reported[1], "two is worse") {
			t.Errorf("reported %q", reported)
		}
		for _, err := range r.Events(t.Context()) {
			var e *Error
			if !errors.As(err, &e) || e.Code != "busy" {
				t.Errorf("a second iterator gets %v", err)
			}
		}
	})
}

func TestARefusedRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{})
		s := w.up()
		r := w.Room("a")
		done := make(chan error, 1)
		go func() {
			done <- r.Join(t.Context(), Join{Presence: "enter", PresenceData: map[string]string{"mood": "well"}})
		}()
		m := s.said(t, "client.join")
		s.in <- `{"kind":"server.error","code":"unauthorized","message":"no claim allows it","retryable":false,"correlation_id":"` + m["correlation_id"].(string) + `"}`
		var e *Error
		if err := <-done; !errors.As(err, &e) || e.Code != "unauthorized" {
			t.Fatalf("joined with %v", err)
		}
		for _, err := range r.Events(t.Context()) {
			if !errors.As(err, &e) || e.Code != "unauthorized" {
				t.Errorf("the events end with %v", err)
			}
		}
		go func() { done <- r.Join(t.Context(), Join{}) }()
		s.admit(t, fromHead)
		if err := <-done; err != nil {
			t.Error(err)
		}
		s.in <- message(1)
		if got := take(t, r, 1); got[0] != 1 {
			t.Errorf("got %v", got)
		}
	})
}

func TestLeaveEndsIteratorsAndJoinComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{})
		s := w.up()
		r := w.joined(s)
		for n := 1; n <= 3; n++ {
			s.in <- message(n)
		}
		for e, err := range r.Events(t.Context()) {
			if err != nil || e.EventID > 2 {
				t.Fatalf("%v, %v", e, err)
			}
			if e.EventID == 2 {
				r.Leave()
			}
		}
		s.said(t, "client.leave")
		done := make(chan error, 1)
		go func() { done <- r.Join(t.Context(), Join{}) }()
		if m := s.said(t, "client.join"); m["resume_from"] != 1.0 {
			t.Errorf("event 2 was not handled when the room was left: %v", m)
		}
		s.in <- `{"kind":"room.joined","room_id":"a","stream_id":"A","event_id":3,"resumed":true,"replaying":2}`
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}
