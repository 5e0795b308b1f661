package pusher

import (
	"strconv"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// member makes the frame of a presence entry. It never carries a position: those of a channel are of its messages.
func (e Encoder) member(dst []byte, d session.Delivery) ([]byte, bool) {
	entry := d.Entry
	if entry.Member == nil || entry.Event == "" {
		return dst, false
	}
	var name string
	switch entry.Event {
	case session.MemberAdded, session.MemberRemoved:
		name = entry.Event
	case session.MemberUpdated:
		if e.Protocol != V2 {
			return dst, false
		}
		name = "presence_update"
	default:
		return dst, false
	}
	f := frame{append(append(append(dst, `{"event":"`...), e.Protocol.internal()...), name...)}
	f.b = append(f.b, '"')
	f.channel(d.Ref.Channel)
	data := make([]byte, 0, 64+len(entry.Data.Bytes))
	data = envelope.AppendString(append(data, `{"user_id":`...), entry.Member.User)
	if entry.Event != session.MemberRemoved {
		data = append(data, `,"user_info":`...)
		data = append(data, infoOr(entry.Data, "{}")...)
	}
	f.text(append(data, '}'))
	if e.Protocol == V2 {
		f.b = envelope.AppendString(append(f.b, `,"message_id":`...), string(d.Stream))
		f.b = strconv.AppendUint(append(f.b[:len(f.b)-1], ':'), entry.Serial, 10)
		f.b = append(f.b, '"')
	}
	return append(f.b, '}'), true
}

// infoOr is a member's user_info, or what stands for none.
func infoOr(d stream.Data, none string) []byte {
	if d.Type == stream.JSON && len(d.Bytes) > 0 {
		return d.Bytes
	}
	return []byte(none)
}
