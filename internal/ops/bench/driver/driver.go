// Package driver speaks the wire protocols of realtime servers from the client's side, as far as a load generator needs:
// subscribe, resume, receive marked payloads, publish.
//
// The subscriber's half is a Session: a machine without network or clock, fed with the messages of one WebSocket
// connection. The publisher's half owns a connection.
package driver

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/continuo-rt/continuo/internal/ops/bench/sock"
	"github.com/continuo-rt/continuo/internal/ops/bench/stamp"
)

// Timeout bounds every single request of a publisher.
const Timeout = 10 * time.Second

// Cursor is a position in a channel, in the terms of the protocol: stream and serial, epoch and offset, or a message id.
// The zero value is none.
type Cursor struct {
	Stream string
	Serial uint64
	ID     string
}

// Sub says what one subscriber wants.
type Sub struct {
	Channel string
	Index   int    // number of the subscriber, for protocols where each has a name of its own
	Track   bool   // keep the cursor up to date, which costs the client a little for each message
	From    Cursor // where to resume; the zero value means from now on
}

// Sink hears what happens to a subscriber. Calls come from Session.Start and Session.Feed.
type Sink interface {
	Ready()                // the subscription stands; when resuming, the server has also said that the gap is filled
	Message(s stamp.Stamp) // a marked payload arrived
}

// Send writes one WebSocket message of the kind the protocol uses.
type Send func(payload []byte) error

// Session is the client's side of one subscriber connection. It is not safe for overlapping calls.
type Session interface {
	// Start is called once, when the connection stands.
	Start(send Send) error
	// Feed takes one received message, which it may not keep. An error ends the connection.
	Feed(payload []byte, send Send) error
	// Cursor is the last position seen; of use only with Sub.Track.
	Cursor() Cursor
}

// Joiner is a Session whose connection can have more subscriptions than the first. It gives the messages to send; what
// joins is reported by another Sink.Ready.
type Joiner interface {
	Join(channel string) []byte
	Leave(channel string) []byte
}

// Publisher publishes over a connection of its own. Calls must not overlap.
type Publisher interface {
	// Publish sends data to a channel and, if the publisher was made to, waits until the server has taken it.
	Publish(ctx context.Context, channel string, data []byte) error
	Close() error
}

// Protocol is one wire protocol against one server. Implementations are immutable, and safe for overlapping calls.
type Protocol interface {
	Name() string
	// Op is the kind of message that the protocol sends.
	Op() ws.OpCode
	// Request says how a subscriber connects.
	Request(sub Sub) sock.Request
	// Session begins the client's side of a connection made with that request.
	Session(sub Sub, sink Sink) Session
	// Publisher connects a publisher. One that is not acked need not wait for an answer where the protocol has a choice.
	Publisher(ctx context.Context, acked bool) (Publisher, error)
	// Recovers says whether a client can come back with a cursor and get what it missed.
	Recovers() bool
}

// Config says which server to speak to, as whom.
type Config struct {
	URL    *url.URL // http://host:port
	App    string   // Pusher application id
	Key    string   // Pusher application key; HTTP API key of Centrifugo
	Secret string   // Pusher application secret
	Signed bool     // sign publishes as Pusher's libraries do, instead of sending key and secret as a Bearer token
}

// Names lists the protocols that New knows.
func Names() []string { return []string{"pusher", "sockudo", "centrifugo", "nats", "nchan"} }

// New makes the protocol of that name.
func New(name string, c Config) (Protocol, error) {
	switch name {
	case "pusher":
		return &pusher{config: c, version: 7}, nil
	case "sockudo":
		return &pusher{config: c, version: 2}, nil
	case "centrifugo":
		return &centrifugo{config: c}, nil
	case "nats":
		return &nats{config: c}, nil
	case "nchan":
		return &nchan{config: c}, nil
	}
	return nil, fmt.Errorf("protocol %q is not known; known are %s", name, strings.Join(Names(), ", "))
}

// request makes a WebSocket request for a path with query on the configured server.
func (c Config) request(path, query string, protocols ...string) sock.Request {
	u := *c.URL
	u.Scheme, u.Path, u.RawQuery = "ws", path, query
	return sock.Request{URL: &u, Header: http.Header{}, Protocols: protocols}
}

// CheckLoopback refuses a server on another machine: a load generator pointed there by mistake is an attack.
func CheckLoopback(ctx context.Context, u *url.URL) (net.IP, error) {
	if u.Scheme != "http" {
		return nil, fmt.Errorf("%s: the address must begin with http:// (measured without TLS)", u.Redacted())
	}
	ips, err := net.DefaultResolver.LookupIPAddr(ctx, u.Hostname())
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(ips, func(ip net.IPAddr) bool { return !ip.IP.IsLoopback() }); i >= 0 {
		return ips[i].IP, fmt.Errorf("%s is not this machine; --allow-remote if you may load it", ips[i].IP)
	}
	return ips[0].IP, nil
}

// reject makes an error of an answer that was not expected.
func reject(what string, answer []byte) error {
	return fmt.Errorf("%s: the server answered %.300q", what, answer)
}
