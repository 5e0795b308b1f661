package ws

import (
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// Options of a connection. The zero value works.
type Options struct {
	// Subprotocol chooses among what the client offers, in its order of preference, possibly nothing. "" names none in
	// the answer. An error refuses the handshake with 400 and its text. Nil chooses none.
	Subprotocol func(offered []string) (string, error)
	// Compression accepts permessage-deflate, if the client offers it, without context takeover.
	Compression bool
	// Header has further headers of the answer. The caller vouches for its content.
	Header http.Header
	// Control hears of control frames; Bind can set it later.
	Control Control
	// ReadLimit bounds a message (inflated, if it is compressed). 0 means DefaultReadLimit.
	ReadLimit int
	// WriteTimeout bounds how long a socket may take nothing. 0 means that a write may block until Close.
	WriteTimeout time.Duration
}

// DefaultReadLimit is the largest message that is read unless Options say something else.
const DefaultReadLimit = 1 << 20

func (o *Options) readLimit() int {
	if o.ReadLimit > 0 {
		return o.ReadLimit
	}
	return DefaultReadLimit
}

// HandshakeError says why a request did not become a connection. Unless Status is 0 (the connection broke), the answer
// with this status has been sent.
type HandshakeError struct {
	Status int
	Reason string
	Err    error
}

func (e *HandshakeError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("websocket handshake: %s: %v", e.Reason, e.Err)
	}
	return fmt.Sprintf("websocket handshake: %s", e.Reason)
}

// Unwrap gives the cause, if there is one.
func (e *HandshakeError) Unwrap() error { return e.Err }

const (
	version          = "13"
	guid             = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
	handshakeTimeout = 10 * time.Second
)

// Upgrade answers the handshake and takes the connection over. On failure it has answered the request (405, 400, 426 …)
// and returns a *HandshakeError.
//
// The handler should return soon and leave the connection to a goroutine of its own: what net/http holds for a request
// (two buffers of 4 KiB, a stack that has grown) is free as soon as the handler has returned and nothing keeps r or w.
func Upgrade(w http.ResponseWriter, r *http.Request, o Options) (*Conn, error) {
	if fail := checkRequest(r); fail != nil {
		return nil, refuse(w, fail)
	}
	protocol := ""
	if o.Subprotocol != nil {
		var err error
		if protocol, err = o.Subprotocol(tokens(r.Header, "Sec-Websocket-Protocol")); err != nil {
			return nil, refuse(w, &HandshakeError{Status: http.StatusBadRequest, Reason: err.Error(), Err: err})
		}
	}
	extension, compressed := "", false
	if o.Compression {
		extension, compressed = negotiate(r.Header)
	}
	nc, brw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, refuse(w, &HandshakeError{http.StatusHTTPVersionNotSupported, "the connection cannot be taken over", err})
	}
	pending, err := brw.Reader.Peek(brw.Reader.Buffered()) // what the client sent beyond the request
	if err == nil {
		err = answer(nc, acceptKey(r.Header.Get("Sec-Websocket-Key")), protocol, extension, o.Header)
	}
	if err != nil {
		nc.Close()
		return nil, &HandshakeError{Reason: "the connection broke", Err: err}
	}
	c := New(nc, pending, o)
	_, c.tls = nc.(*tls.Conn)
	c.deflate = compressed
	return c, nil
}

// refuse answers a request that does not become a connection.
func refuse(w http.ResponseWriter, e *HandshakeError) error {
	switch e.Status {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodGet)
	case http.StatusUpgradeRequired:
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Sec-Websocket-Version", version)
	}
	http.Error(w, e.Reason, e.Status)
	return e
}

// checkRequest judges a handshake by RFC 6455, section 4.2.1.
func checkRequest(r *http.Request) *HandshakeError {
	bad := func(status int, reason string) *HandshakeError {
		return &HandshakeError{Status: status, Reason: reason}
	}
	switch {
	case r.Method != http.MethodGet:
		return bad(http.StatusMethodNotAllowed, "a WebSocket handshake is a GET request")
	case r.ProtoMajor != 1 || r.ProtoMinor < 1:
		return bad(http.StatusHTTPVersionNotSupported, "a WebSocket handshake needs HTTP/1.1")
	case !hasToken(r.Header, "Upgrade", "websocket"):
		return bad(http.StatusUpgradeRequired, "this is a WebSocket endpoint: the header Upgrade: websocket is missing")
	case !hasToken(r.Header, "Connection", "upgrade"):
		return bad(http.StatusBadRequest, "the header Connection: Upgrade is missing")
	case r.Header.Get("Sec-Websocket-Version") != version:
		return bad(http.StatusUpgradeRequired, "only version 13 of the WebSocket protocol is spoken here")
	case len(r.Header["Sec-Websocket-Key"]) != 1 || !validKey(r.Header.Get("Sec-Websocket-Key")):
		return bad(http.StatusBadRequest, "the header Sec-WebSocket-Key must be there once, 16 bytes in base64")
	}
	return nil
}

func validKey(key string) bool {
	nonce, err := base64.StdEncoding.Strict().DecodeString(key)
	return err == nil && len(nonce) == 16
}

func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + guid))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// answer writes the 101 response and clears the deadlines that the server has set.
func answer(nc net.Conn, accept, protocol, extension string, extra http.Header) error {
	var b strings.Builder
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ")
	b.WriteString(accept)
	b.WriteString("\r\n")
	if protocol != "" {
		b.WriteString("Sec-WebSocket-Protocol: " + protocol + "\r\n")
	}
	if extension != "" {
		b.WriteString("Sec-WebSocket-Extensions: " + extension + "\r\n")
	}
	if err := extra.Write(&b); err != nil {
		return err
	}
	b.WriteString("\r\n")
	if err := nc.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return err
	}
	if _, err := nc.Write([]byte(b.String())); err != nil {
		return err
	}
	return nc.SetDeadline(time.Time{})
}

// tokens returns the elements of a header that is a comma-separated list, possibly over several lines.
func tokens(h http.Header, name string) []string {
	var all []string
	for _, line := range h[name] {
		for t := range strings.SplitSeq(line, ",") {
			if t = strings.TrimSpace(t); t != "" {
				all = append(all, t)
			}
		}
	}
	return all
}

func hasToken(h http.Header, name, want string) bool {
	for _, t := range tokens(h, name) {
		if strings.EqualFold(t, want) {
			return true
		}
	}
	return false
}
