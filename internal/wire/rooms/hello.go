package rooms

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"
	"time"

	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
)

// Version is the version of the protocol that is spoken here, the oldest and the newest.
const Version = 1

// capabilities is what this server can do, in the words of server.hello.
const capabilities = `["resume","rewind","filter","history","presence","presence_history","mutable","snapshot","reactions","ephemeral","idempotency"]`

// identity is who the connection speaks for.
type identity struct {
	grant    auth.Grant
	session  string // the session's id
	renewing bool   // a token is being proven
	request  string // correlation id of the renewal
}

// MaxUser is the longest user id, in bytes: it is a part of keys in logs.
const MaxUser = 160

// CheckUser says what is wrong with a user id, the claim sub of a token.
func CheckUser(id string) error {
	switch {
	case len(id) > MaxUser:
		return fault.New(fault.AuthFailed, "the token's sub has %d bytes, more than the %d allowed", len(id), MaxUser).In("sub")
	case strings.IndexByte(id, 0) >= 0:
		return fault.New(fault.AuthFailed, "the token's sub has a zero byte").In("sub")
	}
	return nil
}

// user is who publishes: the token's subject, or a name that only this anonymous session has.
func (w *identity) user() string {
	if w.grant.Subject() != "" {
		return w.grant.Subject()
	}
	sum := sha256.Sum256([]byte(w.session))
	return "anon-" + hex.EncodeToString(sum[:8])
}

// secret is what proves that a client had a session: it is bound to the app and to who the session speaks for.
func (m *Machine) secret(id string) string {
	h := hmac.New(sha256.New, m.opts.Seal[:])
	for _, s := range []string{"rooms session 1", m.opts.App.ID, m.who.grant.Subject(), id} {
		h.Write([]byte{byte(len(s) >> 8), byte(len(s))})
		h.Write([]byte(s))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func (m *Machine) open(in session.Opened) {
	m.who.session = in.ID
	if sub := m.who.grant.Subject(); sub != "" {
		m.do(session.Identify{User: sub})
	}
	m.greet("")
}

// greet sends server.hello with the session that holds.
func (m *Machine) greet(correlation string) {
	f := begin(make([]byte, 0, 640), "server.hello")
	f.uint("protocol_version", Version)
	f.uint("protocol_min", Version)
	f.uint("protocol_max", Version)
	f.text("session_id", m.who.session)
	f.text("session_secret", m.secret(m.who.session))
	f.int("server_time", m.now)
	f.text("user_id", m.who.user())
	f.raw("capabilities", []byte(capabilities))
	f.int("heartbeat_ms", m.opts.Heartbeat.Milliseconds())
	l := &m.opts.App.Limits
	f.object("limits")
	f.uint("frame_bytes", uint64(l.FrameBytes))
	f.uint("payload_bytes", uint64(l.PayloadBytes))
	f.uint("rooms", uint64(l.ChannelsPerConnection))
	f.uint("sends_per_second", uint64(l.ClientEventsPerSecond))
	f.close()
	f.object("retry")
	f.int("base_ms", orDefault(m.opts.RetryBase, 500*time.Millisecond))
	f.int("max_ms", orDefault(m.opts.RetryMax, 30*time.Second))
	f.text("jitter", "full")
	f.close()
	m.send(f.answer(correlation))
}

// hello is the client's greeting: the version that it speaks, and the session that it had before.
func (m *Machine) hello(r *Request) error {
	v, given, err := r.number("protocol_version")
	if err != nil {
		return err
	}
	if given && v != Version {
		m.send(errorFrame(fault.New(fault.Unsupported, "protocol version %d is not spoken here: version %d is", v, Version),
			codeProtocol, "", r.Correlation))
		m.close(closeProtocol)
		return nil
	}
	id, err := r.text("session_id", 128)
	if err != nil {
		return err
	}
	secret, err := r.text("session_secret", 128)
	if err != nil {
		return err
	}
	if id != "" && id != m.who.session && subtle.ConstantTimeCompare([]byte(secret), []byte(m.secret(id))) == 1 {
		m.who.session = id
		m.do(session.Adopt{ID: id})
	}
	m.greet(r.Correlation)
	return nil
}
