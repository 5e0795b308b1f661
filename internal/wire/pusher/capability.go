package pusher

import (
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// capability is one thing that the user_data of a sign-in can confine to channels.
type capability uint8

const (
	capSubscribe capability = iota
	capPublish
	capHistory
	capPresence
	capCount
)

var capNames = [capCount]string{"subscribe", "publish", "history", "presence"}

// capabilities are the channels that each capability is confined to; one that is not given is not confined.
type capabilities struct {
	given    [capCount]bool
	patterns [capCount][]channel.Pattern
}

// maxPatterns bounds what is tried on every check.
const maxPatterns = 100

// may reports whether the user may do something on a channel.
func (u *user) may(c capability, name string) bool {
	if u.caps == nil || !u.caps.given[c] {
		return true
	}
	for _, p := range u.caps.patterns[c] {
		if p.Match(name) {
			return true
		}
	}
	return false
}

// parseCapabilities reads the member capabilities of user_data: an object of pattern lists.
func parseCapabilities(v envelope.Value) (c *capabilities, problem string) {
	if !v.Given() {
		return nil, ""
	}
	if v.Kind() != envelope.Object {
		return nil, "capabilities must be an object"
	}
	c = &capabilities{}
	for i, name := range capNames {
		list := v.Get(name)
		if !list.Given() {
			continue
		}
		if list.Kind() != envelope.Array {
			return nil, "capabilities." + name + " must be an array of channel patterns"
		}
		c.given[i] = true
		for item := range list.Items() {
			s, ok := item.Text()
			p, err := channel.ParsePattern(s)
			if !ok || err != nil || len(c.patterns[i]) >= maxPatterns {
				return nil, "capabilities." + name + " must be an array of at most 100 channel patterns"
			}
			c.patterns[i] = append(c.patterns[i], p)
		}
	}
	return c, ""
}
