package rooms

import (
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
)

// The codes of server.error.
const (
	codeInvalid     = "invalid_frame"
	codeUnsupported = "unsupported_kind"
	codeForbidden   = "unauthorized"
	codeNotJoined   = "not_joined"
	codeRate        = "rate_limited"
	codeTooLarge    = "too_large"
	codeConflict    = "conflict"
	codeMismatch    = "idempotency_mismatch"
	codeNotFound    = "not_found"
	codeProtocol    = "protocol_mismatch"
	codeDisabled    = "feature_disabled"
	codeUnknown     = "outcome_unknown"
	codeUnavailable = "unavailable"
)

// codes maps every kind of fault to the code of its server.error.
var codes = map[fault.Kind]string{
	fault.Internal:            codeUnavailable,
	fault.Invalid:             codeInvalid,
	fault.MissingChannel:      codeInvalid,
	fault.LimitExceeded:       codeTooLarge,
	fault.TooLarge:            codeTooLarge,
	fault.AuthFailed:          codeForbidden,
	fault.Forbidden:           codeForbidden,
	fault.InsecureTransport:   codeForbidden,
	fault.AppNotFound:         codeForbidden,
	fault.AppDisabled:         codeForbidden,
	fault.NotFound:            codeNotFound,
	fault.MutableNotPermitted: codeDisabled,
	fault.Disabled:            codeDisabled,
	fault.RateLimited:         codeRate,
	fault.Conflict:            codeConflict,
	fault.Mismatch:            codeMismatch,
	fault.Unknown:             codeUnknown,
	fault.Full:                codeUnavailable,
	fault.Backpressure:        codeUnavailable,
	fault.Unavailable:         codeUnavailable,
	fault.NotProvable:         codeNotFound,
	fault.SnapshotExpired:     codeNotFound,
	fault.Unsupported:         codeUnsupported,
}

// retryable says which codes may vanish by themselves, and what a client waits where the fault does not say.
var retryable = map[string]time.Duration{
	codeRate:        time.Second,
	codeUnknown:     time.Second,
	codeUnavailable: time.Second,
}

// Close codes of the protocol.
const (
	closeRestart   = 4200
	closeSlow      = 4202
	closeFull      = 4302
	closeToken     = 4401
	closeForbidden = 4403
	closeProtocol  = 4406
	closeReplaced  = 4409
	closeTooLarge  = 4413
	closeInternal  = 1011
)

// closes says how each cause ends a connection.
var closes = map[session.Cause]uint16{
	session.ByApp:         closeForbidden,
	session.Reconnect:     closeRestart,
	session.Overloaded:    closeSlow,
	session.Stalled:       closeSlow,
	session.Silent:        closeSlow,
	session.Stopping:      closeRestart,
	session.KeyRevoked:    closeToken,
	session.Replaced:      closeReplaced,
	session.FrameTooLarge: closeTooLarge,
	session.ServerError:   closeInternal,
}

// Close codes for connections that end before they begin, after the upgrade.
const (
	CloseFull     = closeFull     // the app or the server has all the connections that it may have
	CloseTooLarge = closeTooLarge // the client sent more than a frame may hold
)

// errorFrame is a server.error about a request, or about a room.
func errorFrame(err error, code, room, correlation string) []byte {
	f := fault.Of(err)
	if code == "" {
		code = codes[f.Kind]
	}
	w := begin(make([]byte, 0, 160+len(f.Msg)), "server.error")
	w.text("code", code)
	w.text("message", f.Msg)
	wait, again := retryable[code]
	w.bool("retryable", again)
	if f.Retry > 0 {
		wait = f.Retry
	}
	if again {
		w.int("retry_after_ms", max(1, wait.Milliseconds()))
	}
	if f.Kind == fault.Conflict && f.Detail > 0 {
		w.uint("version", f.Detail)
	}
	if room != "" {
		w.text("room_id", room)
	}
	return w.answer(correlation)
}
