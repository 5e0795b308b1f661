package hub

import (
	"context"

	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/view"
)

// frames is what was made of an entry: one frame per encoder, and the message after the entry if an encoder needed it.
// It belongs to the topic's enc lock.
type frames struct {
	made  []made
	state *message.State
}

type made struct {
	enc   session.Encoder
	frame []byte // nil: not meant for this encoder
}

// frame gives the frame of an item for an encoder, made at most once; nil when the item is not meant for it. t.enc is
// held, and the states of the item were advanced if the encoder needs them.
func (t *topic) frame(enc session.Encoder, id stream.ID, item *hot) (frame []byte, fresh bool) {
	for _, m := range item.With.made {
		if m.enc == enc {
			return m.frame, false
		}
	}
	payload, ok := enc.Entry(nil, session.Delivery{Ref: t.ref, Stream: id, Entry: item.Entry, State: item.With.state})
	if ok {
		frame = t.hub.opts.Frame(enc.Binary(), payload)
	}
	item.With.made = append(item.With.made, made{enc, frame})
	return frame, ok
}

// plain gives the frame of an ephemeral entry.
func (t *topic) plain(enc session.Encoder, id stream.ID, e *stream.Entry) []byte {
	payload, ok := enc.Entry(nil, session.Delivery{Ref: t.ref, Stream: id, Entry: e})
	if !ok {
		return nil
	}
	return t.hub.opts.Frame(enc.Binary(), payload)
}

// maxStates bounds the messages whose newest state a topic keeps at hand.
const maxStates = 64

// states are messages as of one serial, so that the state after the next mutation costs one Apply instead of a read.
type states struct {
	upto     uint64
	id       stream.ID
	messages map[uint64]*message.State
}

// needsState reports whether the encoder needs the message's state for any of the items.
func needsState(enc session.Encoder, items []*hot) bool {
	for _, item := range items {
		if !item.Kind.Row() && item.With.state == nil && enc.State(item.Kind) {
			return true
		}
	}
	return false
}

// advance moves the states over contiguous items and notes at each mutation or annotation the message after it. t.enc
// is held.
func (s *states) advance(t *topic, id stream.ID, items []*hot) error {
	if len(items) == 0 || s.upto >= items[len(items)-1].Serial && s.id == id {
		return nil
	}
	if s.id != id || s.upto+1 != items[0].Serial || len(s.messages) > maxStates || s.messages == nil {
		s.messages = map[uint64]*message.State{}
	}
	s.id = id
	for _, item := range items {
		if err := s.step(t, item); err != nil {
			s.messages = nil
			return err
		}
		s.upto = item.Serial
	}
	return nil
}

func (s *states) step(t *topic, item *hot) error {
	e := item.Entry
	m := s.messages[e.Message]
	if m != nil && m.Apply(e) != nil {
		delete(s.messages, e.Message)
		m = nil
	}
	if e.Kind.Row() {
		return nil
	}
	if m == nil {
		read, _, err := view.Message(context.Background(), t.hub.opts.Store, t.ref, e.Message, e.Key, e.Serial)
		if err != nil {
			return err
		}
		m = &read
		s.messages[e.Message] = m
	}
	if item.With.state == nil {
		c := *m
		item.With.state = &c
	}
	return nil
}
