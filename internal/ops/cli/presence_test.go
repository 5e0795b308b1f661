package cli

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestMomentOf(t *testing.T) {
	now := time.UnixMilli(1_766_414_833_000)
	for in, want := range map[string]int64{"10m": 1_766_414_233_000, "-10m": 1_766_414_233_000, "2025-12-22T14:00:00Z": 1_766_412_000_000} {
		if m, err := momentOf(in, now); err != nil || m.Time == nil || *m.Time != want || m.Serial != nil {
			t.Errorf("%s: %+v %v", in, m, err)
		}
	}
	if m, err := momentOf("42", now); err != nil || m.Time != nil || *m.Serial != 42 {
		t.Errorf("%+v %v", m, err)
	}
	if _, err := momentOf("yesterday", now); err == nil {
		t.Error("yesterday is a moment")
	}
}

// desk is a server with one presence channel.
type desk struct {
	asked atomic.Pointer[string]
	moved atomic.Int64
	stop  context.CancelFunc
}

const row = `{"presence_event":{"stream_id":"S","serial":%d,"published_at_ms":%d,"event":"member_%s","cause":"%s","user_id":"ann","connection_id":"1.2","user_info":{"a":1}%s}}`

func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	uri := r.URL.RequestURI()
	d.asked.Store(&uri)
	page := func(newest int, items ...string) {
		fmt.Fprintf(w, `{"items":[%s],"next_cursor":null,"continuity":{"stream_id":"S","newest_available_serial":%d}}`, strings.Join(items, ","), newest)
	}
	switch {
	case !strings.HasPrefix(r.URL.Path, "/apps/app-id/channels/presence-desk/presence/history"):
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"Only presence channels support this endpoint","code":"invalid_input","status":400}`)
	case strings.HasSuffix(r.URL.Path, "/snapshot"):
		fmt.Fprint(w, `{"channel":"presence-desk","members":[{"user_id":"ann","user_info":{"a":1},"last_event":"member_added","last_event_serial":1,"last_event_at_ms":1000}],`+
			`"member_count":1,"snapshot_serial":1,"snapshot_time_ms":1000,"continuity":{"stream_id":"S","degraded":true}}`)
	case r.URL.Query().Get("start_serial") == "":
		page(1, fmt.Sprintf(row, 1, 1000, "added", "join", ""))
	case r.URL.Query().Get("start_serial") == "2" && d.moved.Add(1) == 1:
		page(1)
	case r.URL.Query().Get("start_serial") == "2":
		page(2, fmt.Sprintf(row, 2, 2000, "removed", "timeout", `,"observed_at":1500`))
	default:
		d.stop()
		page(2)
	}
}

func TestPresence(t *testing.T) {
	stamp := func(ms int64) string { return clock(ms) }
	tests := []struct {
		args, out, errs, asked string
		code                   int
	}{
		{"", "ann   " + stamp(1000) + "  member_added  {\"a\":1}\n1 members at serial 1\n", "misses transitions", "/snapshot", 0},
		{"--at 7", "1 members", "", "/snapshot?at_serial=7", 0},
		{"--json", `"member_count": 1`, "", "/snapshot", 0},
		{"--history", "1 " + stamp(1000) + " member_added ann (join 1.2)\n", "", "?direction=oldest_first", 0},
		{"--history --follow", "1 " + stamp(1000) + " member_added ann (join 1.2)\n2 " + stamp(2000) + " member_removed ann (timeout 1.2) last seen " + stamp(1500) + "\n", "", "start_serial=3", 0},
		{"-f --json", `{"stream_id":"S","serial":2,"published_at_ms":2000,"event":"member_removed","cause":"timeout","user_id":"ann","connection_id":"1.2","user_info":{"a":1},"observed_at":1500}`, "", "start_serial=3", 0},
		{"--follow --at 3", "", "leave --at out", "", 1},
		{"--at soon", "", "--at soon", "", 1},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			d := &desk{stop: cancel}
			server := httptest.NewServer(d)
			defer server.Close()
			var out, errs bytes.Buffer
			code := Main(ctx, append([]string{"presence", "presence-desk", "--url", server.URL}, strings.Fields(tt.args)...), nil, &out, &errs)
			asked := ""
			if p := d.asked.Load(); p != nil {
				asked = *p
			}
			if code != tt.code || !strings.Contains(out.String(), tt.out) || !strings.Contains(errs.String(), tt.errs) || !strings.Contains(asked, tt.asked) {
				t.Errorf("code %d, asked %s\n%s\n%s", code, asked, out.String(), errs.String())
			}
		})
	}
	server := httptest.NewServer(&desk{})
	defer server.Close()
	var out, errs bytes.Buffer
	if code := Main(t.Context(), []string{"presence", "news", "--url", server.URL}, nil, &out, &errs); code != ExitFailed || !strings.Contains(errs.String(), "Only presence channels") {
		t.Error(code, errs.String())
	}
}
