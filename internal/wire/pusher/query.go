package pusher

import (
	"strconv"
	"strings"
	"time"

	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
)

// Query is what a client asks for in the query of its WebSocket request.
type Query struct {
	Protocol Protocol
	NoEcho   bool          // V2: own client events do not come back
	Full     bool          // V2: appends are sent as the whole text
	Rollup   time.Duration // V2: appends of one message within this time may be joined
	Token    string        // V2: a capability token, unproven
}

// ParseQuery reads the raw query of a WebSocket request. Its faults are answered with HTTP 400, before the upgrade.
func ParseQuery(raw string) (Query, error) {
	params, err := auth.ParseQuery(raw)
	if err != nil {
		return Query{}, err
	}
	q := Query{Protocol: V1}
	if s, ok := params.Get("protocol"); ok && s != "" {
		n, err := strconv.ParseUint(s, 10, 8)
		if err != nil {
			return Query{}, fault.New(fault.Invalid, "protocol %s is not a number up to 255", channel.Quote(s)).In("protocol")
		}
		if n == 2 {
			q.Protocol = V2
		}
	}
	if q.Protocol == V1 {
		return q, nil
	}
	return q, q.v2(params)
}

func (q *Query) v2(params auth.Query) error {
	if s, _ := params.Get("format"); !strings.EqualFold(strings.TrimSpace(s), "json") && strings.TrimSpace(s) != "" {
		switch f := strings.ToLower(strings.TrimSpace(s)); f {
		case "msgpack", "messagepack", "protobuf", "proto":
			return fault.New(fault.Unsupported, "format %s is not available here; use format=json", f).In("format")
		}
		return fault.New(fault.Invalid, "format %s is not known; use format=json", channel.Quote(s)).In("format")
	}
	switch s, _ := params.Get("echo_messages"); s {
	case "", "true":
	case "false":
		q.NoEcho = true
	default:
		return fault.New(fault.Invalid, "echo_messages %s: use true or false", channel.Quote(s)).In("echo_messages")
	}
	switch s, _ := params.Get("append_mode"); s {
	case "", "delta":
	case "full":
		q.Full = true
	default:
		return fault.New(fault.Invalid, "append_mode %s: use delta or full", channel.Quote(s)).In("append_mode")
	}
	switch s, _ := params.Get("append_rollup_window"); s {
	case "", "0":
	case "20", "40", "100", "500":
		n, _ := strconv.Atoi(s)
		q.Rollup = time.Duration(n) * time.Millisecond
	default:
		return fault.New(fault.Invalid, "append_rollup_window %s: use 0, 20, 40, 100 or 500", channel.Quote(s)).In("append_rollup_window")
	}
	q.Token, _ = params.Get("token")
	return nil
}

// DefaultActivity is the activity timeout that clients are told where nothing else is configured.
const DefaultActivity = 120 * time.Second

// IdleEvery is after how much silence of the client the machine wants to hear of it: V1 clients are asked by a frame
// after the activity timeout, V2 clients by a WebSocket ping twice as often, but not more often than every 30 s.
func (q Query) IdleEvery(activity time.Duration) time.Duration {
	if q.Protocol == V1 {
		return activity
	}
	return max(30*time.Second, activity/2)
}
