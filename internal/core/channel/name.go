// Package channel knows the names of channels: which are valid, what their prefixes mean and which patterns match them.
package channel

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/continuo-rt/continuo/internal/core/fault"
)

// DefaultMax is the longest channel name, in bytes, where nothing else is configured.
const DefaultMax = 200

// Prefixes that give a name its meaning. They count only at the very start of a name: "x-private-y" is public.
const (
	prefixPrivate   = "private-"
	prefixEncrypted = "private-encrypted-"
	prefixPresence  = "presence-"
	prefixCache     = "cache-"
	prefixUser      = "#server-to-user-"
	prefixMeta      = "[meta]"
)

// Kind says who may subscribe to a channel and how.
type Kind uint8

// The kinds. Whether a channel remembers its last event (Cache) is orthogonal to them.
const (
	Public    Kind = iota // anyone
	Private               // needs an auth string
	Encrypted             // private, and the server only relays ciphertext
	Presence              // private, and has members
	User                  // #server-to-user-ID: the connections that signed in as ID
)

var kindNames = [...]string{Public: "public", Private: "private", Encrypted: "encrypted", Presence: "presence", User: "user"}

// String names the kind, for logs and metrics.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// NeedsAuth reports whether a subscription needs a signed auth string. User channels need a sign-in instead.
func (k Kind) NeedsAuth() bool { return k == Private || k == Encrypted || k == Presence }

// ClientEvents reports whether subscribers may send client events at all: on private and presence channels, never on
// encrypted ones, since the server would relay plain text where everyone expects ciphertext.
func (k Kind) ClientEvents() bool { return k == Private || k == Presence }

// Name is a channel name that Parse found valid. The zero value names nothing. Names are comparable.
type Name struct {
	text  string
	kind  Kind
	cache bool
}

// Parse checks a channel name of at most max bytes (0: DefaultMax). Allowed are A-Z a-z 0-9 - _ = @ , ; . : #, and any
// name may contain ':'. The id of a #server-to-user-ID channel is a user id of the application's making, so it may be
// any UTF-8 without control characters, and the limit applies to it alone.
func Parse(s string, max int) (Name, error) {
	if max <= 0 {
		max = DefaultMax
	}
	if s == "" {
		return Name{}, fault.New(fault.Invalid, "the channel name is empty").In("channel")
	}
	if id, ok := strings.CutPrefix(s, prefixUser); ok {
		if err := checkUserID(id, max); err != nil {
			return Name{}, err
		}
		return Name{text: s, kind: User}, nil
	}
	if len(s) > max {
		return Name{}, fault.New(fault.Invalid, "the channel name %s has %d bytes, more than the %d allowed", Quote(s), len(s), max).In("channel")
	}
	if i := firstNot(s, &nameBytes); i >= 0 {
		return Name{}, badByte("channel name", s, i, "A-Z a-z 0-9 - _ = @ , ; . : #")
	}
	kind, cache := Classify(s)
	return Name{text: s, kind: kind, cache: cache}, nil
}

// Classify reads the kind and the cache flag off the prefix of a name that is known to be valid.
func Classify(s string) (kind Kind, cache bool) {
	switch {
	case strings.HasPrefix(s, prefixEncrypted):
		return Encrypted, strings.HasPrefix(s[len(prefixEncrypted):], prefixCache)
	case strings.HasPrefix(s, prefixPrivate):
		return Private, strings.HasPrefix(s[len(prefixPrivate):], prefixCache)
	case strings.HasPrefix(s, prefixPresence):
		return Presence, strings.HasPrefix(s[len(prefixPresence):], prefixCache)
	case strings.HasPrefix(s, prefixUser):
		return User, false
	}
	return Public, strings.HasPrefix(s, prefixCache)
}

// String is the name as it goes over the wire.
func (n Name) String() string { return n.text }

// Kind says who may subscribe.
func (n Name) Kind() Kind { return n.kind }

// Cache reports whether the channel remembers its last event for new subscribers.
func (n Name) Cache() bool { return n.cache }

