// Package fault is the vocabulary of errors that a face may show to a client.
//
// A fault says what kind of thing went wrong (Kind, append-only, mapped by every face to its own codes) and tells
// the reader what to do about it (Msg). Errors that are not faults are internal: faces answer them with Internal and
// the edge logs them.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind classifies a fault. Kinds are append-only: their slugs go over the wire (HTTP error body "code").
type Kind uint8

// The kinds. A face has one table from Kind to its own codes, and a test that ranges over Kinds.
const (
	Internal            Kind = iota // unexpected; the cause is logged, never shown
	Invalid                         // input that is malformed or out of range
	MissingChannel                  // a publish that names no channel
	LimitExceeded                   // a configured quota (members, keys, channels) is used up
	TooLarge                        // payload beyond its size limit
	AuthFailed                      // credentials missing, wrong or expired
	Forbidden                       // authenticated, but not allowed to do this
	InsecureTransport               // a Bearer secret over a plain, non-loopback connection
	AppNotFound                     // no such app or key
	AppDisabled                     // the app exists and is switched off
	NotFound                        // no such message, key, channel or user
	MutableNotPermitted             // a mutation without the capability for it
	Disabled                        // the feature is switched off for this app or channel
	RateLimited                     // too many requests in a unit of time; see Retry
	Conflict                        // a guard did not hold (if_version, deleted message)
	Mismatch                        // an idempotency key was used before with another payload
	Unknown                         // the outcome of a write is unknown; retry with the same key
	Full                            // the store has no room left
	Backpressure                    // too much work waiting; retry
	Unavailable                     // the store cannot be read or written now
	NotProvable                     // asked for state below the floor
	SnapshotExpired                 // a snapshot cursor whose serial retention has passed
	Unsupported                     // the frame, version or operation is not known
	kinds                           // number of kinds
)

var slugs = [kinds]string{
	Internal: "internal_error", Invalid: "invalid_input", MissingChannel: "missing_channel_info",
	LimitExceeded: "limit_exceeded", TooLarge: "payload_too_large", AuthFailed: "auth_failed",
	Forbidden: "forbidden", InsecureTransport: "insecure_transport", AppNotFound: "app_not_found",
	AppDisabled: "app_disabled", NotFound: "not_found", MutableNotPermitted: "mutable_not_permitted",
	Disabled: "feature_disabled", RateLimited: "rate_limited", Conflict: "conflict",
	Mismatch: "idempotency_mismatch", Unknown: "outcome_unknown", Full: "store_full",
	Backpressure: "backpressure", Unavailable: "service_unavailable", NotProvable: "not_provable",
	SnapshotExpired: "snapshot_expired", Unsupported: "not_implemented",
}

// Kinds returns every kind, for tests that check a face's table.
func Kinds() []Kind {
	all := make([]Kind, kinds)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

// String is the slug that goes over the wire.
func (k Kind) String() string {
	if k < kinds {
		return slugs[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Error is a fault: a kind, a message for the person who reads it, and optionally the cause.
type Error struct {
	Kind  Kind
	Msg   string
	Field string        // the input field or parameter at fault, if one is
	Retry time.Duration // for kinds that may be retried: how long to wait; 0 = the face's default
	// Detail carries a number that the face shows beside the message: the current version of a Conflict, the floor
	// of a NotProvable. 0 means none.
	Detail uint64
	Err    error
}

// New makes a fault of kind k with a formatted message; %w keeps a cause.
func New(k Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: k, Msg: err.Error(), Err: errors.Unwrap(err)}
}

// In says which input field is at fault.
func (e *Error) In(field string) *Error { e.Field = field; return e }

// With attaches the detail number of a Conflict or NotProvable.
func (e *Error) With(n uint64) *Error { e.Detail = n; return e }

// After says how long to wait before a retry.
func (e *Error) After(d time.Duration) *Error { e.Retry = d; return e }

func (e *Error) Error() string { return e.Msg }

// Unwrap gives the cause, if one was kept.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is a bare fault (no message) of the same kind, so that errors.Is(err, &fault.Error{Kind: k}) works.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Kind == e.Kind && t.Msg == ""
}

// KindOf is the kind of the first fault in err's chain, Internal when there is none. A nil error has no kind: do not ask.
func KindOf(err error) Kind {
	var f *Error
	if errors.As(err, &f) {
		return f.Kind
	}
	return Internal
}

// Of returns the first fault in err's chain; anything else becomes an Internal fault that hides its text.
func Of(err error) *Error {
	var f *Error
	if errors.As(err, &f) {
		return f
	}
	return &Error{Kind: Internal, Msg: "internal server error", Err: err}
}
