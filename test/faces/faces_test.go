package faces

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

const (
	messages = 1000
	missed   = 100 // while those who follow are away
)

// TestAllFacesOnOneChannel publishes 1,000 messages, alternately by the server API, by a send of the rooms protocol and by
// a client event of the Pusher protocol, with puts, edits, appends, deletes and reactions among them, while clients of
// every protocol follow. In the middle each of them is cut and comes back. Each sees what its protocol defines of the one
// log that there is, in its order: nothing else, nothing twice and, where the protocol knows a past, nothing less.
func TestAllFacesOnOneChannel(t *testing.T) {
	w := start(t)
	all := map[string]*follower{
		"V1":          w.follow("V1", &pusher{w: w, version: 1}),
		"V2":          w.follow("V2", &pusher{w: w, version: 2}),
		"feed":        w.follow("feed", &feedClient{w: w}),
		"feed binary": w.follow("feed binary", &feedClient{w: w, binary: true}),
		"rooms":       w.follow("rooms", &room{w: w}),
	}
	pub := newPublisher(w)
	for i := range messages {
		pub.publish(i)
		switch i {
		case messages / 2:
			for _, f := range all {
				f.cut()
			}
		case messages/2 + missed:
			close(w.back)
		}
	}
	w.call("POST", "/apps/app/events", map[string]any{"name": "end", "channel": channel, "data": lastWord}, nil)
	for _, f := range all {
		<-f.done
	}
	if t.Failed() {
		return
	}
	log := w.log()
	w.compare("rooms", all["rooms"].notes, asRooms(w, log))
	w.compare("V2", all["V2"].notes, asV2(w, log))
	for _, name := range []string{"feed", "feed binary"} {
		w.compareFeed(name, all[name], asFeed(w, log))
	}
	w.compareV1(all["V1"], log)
	w.compareHistory(log)
	rows, changes := 0, 0
	for _, e := range log {
		if e.Kind.Row() {
			rows++
		} else {
			changes++
		}
	}
	t.Logf("summary: faces: %d messages and %d changes on one channel; seen by V1 %d, V2 %d, feed %d and %d, rooms %d; each was cut and came back",
		rows, changes, len(all["V1"].notes), len(all["V2"].notes), len(all["feed"].notes), len(all["feed binary"].notes), len(all["rooms"].notes))
}

// publisher publishes by three protocols in turn.
type publisher struct {
	*world
	v1    *socket
	rooms *socket
	ids   []string // of messages that may be changed, all texts
}

func newPublisher(w *world) *publisher {
	p := &publisher{world: w}
	v1 := &pusher{w: w, version: 1}
	var err error
	if p.v1, err = v1.begin(); err != nil {
		w.Fatal(err)
	}
	if p.rooms, err = (&room{w: w}).begin(); err != nil {
		w.Fatal(err)
	}
	go func() { // what others say is not looked at
		for {
			if _, _, err := p.v1.read(); err != nil {
				return
			}
		}
	}()
	w.Cleanup(func() { _, _ = p.v1.Close(), p.rooms.Close() })
	return p
}

func (p *publisher) publish(i int) {
	p.Helper()
	text := "message " + strconv.Itoa(i)
	switch i % 3 {
	case 0:
		p.byServer(i, text)
	case 1:
		p.ids = append(p.ids, p.ask(map[string]any{"kind": "chat.send", "room_id": channel, "text": text}).Message)
	case 2:
		if err := p.v1.send(map[string]any{"event": "client-said", "channel": channel, "data": map[string]int{"n": i}}); err != nil {
			p.Fatal(err)
		}
	}
	if i%4 == 3 && len(p.ids) > 5 {
		p.change(i, p.ids[len(p.ids)-1-i%5])
	}
}

// byServer publishes over HTTP: every fourth time the put of one of a few keys.
func (p *publisher) byServer(i int, text string) {
	p.Helper()
	body := map[string]any{"name": "said", "channel": channel, "data": text, "info": "position"}
	if i%12 == 0 {
		body["key"], body["data"] = "key-"+strconv.Itoa(i%5), map[string]any{"price": i}
	}
	var answer struct {
		Channels map[string]struct {
			Message string `json:"message_serial"`
		}
	}
	p.call("POST", "/apps/app/events", body, &answer)
	if i%12 != 0 {
		p.ids = append(p.ids, answer.Channels[channel].Message)
	}
}

// change changes a message, by the server API or by the rooms protocol.
func (p *publisher) change(i int, id string) {
	p.Helper()
	base := "/apps/app/channels/" + channel + "/messages/" + id
	switch i / 4 % 7 {
	case 0:
		p.call("POST", base+"/update", map[string]any{"data": "edited " + strconv.Itoa(i)}, nil)
	case 1:
		p.ask(map[string]any{"kind": "message.update", "room_id": channel, "message_id": id, "text": "edited " + strconv.Itoa(i)})
	case 2:
		for k := range 3 { // a run of appends: followers that take whole payloads may get the last alone
			p.call("POST", base+"/append", map[string]any{"data": fmt.Sprintf("+%d", k)}, nil)
		}
	case 3:
		p.ask(map[string]any{"kind": "message.append", "room_id": channel, "message_id": id, "text": " more"})
	case 4:
		p.ask(map[string]any{"kind": "message.react", "room_id": channel, "message_id": id, "name": "like"})
	case 5:
		p.call("POST", base+"/delete", map[string]any{}, nil)
		p.forget(id)
	case 6:
		p.ask(map[string]any{"kind": "message.delete", "room_id": channel, "message_id": id})
		p.forget(id)
	}
}

func (p *publisher) forget(id string) {
	kept := p.ids[:0]
	for _, one := range p.ids {
		if one != id {
			kept = append(kept, one)
		}
	}
	p.ids = kept
}

