package stream

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// Log tells the two logs of a channel apart.
type Log uint8

// The logs of a channel. Each has serials of its own.
const (
	Messages Log = iota
	Presence
)

func (l Log) String() string {
	if l == Presence {
		return "presence"
	}
	return "messages"
}

// Ref names a log: the app, the channel and which of its two logs.
type Ref struct {
	App     string
	Channel string
	Log     Log
}

func (r Ref) String() string { return r.App + "/" + r.Channel + "/" + r.Log.String() }

// ID is the opaque id of one incarnation of a stream. An id is never used again.
type ID string

// Incarnation is what a stream's row knows about its own identity. The zero value with the store's forget number is
// what a channel without a row has, so the first append adopts the id that subscribers were already told.
type Incarnation struct {
	Forget uint64 // the store's forget number when the row was made
	Resets uint64 // how often the stream was reset since
}

// DeriveID makes the stream id of one incarnation. A new epoch changes every id without touching a row.
func DeriveID(epoch string, ref Ref, inc Incarnation) ID {
	h := sha256.New()
	var n [8]byte
	for _, s := range []string{epoch, ref.App, ref.Channel} {
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	binary.BigEndian.PutUint64(n[:], inc.Forget)
	h.Write(n[:])
	binary.BigEndian.PutUint64(n[:], inc.Resets<<1|uint64(ref.Log))
	h.Write(n[:])
	sum := h.Sum(nil)
	return ID(base64.RawURLEncoding.EncodeToString(sum[:15]))
}
