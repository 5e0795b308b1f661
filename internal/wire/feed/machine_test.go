package feed

import (
	"fmt"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// drive steps a machine by hand, so that a test can choose an order of events that a server rarely has.
type drive struct {
	*testing.T
	m   *Machine
	now int64
}

func newDrive(t *testing.T, settings map[string]string) *drive {
	o, err := testOptions(settings)
	if err != nil {
		t.Fatal(err)
	}
	d := &drive{T: t, m: New(o), now: 1_787_000_000_000}
	d.step(session.Opened{ID: "1"})
	return d
}

// step gives the effects in short.
func (d *drive) step(in session.Input) string {
	var all []string
	for _, e := range d.m.Step(d.now, in, nil) {
		switch e := e.(type) {
		case session.Send:
			all = append(all, string(e.Payload))
		case session.Release:
			all = append(all, fmt.Sprintf("release %d", e.Tag))
		case session.Follow:
			all = append(all, fmt.Sprintf("follow %d %s", e.Tag, e.Ref.Channel))
		case session.Close:
			all = append(all, fmt.Sprintf("close %d %s", e.Code, e.Reason))
		default:
			all = append(all, strings.TrimPrefix(fmt.Sprintf("%T", e), "session."))
		}
	}
	return strings.Join(all, "\n")
}

func (d *drive) want(in session.Input, want ...string) {
	d.Helper()
	if got := d.step(in); got != strings.Join(want, "\n") {
		d.Fatalf("%T gave\n%s\nwant\n%s", in, got, strings.Join(want, "\n"))
	}
}

func (d *drive) login(frame string, follows ...string) {
	d.Helper()
	d.want(session.Frame{Data: []byte(frame)}, "Wake", "Admit")
	d.want(session.Admitted{}, follows...)
}

func bounds(head uint64) stream.Bounds {
	return stream.Bounds{Stream: "s", Head: head, HeadTime: 1_787_000_000_000, Logged: true}
}

// proven is a replay of the entries in (from, to].
func proven(from, to uint64) stream.Replay {
	b := bounds(to)
	b.HeadTime = 0
	r, reason := stream.Prove(stream.Cursor{Serial: from}, b, stream.Witness{At: stream.EntryID{Serial: from}, Next: stream.EntryID{Serial: from + 1}}, stream.Window{}, 0)
	if reason != stream.Proven {
		panic(reason)
	}
	return r
}

const twoCursors = `{"type":"login","apiKey":"wild.s3cret","channels":["a","b"],"serverEpoch":"` + epoch + `","lastSeenId":{"a":"1787000000000-1","b":"1787000000000-1"}}`

func TestLostBeforeTheAnswer(t *testing.T) {
	d := newDrive(t, nil)
	d.login(twoCursors, "follow 0 a", "follow 1 b")
	d.want(session.Followed{Tag: 0, Bounds: bounds(3), Replay: proven(1, 3)})
	reset := bounds(4)
	reset.Base, reset.Floor = 4, 4
	d.want(session.Lost{Tag: 0, Reason: stream.StreamReset, Bounds: reset})
	got := d.step(session.Followed{Tag: 1, Bounds: bounds(1), Replay: proven(1, 1)})
	for _, want := range []string{`"serverEntryIds":{"a":"1787000000000-4","b":"1787000000000-1"}`,
		`{"type":"snapshot_required","reason":"server_restarted","channels":["a"]`, "release 0\n", `{"type":"resume_complete","serverEpoch":"` + epoch + `","channels":["b"],"replayed":{"b":0}}` + "\nrelease 1"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nis not in\n%s", want, got)
		}
	}
}

func TestLostWhileItWaitsForTheOthers(t *testing.T) {
	d := newDrive(t, nil)
	d.login(twoCursors, "follow 0 a", "follow 1 b")
	d.want(session.Followed{Tag: 0, Bounds: bounds(3), Replay: proven(1, 3)})
	if got := d.step(session.Followed{Tag: 1, Bounds: bounds(1), Replay: proven(1, 1)}); !strings.HasSuffix(got, "release 0") || strings.Contains(got, "release 1") {
		t.Fatal(got)
	}
	b := bounds(2)
	b.Base, b.Floor = 2, 2
	d.want(session.Lost{Tag: 1, Reason: stream.StreamReset, Bounds: b},
		`{"type":"snapshot_required","reason":"server_restarted","channels":["b"],"serverEpoch":"`+epoch+`","resumeWindowMs":86400000,"serverEntryIds":{"b":"1787000000000-2"}}`, "release 1")
	d.want(session.ReplayEnded{Tag: 0, Sent: 2},
		`{"type":"resume_complete","serverEpoch":"`+epoch+`","channels":["a"],"replayed":{"a":2}}`, "release 0")
	d.want(session.ReplayEnded{Tag: 0, Sent: 2})
	d.want(session.Lost{Tag: 0, Reason: stream.PositionExpired, Bounds: bounds(9)},
		`{"type":"resync_required","reason":"client_backpressure","channels":["a"],"serverEpoch":"`+epoch+`","resumeWindowMs":86400000,"serverEntryIds":{"a":"1787000000000-9"}}`, "release 0")
}

