package disk

import (
	"encoding/binary"
	"fmt"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// header is a message's header and what this engine keeps beside it.
type header struct {
	stream.Header
	chain uint64 // entries of the subject after its newest state row, or from the put on with which its fold begins
	base  uint64 // serial of that row, 0 none. A checkpoint may have made a newer one
}

func appendHeader(dst []byte, h *header) []byte {
	dst = binary.AppendUvarint(dst, h.chain)
	dst = binary.AppendUvarint(dst, h.base)
	return stream.AppendHeader(dst, &h.Header)
}

func decodeHeader(b []byte) (h header, err error) {
	for _, v := range [...]*uint64{&h.chain, &h.base} {
		n := 0
		if *v, n = binary.Uvarint(b); n <= 0 {
			return header{}, fmt.Errorf("message header: %w", stream.ErrCorrupt)
		}
		b = b[n:]
	}
	h.Header, err = stream.DecodeHeader(b)
	return h, err
}

// supersedes reports whether the newest entry is a put with which the fold of the key can begin.
func (h *header) supersedes(log stream.Log, s stream.Subject) bool {
	return log == stream.Messages && s[0] == 'k' && h.Row == h.Last && !h.Annotated && (h.Message == h.Row || h.BegunAt != 0)
}

// A state row is kept after so many entries of a key; for messages without a key Header.StateDue decides.
const keyChain = 16

// stateDue reports whether the subject's state should be kept now. A put whose ancestor stands for what it supersedes
// needs no state: the fold begins there.
func (h *header) stateDue(log stream.Log, s stream.Subject) bool {
	if h.supersedes(log, s) {
		return false
	}
	return h.Header.StateDue() || h.chain >= 64 || s[0] == 'k' && h.chain >= keyChain
}
