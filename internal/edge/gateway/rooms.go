package gateway

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/edge/ws"
	"github.com/continuo-rt/continuo/internal/wire/rooms"
	"github.com/continuo-rt/continuo/internal/wire/serverapi"
	"github.com/continuo-rt/continuo/internal/wire/token"
)

// RoomsOptions are what the rooms face needs beside what every face needs.
type RoomsOptions struct {
	// Keys gives the public keys of an app that names some, see token.Source.Keys. It may block, calls may overlap. Nil:
	// tokens are signed with app secrets alone.
	Keys func(of app.RoomsAuth, h token.Header) ([]crypto.PublicKey, error)
	// Heartbeat is how long a client may be silent before it is pinged; 0 = 25 s.
	Heartbeat time.Duration
	// TokenWarning is how long before its end clients are warned of a token, RetryBase and RetryMax are the advice that
	// they get for backing off; 0: the protocol's.
	TokenWarning, RetryBase, RetryMax time.Duration
}

// The subprotocols of the rooms face: its name, and the place where browsers put a token.
const (
	roomsProtocol = "continuo.rooms.v1"
	tokenProtocol = "continuo.token."
)

// Rooms accepts a session of the rooms protocol: GET /rooms. Who is not let in learns why from the body of the answer to
// the handshake. Browsers keep that answer from their pages, so a plain GET gets the same one, which the pages of allowed
// origins may read; 426 then says that a handshake would be welcome.
func (g *Gateway) Rooms(w http.ResponseWriter, r *http.Request) {
	if preflight(w, r) {
		return
	}
	if g.draining.Load() {
		g.share(w, r, nil)
	}
	if g.unavailable(w) {
		return
	}
	raw, offered := credential(r)
	grant, a, err := g.guest(raw, r.URL.Query().Get("app"))
	g.share(w, r, a)
	if err == nil && r.Header.Get("Origin") != "" && !a.AllowsOrigin(r.Header.Get("Origin")) {
		err = fault.New(fault.Forbidden, "pages of this origin may not connect to the app")
	}
	if err != nil {
		refuseRooms(w, err)
		return
	}
	o := ws.Options{WriteTimeout: g.opts.WriteTimeout, ReadLimit: a.Limits.FrameBytes, Compression: a.Features.Compression}
	if offered {
		o.Subprotocol = func([]string) (string, error) { return roomsProtocol, nil }
	}
	c, err := ws.Upgrade(w, r, o)
	if err != nil {
		return
	}
	full := func() { closeWith(c, rooms.CloseFull) }
	if g.full() {
		go full()
		return
	}
	mo := g.roomsOptions(a)
	s := &roomsSession{gateway: g, app: a}
	g.serve(c, sessionID(), face{name: "rooms", machine: rooms.New(mo, grant), app: a, limit: a.Limits.Connections,
		idle: mo.Heartbeat, refused: full, other: s.other, alias: s.alias, tooLarge: rooms.CloseTooLarge})
}

// credential finds the token of a request: in the subprotocols that a browser offers, in the header, or in the query.
// offered says that the protocol itself is among the subprotocols, and so must be named in the answer.
func credential(r *http.Request) (raw string, offered bool) {
	for _, line := range r.Header["Sec-Websocket-Protocol"] {
		for p := range strings.SplitSeq(line, ",") {
			p = strings.TrimSpace(p)
			if t, ok := strings.CutPrefix(p, tokenProtocol); ok && raw == "" {
				raw = t
			}
			offered = offered || p == roomsProtocol
		}
	}
	if raw == "" {
		scheme, t, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if strings.EqualFold(scheme, "Bearer") {
			raw = strings.TrimSpace(t)
		}
	}
	if raw == "" {
		raw = r.URL.Query().Get("token")
	}
	return raw, offered
}

// guest proves who asks: by a token, or as nobody in particular in an app whose policies give that a right.
func (g *Gateway) guest(raw, name string) (auth.Grant, *app.App, error) {
	if raw != "" {
		return g.bearer(raw)
	}
	a, err := g.nameless(name)
	if err != nil {
		return auth.Grant{}, nil, err
	}
	id := a.ID
	return auth.NewAnonymous(id, func(room string) auth.Right {
		p, ok := g.opts.Node.Apps().Policy(id, room)
		if !ok {
			return 0
		}
		can, _ := auth.ParseRights(p.Anonymous) // a policy's words were checked when it was loaded
		return can
	}), a, nil
}

