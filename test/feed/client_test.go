package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"
	"github.com/vmihailenco/msgpack/v5"
)

// frame is any frame of the server.
type frame struct {
	Type     string            `json:"type" msgpack:"type"`
	Channel  string            `json:"channel" msgpack:"channel"`
	Key      string            `json:"key" msgpack:"key"`
	Payload  payload           `json:"payload" msgpack:"payload"`
	TS       int64             `json:"ts" msgpack:"ts"`
	EntryID  string            `json:"entryId" msgpack:"entryId"`
	Reason   string            `json:"reason" msgpack:"-"`
	Error    string            `json:"error" msgpack:"-"`
	Channels []string          `json:"channels" msgpack:"-"`
	Replayed map[string]uint64 `json:"replayed" msgpack:"-"`
	Epoch    string            `json:"serverEpoch" msgpack:"-"`
	EntryIDs map[string]string `json:"serverEntryIds" msgpack:"-"`
	Receive  string            `json:"receiveType" msgpack:"-"`
	Resume   struct {
		Epoch    string            `json:"serverEpoch"`
		Cursors  map[string]uint64 `json:"serverCursors"`
		EntryIDs map[string]string `json:"serverEntryIds"`
		Replays  []string          `json:"replayChannels"`
	} `json:"resume" msgpack:"-"`
}

// payload is what the test publishes: numbered from 1 in each channel.
type payload struct {
	N     uint64 `json:"n" msgpack:"n"`
	Group int    `json:"group" msgpack:"group"`
}

func serialOf(id string) uint64 {
	_, digits, _ := strings.Cut(id, "-")
	n, _ := strconv.ParseUint(digits, 10, 64)
	return n
}

// viewer is a client that believes nothing: it checks the order of frames, serials, numbers, counts and reasons.
type viewer struct {
	name     string
	url      string
	key      string
	channels []string // of the login; nil: none are named
	follows  []string // what the viewer follows, named or not
	binary   bool
	group    int // filter; -1: none
	random   *rand.Rand
	// mayReset says that the server may have lost everything: then server_restarted is no broken promise.
	mayReset bool
	lossy    bool // resume_window_exceeded and client_backpressure are expected: the log is short
	fail     func(format string, args ...any)
	seen     func(epoch, channel string, serial, n uint64) // of every data frame
	progress func(channel string, n uint64)
	cut      func() // the connection was

	epoch   string
	cursors map[string]string
	last    map[string]uint64 // newest n, per channel
	jumped  map[string]bool   // the next n may be any: a snapshot was required
	cuts    int
	resumes int
	refused int
	frames  int
}

// session is what one connection has promised so far.
type session struct {
	attach    map[string]uint64 // serial at attach
	replaying map[string]bool   // accepted, resume_complete has not come
	replayed  map[string]uint64
	answered  bool
	presented map[string]string
	expects   bool // a resume_complete
}

// run connects again and again until ctx ends. Each connection is cut, by the viewer, after a random number of frames.
func (v *viewer) run(ctx context.Context) {
	v.cursors, v.last, v.jumped = map[string]string{}, map[string]uint64{}, map[string]bool{}
	for ctx.Err() == nil {
		if err := v.once(ctx); err != nil {
			pause := time.NewTimer(time.Duration(5+v.random.IntN(30)) * time.Millisecond) // not a wait for anything: a client that comes back later
			select {
			case <-ctx.Done():
			case <-pause.C:
			}
		}
	}
}

