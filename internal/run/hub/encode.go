package hub

import (
	"context"

	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/view"
)

// frames is what was made of an entry: one frame per encoder, and the message after the entry if an encoder needed it.
// It belongs to the topic's enc lock, but for size.
type frames struct {
	made  []made
	state *message.State
	size  int // of the frames, as the topic has counted them in its cost; under the topic's mu
}

type made struct {
	enc   session.Encoder
	frame []byte // nil: not meant for this encoder
}

// frame gives the frame of an item for an encoder, made at most once; nil when the item is not meant for it. The item
// has the state that the encoder needs (see prepare). fresh says that a frame was made.
func (t *topic) frame(enc session.Encoder, id stream.ID, item *hot) (frame []byte, fresh bool) {
	t.enc.Lock()
	for _, m := range item.With.made {
		if m.enc == enc {
			t.enc.Unlock()
			return m.frame, false
		}
	}
	d := session.Delivery{Ref: t.ref, Stream: id, Entry: item.Entry}
	if !item.Kind.Row() && enc.State(item.Kind) {
		d.State = item.With.state
	}
	payload, ok := enc.Entry(nil, d)
	if ok {
		frame = t.hub.framed(enc, payload)
	}
	item.With.made = append(item.With.made, made{enc, frame})
	t.enc.Unlock()
	if ok {
		t.charge(item, len(frame))
	}
	return frame, ok
}

// plain gives the frame of an ephemeral entry.
func (t *topic) plain(enc session.Encoder, id stream.ID, e *stream.Entry) []byte {
	payload, ok := enc.Entry(nil, session.Delivery{Ref: t.ref, Stream: id, Entry: e})
	if !ok {
		return nil
	}
	return t.hub.framed(enc, payload)
}

// framer is an encoder that knows better than the hub how its payloads become frames: compressed, say. Like all that an
// encoder does, the frame is made once and shared by those who follow with an equal encoder.
type framer interface {
	session.Encoder
	Frame(payload []byte) []byte
	// Unwrap gives the encoder that makes the payloads.
	Unwrap() session.Encoder
}

// framed makes the frame of an encoder's payload.
func (h *Hub) framed(enc session.Encoder, payload []byte) []byte {
	if f, ok := enc.(framer); ok {
		return f.Frame(payload)
	}
	return h.opts.Frame(enc.Binary(), payload)
}

// prepare sees to it that each of the contiguous items has the state that the encoder needs. Followers that are behind
// pass nil for known and read what is missing; the turn keeps what it knows.
func (t *topic) prepare(enc session.Encoder, id stream.ID, items []*hot, known *states) error {
	if !t.lacksState(enc, items) {
		return nil
	}
	if known == nil {
		known = &states{}
	}
	return known.advance(t, id, items)
}

// lacksState reports whether the encoder needs the message's state for an item that has none.
func (t *topic) lacksState(enc session.Encoder, items []*hot) bool {
	t.enc.Lock()
	defer t.enc.Unlock()
	for _, item := range items {
		if !item.Kind.Row() && item.With.state == nil && enc.State(item.Kind) {
			return true
		}
	}
	return false
}

// The messages whose newest state a topic keeps at hand are bounded by number and by the bytes of their data.
const (
	maxStates     = 64
	maxStateBytes = 4 << 20
)

// states are messages as of one serial, so that the state after the next mutation costs one Apply instead of a read.
// They belong to one goroutine.
type states struct {
	upto     uint64
	id       stream.ID
	messages map[uint64]*message.State
	bytes    int // of their data
}

// advance moves the states over contiguous items and notes at each mutation or annotation the message after it.
func (s *states) advance(t *topic, id stream.ID, items []*hot) error {
	s.align(id, items)
	for _, item := range items {
		if err := s.step(t, item); err != nil {
			*s = states{}
			return err
		}
		s.upto = item.Serial
	}
	return nil
}

// pass moves the states that there are over items that no encoder needed them for.
func (s *states) pass(id stream.ID, items []*hot) {
	if len(s.messages) == 0 || len(items) == 0 || s.id == id && s.upto >= items[len(items)-1].Serial {
		return
	}
	s.align(id, items)
	for _, item := range items {
		if len(s.messages) == 0 {
			return
		}
		s.apply(item.Entry)
		s.upto = item.Serial
	}
}

// align forgets the states unless the items continue them.
func (s *states) align(id stream.ID, items []*hot) {
	if s.id != id || s.upto+1 != items[0].Serial || s.messages == nil {
		*s = states{id: id, messages: map[uint64]*message.State{}}
	}
}

// apply moves the message that e is about, if it is known.
func (s *states) apply(e *stream.Entry) *message.State {
	m := s.messages[e.Message]
	if m == nil {
		return nil
	}
	before := len(m.Data.Bytes)
	if m.Apply(e) != nil {
		s.bytes -= before
		delete(s.messages, e.Message)
		return nil
	}
	s.bytes += len(m.Data.Bytes) - before
	return m
}

// keep remembers a message in place of others.
func (s *states) keep(serial uint64, m *message.State) {
	for other, o := range s.messages {
		if len(s.messages) < maxStates && s.bytes+len(m.Data.Bytes) <= maxStateBytes {
			break
		}
		s.bytes -= len(o.Data.Bytes)
		delete(s.messages, other)
	}
	s.messages[serial] = m
	s.bytes += len(m.Data.Bytes)
}

func (s *states) step(t *topic, item *hot) error {
	e := item.Entry
	m := s.apply(e)
	if e.Kind.Row() {
		return nil
	}
	if m == nil {
		read, _, err := view.Message(context.Background(), t.hub.opts.Store, t.ref, e.Message, e.Key, e.Serial)
		if err != nil {
			return err
		}
		m = &read
		s.keep(e.Message, m)
	}
	t.enc.Lock()
	defer t.enc.Unlock()
	if item.With.state == nil {
		c := *m
		item.With.state = &c
	}
	return nil
}
