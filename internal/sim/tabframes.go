package sim

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// tabFrame is any frame of any face about members.
type tabFrame struct {
	incoming
	Kind        string
	Correlation string `json:"correlation_id"`
	Code        string
	Members     []struct {
		User string `json:"user_id"`
		Info json.RawMessage
	}
	Cut      bool            `json:"members_truncated"`
	Number   int             `json:"member_count"`
	Count    int             `json:"count"`
	Presence uint64          `json:"presence_id"`
	User     string          `json:"user_id"`
	Info     json.RawMessage `json:"info"`
}

// frame takes a frame; false ends the connection.
func (t *tab) frame(body []byte) bool {
	var f tabFrame
	if err := json.Unmarshal(body, &f); err != nil {
		t.world.hall.complain("%s was sent %q: %v", t.name, body, err)
		return false
	}
	t.world.hall.mu.Lock()
	defer t.world.hall.mu.Unlock()
	if t.face == faceRooms {
		return t.roomFrame(&f, body)
	}
	return t.pusherFrame(&f, body)
}

func (t *tab) pusherFrame(f *tabFrame, body []byte) bool {
	_, event, _ := strings.Cut(f.Event, ":")
	switch event {
	case "connection_established":
		var hello struct {
			Socket string `json:"socket_id"`
		}
		if !f.inner(&hello) {
			t.world.hall.complain("%s was greeted with %s", t.name, body)
		}
		t.socket = hello.Socket
		t.ask()
	case "ping":
		t.link.send(frameText, []byte(`{"event":"pusher:pong","data":{}}`))
	case "subscription_succeeded":
		return t.subscribed(f, body)
	case "member_added", "member_removed", "presence_update":
		var m struct {
			User string          `json:"user_id"`
			Info json.RawMessage `json:"user_info"`
		}
		if !f.inner(&m) || m.User == "" {
			t.world.hall.complain("%s was sent %s", t.name, body)
		}
		t.told(event, m.User, m.Info, body)
	default:
		t.world.hall.complain("%s was sent %s", t.name, body)
	}
	return true
}

// subscribed takes the list that answers a subscribe.
func (t *tab) subscribed(f *tabFrame, body []byte) bool {
	var data struct {
		Presence struct {
			IDs       []string
			Hash      map[string]json.RawMessage
			Count     int
			Truncated bool
		}
	}
	if !f.inner(&data) || t.state != entering {
		if t.state == entering {
			t.world.hall.complain("%s was answered %s", t.name, body)
		}
		return true // else it has left meanwhile
	}
	p := data.Presence
	t.list, t.whole, t.count = map[string]string{}, !p.Truncated, p.Count
	for user, info := range p.Hash {
		t.list[user] = string(info)
	}
	if !slices.Contains(p.IDs, t.user) || len(p.IDs) != len(p.Hash) || len(p.IDs) > p.Count || t.whole && len(p.IDs) != p.Count {
		t.world.hall.complain("%s was answered %s", t.name, body)
	}
	t.state = inside
	return true
}

func (t *tab) roomFrame(f *tabFrame, body []byte) bool {
	kind, event, _ := strings.Cut(f.Kind, ".")
	switch {
	case f.Kind == "server.hello":
		t.ask()
	case f.Kind == "room.joined":
		if t.state == entering && f.Correlation == fmt.Sprint(t.asked) {
			t.shown(f, body)
			t.state = inside
		}
	case f.Kind == "room.presence":
		if t.state == inside {
			t.shown(f, body)
		}
	case f.Kind == "room.left": // it was asked for: one that was not comes after an error
	case kind == "presence" && event == "changed":
		if t.state == inside {
			t.count = f.Count
		}
	case kind == "presence":
		t.told(map[string]string{"joined": "member_added", "left": "member_removed", "updated": "presence_update"}[event], f.User, f.Info, body)
	case f.Kind == "server.error":
		if f.Code != "unavailable" || time.Now().After(t.world.end.Add(time.Minute)) {
			t.world.hall.complain("%s was sent %s", t.name, body)
		}
		return false
	default:
		t.world.hall.complain("%s was sent %s", t.name, body)
	}
	return true
}

