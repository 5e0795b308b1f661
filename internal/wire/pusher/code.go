package pusher

import (
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
)

// The codes of error frames and of close frames. Clients do not come back after 4000–4099, back off after 4100–4199 and
// come back at once after 4200–4299.
const (
	codeFormat       = 4000 // also: use TLS
	codeUnknownApp   = 4001
	codeDisabledApp  = 4003
	codeOverQuota    = 4004
	codeUnauthorized = 4009
	codeCapacity     = 4100
	codeReconnect    = 4200
	codeSilent       = 4201
	codeChannel      = 4300
	codeClientEvent  = 4301 // also: no recovery here
	codeList         = 4302 // a watchlist, or the positions of a resume
	codeBroadcast    = 4303

	codeTooLarge = 1009 // RFC 6455
)

// codes maps every kind of fault to the code of its error frame, where the place of the fault does not say better.
var codes = map[fault.Kind]int{
	fault.Internal:            codeBroadcast,
	fault.Invalid:             codeFormat,
	fault.MissingChannel:      codeChannel,
	fault.LimitExceeded:       codeCapacity,
	fault.TooLarge:            codeClientEvent,
	fault.AuthFailed:          codeUnauthorized,
	fault.Forbidden:           codeUnauthorized,
	fault.InsecureTransport:   codeFormat,
	fault.AppNotFound:         codeUnknownApp,
	fault.AppDisabled:         codeDisabledApp,
	fault.NotFound:            codeChannel,
	fault.MutableNotPermitted: codeUnauthorized,
	fault.Disabled:            codeChannel,
	fault.RateLimited:         codeClientEvent,
	fault.Conflict:            codeBroadcast,
	fault.Mismatch:            codeBroadcast,
	fault.Unknown:             codeBroadcast,
	fault.Full:                codeBroadcast,
	fault.Backpressure:        codeCapacity,
	fault.Unavailable:         codeCapacity,
	fault.NotProvable:         codeChannel,
	fault.SnapshotExpired:     codeChannel,
	fault.Unsupported:         codeFormat,
}

// leads are what messages of a code begin with.
var leads = map[int]string{
	codeFormat:       "Invalid message format: ",
	codeUnauthorized: "Authentication error: ",
	codeChannel:      "Channel error: ",
	codeClientEvent:  "Client event error: ",
	codeCapacity:     "Over capacity: ",
	codeBroadcast:    "Broadcast error: ",
}

// closes says in the protocol's words why the server ends a connection.
var closes = map[session.Cause]session.Close{
	session.ByApp:         {Code: codeUnauthorized, Reason: "You got disconnected by the app."},
	session.Reconnect:     {Code: codeReconnect, Reason: "Force reconnect requested by the app."},
	session.Overloaded:    {Code: codeCapacity, Reason: "The client reads too slowly."},
	session.Stalled:       {Code: codeCapacity, Reason: "The client does not read."},
	session.Silent:        {Code: codeSilent, Reason: "Pong reply not received in time"},
	session.Stopping:      {Code: codeReconnect, Reason: "The server is stopping; please reconnect."},
	session.KeyRevoked:    {Code: codeUnauthorized, Reason: "The credential was revoked."},
	session.Replaced:      {Code: codeUnauthorized, Reason: "A newer connection has taken over."},
	session.FrameTooLarge: {Code: codeTooLarge, Reason: "The message is larger than allowed."},
	session.ServerError:   {Code: codeCapacity, Reason: "The server had a fault; please reconnect."},
}

// Refusal is a reason for which a connection ends before it begins.
type Refusal uint8

// The refusals. They are told by an error frame and a close frame after the upgrade, since a browser cannot read the
// answer to a WebSocket request.
const (
	UnknownApp  Refusal = iota + 1 // no app has the key
	DisabledApp                    // the app or its key is switched off
	OverQuota                      // the app has all the connections that it may have
	BadOrigin                      // the page's origin is not among the app's
	NodeFull                       // the server has all the connections that it may have
	BadToken                       // the capability token proves nothing
)

var refusals = map[Refusal]session.Close{
	UnknownApp:  {Code: codeUnknownApp, Reason: "No app has this key."},
	DisabledApp: {Code: codeDisabledApp, Reason: "The application is disabled."},
	OverQuota:   {Code: codeOverQuota, Reason: "The application is over its connection quota."},
	BadOrigin:   {Code: codeUnauthorized, Reason: "Origin not allowed"},
	NodeFull:    {Code: codeCapacity, Reason: "The server is over capacity."},
	BadToken:    {Code: codeUnauthorized, Reason: "The token is not valid."},
}

// Refuse is what a connection is told that does not come to be: the only frame, and how it is closed.
func Refuse(p Protocol, r Refusal) (frame []byte, end session.Close) {
	end, ok := refusals[r]
	if !ok {
		end = refusals[NodeFull]
	}
	w := p.event("error", 0)
	w.data()
	w.b = appendError(w.b, int(end.Code), end.Reason)
	return w.end(""), end
}
