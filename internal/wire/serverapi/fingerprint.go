package serverapi

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// fingerprint tells whether a repeated request asks for the same thing. Every part goes in with its length, so that no
// two different requests are the same bytes.
type fingerprint struct{ h hash.Hash }

func newFingerprint(what string) fingerprint {
	f := fingerprint{sha256.New()}
	f.add([]byte(what))
	return f
}

func (f fingerprint) add(b []byte) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(b)))
	f.h.Write(n[:])
	f.h.Write(b)
}

func (f fingerprint) num(n uint64) { f.add(binary.BigEndian.AppendUint64(nil, n)) }

func (f fingerprint) data(d stream.Data) {
	f.h.Write([]byte{byte(d.Type)})
	f.add(d.Bytes)
}

func (f fingerprint) sum() (print [16]byte) {
	var all [sha256.Size]byte
	f.h.Sum(all[:0])
	copy(print[:], all[:])
	return print
}