// shown takes a list with the serial at which it is true.
func (t *tab) shown(f *tabFrame, body []byte) {
	t.list, t.whole, t.count = map[string]string{}, !f.Cut, f.Number
	for _, m := range f.Members {
		t.list[m.User] = string(m.Info)
	}
	if f.Members == nil || len(t.list) != len(f.Members) || len(f.Members) > f.Number || t.whole && len(f.Members) != f.Number {
		t.world.hall.complain("%s was sent %s", t.name, body)
	}
	if t.whole && !t.server.degraded.Load() { // else the list may be ahead of the log
		t.world.hall.claims = append(t.world.hall.claims, claim{t.name, f.Presence, maps.Clone(t.list)})
	}
}

// told takes a transition.
func (t *tab) told(event, user string, info json.RawMessage, body []byte) {
	if t.state != inside {
		return
	}
	h := t.world.hall
	_, known := t.list[user]
	if t.whole && !t.server.degraded.Load() && h.policy.BroadcastLimit > maxGuests && known == (event == "member_added") {
		h.complain("%s, which shows %v, was sent %s", t.name, t.list, body)
	}
	switch event {
	case "member_removed":
		delete(t.list, user)
		t.count--
	case "member_added":
		t.count++
		t.list[user] = string(info)
	default:
		t.list[user] = string(info)
	}
}

// enter asks to be let in.
func (t *tab) enter() {
	t.world.hall.mu.Lock()
	defer t.world.hall.mu.Unlock()
	t.ask()
}

// ask is enter with the hall's lock held.
func (t *tab) ask() {
	t.state, t.doubt = entering, ""
	t.asked++
	if t.face == faceRooms {
		t.join(fmt.Sprint(t.asked))
		return
	}
	data := fmt.Sprintf(`{"user_id":%q,"user_info":%s}`, t.user, t.look())
	sign, err := t.world.key.SignChannel(t.socket, hallChannel, data)
	if err != nil {
		t.world.hall.complain("%s cannot be signed: %v", t.name, err)
	}
	t.link.send(frameText, fmt.Appendf(nil, `{"event":%q,"data":{"channel":%q,"auth":%q,"channel_data":%q}}`, t.prefix()+"subscribe", hallChannel, sign, data))
}

func (t *tab) join(correlation string) {
	mode := "enter"
	if t.watches {
		mode = "watch"
	}
	t.link.send(frameText, fmt.Appendf(nil, `{"kind":"client.join","room_id":%q,"presence":%q,"presence_data":%s,"correlation_id":%q}`,
		hallChannel, mode, t.look(), correlation))
}

// look is what the tab shows of its user.
func (t *tab) look() string { return fmt.Sprintf(`{"n":%d}`, t.looks) }

func (t *tab) prefix() string {
	if t.face == faceV2 {
		return "sockudo:"
	}
	return "pusher:"
}

// update changes what the tab shows, where the face can.
func (t *tab) update() {
	t.world.hall.mu.Lock()
	defer t.world.hall.mu.Unlock()
	if t.state != inside || t.watches || t.face == faceV1 {
		return
	}
	t.honest()
	t.looks = t.rnd.IntN(100)
	if t.face == faceRooms {
		t.join("update")
		return
	}
	t.link.send(frameText, fmt.Appendf(nil, `{"event":"sockudo:presence_update","data":{"channel":%q,"data":%s}}`, hallChannel, t.look()))
}

// leave goes out and stays connected; false if it was not inside.
func (t *tab) leave() bool {
	t.world.hall.mu.Lock()
	defer t.world.hall.mu.Unlock()
	if t.state != inside {
		return false
	}
	t.honest()
	t.state = outside
	if t.face == faceRooms {
		t.link.send(frameText, fmt.Appendf(nil, `{"kind":"client.leave","room_id":%q}`, hallChannel))
	} else {
		t.link.send(frameText, fmt.Appendf(nil, `{"event":%q,"data":{"channel":%q}}`, t.prefix()+"unsubscribe", hallChannel))
	}
	return true
}
