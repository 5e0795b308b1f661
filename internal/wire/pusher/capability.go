package pusher

import (
	"strings"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// The capabilities that the socket itself is confined by.
const (
	capSubscribe = "subscribe"
	capPublish   = "publish"
	capHistory   = "history"
	capPresence  = "presence"
)

// common reports whether a capability is there unless it was confined.
func common(name string) bool {
	return name == capSubscribe || name == capPublish || name == capHistory || name == capPresence
}

// maxPatterns bounds what is tried on every check.
const maxPatterns = 100

// capabilities are the channels that the user_data of a sign-in gives each capability on. They are never changed.
type capabilities map[string][]channel.Pattern

// may reports whether the user may do something on a channel. A sign-in without capabilities gives all; one with some
// gives what it names, and the common ones that it does not name.
func (c capabilities) may(capability, name string) bool {
	if c == nil {
		return true
	}
	patterns, given := c[spell(capability)]
	if !given {
		return common(capability)
	}
	for _, p := range patterns {
		if p.Match(name) {
			return true
		}
	}
	return false
}

// capable is may for others, nil when there is nothing to ask.
func (c capabilities) capable() func(capability, name string) bool {
	if c == nil {
		return nil
	}
	return c.may
}

// spell makes one of the two spellings, message-update-own and message_update_own.
func spell(capability string) string { return strings.ReplaceAll(capability, "-", "_") }

// capabilitiesOf reads the member capabilities of user_data: an object of pattern lists.
func capabilitiesOf(v envelope.Value) (c capabilities, problem string) {
	if !v.Given() {
		return nil, ""
	}
	if v.Kind() != envelope.Object {
		return nil, "capabilities must be an object"
	}
	c = capabilities{}
	for name, list := range v.Members() {
		key := spell(string(name))
		if list.Kind() != envelope.Array || len(c) >= maxPatterns {
			return nil, "capabilities." + key + " must be an array of channel patterns"
		}
		patterns := []channel.Pattern{}
		for item := range list.Items() {
			s, ok := item.Text()
			p, err := channel.ParsePattern(s)
			if !ok || err != nil || len(patterns) >= maxPatterns {
				return nil, "capabilities." + key + " must be an array of at most 100 channel patterns"
			}
			patterns = append(patterns, p)
		}
		c[key] = patterns
	}
	return c, ""
}