// ask makes a request of the rooms protocol and waits for its answer.
func (p *publisher) ask(frame map[string]any) roomFrame {
	p.Helper()
	frame["correlation_id"] = "asked"
	if err := p.rooms.send(frame); err != nil {
		p.Fatal(err)
	}
	for {
		raw, _, err := p.rooms.read()
		if err != nil {
			p.Fatal(err)
		}
		var f roomFrame
		if err := json.Unmarshal(raw, &f); err != nil {
			p.Fatal(err)
		}
		if f.Correlation == "asked" {
			if f.Kind == "server.error" {
				p.Fatalf("%v: %s", frame, raw)
			}
			return f
		}
	}
}

// fold gives the message after each entry.
func fold(w *world, log []*stream.Entry) []message.State {
	w.Helper()
	states := map[uint64]*message.State{}
	out := make([]message.State, len(log))
	for i, e := range log {
		s := states[e.Message]
		if s == nil {
			s = &message.State{}
			states[e.Message] = s
		}
		if err := s.Apply(e); err != nil {
			w.Fatal(err)
		}
		out[i] = s.Clone()
	}
	return out
}

func asRooms(w *world, log []*stream.Entry) (want []note) {
	states := fold(w, log)
	for i, e := range log {
		n := note{serial: e.Serial, what: "chat.message", data: string(e.Data.Bytes)}
		switch {
		case e.Kind.Mutation():
			n.what = "message." + e.Kind.String()
			if e.Kind == stream.Delete {
				n.data = ""
			}
		case !e.Kind.Row():
			counts := map[string]int{}
			for _, r := range states[i].Annotations.Of("reactions:distinct.v1") {
				counts[r.Name] = len(r.Users)
			}
			raw, _ := json.Marshal(counts)
			n.what, n.data = "message.reactions", string(raw)
		}
		want = append(want, n)
	}
	return want
}

func asV2(w *world, log []*stream.Entry) (want []note) {
	states := fold(w, log)
	for i, e := range log {
		n := note{serial: e.Serial, what: e.Event, data: string(e.Data.Bytes)}
		switch {
		case e.Kind.Mutation():
			n.what = "sockudo:message." + e.Kind.String()
			if e.Kind != stream.Append {
				n.data = string(states[i].Data.Bytes)
			}
		case !e.Kind.Row():
			continue
		}
		want = append(want, n)
	}
	return want
}

func asFeed(w *world, log []*stream.Entry) (want []note) {
	states := fold(w, log)
	for i, e := range log {
		n := note{serial: e.Serial, what: "UPDATE", data: string(states[i].Data.Bytes)}
		switch {
		case e.Kind == stream.Delete:
			n.what, n.data = "DELETE", ""
		case !e.Kind.Row() && !e.Kind.Mutation():
			continue
		}
		want = append(want, n)
	}
	return want
}

func (w *world) compare(name string, got, want []note) {
	w.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			w.Errorf("%s: frame %d is %+v, want %+v", name, i, got[i], want[i])
			return
		}
	}
	if len(got) != len(want) {
		w.Errorf("%s: %d frames, want %d", name, len(got), len(want))
	}
}

// compareFeed allows that of consecutive appends to one message the last alone was replayed.
func (w *world) compareFeed(name string, f *follower, want []note) {
	w.Helper()
	at := 0
	for i, n := range f.notes {
		for at < len(want) && want[at].serial != n.serial && i >= f.back && want[at].what == "UPDATE" && at+1 < len(want) &&
			want[at+1].serial == want[at].serial+1 && len(want[at+1].data) > len(want[at].data) {
			at++
		}
		if at == len(want) || want[at] != n {
			w.Errorf("%s: frame %d is %+v, want %+v", name, i, n, want[min(at, len(want)-1)])
			return
		}
		at++
	}
	if at != len(want) {
		w.Errorf("%s: %d frames of %d", name, at, len(want))
	}
}

// compareV1 allows the one gap that a client without a past has: between its cut and its return.
func (w *world) compareV1(f *follower, log []*stream.Entry) {
	w.Helper()
	var want []note
	for _, e := range log {
		if e.Kind.Row() {
			want = append(want, note{what: e.Event, data: string(e.Data.Bytes)})
		}
	}
	missed := len(want) - len(f.notes)
	if missed < 50 || f.back > len(f.notes) {
		w.Fatalf("V1: %d frames of %d", len(f.notes), len(want))
	}
	w.compare("V1 before its cut", f.notes[:f.back], want[:f.back])
	w.compare("V1 after it came back", f.notes[f.back:], want[f.back+missed:])
}

// compareHistory reads the whole history by pages: a row for each create and put, as it is visible now.
func (w *world) compareHistory(log []*stream.Entry) {
	w.Helper()
	rows, err := message.Rows(log)
	if err != nil {
		w.Fatal(err)
	}
	path := "/apps/app/channels/" + channel + "/history?direction=oldest_first&limit=77"
	at := 0
	for next := ""; ; {
		var page struct {
			Items []struct {
				Serial  uint64
				Message struct{ Data json.RawMessage }
			}
			More bool   `json:"has_more"`
			Next string `json:"next_cursor"`
		}
		w.call("GET", path+next, nil, &page)
		for _, item := range page.Items {
			if at >= len(rows) || item.Serial != rows[at].Row.Serial || !rows[at].Deleted() && plain(item.Message.Data) != string(rows[at].Data.Bytes) {
				w.Fatalf("history: row %d is %d %s", at, item.Serial, item.Message.Data)
			}
			at++
		}
		if !page.More {
			break
		}
		next = "&cursor=" + url.QueryEscape(page.Next)
	}
	if at != len(rows) {
		w.Errorf("history: %d rows, want %d", at, len(rows))
	}
}
