package serverapi

import (
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// MethodNotAllowed is the one code of the API that is no kind of fault.
const MethodNotAllowed = "method_not_allowed"

// Status is the HTTP status of a kind of fault.
func Status(k fault.Kind) int {
	if s, ok := statuses[k]; ok {
		return s
	}
	return 500
}

var statuses = map[fault.Kind]int{
	fault.Internal:            500,
	fault.Invalid:             400,
	fault.MissingChannel:      400,
	fault.LimitExceeded:       400,
	fault.TooLarge:            413,
	fault.AuthFailed:          401,
	fault.Forbidden:           403,
	fault.InsecureTransport:   403,
	fault.AppNotFound:         404,
	fault.AppDisabled:         403,
	fault.NotFound:            404,
	fault.MutableNotPermitted: 403,
	fault.Disabled:            422,
	fault.RateLimited:         429,
	fault.Conflict:            409,
	fault.Mismatch:            409,
	fault.Unknown:             503,
	fault.Full:                503,
	fault.Backpressure:        503,
	fault.Unavailable:         503,
	fault.NotProvable:         422,
	fault.SnapshotExpired:     410,
	fault.Unsupported:         501,
}

// RetryAfter is how long a client should wait before it repeats a request that failed so; 0: repeating it is no help.
func RetryAfter(e *fault.Error) time.Duration {
	if e.Retry > 0 {
		return e.Retry
	}
	switch e.Kind {
	case fault.RateLimited, fault.Unknown, fault.Backpressure, fault.Unavailable:
		return time.Second
	case fault.Full:
		return 10 * time.Second
	}
	return 0
}

// AppendError appends the body of an error answer. A Conflict carries the current version, a NotProvable the floor.
func AppendError(dst []byte, e *fault.Error) []byte {
	dst = appendError(dst, e.Msg, e.Kind.String(), Status(e.Kind))
	if e.Field != "" {
		dst = append(dst, `,"field":`...)
		dst = envelope.AppendString(dst, e.Field)
	}
	if e.Detail > 0 {
		switch e.Kind {
		case fault.Conflict:
			dst = appendNumber(dst, `,"current_version":`, e.Detail)
		case fault.NotProvable:
			dst = appendNumber(dst, `,"floor":`, e.Detail)
		}
	}
	return append(dst, '}')
}

// AppendMethodError appends the body of a 405.
func AppendMethodError(dst []byte, method, allowed string) []byte {
	return append(appendError(dst, "this path has no method "+method+"; it has "+allowed, MethodNotAllowed, 405), '}')
}

func appendError(dst []byte, msg, code string, status int) []byte {
	dst = append(dst, `{"error":`...)
	dst = envelope.AppendString(dst, msg)
	dst = append(dst, `,"code":"`...)
	dst = append(dst, code...)
	dst = append(dst, '"')
	return appendNumber(dst, `,"status":`, uint64(status))
}
