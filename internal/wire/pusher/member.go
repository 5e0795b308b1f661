package pusher

import (
	"strconv"

	"github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// member makes the frame of a presence entry: that a user came, left or changed. It never carries a position: those of a
// channel are of its messages.
func (e Encoder) member(dst []byte, d session.Delivery) ([]byte, bool) {
	entry := d.Entry
	change := presence.ChangeOf(entry)
	if change == presence.None || presence.IsQuiet(entry) || change == presence.Updated && e.Protocol != V2 {
		return dst, false
	}
	name := change.String()
	if change == presence.Updated {
		name = "presence_update"
	}
	f := frame{append(append(append(dst, `{"event":"`...), e.Protocol.internal()...), name...)}
	f.b = append(f.b, '"')
	f.channel(d.Ref.Channel)
	data := make([]byte, 0, 64+len(entry.Data.Bytes))
	data = envelope.AppendString(append(data, `{"user_id":`...), entry.Key)
	if change != presence.Removed {
		info := []byte("{}")
		if m, err := presence.Of(entry.Key, entry.Data); err == nil && len(m.Info) > 0 {
			info = m.Info
		}
		data = append(append(data, `,"user_info":`...), info...)
	}
	f.text(append(data, '}'))
	if e.Protocol == V2 {
		f.b = envelope.AppendString(append(f.b, `,"message_id":`...), string(d.Stream))
		f.b = strconv.AppendUint(append(f.b[:len(f.b)-1], ':'), entry.Serial, 10)
		f.b = append(f.b, '"')
	}
	return append(f.b, '}'), true
}
