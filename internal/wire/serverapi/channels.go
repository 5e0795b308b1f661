package serverapi

import (
	"unicode/utf8"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Occupancy is how many are in a channel; negative numbers are not shown.
type Occupancy struct {
	Channel            string
	Users, Subscribers int
}

// Cached is the last event of a cache channel.
type Cached struct {
	Data    stream.Data
	Seconds int // for which it is still remembered
}

func (o *Occupancy) append(dst []byte) []byte {
	if o.Users >= 0 {
		dst = appendNumber(dst, `,"user_count":`, o.Users)
	}
	if o.Subscribers >= 0 {
		dst = appendNumber(dst, `,"subscription_count":`, o.Subscribers)
	}
	return dst
}

// AppendChannels appends the answer to GET /apps/{app}/channels.
func AppendChannels(dst []byte, list []Occupancy) []byte {
	dst = append(dst, `{"channels":{`...)
	for i := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, "", list[i].Channel)
		dst = append(dst, ':', '{')
		start := len(dst)
		if dst = list[i].append(dst); len(dst) > start {
			dst = append(dst[:start], dst[start+1:]...)
		}
		dst = append(dst, '}')
	}
	return append(dst, '}', '}')
}

// AppendChannel appends the answer to GET /apps/{app}/channels/{channel}.
func AppendChannel(dst []byte, occupied bool, o *Occupancy, cached *Cached) []byte {
	dst = o.append(appendBool(dst, `{"occupied":`, occupied))
	if cached != nil {
		dst = AppendData(append(dst, `,"cache":{"data":`...), cached.Data, false)
		dst = append(appendNumber(dst, `,"ttl":`, cached.Seconds), '}')
	}
	return append(dst, '}')
}

// AppendUsers appends the answer to GET /apps/{app}/channels/{channel}/users.
func AppendUsers(dst []byte, users []string) []byte {
	dst = append(dst, `{"users":[`...)
	for i, u := range users {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendText(dst, `{"id":`, u), '}')
	}
	return append(dst, ']', '}')
}

// maxUser is the longest id of a user, in bytes.
const maxUser = 200

// CheckUser checks a user id of a path.
func CheckUser(id string) error {
	if len(id) > maxUser || !utf8.ValidString(id) {
		return fault.New(fault.Invalid, "the user id %s is longer than %d bytes, or not valid UTF-8", channel.Quote(id), maxUser).In("user_id")
	}
	return nil
}
