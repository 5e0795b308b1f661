package serverapi

import (
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// AppendMessage appends the answer to GET …/messages/{serial} and GET …/keys/{key}.
func AppendMessage(dst []byte, name string, id stream.ID, s *message.State, values bool) []byte {
	dst = appendText(dst, `{"channel":`, name)
	dst = AppendItem(append(dst, `,"item":`...), &Item{Channel: name, Stream: id, State: s, Data: s.Data, Values: values, Versioned: true})
	return append(dst, '}')
}

// Versions is what a request for the versions of a message asks for.
type Versions struct {
	Channel     string
	Message     uint64
	Limit       int
	OldestFirst bool
	Values      bool
	// Cursor is the serial of the last version of the page before, 0 for the first page.
	Cursor uint64
}

// VersionParams are the query parameters of a list of versions.
var VersionParams = []string{"limit", "direction", "cursor", "data"}

// ParseVersions reads the parameters of a request for versions.
func ParseVersions(p *Params, name string, serial uint64, most int) (v Versions, err error) {
	v = Versions{Channel: name, Message: serial}
	if v.Limit, err = p.Limit(most); err != nil {
		return v, err
	}
	if v.OldestFirst, err = direction(p, false); err != nil {
		return v, err
	}
	if v.Cursor, _, err = p.Serial("cursor"); err != nil {
		return v, err
	}
	v.Values, err = p.Values()
	return v, err
}

// AppendVersions appends a page of versions, in the order that was asked for. next is the serial that the next page
// continues after.
func AppendVersions(dst []byte, v *Versions, id stream.ID, list []message.Version, more bool, next uint64) []byte {
	dst = appendText(dst, `{"channel":`, v.Channel)
	if v.OldestFirst {
		dst = append(dst, `,"direction":"oldest_first"`...)
	} else {
		dst = append(dst, `,"direction":"newest_first"`...)
	}
	dst = appendNumber(dst, `,"limit":`, v.Limit)
	dst = appendBool(dst, `,"has_more":`, more)
	if more {
		dst = appendNext(dst, itoa(next))
	} else {
		dst = appendNext(dst, "")
	}
	dst = append(dst, `,"items":[`...)
	for i := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendItem(dst, &Item{Channel: v.Channel, Stream: id, State: &list[i].State, Data: list[i].Shown(), Values: v.Values, Versioned: true})
	}
	return append(dst, ']', '}')
}
