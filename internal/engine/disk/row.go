package disk

import (
	"encoding/binary"
	"fmt"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// row is what a stream's row says: the meta that the contract knows and what this engine keeps beside it. A row that
// was published to readers is never changed.
type row struct {
	stream.Meta
	num   uint64 // 0: the channel has no row
	ended uint64 // keyed messages whose row is at or below this serial are over: trimmed without a checkpoint, purged, reset
	swept uint64 // rows of entries at or below this serial are deleted
	due   int64  // time of the stream's place in the due queue, 0 none
	kept  bool   // checkpoint rows may exist
	id    stream.ID
}

func (r *row) bounds() stream.Bounds { return r.Bounds(r.id) }

const streamRowVersion = 1

func appendRow(dst []byte, r *row) []byte {
	dst = append(dst, streamRowVersion)
	dst = binary.BigEndian.AppendUint64(dst, r.num)
	for _, v := range [...]uint64{r.ended, r.swept, uint64(r.due)} {
		dst = binary.AppendUvarint(dst, v)
	}
	kept := byte(0)
	if r.kept {
		kept = 1
	}
	return stream.AppendMeta(append(dst, kept), &r.Meta)
}

func decodeRow(b []byte) (row, error) {
	var r row
	if len(b) < 10 || b[0] != streamRowVersion {
		return r, fmt.Errorf("stream row: unknown version: %w", stream.ErrCorrupt)
	}
	r.num = binary.BigEndian.Uint64(b[1:])
	b = b[9:]
	var v [3]uint64
	for i := range v {
		n := 0
		if v[i], n = binary.Uvarint(b); n <= 0 {
			return r, fmt.Errorf("stream row: %w", stream.ErrCorrupt)
		}
		b = b[n:]
	}
	if len(b) == 0 || r.num == 0 {
		return r, fmt.Errorf("stream row: %w", stream.ErrCorrupt)
	}
	r.ended, r.swept, r.due, r.kept = v[0], v[1], int64(v[2]), b[0] != 0
	var err error
	r.Meta, err = stream.DecodeMeta(b[1:])
	return r, err
}

// indexValue is what an index row says about its entry, so that most reads by message need not open it.
func indexValue(dst []byte, e *stream.Entry) []byte {
	return binary.AppendUvarint(append(dst, byte(e.Kind)), e.Message)
}

func decodeIndex(b []byte) (kind stream.Kind, message uint64, err error) {
	if len(b) < 2 {
		return 0, 0, fmt.Errorf("index row: %w", stream.ErrCorrupt)
	}
	message, n := binary.Uvarint(b[1:])
	if n <= 0 {
		return 0, 0, fmt.Errorf("index row: %w", stream.ErrCorrupt)
	}
	return stream.Kind(b[0]), message, nil
}
