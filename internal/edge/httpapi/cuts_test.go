package httpapi_test

import (
	"fmt"
	"testing"
)

type cutAnswer struct {
	OK        bool
	Operation string
	Mode      string
	Reason    string
	Previous  string  `json:"previous_stream_id"`
	New       string  `json:"new_stream_id"`
	Messages  int     `json:"purged_messages"`
	Bytes     int     `json:"purged_bytes"`
	By        *string `json:"requested_by"`
	Stream    struct {
		StreamID string `json:"stream_id"`
		Next     uint64 `json:"next_serial"`
		Retained struct {
			Oldest *uint64 `json:"oldest_available_serial"`
		}
	}
}

func TestReset(t *testing.T) {
	w := newWorld(t, setup{})
	w.publish(5, "")
	before := w.history("").Continuity.StreamID
	var a cutAnswer
	w.do("POST", "channels/c/history/reset", `{"confirm_channel":"c","confirm_operation":"reset","reason":"test","requested_by":"ops"}`).is(200, "").into(&a)
	if !a.OK || a.Operation != "reset" || a.Previous != before || a.New == before || a.Messages != 5 || a.Bytes == 0 || a.Stream.Next != 7 ||
		a.Stream.StreamID != a.New || *a.By != "ops" || a.Stream.Retained.Oldest != nil {
		t.Fatalf("%+v", a)
	}
	w.publish(1, "")
	if p := w.history(""); fmt.Sprint(p.serials()) != "[7]" || p.Continuity.Truncated {
		t.Fatalf("%+v", p)
	}
}

func TestPurge(t *testing.T) {
	w := newWorld(t, setup{})
	start := w.clock.Load()
	w.publish(8, "")
	id := w.history("").Continuity.StreamID
	tests := []struct {
		bound   string
		removed int
		left    string
	}{
		{`"mode":"before_serial","before_serial":0`, 0, "[8 7 6 5 4 3 2 1]"},
		{`"mode":"before_serial","before_serial":1`, 0, "[8 7 6 5 4 3 2 1]"},
		{`"mode":"before_serial","before_serial":3`, 2, "[8 7 6 5 4 3]"},
		{`"mode":"before_serial","before_serial":2`, 0, "[8 7 6 5 4 3]"},
		{`"mode":"before_time_ms","before_time_ms":0`, 0, "[8 7 6 5 4 3]"},
		{`"mode":"before_time_ms","before_time_ms":1`, 0, "[8 7 6 5 4 3]"},
		{fmt.Sprintf(`"mode":"before_time_ms","before_time_ms":%d`, start+4000), 2, "[8 7 6 5]"},
		{fmt.Sprintf(`"mode":"before_time_ms","before_time_ms":%d`, start+4001), 1, "[8 7 6]"},
		{`"mode":"all"`, 3, "[]"},
	}
	for _, tt := range tests {
		var a cutAnswer
		w.do("POST", "channels/c/history/purge", `{"confirm_channel":"c","confirm_operation":"purge","reason":"test",`+tt.bound+`}`).is(200, "").into(&a)
		p := w.history("")
		if a.Messages != tt.removed || fmt.Sprint(p.serials()) != tt.left || a.Stream.StreamID != id || a.Stream.Next != 9 || a.By != nil {
			t.Fatalf("%s: %+v, left %v", tt.bound, a, p.serials())
		}
	}
}

func TestCutFaults(t *testing.T) {
	w := newWorld(t, setup{})
	w.publish(3, "")
	reset := `"confirm_channel":"c","confirm_operation":"reset","reason":"x"`
	purge := `"confirm_channel":"c","confirm_operation":"purge","reason":"x"`
	tests := []struct{ operation, body, part string }{
		{"reset", ``, "not valid JSON"},
		{"reset", `{}`, "confirm_channel"},
		{"reset", `{"confirm_channel":"d","confirm_operation":"reset","reason":"x"}`, "confirm_channel"},
		{"reset", `{"confirm_channel":"c","confirm_operation":"purge","reason":"x"}`, "confirm_operation"},
		{"reset", `{"confirm_channel":"c","confirm_operation":"reset"}`, "reason"},
		{"reset", `{"confirm_channel":"c","confirm_operation":"reset","reason":""}`, "reason"},
		{"reset", `{"confirm_channel":"c","confirm_operation":"reset","reason":1}`, "reason must be a string"},
		{"reset", `{` + reset + `,"mode":"all"}`, "has no mode"},
		{"reset", `{` + reset + `,"force":true}`, `"force" is not known`},
		{"purge", `{` + reset + `}`, "confirm_operation"},
		{"purge", `{` + purge + `}`, "mode"},
		{"purge", `{` + purge + `,"mode":"some"}`, `"some"`},
		{"purge", `{` + purge + `,"mode":"before_serial"}`, "before_serial must be"},
		{"purge", `{` + purge + `,"mode":"before_time_ms","before_serial":1}`, "has no before_serial"},
		{"purge", `{` + purge + `,"mode":"before_serial","before_time_ms":1}`, "has no before_time_ms"},
		{"purge", `{` + purge + `,"mode":"before_serial","before_serial":"1"}`, "not a string"},
		{"purge", `{` + purge + `,"mode":"before_serial","before_serial":-1}`, "-1"},
		{"purge", `{` + purge + `,"mode":"before_serial","before_serial":1.5}`, "1.5"},
		{"purge", `{` + purge + `,"mode":"before_serial","before_serial":9007199254740992}`, "9007199254740992"},
		{"purge", `{` + purge + `,"mode":"all","before_serial":1}`, "has no bound"},
	}
	for _, tt := range tests {
		w.do("POST", "channels/c/history/"+tt.operation, tt.body).fails(400, "invalid_input", tt.part)
	}
	if n := len(w.entries("c")); n != 3 {
		t.Fatalf("%d entries are left", n)
	}
}
