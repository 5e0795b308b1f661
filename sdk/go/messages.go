package continuo

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/continuo-rt/continuo/sdk/go/wire"
)

// Message is a message as it is now.
type Message struct {
	MessageID  string           `json:"message_id"`
	EventID    int64            `json:"event_id"` // where its row is in the room's log
	Sender     string           `json:"sender,omitempty"`
	TS         int64            `json:"ts"`
	Text       *string          `json:"text,omitempty"`
	Payload    json.RawMessage  `json:"payload,omitempty"`
	Event      string           `json:"event,omitempty"`
	Key        string           `json:"key,omitempty"`
	Version    int64            `json:"version"`
	EditedTS   int64            `json:"edited_ts,omitempty"`
	Counts     map[string]int64 `json:"counts,omitempty"`
	Incomplete bool             `json:"incomplete,omitempty"` // a change was missed: the text is not known until it comes whole
}

// MessageList folds the events of a room, snapshots and pages of history into the list of messages that there are. The
// zero value is an empty list. It is not safe for use by many goroutines at once.
type MessageList struct {
	list   []Message        // in order of their ids
	passed map[string]int64 // versions of messages that are not in the list; gone: deleted
}

const gone = -1

// All returns the messages in order of their ids. The list is the caller's.
func (l *MessageList) All() []Message { return slices.Clone(l.list) }

// Len returns how many messages there are.
func (l *MessageList) Len() int { return len(l.list) }

// Apply changes the list by an event, a snapshot (an event of kind "room.snapshot") or a page of history. What is about
// something else changes nothing.
func (l *MessageList) Apply(e *Event) {
	switch e.Kind {
	case wire.Message:
		l.enter(e)
	case wire.Update:
		l.change(e, func(m *Message) { m.update(e) })
	case wire.Append:
		l.change(e, func(m *Message) { m.append(e) })
	case wire.Delete:
		if at, ok := l.find(e.MessageID); ok {
			l.list = slices.Delete(l.list, at, at+1)
		}
		l.pass(e.MessageID, gone)
	case wire.Reactions:
		if at, ok := l.find(e.MessageID); ok {
			l.list[at].Counts = some(e.Counts)
		}
	case wire.Snapshot:
		l.list, l.passed = nil, nil
		l.page(e.Items)
	case wire.History:
		l.page(e.Items)
	}
}

func (l *MessageList) page(items []*Event) {
	for _, item := range items {
		if item.Kind == wire.Message {
			l.enter(item)
		}
	}
}

// find returns where a message is, or would be.
func (l *MessageList) find(id string) (int, bool) {
	return slices.BinarySearchFunc(l.list, id, func(m Message, id string) int { return compareIDs(m.MessageID, id) })
}

// compareIDs orders ids as numbers.
func compareIDs(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }

func (l *MessageList) pass(id string, version int64) {
	if l.passed == nil {
		l.passed = map[string]int64{}
	}
	if old, ok := l.passed[id]; !ok || version == gone || old != gone && old < version {
		l.passed[id] = version
	}
}

func (l *MessageList) enter(e *Event) {
	if e.MessageID == "" || l.passed[e.MessageID] == gone {
		return
	}
	m := Message{MessageID: e.MessageID, EventID: e.EventID, Sender: e.Sender, TS: e.TS, Text: e.Text, Payload: e.Payload, Event: e.Event,
		Key: e.Key, Version: max(1, e.Version), EditedTS: e.EditedTS, Counts: some(e.Counts)}
	at, ok := l.find(m.MessageID)
	if !ok {
		if passed := l.passed[m.MessageID]; passed > m.Version {
			m.Version, m.Incomplete = passed, true
		}
		delete(l.passed, m.MessageID)
		l.list = slices.Insert(l.list, at, m)
		return
	}
	old := &l.list[at]
	if m.Version < old.Version || m.Version == old.Version && !old.Incomplete {
		return
	}
	if m.Counts == nil {
		m.Counts = old.Counts
	}
	*old = m
}

// change applies a change to a message, or remembers that it has passed.
func (l *MessageList) change(e *Event, apply func(*Message)) {
	at, ok := l.find(e.MessageID)
	switch {
	case !ok:
		l.pass(e.MessageID, e.Version)
	case e.Version > l.list[at].Version:
		apply(&l.list[at])
		l.list[at].Version, l.list[at].EditedTS = e.Version, e.TS
	}
}

func (m *Message) update(e *Event) {
	m.Text, m.Payload, m.Incomplete = e.Text, e.Payload, false
	if e.Event != "" {
		m.Event = e.Event
	}
}

func (m *Message) append(e *Event) {
	if m.Incomplete || e.Version > m.Version+1 || e.Text == nil {
		m.Incomplete = true
		return
	}
	text := *e.Text
	if m.Text != nil {
		text = *m.Text + text
	}
	m.Text = &text
}

func some(counts map[string]int64) map[string]int64 {
	if len(counts) == 0 {
		return nil
	}
	return counts
}
