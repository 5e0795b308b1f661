package pusher

import (
	"github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

var _ session.Encoder = Members{}

// Members makes the frames of a channel's presence log. Equal ones make equal bytes.
type Members struct{ Protocol Protocol }

// Binary implements session.Encoder: JSON is text.
func (e Members) Binary() bool { return false }

// Whole implements session.Encoder.
func (e Members) Whole() bool { return false }

// State implements session.Encoder: every entry carries its membership whole.
func (e Members) State(stream.Kind) bool { return false }

// Position implements session.Encoder: the positions of a channel are those of its messages.
func (e Members) Position([]byte, stream.Ref, stream.ID, uint64) []byte { return nil }

// Choose says what of a page a client is told that was behind: what came of it.
func (e Members) Choose(page []*stream.Entry) []bool { return presence.Net(page) }

// Entry implements session.Encoder: that a user came, left or changed.
func (e Members) Entry(dst []byte, d session.Delivery) (payload []byte, ok bool) {
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
		f.b = envelope.AppendString(append(f.b, `,"message_id":`...), entry.FrameID(d.Stream))
	}
	return append(f.b, '}'), true
}