// nameless finds the app of a request without a token.
func (g *Gateway) nameless(name string) (*app.App, error) {
	all := slices.Collect(g.opts.Node.Apps().All())
	var a *app.App
	switch {
	case name != "":
		a, _ = g.opts.Node.Apps().ByID(name)
		if a == nil {
			return nil, fault.New(fault.AuthFailed, "there is no app %s", channel.Quote(name)).In("app")
		}
	case len(all) == 1:
		a = all[0]
	}
	if a == nil || !welcomesAnyone(a) {
		return nil, fault.New(fault.AuthFailed, "a token is missing: give one in Sec-WebSocket-Protocol, Authorization or ?token=").In("token")
	}
	return a, enabled(a)
}

// welcomesAnyone reports whether some policy of the app gives anonymous sessions a right.
func welcomesAnyone(a *app.App) bool {
	for i := range a.Policies {
		if len(a.Policies[i].Anonymous) > 0 {
			return true
		}
	}
	return len(app.Default(a.Mode).Anonymous) > 0
}

func enabled(a *app.App) error {
	if !a.Enabled {
		return fault.New(fault.AppDisabled, "the app %s is disabled", channel.Quote(a.ID))
	}
	return nil
}

// bearer proves a token.
func (g *Gateway) bearer(raw string) (auth.Grant, *app.App, error) {
	grant, err := auth.VerifyToken(raw, token.Verifier{Source: g.tokenSource}, time.UnixMilli(g.opts.Now()))
	if err != nil {
		return grant, nil, err
	}
	a, ok := g.opts.Node.Apps().ByID(grant.App())
	if !ok {
		return grant, nil, fault.New(fault.AuthFailed, "the token names an app that is gone").In("token")
	}
	if err := enabled(a); err != nil {
		return grant, nil, err
	}
	return grant, a, rooms.CheckUser(grant.Subject())
}

// tokenSource is where the keys of an app's tokens come from.
func (g *Gateway) tokenSource(id string) (token.Source, bool) {
	a, ok := g.opts.Node.Apps().ByID(id)
	if !ok {
		return token.Source{}, false
	}
	s := token.Source{Secrets: map[string]string{}, Issuer: a.Rooms.Issuer, Audience: a.Rooms.Audience}
	for _, k := range a.Keys {
		if k.Enabled {
			s.Secrets[k.Key] = k.Secret
		}
	}
	if g.opts.Rooms.Keys != nil && (a.Rooms.JWKSFile != "" || a.Rooms.JWKSURL != "") {
		s.Keys = func(h token.Header) ([]crypto.PublicKey, error) { return g.opts.Rooms.Keys(a.Rooms, h) }
	}
	return s, true
}

// roomsOptions are what the machines of an app share, made once.
func (g *Gateway) roomsOptions(a *app.App) *rooms.Options {
	if o, ok := g.rooms.Load(a); ok {
		return o.(*rooms.Options)
	}
	of := &g.opts.Rooms
	o := &rooms.Options{App: a, Heartbeat: of.Heartbeat, Warning: of.TokenWarning, RetryBase: of.RetryBase, RetryMax: of.RetryMax}
	if o.Heartbeat == 0 {
		o.Heartbeat = 25 * time.Second
	}
	o.Seal = sha256.Sum256([]byte("continuo rooms sessions 1\x00" + a.ID + "\x00" + a.Keys[0].Secret))
	made, _ := g.rooms.LoadOrStore(a, o)
	return made.(*rooms.Options)
}

// refuseRooms answers a request of the rooms face that is not let in.
func refuseRooms(w http.ResponseWriter, err error) {
	f := fault.Of(err)
	h := w.Header()
	if f.Kind == fault.AuthFailed {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if wait := serverapi.RetryAfter(f); wait > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(serverapi.Status(f.Kind))
	_, _ = w.Write(serverapi.AppendError(nil, f))
}

// closeWith ends a connection that cannot be.
func closeWith(c *ws.Conn, code int) {
	if c.Write(ws.CloseFrame(code, "")) == nil {
		_ = c.Linger(time.Second)
		return
	}
	_ = c.Close()
}

// sessionID makes the id of a session: 128 random bits.
func sessionID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
