package auth

import (
	"strings"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
)

// Right is a set of things that a grant allows on a channel.
type Right uint32

// The rights, in the words of the rooms tokens.
const (
	Join      Right = 1 << iota // subscribe and follow
	Send                        // publish messages and client events
	History                     // read the log and its snapshots
	Presence                    // enter, and see the members
	EditOwn                     // update or append to one's own messages
	EditAny                     // … to anyone's
	DeleteOwn                   // delete one's own messages
	DeleteAny                   // … anyone's
	React                       // add and take back reactions
	rightsEnd
)

// All is every right.
const All = rightsEnd - 1

var rightNames = [...]string{"join", "send", "history", "presence", "edit_own", "edit_any", "delete_own", "delete_any", "react"}

// ParseRight reads one right by its name.
func ParseRight(s string) (Right, error) {
	for i, name := range rightNames {
		if s == name {
			return 1 << i, nil
		}
	}
	return 0, fault.New(fault.Invalid, "there is no right called %s; there are %s", channel.Quote(s), strings.Join(rightNames[:], ", "))
}

// ParseRights reads a list of rights. An unknown one is refused: a right that was misspelt must not vanish silently.
func ParseRights(list []string) (Right, error) {
	var all Right
	for _, s := range list {
		r, err := ParseRight(s)
		if err != nil {
			return 0, err
		}
		all |= r
	}
	return all, nil
}

// Names lists the rights of the set.
func (r Right) Names() []string {
	var names []string
	for i, name := range rightNames {
		if r&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// String is the names, joined by commas.
func (r Right) String() string { return strings.Join(r.Names(), ",") }
