package continuo

// Error is why something that was asked for did not happen. Codes are those of the protocol's server.error, and of the
// client itself: "closed", "left", "not_connected", "queue_full", "outcome_unknown", "busy", and the reason for which it has stopped.
type Error struct {
	Code      string
	Message   string
	Retryable bool  // it may go better later
	Version   int64 // of a conflict: the version that there is
}

// Error implements error.
func (e *Error) Error() string {
	if e.Message == "" {
		return "continuo: " + e.Code
	}
	return "continuo: " + e.Message + " (" + e.Code + ")"
}
