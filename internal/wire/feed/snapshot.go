package feed

import (
	"strconv"

	"github.com/continuo-rt/continuo/internal/core/filter"
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// Snapshot is a page of a channel's state over HTTP.
type Snapshot struct {
	Channel string
	Epoch   string
	At      stream.EntryID // the position that it reflects
	Items   []message.State
	Filter  *filter.Set // what does not pass is left out; nil passes all
	Next    string      // cursor of the next page; empty: this is the last
}

// AppendSnapshot appends a page.
func AppendSnapshot(dst []byte, s *Snapshot) []byte {
	dst = envelope.AppendString(append(dst, `{"channel":`...), s.Channel)
	dst = envelope.AppendString(append(dst, `,"serverEpoch":`...), s.Epoch)
	dst = appendID(append(dst, `,"entryId":"`...), s.At)
	dst = append(dst, `","items":[`...)
	first := true
	for i := range s.Items {
		item := &s.Items[i]
		if !s.Filter.Match(item.Event, item.Data.Bytes) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendItem(dst, item)
	}
	dst = strconv.AppendBool(append(dst, `],"has_more":`...), s.Next != "")
	dst = append(dst, `,"next_cursor":`...)
	if s.Next == "" {
		return append(dst, "null}"...)
	}
	return append(envelope.AppendString(dst, s.Next), '}')
}

// appendItem shows a message as the newest data frame about it does.
func appendItem(dst []byte, s *message.State) []byte {
	if s.Key != "" {
		dst = envelope.AppendString(append(dst, `{"key":`...), s.Key)
	} else {
		dst = append(strconv.AppendUint(append(dst, `{"messageSerial":"`...), s.Message(), 10), '"')
	}
	f := frame{event: s.Event}
	if f.named() {
		dst = envelope.AppendString(append(dst, `,"event":`...), s.Event)
	}
	dst = append(appendID(append(dst, `,"entryId":"`...), s.ID()), '"')
	dst = strconv.AppendInt(append(dst, `,"ts":`...), s.Edit.Time, 10)
	return append(AppendPayload(append(dst, `,"payload":`...), s.Data), '}')
}
