package ws

import (
	"errors"
	"fmt"
)

// Close codes of RFC 6455, section 7.4.1, as far as this server sends them or tells them apart.
const (
	CodeNormal          = 1000
	CodeGoingAway       = 1001
	CodeProtocol        = 1002
	CodeUnsupported     = 1003
	CodeNoStatus        = 1005 // never on the wire: the peer's close frame was empty
	CodeInvalidPayload  = 1007
	CodePolicy          = 1008
	CodeTooBig          = 1009
	CodeInternal        = 1011
	CodeServiceRestart  = 1012
	CodeTryAgainLater   = 1013
	firstUnassignedCode = 1015
)

// CloseError is the peer's close frame. The owner answers with ReplyTo and closes.
type CloseError struct {
	Code   int // CodeNoStatus when the frame had none
	Reason string
}

func (e *CloseError) Error() string {
	return fmt.Sprintf("websocket: peer closed with %d %q", e.Code, e.Reason)
}

// ViolationError says that the peer broke the protocol or a limit. The connection must be failed with Code: the owner
// sends ReplyTo, then closes.
type ViolationError struct {
	Code   int
	Reason string
}

func (e *ViolationError) Error() string {
	return fmt.Sprintf("websocket: failed with %d: %s", e.Code, e.Reason)
}

func violation(code int, reason string) error { return &ViolationError{Code: code, Reason: reason} }

// ReplyTo returns the close frame that answers an error of Read: the echo of the peer's close, or the code of its
// violation. It is nil for any other error: then there is nobody to answer.
func ReplyTo(err error) []byte {
	var closed *CloseError
	if errors.As(err, &closed) {
		if closed.Code == CodeNoStatus {
			return CloseFrame(0, "")
		}
		return CloseFrame(closed.Code, "")
	}
	var broken *ViolationError
	if errors.As(err, &broken) {
		return CloseFrame(broken.Code, broken.Reason)
	}
	return nil
}

// validCode says whether a close frame may carry code: assigned by the RFC or its registry, or left to libraries and
// applications (3000-4999).
func validCode(code int) bool {
	switch {
	case code < 1000, code == 1004, code == 1005, code == 1006:
		return false
	case code < firstUnassignedCode:
		return true
	}
	return 3000 <= code && code <= 4999
}
