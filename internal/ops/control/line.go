package control

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Line is one line of an export: an entry of a channel's log.
type Line struct {
	Channel string `json:"channel"`
	Serial  uint64 `json:"serial"`
	Time    int64  `json:"time_ms,omitempty"`
	Kind    string `json:"kind"`
	// Message is the serial of the create or first put that began the message, where that is another entry.
	Message uint64 `json:"message,omitempty"`
	Key     string `json:"key,omitempty"`
	Event   string `json:"event,omitempty"`

	// The data is in one of these, by its type; in none of them when there is none.
	Data   json.RawMessage `json:"data,omitempty"`
	Text   *string         `json:"text,omitempty"`
	Base64 []byte          `json:"base64,omitempty"`

	Tags   json.RawMessage `json:"tags,omitempty"`
	Extras json.RawMessage `json:"extras,omitempty"`
	User   string          `json:"user,omitempty"`
	Frame  string          `json:"frame,omitempty"`

	Set         []string        `json:"set,omitempty"`
	Clear       []string        `json:"clear,omitempty"`
	Description string          `json:"description,omitempty"`
	Metadata    json.RawMessage `json:"metadata,omitempty"`
	Annotation  *Annotation     `json:"annotation,omitempty"`
	// Folded marks a put that stands for everything that retention had folded of its key.
	Folded bool `json:"folded,omitempty"`
}

// Annotation is the subject of an annotate or unannotate line.
type Annotation struct {
	Type  string `json:"type"`
	Name  string `json:"name,omitempty"`
	Count uint32 `json:"count,omitempty"`
}

// LineOf writes an entry down.
func LineOf(channel string, e *stream.Entry) Line {
	l := Line{Channel: channel, Serial: e.Serial, Time: e.Time, Kind: e.Kind.String(), Key: e.Key, Event: e.Event, Tags: e.Tags,
		Extras: e.Extras, User: e.User, Frame: e.Frame, Set: fieldNames(e.Set), Clear: fieldNames(e.Clear)}
	if e.Message != e.Serial {
		l.Message = e.Message
	}
	l.data(e.Data)
	if e.Note != nil {
		l.Description, l.Metadata = e.Note.Description, e.Note.Metadata
	}
	if a := e.Annot; a != nil {
		l.Annotation = &Annotation{a.Type, a.Name, a.Count}
	}
	return l
}

// LineOfState writes down what retention has left of a key.
func LineOfState(channel string, s *message.State) Line {
	l := Line{Channel: channel, Serial: s.Edit.Serial, Time: s.Edit.Time, Kind: stream.Put.String(), Key: s.Key, Event: s.Event, Tags: s.Tags,
		Extras: s.Extras, User: s.Row.User, Folded: true}
	l.data(s.Data)
	return l
}

func (l *Line) data(d stream.Data) {
	switch {
	case d.Type == stream.JSON:
		l.Data = d.Bytes
	case d.Type == stream.Text && utf8.Valid(d.Bytes):
		text := string(d.Bytes)
		l.Text = &text
	case d.Type == stream.Bytes:
		l.Base64 = d.Bytes
	}
}

// Entry reads an entry back. Serials and times are allotted anew; a mutation names its target by key or by Message.
func (l *Line) Entry() (stream.Entry, error) {
	e := stream.Entry{Kind: kindOf(l.Kind), Key: l.Key, Event: l.Event, Tags: nothing(l.Tags), Extras: nothing(l.Extras), User: l.User, Frame: l.Frame}
	switch {
	case e.Kind == 0:
		return e, fault.New(fault.Invalid, "kind %q is none of create, put, update, append, delete, annotate and unannotate", l.Kind)
	case l.Channel == "":
		return e, fault.New(fault.Invalid, "channel is missing")
	case e.Kind == stream.Put && l.Key == "":
		return e, fault.New(fault.Invalid, "a put needs a key")
	case !e.Kind.Row() && l.Key == "" && l.Message == 0:
		return e, fault.New(fault.Invalid, "a line of kind %s needs the message that it changes, or its key", l.Kind)
	}
	switch {
	case l.Text != nil:
		e.Data = stream.Data{Type: stream.Text, Bytes: []byte(*l.Text)}
	case l.Base64 != nil:
		e.Data = stream.Data{Type: stream.Bytes, Bytes: l.Base64}
	case l.Data != nil:
		e.Data = stream.Data{Type: stream.JSON, Bytes: l.Data}
	}
	if !e.Kind.Row() && l.Key == "" {
		e.Message = l.Message
	}
	if l.Description != "" || l.Metadata != nil {
		e.Note = &stream.Note{Description: l.Description, Metadata: l.Metadata}
	}
	if a := l.Annotation; a != nil {
		e.Annot = &stream.Annotation{Type: a.Type, Name: a.Name, Count: a.Count}
	} else if e.Kind == stream.Annotate || e.Kind == stream.Unannotate {
		return e, fault.New(fault.Invalid, "annotation is missing")
	}
	var err error
	if e.Set, err = fieldsOf(l.Set); err == nil {
		e.Clear, err = fieldsOf(l.Clear)
	}
	return e, err
}

func nothing(raw json.RawMessage) []byte {
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return nil
	}
	return raw
}

func kindOf(name string) stream.Kind {
	for k := stream.Create; k <= stream.Unannotate; k++ {
		if k.String() == name {
			return k
		}
	}
	return 0
}

var fields = []struct {
	name  string
	field stream.Fields
}{{"name", stream.FieldName}, {"data", stream.FieldData}, {"extras", stream.FieldExtras}}

func fieldNames(f stream.Fields) (names []string) {
	for _, one := range fields {
		if f&one.field != 0 {
			names = append(names, one.name)
		}
	}
	return names
}

func fieldsOf(names []string) (f stream.Fields, err error) {
next:
	for _, name := range names {
		for _, one := range fields {
			if one.name == name {
				f |= one.field
				continue next
			}
		}
		return 0, fault.New(fault.Invalid, "%q is none of the fields name, data and extras", name)
	}
	return f, nil
}
