package pusher

import (
	"bytes"
	"strconv"

	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// headerPrefix begins the headers that are the server's own; a publisher's are left out.
const headerPrefix = "sockudo_"

// appendExtras appends the member extras: the publisher's, with the headers that say which version of which message
// this is.
func appendExtras(dst []byte, s *shown) []byte {
	dst = append(dst, `,"extras":{"headers":{`...)
	extras := extrasOf(s.extras)
	for name, v := range extras.Get("headers").Members() {
		if !bytes.HasPrefix(name, []byte(headerPrefix)) {
			dst = appendMember(dst, name, v)
			dst = append(dst, ',')
		}
	}
	dst = append(append(append(dst, `"sockudo_action":"message.`...), s.action...), `","sockudo_message_serial":"`...)
	dst = strconv.AppendUint(dst, s.message, 10)
	dst = strconv.AppendUint(append(dst, `","sockudo_version_serial":"`...), s.serial, 10)
	dst = strconv.AppendInt(append(dst, `","sockudo_version_timestamp_ms":`...), s.time, 10)
	dst = strconv.AppendUint(append(dst, `,"sockudo_history_serial":`...), s.message, 10)
	dst = append(dst, '}')
	for name, v := range extras.Members() {
		if string(name) != "headers" {
			dst = append(dst, ',')
			dst = appendMember(dst, name, v)
		}
	}
	return append(dst, '}')
}

// extrasOf checks stored extras anew: an entry may come from a face with other rules.
func extrasOf(stored []byte) envelope.Value {
	if len(stored) == 0 {
		return nil
	}
	v, err := envelope.Parse(stored)
	if err != nil {
		return nil
	}
	return v
}

func appendMember(dst, name []byte, v envelope.Value) []byte {
	dst = envelope.AppendString(dst, name)
	return append(append(dst, ':'), v...)
}