func (v *viewer) once(ctx context.Context) error {
	d := ws.Dialer{Timeout: 2 * time.Second}
	nc, buffered, _, err := d.Dial(ctx, "ws"+strings.TrimPrefix(v.url, "http")+"/feed")
	if err != nil {
		return err
	}
	defer func() { _ = nc.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	defer stop()
	if tcp, ok := nc.(*net.TCPConn); ok && v.random.IntN(2) == 0 {
		_ = tcp.SetReadBuffer(4 << 10) // so that slow phases are felt at the server
	}
	in := io.Reader(nc)
	if buffered != nil {
		in = buffered
	}
	s := &session{attach: map[string]uint64{}, replaying: map[string]bool{}, replayed: map[string]uint64{}, presented: map[string]string{}}
	if err := v.login(nc, s); err != nil {
		return err
	}
	cut := 1 + v.random.IntN(400)
	slow := v.random.IntN(3) == 0
	for range cut {
		if slow && v.random.IntN(40) == 0 {
			t := time.NewTimer(time.Duration(v.random.IntN(60)) * time.Millisecond)
			<-t.C
		}
		f, op, err := v.read(nc, in)
		if err != nil {
			return err
		}
		if err := v.take(s, f, op); err != nil {
			return err
		}
	}
	v.cuts++
	v.cut()
	return nil
}

func (v *viewer) login(nc net.Conn, s *session) error {
	login := map[string]any{"type": "login", "apiKey": v.key, "serverEpoch": v.epoch, "lastSeenId": v.cursors, "clientName": v.name}
	if v.epoch == "" {
		delete(login, "serverEpoch")
		delete(login, "lastSeenId")
	}
	for channel, id := range v.cursors {
		s.presented[channel] = id
	}
	if v.channels != nil {
		login["channels"] = v.channels
	}
	if v.binary {
		login["receiveType"] = "binary"
	}
	if v.group >= 0 {
		login["groups"] = []int{v.group}
	}
	text, err := json.Marshal(login)
	if err != nil {
		return err
	}
	return ws.WriteFrame(nc, ws.MaskFrame(ws.NewTextFrame(text)))
}

func (v *viewer) read(nc net.Conn, in io.Reader) (*frame, ws.OpCode, error) {
	_ = nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		raw, err := readFrame(in)
		if err != nil {
			return nil, 0, err
		}
		f := &frame{}
		switch raw.Header.OpCode {
		case ws.OpPing:
			_ = ws.WriteFrame(nc, ws.MaskFrame(ws.NewPongFrame(raw.Payload)))
			continue
		case ws.OpClose:
			code, reason := ws.ParseCloseFrameData(raw.Payload)
			if code != 1012 && code != 1011 {
				v.fail("%s: closed with %d %s", v.name, code, reason)
			}
			return nil, 0, fmt.Errorf("closed with %d", code)
		case ws.OpBinary:
			err = msgpack.Unmarshal(raw.Payload, f)
		default:
			err = json.Unmarshal(raw.Payload, f)
		}
		if err != nil {
			v.fail("%s: %v in %q", v.name, err, raw.Payload)
		}
		return f, raw.Header.OpCode, err
	}
}

var errBroken = errors.New("the protocol was broken")

// take checks one frame.
func (v *viewer) take(s *session, f *frame, op ws.OpCode) error {
	data := f.Type == "UPDATE" || f.Type == "DELETE"
	switch {
	case !s.answered && f.Type != "login_ok" && f.Type != "error":
		v.fail("%s: %s came before login_ok", v.name, f.Type)
		return errBroken
	case (op == ws.OpBinary) != (data && v.binary):
		v.fail("%s: %s came as opcode %d", v.name, f.Type, op)
		return errBroken
	case data:
		return v.data(s, f)
	}
	switch f.Type {
	case "login_ok":
		return v.loginOK(s, f)
	case "snapshot_required":
		return v.refusedWith(s, f)
	case "resync_required":
		return v.resync(s, f)
	case "resume_complete":
		return v.complete(s, f)
	case "reconnect":
		return nil
	}
	v.fail("%s: %s %s", v.name, f.Type, f.Error)
	return errBroken
}

func (v *viewer) loginOK(s *session, f *frame) error {
	if len(f.Channels) != len(v.follows) && (v.channels != nil || v.epoch != "") || s.answered {
		v.fail("%s: login_ok with %v, want %v", v.name, f.Channels, v.follows)
		return errBroken
	}
	s.answered = true
	same := v.epoch == f.Resume.Epoch
	if v.epoch != "" && !same && !v.mayReset {
		v.fail("%s: the epoch has changed from %s to %s", v.name, v.epoch, f.Resume.Epoch)
	}
	v.epoch = f.Resume.Epoch
	for _, channel := range f.Channels {
		s.attach[channel] = f.Resume.Cursors[channel]
		if serialOf(f.Resume.EntryIDs[channel]) != s.attach[channel] {
			v.fail("%s: cursor %d and entry id %s of %s differ", v.name, s.attach[channel], f.Resume.EntryIDs[channel], channel)
		}
		if _, ok := s.presented[channel]; ok {
			s.replaying[channel], s.expects = true, true
			continue
		}
		v.cursors[channel] = f.Resume.EntryIDs[channel] // a position to come back from
		v.jumped[channel] = true
	}
	return nil
}

