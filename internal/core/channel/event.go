package channel

import (
	"strings"
	"unicode/utf8"

	"github.com/continuo-rt/continuo/internal/core/fault"
)

// EventMax is the longest event name, in bytes, where nothing else is configured.
const EventMax = 200

// EventKind says who may send an event of a name.
type EventKind uint8

// The kinds of event names.
const (
	AppEvent      EventKind = iota // the application's own
	ClientEvent                    // client-…: sent by subscribers
	ProtocolEvent                  // pusher:, pusher_internal:, sockudo:, sockudo_internal: are the server's alone
)

const prefixClient = "client-"

var protocolPrefixes = [...]string{"pusher:", "pusher_internal:", "sockudo:", "sockudo_internal:"}

// ClassifyEvent reads the kind off an event name's prefix.
func ClassifyEvent(name string) EventKind {
	if strings.HasPrefix(name, prefixClient) {
		return ClientEvent
	}
	for _, p := range protocolPrefixes {
		if strings.HasPrefix(name, p) {
			return ProtocolEvent
		}
	}
	return AppEvent
}

// CheckPublish checks the event name of a publish by a backend: not empty, at most max bytes (0: EventMax), UTF-8 and
// not one of the protocol's own. A backend may send client-… events: it is trusted to speak for its clients.
func CheckPublish(name string, max int) error {
	if err := checkEvent(name, max); err != nil {
		return err
	}
	if ClassifyEvent(name) == ProtocolEvent {
		return fault.New(fault.Invalid, "the event name %s is reserved: names that begin with %s belong to the protocol",
			Quote(name), name[:strings.IndexByte(name, ':')+1]).In("name")
	}
	return nil
}

// CheckClient checks the event name of an event that a subscriber sends: as CheckPublish, and it must begin with
// "client-".
func CheckClient(name string, max int) error {
	if err := checkEvent(name, max); err != nil {
		return err
	}
	if ClassifyEvent(name) != ClientEvent {
		return fault.New(fault.Invalid, `the event name %s is not one that clients may send: it must begin with "client-"`, Quote(name)).In("event")
	}
	return nil
}

func checkEvent(name string, max int) error {
	if max <= 0 {
		max = EventMax
	}
	switch {
	case name == "":
		return fault.New(fault.Invalid, "the event name is empty").In("name")
	case len(name) > max:
		return fault.New(fault.Invalid, "the event name %s has %d bytes, more than the %d allowed", Quote(name), len(name), max).In("name")
	case !utf8.ValidString(name):
		return fault.New(fault.Invalid, "the event name %s is not valid UTF-8", Quote(name)).In("name")
	}
	return nil
}
