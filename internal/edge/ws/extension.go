package ws

import (
	"net/http"
	"strings"
)

// accepted is the answer to an offer of permessage-deflate: neither side takes a context over, so that a compressed frame
// can be shared and a connection keeps no window.
const accepted = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

// negotiate takes the first offer of permessage-deflate that can be kept, and returns the answer to it.
func negotiate(h http.Header) (answer string, ok bool) {
	for _, offer := range tokens(h, "Sec-Websocket-Extensions") {
		if answer, ok := accept(offer); ok {
			return answer, true
		}
	}
	return "", false
}

// accept judges one offer (RFC 7692, section 7.1). A smaller window for the server than the usual one is declined, since
// frames are shared among connections; a window for the client is its own affair.
func accept(offer string) (string, bool) {
	name, params, _ := strings.Cut(offer, ";")
	if !strings.EqualFold(strings.TrimSpace(name), "permessage-deflate") {
		return "", false
	}
	answer := accepted
	seen := make(map[string]bool)
	for params != "" {
		var param string
		param, params, _ = strings.Cut(params, ";")
		key, value, hasValue := strings.Cut(strings.TrimSpace(param), "=")
		key, value = strings.ToLower(strings.TrimSpace(key)), strings.Trim(strings.TrimSpace(value), `"`)
		if seen[key] {
			return "", false
		}
		seen[key] = true
		switch key {
		case "server_no_context_takeover", "client_no_context_takeover":
			if hasValue {
				return "", false
			}
		case "client_max_window_bits":
			if hasValue && !validBits(value) {
				return "", false
			}
		case "server_max_window_bits":
			if value != "15" {
				return "", false
			}
			answer += "; server_max_window_bits=15"
		default:
			return "", false
		}
	}
	return answer, true
}

// validBits says whether value is a window size in bits, 8 to 15.
func validBits(value string) bool {
	switch value {
	case "8", "9", "10", "11", "12", "13", "14", "15":
		return true
	}
	return false
}