// refusedWith checks a snapshot_required, and goes on from where it says.
func (v *viewer) refusedWith(s *session, f *frame) error {
	allowed := f.Reason == "server_restarted" && v.mayReset || f.Reason == "resume_window_exceeded" && v.lossy
	if !allowed {
		v.fail("%s: %s %s for %v: nothing was lost (it presented %v)", v.name, f.Type, f.Reason, f.Channels, s.presented)
		return errBroken
	}
	for _, channel := range f.Channels {
		if !s.replaying[channel] {
			v.fail("%s: %s was refused, but presented no cursor", v.name, channel)
		}
		delete(s.replaying, channel)
		v.cursors[channel], v.jumped[channel] = f.EntryIDs[channel], true
		s.attach[channel] = serialOf(f.EntryIDs[channel])
		v.refused++
	}
	return nil
}

func (v *viewer) resync(s *session, f *frame) error {
	if !v.lossy || f.Reason != "client_backpressure" {
		v.fail("%s: %s %s for %v", v.name, f.Type, f.Reason, f.Channels)
		return errBroken
	}
	for _, channel := range f.Channels {
		v.cursors[channel], v.jumped[channel] = f.EntryIDs[channel], true
		v.refused++
	}
	return nil
}

func (v *viewer) complete(s *session, f *frame) error {
	if len(f.Channels) != len(s.replaying) || !s.expects {
		v.fail("%s: resume_complete for %v, want %v", v.name, f.Channels, s.replaying)
		return errBroken
	}
	for _, channel := range f.Channels {
		if !s.replaying[channel] || f.Replayed[channel] != s.replayed[channel] {
			v.fail("%s: resume_complete says %d of %s, %d came", v.name, f.Replayed[channel], channel, s.replayed[channel])
		}
		if at := serialOf(v.cursors[channel]); v.group < 0 && at != s.attach[channel] {
			v.fail("%s: the replay of %s ended at %d, not at %d", v.name, channel, at, s.attach[channel])
		}
	}
	clear(s.replaying)
	s.expects = false
	v.resumes++
	return nil
}

// data checks one entry: its order, its place, and the number in its payload.
func (v *viewer) data(s *session, f *frame) error {
	serial, was := serialOf(f.EntryID), serialOf(v.cursors[f.Channel])
	head, known := s.attach[f.Channel]
	switch {
	case !known:
		v.fail("%s: data of %s, which it does not follow", v.name, f.Channel)
		return errBroken
	case serial <= was:
		v.fail("%s: serial %d of %s after %d: seen twice, or out of order", v.name, serial, f.Channel, was)
		return errBroken
	case v.group < 0 && serial != was+1:
		v.fail("%s: serial %d of %s after %d: %d missed", v.name, serial, f.Channel, was, serial-was-1)
		return errBroken
	case s.replaying[f.Channel] && serial > head:
		v.fail("%s: live serial %d of %s before resume_complete (attached at %d)", v.name, serial, f.Channel, head)
		return errBroken
	case !s.replaying[f.Channel] && serial <= head:
		v.fail("%s: serial %d of %s after the replay (attached at %d)", v.name, serial, f.Channel, head)
		return errBroken
	case f.TS != timeOf(f.EntryID):
		v.fail("%s: ts %d of %s", v.name, f.TS, f.EntryID)
	}
	if s.replaying[f.Channel] {
		s.replayed[f.Channel]++
	}
	v.cursors[f.Channel] = f.EntryID
	v.frames++
	v.number(f, serial)
	return nil
}

// number checks that the payload is the next one: of all, or of those in the viewer's group.
func (v *viewer) number(f *frame, serial uint64) {
	n, last := f.Payload.N, v.last[f.Channel]
	want := last + 1
	if v.group >= 0 {
		for want%groups != uint64(v.group) {
			want++
		}
		if f.Payload.Group != v.group {
			v.fail("%s: a payload of group %d", v.name, f.Payload.Group)
		}
	}
	if !v.jumped[f.Channel] && n != want {
		v.fail("%s: payload %d of %s after %d, want %d", v.name, n, f.Channel, last, want)
	}
	delete(v.jumped, f.Channel)
	v.last[f.Channel] = n
	v.seen(v.epoch, f.Channel, serial, n)
	v.progress(f.Channel, n)
}

func timeOf(id string) int64 {
	text, _, _ := strings.Cut(id, "-")
	ms, _ := strconv.ParseInt(text, 10, 64)
	return ms
}

// readFrame reads one frame, of at most 16 MiB.
func readFrame(in io.Reader) (ws.Frame, error) {
	h, err := ws.ReadHeader(in)
	if err != nil {
		return ws.Frame{}, err
	}
	if h.Length > 16<<20 {
		return ws.Frame{}, fmt.Errorf("a frame of %d bytes", h.Length)
	}
	f := ws.Frame{Header: h, Payload: make([]byte, h.Length)}
	_, err = io.ReadFull(in, f.Payload)
	return f, err
}
