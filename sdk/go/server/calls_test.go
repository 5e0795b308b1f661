package server

import (
	"encoding/json"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

func TestWrites(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		call         func(s *Server) (any, error)
		method, path string
		body         map[string]any
		want         any
	}{
		{"put", `{"channels":{"a":{"serial":1}}}`, func(s *Server) (any, error) {
			return s.Put(t.Context(), "a", "BTC", Message{Event: "price", Data: 5, IdempotencyKey: "k"})
		}, "POST", "/events", map[string]any{"name": "price", "channel": "a", "key": "BTC", "data": 5.0, "info": "position", "idempotency_key": "k"}, Published{Serial: 1}},
		{"batch", `{"batch":[{"serial":1},{"serial":2}]}`, func(s *Server) (any, error) {
			return s.PublishBatch(t.Context(), []BatchItem{{"a", Message{Event: "x", IdempotencyKey: "1"}}, {"b", Message{Event: "y", Data: "t", IdempotencyKey: "2", SocketID: "1.2"}}})
		}, "POST", "/batch_events", map[string]any{"batch": []any{map[string]any{"name": "x", "channel": "a", "info": "position", "idempotency_key": "1"},
			map[string]any{"name": "y", "channel": "b", "data": "t", "info": "position", "idempotency_key": "2", "socket_id": "1.2"}}}, []Published{{Serial: 1}, {Serial: 2}}},
		{"ephemeral", `{"channels":{"a":{}}}`, func(s *Server) (any, error) {
			return s.Publish(t.Context(), "a", Message{Event: "typing", Ephemeral: true})
		}, "POST", "/events", map[string]any{"name": "typing", "channel": "a", "ephemeral": true, "info": "position"}, Published{}},
		{"mutate", `{"message_serial":"7","version":2,"status":"applied"}`, func(s *Server) (any, error) {
			return s.Mutate(t.Context(), "a/b", "7", Mutation{Op: Append, Data: "!", OpID: "o", IfVersion: 1})
		}, "POST", "/channels/a%2Fb/messages/7/append", map[string]any{"data": "!", "op_id": "o", "if_version": 1.0}, Mutated{MessageSerial: "7", Version: 2, Status: "applied"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, calls := backend(t, Options{}, says(200, c.answer))
			got, err := c.call(s)
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, %v", got, err)
			}
			if call := calls.all()[0]; call.method != c.method || call.path != "/apps/app%20id"+c.path || !reflect.DeepEqual(call.body, c.body) {
				t.Errorf("asked %+v", call)
			}
		})
	}
}

// withoutSignature takes the credentials out of a query.
func withoutSignature(q url.Values) url.Values {
	for name := range q {
		if strings.HasPrefix(name, "auth_") || name == "body_md5" {
			delete(q, name)
		}
	}
	return q
}

