package serverapi

import (
	"bytes"

	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// Item shows one version of a message.
type Item struct {
	Channel string
	Stream  stream.ID
	State   *message.State
	Data    stream.Data // what is shown: the message's, or an append's fragment
	Values  bool        // JSON data as a value instead of a string
	// Versioned adds what makes the message addressable: action, serials, version, headers.
	Versioned bool
	// Plain keeps the event's own name, as on the wire; otherwise it is sockudo:message.<action>.
	Plain bool
}

// Action is what the newest version did, in the words of the API: a put creates its key's message or updates it.
func Action(s *message.State) string {
	if s.Edit.Kind == stream.Put {
		if s.Version > 1 {
			return stream.Update.String()
		}
		return stream.Create.String()
	}
	return s.Edit.Kind.String()
}

// AppendItem appends a message as a V2 frame with the members of its version.
func AppendItem(dst []byte, it *Item) []byte {
	s := it.State
	action := Action(s)
	if it.Plain {
		dst = appendText(dst, `{"event":`, s.Event)
	} else {
		dst = append(append(dst, `{"event":"sockudo:message.`...), action...)
		dst = append(dst, '"')
	}
	dst = appendText(dst, `,"channel":`, it.Channel)
	dst = it.data(dst)
	if !it.Plain && s.Event != "" {
		dst = appendText(dst, `,"name":`, s.Event)
	}
	if s.Edit.User != "" {
		dst = appendText(dst, `,"user_id":`, s.Edit.User)
	}
	if len(s.Tags) > 0 {
		dst = append(append(dst, `,"tags":`...), s.Tags...)
	}
	dst = appendFrameID(dst, s, it.Stream)
	dst = appendText(dst, `,"stream_id":`, it.Stream)
	dst = appendNumber(dst, `,"serial":`, s.Edit.Serial)
	if it.Versioned {
		dst = it.extras(dst, action)
		dst = it.version(dst, action)
	} else if len(s.Extras) > 0 {
		dst = append(append(dst, `,"extras":`...), s.Extras...)
	}
	return append(dst, '}')
}

func appendFrameID(dst []byte, s *message.State, id stream.ID) []byte {
	return appendText(dst, `,"message_id":`, s.FrameID(id))
}

// data appends the member data. A message that was published without data shows what subscribers were sent, null; one
// whose data was cleared has none.
func (it *Item) data(dst []byte) []byte {
	if it.Data.Type == stream.NoData {
		if !it.State.Edit.Kind.Row() {
			return dst
		}
		return AppendData(append(dst, `,"data":`...), stream.Data{Type: stream.JSON, Bytes: []byte("null")}, it.Values)
	}
	return AppendData(append(dst, `,"data":`...), it.Data, it.Values)
}

// AppendData appends data as a JSON string or, with values, as the value that it is: then a text that is a JSON object
// or array counts as one, any other text is a string.
func AppendData(dst []byte, d stream.Data, values bool) []byte {
	switch {
	case d.Type == stream.Bytes:
		return appendBase64(dst, d.Bytes)
	case !values:
		return envelope.AppendString(dst, d.Bytes)
	case d.Type == stream.JSON:
		return append(dst, d.Bytes...)
	}
	if t := bytes.TrimLeft(d.Bytes, " \t\r\n"); len(t) > 0 && (t[0] == '{' || t[0] == '[') {
		if v, err := envelope.Parse(d.Bytes); err == nil {
			return compact(dst, v)
		}
	}
	return envelope.AppendString(dst, d.Bytes)
}

// extras appends the publisher's extras with the headers by which clients recognise versions.
func (it *Item) extras(dst []byte, action string) []byte {
	s := it.State
	dst = append(dst, `,"extras":{"headers":{"sockudo_action":"message.`...)
	dst = append(dst, action...)
	dst = appendQuoted(dst, `","sockudo_message_serial":`, s.Message())
	dst = appendQuoted(dst, `,"sockudo_version_serial":`, s.Edit.Serial)
	dst = appendNumber(dst, `,"sockudo_version_timestamp_ms":`, s.Edit.Time)
	dst = appendNumber(dst, `,"sockudo_history_serial":`, s.Message())
	given := envelope.Value(s.Extras)
	for name, v := range given.Get("headers").Members() {
		if !bytes.HasPrefix(name, []byte(reservedHeader)) {
			dst = appendText(dst, ",", name)
			dst = append(append(dst, ':'), v...)
		}
	}
	dst = append(dst, '}')
	for name, v := range given.Members() {
		if string(name) != "headers" {
			dst = appendText(dst, ",", name)
			dst = append(append(dst, ':'), v...)
		}
	}
	return append(dst, '}')
}

func (it *Item) version(dst []byte, action string) []byte {
	s := it.State
	dst = append(append(append(dst, `,"action":"`...), action...), '"')
	if s.Key != "" {
		dst = appendText(dst, `,"key":`, s.Key)
	}
	dst = appendQuoted(dst, `,"message_serial":`, s.Message())
	dst = appendNumber(dst, `,"history_serial":`, s.Message())
	dst = appendNumber(dst, `,"delivery_serial":`, s.Edit.Serial)
	dst = appendQuoted(dst, `,"version":{"serial":`, s.Edit.Serial)
	dst = appendNumber(dst, `,"number":`, s.Version)
	if s.Edit.User != "" {
		dst = appendText(dst, `,"client_id":`, s.Edit.User)
	}
	dst = appendNumber(dst, `,"timestamp_ms":`, s.Edit.Time)
	if n := s.Edit.Note; n != nil {
		if n.Description != "" {
			dst = appendText(dst, `,"description":`, n.Description)
		}
		if len(n.Metadata) > 0 {
			dst = append(append(dst, `,"metadata":`...), n.Metadata...)
		}
	}
	dst = append(dst, '}')
	return appendAnnotations(dst, s.Annotations)
}

// appendAnnotations appends what the reactions to a message add up to; nothing when there are none.
func appendAnnotations(dst []byte, all message.Annotations) []byte {
	if len(all) == 0 {
		return dst
	}
	dst = append(dst, `,"annotations":{"summary":`...)
	return append(AppendSummary(dst, all), '}')
}

// AppendSummary appends the summaries of annotations by type and name.
func AppendSummary(dst []byte, all message.Annotations) []byte {
	dst = append(dst, '{')
	for i, sum := range all {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, "", sum.Type)
		dst = append(dst, ':', '{')
		for j, r := range sum.Names {
			if j > 0 {
				dst = append(dst, ',')
			}
			dst = appendText(dst, "", r.Name)
			dst = appendNumber(dst, `:{"total":`, len(r.Users))
			dst = append(dst, `,"clientIds":[`...)
			shown := r.Users[:min(len(r.Users), mostClients)]
			for k, u := range shown {
				if k > 0 {
					dst = append(dst, ',')
				}
				dst = appendText(dst, "", u)
			}
			dst = appendBool(dst, `],"clipped":`, len(shown) < len(r.Users))
			dst = append(dst, '}')
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// mostClients is how many users of one reaction are named.
const mostClients = 100
