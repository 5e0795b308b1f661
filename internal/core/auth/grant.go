// Package auth proves credentials: signatures, secrets and tokens go in, a Grant comes out, and nothing else makes one.
package auth

import (
	"time"

	"github.com/continuo-rt/continuo/internal/core/channel"
)

// Kind is the kind of credential that a Grant was made from.
type Kind uint8

// The kinds of credentials.
const (
	Nothing   Kind = iota // the zero Grant: nothing was proven
	Anonymous             // no credential; what the policy gives to everyone
	Signature             // a signed HTTP request
	Bearer                // key and secret of an app
	Channel               // a signed auth string for one channel and one connection
	User                  // a signed sign-in of one connection
	Token                 // a signed token (JWT)
	FeedKey               // an API key of the feed face
	AppKey                // development mode alone: the public app key, which proves nothing
)

var kindNames = [...]string{
	Nothing: "nothing", Anonymous: "anonymous", Signature: "signature", Bearer: "bearer", Channel: "channel",
	User: "user", Token: "token", FeedKey: "feed_key", AppKey: "app_key",
}

// String names the kind, for logs and metrics.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Grant is what a credential proved: for which app it speaks, for whom, and what it may do. It can be made only by this
// package's Verify functions and by Anonymous; the zero Grant proves nothing and allows nothing.
type Grant struct {
	kind    Kind
	app     string
	key     string
	subject string
	data    string
	expires time.Time
	rights  Right              // on every channel, or on only
	only    string             // if not empty: the one channel that rights count for
	rules   []Rule             // rights by pattern, beside rights
	policy  func(string) Right // rights of an anonymous session, by channel
}

// Rule gives rights on the channels that match a pattern.
type Rule struct {
	Pattern channel.Pattern
	Can     Right
}

// Kind says which credential was proven.
func (g Grant) Kind() Kind { return g.kind }

// Proven reports whether a secret or a signature stands behind the grant.
func (g Grant) Proven() bool { return g.kind != Nothing && g.kind != Anonymous && g.kind != AppKey }

// App is the id of the app that the credential belongs to.
func (g Grant) App() string { return g.app }

// Key is the id of the app key or feed key that proved it; of a token its key id, if it named one.
func (g Grant) Key() string { return g.key }

// Subject is who the token speaks for (its claim sub). Other credentials have none.
func (g Grant) Subject() string { return g.subject }

// Data is what was signed together with the credential: the channel_data of an auth string, the user_data of a sign-in,
// the claim info (JSON) of a token. Data that a client sent but did not prove is never here.
func (g Grant) Data() string { return g.data }

// Expires is when the credential ends; the zero time means never.
func (g Grant) Expires() time.Time { return g.expires }

// Rights is everything that the grant allows on a channel.
func (g Grant) Rights(name string) Right {
	var can Right
	if g.only == "" || g.only == name {
		can = g.rights
	}
	for _, r := range g.rules {
		if r.Pattern.Match(name) {
			can |= r.Can
		}
	}
	if g.policy != nil {
		can |= g.policy(name)
	}
	return can
}

// Can reports whether the grant allows all of want on a channel. To want nothing is never allowed.
func (g Grant) Can(name string, want Right) bool { return want != 0 && g.Rights(name)&want == want }

// NewAnonymous is the grant of a session that gave no credential: for each channel what policy answers, which is asked
// every time, so that a changed policy counts at once. A nil policy allows nothing.
func NewAnonymous(app string, policy func(channel string) Right) Grant {
	return Grant{kind: Anonymous, app: app, policy: policy}
}