func TestQueries(t *testing.T) {
	all := HistoryQuery{Limit: 5, Direction: OldestFirst, Cursor: "c", StartSerial: 1, EndSerial: 2, StartTimeMS: 3, EndTimeMS: 4}
	history := url.Values{"limit": {"5"}, "direction": {"oldest_first"}, "cursor": {"c"}, "start_serial": {"1"}, "end_serial": {"2"}, "start_time_ms": {"3"}, "end_time_ms": {"4"}}
	value := url.Values{"data": {"value"}}
	withValue := url.Values{"data": {"value"}}
	for name, v := range history {
		withValue[name] = v
	}
	for _, c := range []struct {
		name         string
		call         func(s *Server) error
		method, path string
		query        url.Values
	}{
		{"history", func(s *Server) error { _, err := s.History(t.Context(), "a", HistoryQuery{}); return err }, "GET", "/a/history", value},
		{"history with all", func(s *Server) error { _, err := s.History(t.Context(), "a", all); return err }, "GET", "/a/history", withValue},
		{"snapshot", func(s *Server) error { _, err := s.Snapshot(t.Context(), "a", SnapshotQuery{}); return err }, "GET", "/a/snapshot", value},
		{"snapshot with all", func(s *Server) error {
			_, err := s.Snapshot(t.Context(), "a", SnapshotQuery{Limit: 5, Cursor: "c", Prefix: "p", AtSerial: new(int64(0)), AtTimeMS: 6})
			return err
		}, "GET", "/a/snapshot", url.Values{"data": {"value"}, "limit": {"5"}, "cursor": {"c"}, "prefix": {"p"}, "at_serial": {"0"}, "at_time_ms": {"6"}}},
		{"presence now", func(s *Server) error { _, err := s.PresenceAt(t.Context(), "a", Moment{}); return err }, "GET", "/a/presence/history/snapshot", url.Values{}},
		{"presence before the first", func(s *Server) error {
			_, err := s.PresenceAt(t.Context(), "a", Moment{AtSerial: new(int64(0))})
			return err
		}, "GET", "/a/presence/history/snapshot", url.Values{"at_serial": {"0"}}},
		{"presence at a time", func(s *Server) error { _, err := s.PresenceAt(t.Context(), "a", Moment{AtTimeMS: 6}); return err },
			"GET", "/a/presence/history/snapshot", url.Values{"at_time_ms": {"6"}}},
		{"presence history", func(s *Server) error { _, err := s.PresenceHistory(t.Context(), "a", HistoryQuery{}); return err }, "GET", "/a/presence/history", url.Values{}},
		{"presence history with all", func(s *Server) error { _, err := s.PresenceHistory(t.Context(), "a", all); return err }, "GET", "/a/presence/history", history},
		{"delete key", func(s *Server) error {
			_, err := s.DeleteKey(t.Context(), "a", "B/C", Condition{IfVersion: 3, OpID: "o"})
			return err
		}, "DELETE", "/a/keys/B%2FC", url.Values{"if_version": {"3"}, "op_id": {"o"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, calls := backend(t, Options{}, says(200, "{}"))
			if err := c.call(s); err != nil {
				t.Fatal(err)
			}
			call := calls.all()[0]
			if got := withoutSignature(call.query); call.method != c.method || call.path != "/apps/app%20id/channels"+c.path || call.body != nil || !reflect.DeepEqual(got, c.query) {
				t.Errorf("asked %+v, want %v", call, c.query)
			}
		})
	}
}

func TestADeletionOfAKeyIsRepeatedAsTheSame(t *testing.T) {
	s, calls := backend(t, Options{}, cut, says(200, `{"message_serial":"4","version":3,"status":"duplicate"}`))
	got, err := s.DeleteKey(t.Context(), "a", "B", Condition{})
	if err != nil || got != (Mutated{MessageSerial: "4", Version: 3, Status: "duplicate"}) {
		t.Fatalf("%+v, %v", got, err)
	}
	first, second := withoutSignature(calls.all()[0].query), withoutSignature(calls.all()[1].query)
	if len(first.Get("op_id")) != 32 || len(first) != 1 || !reflect.DeepEqual(first, second) {
		t.Errorf("asked %v, then %v", first, second)
	}
}

// TestAnswers holds what is read to answers as the server writes them.
func TestAnswers(t *testing.T) {
	gone := Continuity{StreamID: "S", OldestAvailableSerial: 3, NewestAvailableSerial: 9, OldestAvailablePublishedAtMS: 30, NewestAvailablePublishedAtMS: 90,
		RetainedBytes: 700, TruncatedByRetention: true, Degraded: true}
	const continuity = `{"stream_id":"S","oldest_available_serial":3,"newest_available_serial":9,"oldest_available_published_at_ms":30,` +
		`"newest_available_published_at_ms":90,"retained_messages":7,"retained_bytes":700,"complete":false,"truncated_by_retention":true,"degraded":true}`
	for _, c := range []struct {
		name, answer string
		call         func(s *Server) (any, error)
		want         any
	}{
		{"presence", `{"users":[{"id":"ann"},{"id":"bob"}]}`, func(s *Server) (any, error) { return s.Presence(t.Context(), "presence-a") }, []string{"ann", "bob"}},
		{"nobody", `{"users":[]}`, func(s *Server) (any, error) { return s.Presence(t.Context(), "presence-a") }, []string{}},
		{"history", `{"items":[{"stream_id":"S","serial":4,"published_at_ms":40,"message_id":"S:4","event_name":"sockudo:message.update","operation_kind":"message.update",` +
			`"payload_size_bytes":99,"message":{"event":"sockudo:message.update","channel":"a","data":{"x":1},"name":"price","message_id":"S:4","stream_id":"S","serial":9,` +
			`"action":"update","key":"BTC","message_serial":"4","history_serial":4,"delivery_serial":9,"version":{"serial":"9","number":2,"timestamp_ms":90},"new":true}}],` +
			`"direction":"newest_first","limit":1,"has_more":true,"next_cursor":"c","bounds":{"start_serial":null},"continuity":` + continuity + `,"stream_state":{}}`,
			func(s *Server) (any, error) { return s.History(t.Context(), "a", HistoryQuery{}) },
			&HistoryPage{Items: []HistoryItem{{StreamID: "S", Serial: 4, PublishedAtMS: 40, MessageID: "S:4", EventName: "sockudo:message.update", OperationKind: "message.update",
				PayloadSizeBytes: 99, Message: HistoryMessage{Event: "sockudo:message.update", Name: "price", Channel: "a", Data: json.RawMessage(`{"x":1}`), MessageID: "S:4",
					StreamID: "S", Serial: 9, Action: "update", Key: "BTC", MessageSerial: "4", HistorySerial: 4, DeliverySerial: 9,
					Version: Version{Serial: "9", Number: 2, TimestampMS: 90}}}}, Direction: NewestFirst, Limit: 1, HasMore: true, NextCursor: "c", Continuity: gone}},
		{"an empty history", `{"items":[],"direction":"oldest_first","limit":5,"has_more":false,"next_cursor":null,"continuity":{"stream_id":"S","oldest_available_serial":null,"complete":true}}`,
			func(s *Server) (any, error) { return s.History(t.Context(), "a", HistoryQuery{}) },
			&HistoryPage{Items: []HistoryItem{}, Direction: OldestFirst, Limit: 5, Continuity: Continuity{StreamID: "S", Complete: true}}},
		{"snapshot", `{"channel":"a","stream_id":"S","serial":9,"entry_id":"90-9","epoch":"E","complete":true,"items":[{"key":"BTC","message_serial":"4","version":2,"event":"price",` +
			`"data":"text","serial":9,"history_serial":4,"published_at_ms":40,"updated_at_ms":90}],"has_more":false,"next_cursor":null}`,
			func(s *Server) (any, error) { return s.Snapshot(t.Context(), "a", SnapshotQuery{}) },
			&SnapshotPage{Channel: "a", StreamID: "S", Serial: 9, EntryID: "90-9", Epoch: "E", Complete: true, Items: []SnapshotItem{{Key: "BTC", MessageSerial: "4", Version: 2,
				Event: "price", Data: json.RawMessage(`"text"`), Serial: 9, HistorySerial: 4, PublishedAtMS: 40, UpdatedAtMS: 90}}}},
		{"presence at", `{"channel":"presence-a","members":[{"user_id":"ann","user_info":{"name":"Ann"},"last_event":"member_added","last_event_serial":5,"last_event_at_ms":50},` +
			`{"user_id":"bob","last_event":"member_added","last_event_serial":6,"last_event_at_ms":60}],"member_count":2,"events_replayed":4,"snapshot_serial":6,"snapshot_time_ms":60,` +
			`"continuity":` + continuity + `}`,
			func(s *Server) (any, error) { return s.PresenceAt(t.Context(), "presence-a", Moment{}) },
			&PresenceSnapshot{Channel: "presence-a", Members: []Member{{UserID: "ann", UserInfo: json.RawMessage(`{"name":"Ann"}`), LastEvent: "member_added", LastEventSerial: 5,
				LastEventAtMS: 50}, {UserID: "bob", LastEvent: "member_added", LastEventSerial: 6, LastEventAtMS: 60}}, MemberCount: 2, EventsReplayed: 4, SnapshotSerial: 6,
				SnapshotTimeMS: 60, Continuity: gone}},
		{"before the first", `{"channel":"presence-a","members":[],"member_count":0,"events_replayed":0,"snapshot_serial":null,"snapshot_time_ms":null,"continuity":{"stream_id":"S"}}`,
			func(s *Server) (any, error) { return s.PresenceAt(t.Context(), "presence-a", Moment{}) },
			&PresenceSnapshot{Channel: "presence-a", Members: []Member{}, Continuity: Continuity{StreamID: "S"}}},
		{"presence history", `{"items":[{"stream_id":"S","serial":7,"published_at_ms":70,"event":"member_removed","cause":"timeout","user_id":"ann","connection_id":"1.2","dead_node_id":null,` +
			`"payload_size_bytes":99,"presence_event":{"stream_id":"S","serial":7,"user_info":{"name":"Ann"},"observed_at":65}}],"direction":"newest_first","limit":1,"has_more":true,` +
			`"next_cursor":"c","continuity":` + continuity + `}`,
			func(s *Server) (any, error) { return s.PresenceHistory(t.Context(), "presence-a", HistoryQuery{}) },
			&PresencePage{Items: []PresenceItem{{StreamID: "S", Serial: 7, PublishedAtMS: 70, Event: "member_removed", Cause: "timeout", UserID: "ann", ConnectionID: "1.2",
				PayloadSizeBytes: 99, PresenceEvent: PresenceEvent{UserInfo: json.RawMessage(`{"name":"Ann"}`), ObservedAt: 65}}},
				Direction: NewestFirst, Limit: 1, HasMore: true, NextCursor: "c", Continuity: gone}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := backend(t, Options{}, says(200, c.answer))
			if got, err := c.call(s); err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}