func TestStoreUnavailable(t *testing.T) {
	const end = "close 1011 the log cannot be read now"
	d := newDrive(t, nil)
	d.login(twoCursors, "follow 0 a", "follow 1 b")
	d.want(session.Followed{Tag: 0, Err: fault.New(fault.Unavailable, "no")}, end)
	d.want(session.Followed{Tag: 1, Bounds: bounds(1), Replay: proven(1, 1)})
	d.want(session.Frame{Data: []byte("x")})

	d = newDrive(t, nil)
	d.login(twoCursors, "follow 0 a", "follow 1 b")
	d.want(session.Followed{Tag: 0, Reason: stream.StoreUnavailable, Bounds: bounds(1)}, end)

	d = newDrive(t, nil)
	d.login(`{"type":"login","apiKey":"wild.s3cret","channels":["a"]}`, "follow 0 a")
	d.step(session.Followed{Tag: 0, Bounds: bounds(1)})
	d.want(session.Lost{Tag: 0, Reason: stream.StoreUnavailable}, end)

	d = newDrive(t, nil)
	d.login(`{"type":"login","apiKey":"wild.s3cret","channels":["a"]}`, "follow 0 a")
	d.want(session.Followed{Tag: 0, Err: fault.New(fault.Forbidden, "not you")}, `{"type":"error","error":"login_failed","message":"not you"}`, "close 4000 login_failed")
}

// A channel that was never used, born after the clock's now: the position that is told must be a valid cursor.
func TestAttachPositionIsNotBeforeBirth(t *testing.T) {
	d := newDrive(t, nil)
	d.login(`{"type":"login","apiKey":"wild.s3cret","channels":["a"]}`, "follow 0 a")
	b := stream.Bounds{Stream: "s", Logged: true, Born: d.now + 5}
	if got := d.step(session.Followed{Tag: 0, Bounds: b}); !strings.Contains(got, `"a":"1787000000005-0"`) {
		t.Error(got)
	}
}

func TestLateInputs(t *testing.T) {
	d := newDrive(t, nil)
	d.want(session.Admitted{})
	d.want(session.Followed{})
	d.want(session.ReplayEnded{})
	d.want(session.Published{})
	d.want(session.Frame{Binary: true, Data: []byte("x")},
		`{"type":"error","error":"first_message_must_be_login","message":"the first frame must be a text frame with the login"}`, "close 4000 first_message_must_be_login")
	for _, in := range []session.Input{session.Lost{}, session.Idle{For: 1e9}, session.Draining{}, session.Terminate{Cause: session.Stopping}, session.Closed{}, session.Woken{}} {
		d.want(in)
	}
	d = newDrive(t, nil)
	d.step(session.Closed{})
	d.want(session.Frame{Data: []byte(`{"type":"login"}`)})
}

func TestEveryCauseCloses(t *testing.T) {
	for c := session.ByApp; c <= session.ServerError+1; c++ {
		d := newDrive(t, nil)
		if got := d.step(session.Terminate{Cause: c}); !strings.Contains(got, "close ") {
			t.Errorf("cause %d: %q", c, got)
		}
		if _, ok := closes[c]; !ok && c <= session.ServerError {
			t.Errorf("cause %d has no close", c)
		}
	}
}

func TestEveryReasonHasAWord(t *testing.T) {
	for _, r := range stream.Reasons() {
		if (reasons[r] == "") != (r == stream.StoreUnavailable) {
			t.Errorf("%v: %q", r, reasons[r])
		}
	}
}

func TestEveryFaultOfAKeyCloses(t *testing.T) {
	for _, k := range fault.Kinds() {
		r := refusalOf(fault.New(k, "why"))
		if r.Close == 0 || r.Code == "key_revoked" {
			t.Errorf("%v: %+v", k, r)
		}
	}
	for kind, want := range map[fault.Kind]string{fault.AuthFailed: "login_failed", fault.AppDisabled: "login_failed", fault.Backpressure: "server_busy", fault.Unavailable: "", fault.Internal: ""} {
		if r := refusalOf(fault.New(kind, "why")); r.Code != want {
			t.Errorf("%v: %+v", kind, r)
		}
	}
	if r := refusalOf(fault.New(fault.AuthFailed, "%w", auth.ErrExpired)); r.Code != "login_failed" {
		t.Errorf("%+v", r)
	}
	frame, end := Busy().Frames()
	if string(frame) != `{"type":"error","error":"server_busy","message":"the server has no room for another connection now"}` || end.Code != 1013 || end.Reason != "server_busy" {
		t.Errorf("%s %+v", frame, end)
	}
	if got := Busy().Error(); !strings.HasPrefix(got, "server_busy: ") {
		t.Error(got)
	}
}

