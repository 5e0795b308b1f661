package app

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
)

// Bounds of what an operator may choose.
const (
	maxIDBytes     = 128
	maxSecretBytes = 512
)

// checker collects faults with the configuration key of each.
type checker struct{ faults []*fault.Error }

func (c *checker) add(key, format string, args ...any) {
	c.faults = append(c.faults, fault.New(fault.Invalid, format, args...).In(key))
}

func (c *checker) err(key string, err error) {
	if err != nil {
		c.add(key, "%s", err.Error())
	}
}

func (c *checker) notNegative(key string, n int64) {
	if n < 0 {
		c.add(key, "%d is negative", n)
	}
}

// Validate finds everything that is wrong with the app. The Field of each fault is the configuration key below the
// app, such as "channels[2].retention.age".
func (a *App) Validate() []*fault.Error {
	c := &checker{}
	c.identifier("id", "id", a.ID)
	c.keys(a.Keys)
	for i, s := range a.Origins {
		_, err := parseOrigin(s)
		c.err(fmt.Sprintf("origins[%d]", i), err)
	}
	c.limits(a.Limits)
	c.notNegative("idempotency", int64(a.Idempotency))
	for i := range a.Policies {
		c.policy(fmt.Sprintf("channels[%d].", i), &a.Policies[i], a.Limits.Effective())
	}
	c.feedKeys(a.FeedKeys)
	c.rooms(a.Rooms)
	return c.faults
}

// identifier checks names that become part of URLs, signatures and store keys.
func (c *checker) identifier(key, what, s string) {
	switch {
	case s == "":
		c.add(key, "the %s is empty", what)
		return
	case len(s) > maxIDBytes:
		c.add(key, "the %s %s has %d bytes, more than the %d allowed", what, channel.Quote(s), len(s), maxIDBytes)
	}
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.') {
			c.add(key, "the %s %s has %q; allowed are A-Z a-z 0-9 - _ .", what, channel.Quote(s), r)
			return
		}
	}
}

func (c *checker) keys(keys []Key) {
	if len(keys) == 0 {
		c.add("keys", "the app has no key, so nobody can use it")
	}
	seen := map[string]int{}
	for i, k := range keys {
		at := fmt.Sprintf("keys[%d].", i)
		c.identifier(at+"key", "key", k.Key)
		if first, again := seen[k.Key]; again && k.Key != "" {
			c.add(at+"key", "the key %s is already keys[%d]", channel.Quote(k.Key), first)
		} else {
			seen[k.Key] = i
		}
		switch {
		case k.Secret == "":
			c.add(at+"secret", "the secret is empty")
		case len(k.Secret) > maxSecretBytes:
			c.add(at+"secret", "the secret has %d bytes, more than the %d allowed", len(k.Secret), maxSecretBytes)
		case strings.ContainsFunc(k.Secret, func(r rune) bool { return r < 0x21 || r == 0x7f }):
			c.add(at+"secret", "the secret has a space or a control character")
		}
	}
}

func (c *checker) limits(l Limits) {
	for _, f := range l.fields() {
		if *f.value < 0 || *f.value > f.max {
			c.add("limits."+f.key, "%d is out of range: 0 to %d", *f.value, f.max)
		}
	}
	if e := l.Effective(); e.FrameBytes < e.PayloadBytes {
		c.add("limits.frame_bytes", "frames of %d bytes cannot carry payloads of payload_bytes = %d", e.FrameBytes, e.PayloadBytes)
	}
}

// Shadowed finds policies that can never apply because an earlier pattern matches every name that theirs does. They
// do no harm, so that an app may have them; in a file they are a mistake.
func Shadowed(policies []Policy) []*fault.Error {
	c := &checker{}
	var earlier channel.Patterns
	var index []int
	for j := range policies {
		p, err := channel.ParsePattern(policies[j].Pattern)
		if err != nil {
			continue // reported by policy
		}
		// Pattern bytes never match a '*' of the other's text except through a '*', so matching the text is covering it.
		i := slices.IndexFunc(earlier, func(e channel.Pattern) bool { return e.Match(p.String()) })
		if i >= 0 {
			c.add(fmt.Sprintf("channels[%d].pattern", j), "the policy %q is never reached: channels[%d] (%q) comes first and matches all of its channels; move this one up, or remove it",
				p.String(), index[i], earlier[i].String())
		}
		earlier, index = append(earlier, p), append(index, j)
	}
	return c.faults
}

func (c *checker) feedKeys(keys []FeedKey) {
	ids, hashes := map[string]int{}, map[[32]byte]int{}
	for i, k := range keys {
		at := fmt.Sprintf("feed_keys[%d].", i)
		c.identifier(at+"id", "feed key id", k.ID)
		if first, again := ids[k.ID]; again {
			c.add(at+"id", "the id %s is already feed_keys[%d]", channel.Quote(k.ID), first)
		} else {
			ids[k.ID] = i
		}
		if k.SecretHash == ([32]byte{}) {
			c.add(at+"secret", "the feed key has neither secret nor secret_sha256")
		} else if first, again := hashes[k.SecretHash]; again {
			c.add(at+"secret", "the secret is the same as that of feed_keys[%d]", first)
		} else {
			hashes[k.SecretHash] = i
		}
		if len(k.Channels) == 0 {
			c.add(at+"channels", `the feed key is entitled to no channel; "*" entitles it to all`)
		}
		c.patterns(at+"channels", k.Channels)
		c.notNegative(at+"connections", int64(k.Connections))
	}
}

func (c *checker) patterns(key string, list []string) {
	for i, s := range list {
		_, err := channel.ParsePattern(s)
		c.err(fmt.Sprintf("%s[%d]", key, i), err)
	}
}

func (c *checker) rooms(r RoomsAuth) {
	if r.JWKSFile != "" && r.JWKSURL != "" {
		c.add("rooms.jwks_url", "jwks_url and jwks_file exclude each other")
	}
	if r.JWKSURL != "" && !webURL(r.JWKSURL) {
		c.add("rooms.jwks_url", "%s is not an http or https URL", channel.Quote(r.JWKSURL))
	}
}

func webURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}