// NeedsAuth reports whether a subscription needs a signed auth string.
func (n Name) NeedsAuth() bool { return n.kind.NeedsAuth() }

// Presence reports whether the channel has members.
func (n Name) Presence() bool { return n.kind == Presence }

// Encrypted reports whether payloads are end-to-end encrypted.
func (n Name) Encrypted() bool { return n.kind == Encrypted }

// ClientEvents reports whether subscribers may send client events at all; a policy may still forbid it.
func (n Name) ClientEvents() bool { return n.kind.ClientEvents() }

// ServerToUser gives the user id of a #server-to-user-ID channel.
func (n Name) ServerToUser() (id string, ok bool) {
	if n.kind != User {
		return "", false
	}
	return n.text[len(prefixUser):], true
}

// ForUser is the name of the channel that reaches one signed-in user.
func ForUser(id string) string { return prefixUser + id }

// Hidden reports whether a name never appears in channel listings: meta, wildcard and user channels.
func Hidden(s string) bool {
	return strings.HasPrefix(s, prefixMeta) || strings.HasPrefix(s, prefixUser) || strings.IndexByte(s, '*') >= 0
}

// Meta gives NAME of a [meta]NAME subscription (V2). NAME itself is still to be parsed.
func Meta(s string) (name string, ok bool) { return strings.CutPrefix(s, prefixMeta) }

// Wildcard reports whether a V2 subscription request is one for a pattern rather than for one channel.
func Wildcard(s string) bool {
	return strings.IndexByte(s, '*') >= 0 && !strings.HasPrefix(s, prefixUser) && !strings.HasPrefix(s, prefixMeta)
}

func checkUserID(id string, max int) error {
	switch {
	case id == "":
		return fault.New(fault.Invalid, "the channel name %q names no user", prefixUser).In("channel")
	case len(id) > max:
		return fault.New(fault.Invalid, "the user id of channel %s has %d bytes, more than the %d allowed", Quote(prefixUser+id), len(id), max).In("channel")
	case !utf8.ValidString(id):
		return fault.New(fault.Invalid, "the user id of channel %s is not valid UTF-8", Quote(prefixUser+id)).In("channel")
	}
	for i := range len(id) {
		if id[i] < 0x20 || id[i] == 0x7f {
			return fault.New(fault.Invalid, "the user id of channel %s has a control character at byte %d", Quote(prefixUser+id), i).In("channel")
		}
	}
	return nil
}

// quoteMax bounds how much of a rejected input an error message repeats.
const quoteMax = 60

// Quote shows untrusted input in a message: escaped, and cut when it is long.
func Quote(s string) string {
	if len(s) <= quoteMax {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprintf("%q…", s[:quoteMax])
}

func badByte(what, s string, i int, allowed string) error {
	r, size := utf8.DecodeRuneInString(s[i:])
	if r == utf8.RuneError && size <= 1 {
		return fault.New(fault.Invalid, "the %s %s has the byte 0x%02x at byte %d; allowed are %s", what, Quote(s), s[i], i, allowed).In("channel")
	}
	return fault.New(fault.Invalid, "the %s %s has %q at byte %d; allowed are %s", what, Quote(s), r, i, allowed).In("channel")
}

type byteSet [256]bool

var (
	nameBytes     = setOf("-_=@,;.:#")
	patternBytes  = setOf("-_=@,;.:#*")
	wildcardBytes = setOf("-_=@.:*")
)

func setOf(extra string) (set byteSet) {
	for c := byte('0'); c <= '9'; c++ {
		set[c] = true
	}
	for c := byte('a'); c <= 'z'; c++ {
		set[c], set[c-'a'+'A'] = true, true
	}
	for i := range len(extra) {
		set[extra[i]] = true
	}
	return set
}

func firstNot(s string, set *byteSet) int {
	for i := range len(s) {
		if !set[s[i]] {
			return i
		}
	}
	return -1
}

// NameByte reports whether c may stand in an ordinary channel name.
func NameByte(c byte) bool { return nameBytes[c] }