func TestLoginLimits(t *testing.T) {
	list := func(n int, format string) string {
		all := make([]string, n)
		for i := range all {
			all[i] = fmt.Sprintf(format, i)
		}
		return strings.Join(all, ",")
	}
	for name, c := range map[string]struct {
		frame string
		code  string
		close uint16
	}{
		"ten thousand channels": {`{"type":"login","apiKey":"k","channels":[` + list(10_000, `"%d"`) + `]}`, "", 1009},
		"257 channels":          {`{"type":"login","apiKey":"k","channels":[` + list(257, `"c%d"`) + `]}`, "invalid_login: channels: more than 256 channels", 4000},
		"5,000 short channels":  {`{"type":"login","apiKey":"k","channels":[` + list(5_000, `"%d"`) + `]}`, "invalid_login: channels: more than 256 channels", 4000},
		"256 channels twice":    {`{"type":"login","apiKey":"k","channels":[` + list(256, `"c%d"`) + `]}`, "", 0},
		"257 cursors":           {`{"type":"login","apiKey":"k","lastSeenId":{` + list(257, `"c%d":"1-1"`) + `}}`, "invalid_login: lastSeenId: more than 256 channels", 4000},
		"a long key":            {`{"type":"login","apiKey":"` + strings.Repeat("k", 4097) + `"}`, "invalid_login: apiKey: 4097 bytes; 4096 are allowed", 4000},
		"64 KiB and a byte":     {`{"type":"login","x":"` + strings.Repeat("k", MaxLogin) + `"}`, "", 1009},
		"deep":                  {`{"type":"login","apiKey":"k","x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "first_message_must_be_login", 4000},
		"invalid UTF-8":         {"{\"type\":\"login\",\"apiKey\":\"\xff\"}", "first_message_must_be_login", 4000},
	} {
		_, r := DecodeLogin([]byte(c.frame))
		switch {
		case c.close == 0 && r != nil, c.close != 0 && (r == nil || r.Close != c.close):
			t.Errorf("%s: %v", name, r)
		case r != nil && c.code != "" && !strings.HasPrefix(r.Error(), c.code):
			t.Errorf("%s: %v", name, r)
		}
	}
	frame := []byte(`{"type":"login","apiKey":"k","sportIds":[` + list(1001, "%d") + `]}`)
	l, r := DecodeLogin(frame)
	if r != nil {
		t.Fatal(r)
	}
	if _, r := l.values("sportIds"); r == nil || r.Code != "invalid_login" || !strings.HasPrefix(r.Msg, "sportIds: ") {
		t.Errorf("%v", r)
	}
}

// The login outlives its frame: what the machine keeps of it must be its own.
func TestLoginKeepsNothingOfTheFrame(t *testing.T) {
	frame := []byte(`{"type":"login","apiKey":"wild.s3cret","channels":["a"],"sportIds":["one"],"clientName":"n"}`)
	d := newDrive(t, map[string]string{"filters": "on"})
	d.want(session.Frame{Data: frame}, "Wake", "Admit")
	for i := range frame {
		frame[i] = 'x'
	}
	d.want(session.Admitted{}, "follow 0 a")
	if got := d.step(session.Followed{Bounds: bounds(0)}); !strings.Contains(got, `"sportIds":["one"]`) || !strings.Contains(got, `"clientName":"n"`) {
		t.Error(got)
	}
}

func TestInternedFiltersShareAnEncoder(t *testing.T) {
	follow := func(o *Options, ids string) session.Encoder {
		m := New(o)
		m.Step(0, session.Opened{ID: "1"}, nil)
		m.Step(0, session.Frame{Data: []byte(`{"type":"login","apiKey":"wild.s3cret","channels":["a"],"sportIds":` + ids + `}`)}, nil)
		for _, e := range m.Step(0, session.Admitted{}, nil) {
			if f, ok := e.(session.Follow); ok {
				return f.Encoder
			}
		}
		t.Fatal("nothing followed")
		return nil
	}
	o, err := testOptions(map[string]string{"filters": "on"})
	if err != nil {
		t.Fatal(err)
	}
	if a, b, c := follow(o, `[1,2]`), follow(o, `["2","1"]`), follow(o, `[1]`); a != b || a == c {
		t.Error("equal filters must be one encoder, others not")
	}
}
