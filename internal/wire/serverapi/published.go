package serverapi

import "github.com/continuo-rt/continuo/internal/core/stream"

// Told is what the answer to a publish says about one channel.
type Told struct {
	Channel string
	Result  stream.Result
	// Users and Subscribers are shown if Info asks for them; a negative number is not shown.
	Users, Subscribers int
}

// AppendPublished appends the answer to a publish: {} when nothing was asked.
func AppendPublished(dst []byte, e *Event, told []Told) []byte {
	if !e.Asks() {
		return append(dst, '{', '}')
	}
	dst = append(dst, `{"channels":{`...)
	for i := range told {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, "", told[i].Channel)
		dst = append(dst, ':')
		dst = appendTold(dst, e, &told[i])
	}
	return append(dst, '}', '}')
}

// AppendBatch appends the answer to a batch: {} when no event asked for anything. told has one element for each event.
func AppendBatch(dst []byte, events []Event, told []Told) []byte {
	asked := false
	for i := range events {
		asked = asked || events[i].Asks()
	}
	if !asked {
		return append(dst, '{', '}')
	}
	dst = append(dst, `{"batch":[`...)
	for i := range events {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendTold(dst, &events[i], &told[i])
	}
	return append(dst, ']', '}')
}

// Asks reports whether the answer tells anything.
func (e *Event) Asks() bool { return e.Info != 0 || e.MessageID != "" }

// Positioned reports whether the answer names a serial, so that it has to wait until the entry is visible.
func (e *Event) Positioned() bool { return e.Info&WithPosition != 0 || e.MessageID != "" }

func appendTold(dst []byte, e *Event, t *Told) []byte {
	dst = append(dst, '{')
	start := len(dst)
	logged := t.Result.Entry.Serial != 0
	if e.MessageID != "" {
		dst = appendText(dst, `,"acknowledgement_id":`, e.MessageID)
		if logged {
			dst = appendQuoted(dst, `,"message_serial":`, t.Result.Message)
			dst = appendNumber(dst, `,"history_serial":`, t.Result.Message)
			dst = appendNumber(dst, `,"delivery_serial":`, t.Result.Entry.Serial)
			dst = appendQuoted(dst, `,"version_serial":`, t.Result.Entry.Serial)
		}
	}
	if e.Info&WithPosition != 0 && logged {
		dst = appendText(dst, `,"stream_id":`, t.Result.Stream)
		dst = appendNumber(dst, `,"serial":`, t.Result.Entry.Serial)
		dst = appendEntryID(dst, `,"entry_id":`, t.Result.Entry)
		if e.MessageID == "" {
			dst = appendQuoted(dst, `,"message_serial":`, t.Result.Message)
		}
		dst = appendNumber(dst, `,"version":`, t.Result.Version)
	}
	if e.Info&UserCount != 0 && t.Users >= 0 {
		dst = appendNumber(dst, `,"user_count":`, t.Users)
	}
	if e.Info&SubscriptionCount != 0 && t.Subscribers >= 0 {
		dst = appendNumber(dst, `,"subscription_count":`, t.Subscribers)
	}
	if len(dst) > start { // the first member has no comma before it
		dst = append(dst[:start], dst[start+1:]...)
	}
	return append(dst, '}')
}
