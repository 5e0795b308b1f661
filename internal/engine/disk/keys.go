package disk

import (
	"bytes"
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Every row's key begins with a tag; rows of one stream follow it with the stream's number (big-endian). Serials are
// big-endian, so rows sort by them.
const (
	tagStore   = 'A' // word → facts about the whole store: epoch, forget number, next stream number
	tagRecord  = 'c' // space, key → small record
	tagStream  = 'S' // app, channel, log → stream row: number, meta
	tagEntry   = 'e' // number, serial → entry
	tagHeader  = 'h' // number, subject → message header
	tagAlias   = 'a' // number, serial of a first put → its key
	tagIndex   = 'i' // number, subject, serial → kind and message of the entry
	tagState   = 's' // number, subject, serial → folded state of the subject at that serial
	tagReceipt = 'r' // number, hash of the idempotency key → receipt
	tagExpiry  = 'x' // time, number, hash → receipts in order of expiry
	tagDue     = 'q' // time, number → name of a stream that retention must look at then
)

const numbered = 1 + 8 // tag and stream number

// A stream's number ends in its slot, which is a hash of its name: so the shard that owns a row is known from the
// number alone, whatever the number of shards.
const slotBits = 6

func slotOf(ref stream.Ref) uint64 {
	h := uint64(14695981039346656037)
	for _, s := range [...]string{ref.App, ref.Channel} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211
	}
	h = (h ^ uint64(ref.Log)) * 1099511628211
	return (h ^ h>>32) & (1<<slotBits - 1)
}

func storeKey(word string) []byte { return append([]byte{tagStore}, word...) }

func streamKey(dst []byte, ref stream.Ref) []byte {
	dst = append(appKey(dst, ref.App), ref.Channel...)
	return append(dst, byte(ref.Log))
}

func appKey(dst []byte, app string) []byte {
	dst = binary.AppendUvarint(append(dst, tagStream), uint64(len(app)))
	return append(dst, app...)
}

// refOf is the inverse of streamKey.
func refOf(key []byte) (ref stream.Ref, ok bool) {
	if len(key) < 3 || key[0] != tagStream {
		return ref, false
	}
	n, w := binary.Uvarint(key[1:])
	rest := key[1:]
	if w <= 0 || w >= len(rest) || n > uint64(len(rest)-w-1) {
		return ref, false
	}
	rest = rest[w:]
	last := len(rest) - 1
	return stream.Ref{App: string(rest[:n]), Channel: string(rest[n:last]), Log: stream.Log(rest[last])}, true
}

func numberKey(dst []byte, tag byte, num uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, tag), num)
}

func entryKey(dst []byte, num, serial uint64) []byte {
	return binary.BigEndian.AppendUint64(numberKey(dst, tagEntry, num), serial)
}

func headerKey(dst []byte, num uint64, s stream.Subject) []byte {
	return append(numberKey(dst, tagHeader, num), s...)
}

func aliasKey(dst []byte, num, serial uint64) []byte {
	return binary.BigEndian.AppendUint64(numberKey(dst, tagAlias, num), serial)
}

// subjectKey is the prefix of the index or state rows of one subject. The length comes first, so that no subject is a
// prefix of another and the messages without a key are contiguous, in order of serial.
func subjectKey(dst []byte, tag byte, num uint64, s stream.Subject) []byte {
	dst = append(numberKey(dst, tag, num), byte(len(s)))
	return append(dst, s...)
}

func subjectSerialKey(dst []byte, tag byte, num uint64, s stream.Subject, serial uint64) []byte {
	return binary.BigEndian.AppendUint64(subjectKey(dst, tag, num, s), serial)
}

// splitSubject reads the subject and serial of an index or state row's key.
func splitSubject(key []byte) (s stream.Subject, serial uint64, ok bool) {
	if len(key) < numbered+1 {
		return "", 0, false
	}
	n := int(key[numbered])
	if len(key) != numbered+1+n+8 {
		return "", 0, false
	}
	return stream.Subject(key[numbered+1 : numbered+1+n]), binary.BigEndian.Uint64(key[numbered+1+n:]), true
}

func receiptKey(dst []byte, num uint64, hash []byte) []byte {
	return append(numberKey(dst, tagReceipt, num), hash...)
}

func expiryKey(dst []byte, at int64, num uint64, hash []byte) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, tagExpiry), uint64(at))
	dst = binary.BigEndian.AppendUint64(dst, num)
	return append(dst, hash...)
}

func dueKey(dst []byte, at int64, num uint64) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, tagDue), uint64(at))
	return binary.BigEndian.AppendUint64(dst, num)
}

func recordKey(dst []byte, space, key string) []byte {
	return append(spaceKey(dst, space), key...)
}

func spaceKey(dst []byte, space string) []byte {
	dst = binary.AppendUvarint(append(dst, tagRecord), uint64(len(space)))
	return append(dst, space...)
}

// upper is the smallest key above all keys with the prefix.
func upper(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] != 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return nil
}

// comparer orders keys by their bytes. Split tells pebble's filters what a point read may ask for: the subject of
// index and state rows, the stream of entries, the whole key of everything else.
var comparer = func() *pebble.Comparer {
	c := *pebble.DefaultComparer
	c.Name = "continuo.keys.v1"
	c.Split = splitKey
	return &c
}()

func splitKey(key []byte) int {
	if len(key) <= numbered {
		return len(key)
	}
	switch key[0] {
	case tagEntry:
		return numbered
	case tagIndex, tagState:
		return min(len(key), numbered+1+int(key[numbered]))
	}
	return len(key)
}
