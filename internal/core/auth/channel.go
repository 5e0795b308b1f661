package auth

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
)

// userMark separates the socket id from the user data in what a sign-in signs.
const userMark = "::user::"

// Subscription is a request to subscribe that needs an auth string.
type Subscription struct {
	App    string
	Socket string       // the connection's id, as the server made it
	Name   channel.Name // private, encrypted or presence
	Auth   string       // "KEY:SIGNATURE"
	Data   string       // channel_data, if any
}

// Verify proves that the application allowed this connection onto the channel. The application signs either
// SOCKET:CHANNEL or SOCKET:CHANNEL:DATA; the grant's Data is the data only if the signature covers it.
//
// Data that does not begin like a JSON object is never taken as signed. A channel name may hold ':', so without that
// rule the auth string for "private-a:b" would open "private-a" to whoever sends "b" as its data.
func (s Subscription) Verify(keys Lookup) (Grant, error) {
	if !s.Name.NeedsAuth() {
		return Grant{}, fault.New(fault.Internal, "channel %s takes no auth string", channel.Quote(s.Name.String()))
	}
	key, signature, err := split(s.Auth, s.App, keys, "the "+s.Name.Kind().String()+" channel "+channel.Quote(s.Name.String()))
	if err != nil {
		return Grant{}, err
	}
	g := Grant{kind: Channel, app: key.app, key: key.id, rights: s.rights(), only: s.Name.String()}
	text := append(make([]byte, 0, 256), s.Socket...)
	text = append(append(text, ':'), s.Name.String()...)
	if s.Data == "" || s.Name.Kind() != channel.Presence {
		if checkHex(signature, key.mac(text)) {
			return g, nil
		}
	}
	if isObject(s.Data) {
		text = append(append(text, ':'), s.Data...)
		if checkHex(signature, key.mac(text)) {
			g.data = s.Data
			return g, nil
		}
	} else if s.Data != "" && s.Name.Kind() == channel.Presence {
		return Grant{}, fault.New(fault.AuthFailed, "the channel_data of presence channel %s is not a JSON object", channel.Quote(s.Name.String())).In("channel_data")
	}
	return Grant{}, fault.New(fault.AuthFailed, "the auth signature is wrong: expected the hex HMAC-SHA256, with the secret of key %s, of %s",
		channel.Quote(key.id), channel.Quote(string(text))).In("auth")
}

// rights: who may follow the channel may read its log too, since a rewind shows it anyway; policies may still forbid it.
func (s Subscription) rights() Right {
	can := Join | History
	if s.Name.ClientEvents() {
		can |= Send
	}
	if s.Name.Presence() {
		can |= Presence
	}
	return can
}

// SignIn is a request to authenticate the user of a connection.
type SignIn struct {
	App    string
	Socket string
	Auth   string // "KEY:SIGNATURE"
	Data   string // user_data
}

// Verify proves that the application vouches for the user data. The grant carries it as Data and gives no rights on
// channels by itself.
func (s SignIn) Verify(keys Lookup) (Grant, error) {
	key, signature, err := split(s.Auth, s.App, keys, "the sign-in")
	if err != nil {
		return Grant{}, err
	}
	if !isObject(s.Data) {
		return Grant{}, fault.New(fault.AuthFailed, "the user_data is not a JSON object").In("user_data")
	}
	text := append(make([]byte, 0, 256), s.Socket...)
	text = append(append(text, userMark...), s.Data...)
	if !checkHex(signature, key.mac(text)) {
		return Grant{}, fault.New(fault.AuthFailed, "the auth signature is wrong: expected the hex HMAC-SHA256, with the secret of key %s, of %s",
			channel.Quote(key.id), channel.Quote(string(text))).In("auth")
	}
	return Grant{kind: User, app: key.app, key: key.id, data: s.Data}, nil
}

// split takes KEY:SIGNATURE apart and finds the key.
func split(auth, app string, keys Lookup, what string) (*Key, string, error) {
	if auth == "" {
		return nil, "", fault.New(fault.AuthFailed, "%s requires authentication: the auth string is missing", what).In("auth")
	}
	id, signature, ok := strings.Cut(auth, ":")
	if !ok || id == "" || len(signature) != 2*sha256.Size {
		return nil, "", fault.New(fault.AuthFailed, "the auth string of %s is malformed: expected <key>:<64 hex digits>", what).In("auth")
	}
	key, err := find(keys, id, app)
	if err != nil {
		f := fault.Of(err)
		return nil, "", f.In("auth")
	}
	return key, signature, nil
}

// isObject reports whether text begins like a JSON object. That its first byte can stand in no channel name is what
// Subscription.Verify relies on.
func isObject(text string) bool {
	return strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{")
}

// ValidSocket reports whether s has the form of a connection's id: digits, a dot, digits.
func ValidSocket(s string) bool {
	a, b, ok := strings.Cut(s, ".")
	return ok && digits(a) && digits(b) && len(s) <= 64
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// SignChannel makes the auth string for a subscription; data may be empty. It signs nothing but well-formed
// subscriptions to channels that need it: a text chosen by a client could otherwise be signed into something else, a
// sign-in for example.
func (k *Key) SignChannel(socket, name, data string) (string, error) {
	n, err := channel.Parse(name, len(name)) // whether it is too long is for the subscription to say
	switch {
	case err != nil:
		return "", err
	case !n.NeedsAuth():
		return "", fault.New(fault.Invalid, "the %s channel %s takes no auth string", n.Kind(), channel.Quote(name)).In("channel_name")
	case !ValidSocket(socket):
		return "", fault.New(fault.Invalid, "the socket_id %s is not of the form 123.456", channel.Quote(socket)).In("socket_id")
	case data != "" && !isObject(data):
		return "", fault.New(fault.Invalid, "the channel_data is not a JSON object").In("channel_data")
	}
	text := socket + ":" + name
	if data != "" {
		text += ":" + data
	}
	return k.id + ":" + k.Sign([]byte(text)), nil
}

// SignUser makes the auth string for a sign-in.
func (k *Key) SignUser(socket, data string) (string, error) {
	switch {
	case !ValidSocket(socket):
		return "", fault.New(fault.Invalid, "the socket_id %s is not of the form 123.456", channel.Quote(socket)).In("socket_id")
	case !isObject(data):
		return "", fault.New(fault.Invalid, "the user_data is not a JSON object").In("user_data")
	}
	return k.id + ":" + k.Sign([]byte(socket+userMark+data)), nil
}

// SharedSecret is what an auth endpoint adds for an encrypted channel: base64 of SHA-256(channel ‖ master key). The
// server itself never decrypts.
func SharedSecret(name string, master []byte) string {
	sum := sha256.Sum256(append([]byte(name), master...))
	return base64.StdEncoding.EncodeToString(sum[:])
}
