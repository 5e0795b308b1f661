package feed

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// pack appends the frame as a MessagePack map with the members of the JSON form, in the same order.
func (f *frame) pack(dst []byte) []byte {
	members := 3
	for _, there := range [...]bool{f.key != "", f.message != 0, f.named(), !f.deleted, f.id.Serial != 0} {
		if there {
			members++
		}
	}
	dst = append(dst, 0x80|byte(members))
	dst = packString(packString(dst, "channel"), f.channel)
	dst = packString(packString(dst, "type"), f.kind())
	if f.key != "" {
		dst = packString(packString(dst, "key"), f.key)
	}
	if f.message != 0 {
		dst = packString(packString(dst, "messageSerial"), strconv.FormatUint(f.message, 10))
	}
	if f.named() {
		dst = packString(packString(dst, "event"), f.event)
	}
	if !f.deleted {
		dst = packData(packString(dst, "payload"), f.payload)
	}
	dst = packInt(packString(dst, "ts"), f.id.Time)
	if f.id.Serial != 0 {
		var id [44]byte
		dst = packString(packString(dst, "entryId"), appendID(id[:0], f.id))
	}
	return dst
}

// packData shows data as the JSON form does, but for bytes, which stay bytes.
func packData(dst []byte, d stream.Data) []byte {
	switch d.Type {
	case stream.Bytes:
		return append(packHead(dst, len(d.Bytes), 0xc4), d.Bytes...)
	case stream.JSON:
		if v, err := envelope.Parse(d.Bytes); err == nil {
			return packValue(dst, v)
		}
		return packString(dst, d.Bytes)
	case stream.Text:
		if structured(d.Bytes) {
			return packValue(dst, d.Bytes)
		}
		return packString(dst, d.Bytes)
	}
	return append(dst, 0xc0)
}

// packValue copies a JSON value. Members keep their order; numbers are integers where they were written as such.
func packValue(dst []byte, v envelope.Value) []byte {
	switch v.Kind() {
	case envelope.Object:
		n := 0
		for range v.Members() {
			n++
		}
		dst = packCount(dst, n, 0x80, 0xde)
		for name, value := range v.Members() {
			dst = packValue(packString(dst, name), value)
		}
	case envelope.Array:
		n := 0
		for range v.Items() {
			n++
		}
		dst = packCount(dst, n, 0x90, 0xdc)
		for item := range v.Items() {
			dst = packValue(dst, item)
		}
	case envelope.String:
		s, _ := v.Text()
		dst = packString(dst, s)
	case envelope.Bool:
		if b, _ := v.Bool(); b {
			return append(dst, 0xc3)
		}
		dst = append(dst, 0xc2)
	case envelope.Number:
		dst = packNumber(dst, string(v))
	default:
		dst = append(dst, 0xc0)
	}
	return dst
}

// packNumber packs an integer as such, anything else as a double. What is too large even for that stays text.
func packNumber(dst []byte, text string) []byte {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return packInt(dst, i)
	}
	if u, err := strconv.ParseUint(text, 10, 64); err == nil {
		return binary.BigEndian.AppendUint64(append(dst, 0xcf), u)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return packString(dst, text)
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xcb), math.Float64bits(f))
}

func packInt(dst []byte, i int64) []byte {
	switch {
	case i >= -32 && i < 128:
		return append(dst, byte(i))
	case i >= 0 && i <= math.MaxUint8:
		return append(dst, 0xcc, byte(i))
	case i >= 0 && i <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, 0xcd), uint16(i))
	case i >= 0 && i <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, 0xce), uint32(i))
	case i >= 0:
		return binary.BigEndian.AppendUint64(append(dst, 0xcf), uint64(i))
	case i >= math.MinInt8:
		return append(dst, 0xd0, byte(i))
	case i >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(dst, 0xd1), uint16(i))
	case i >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(dst, 0xd2), uint32(i))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xd3), uint64(i))
}

func packString[T ~string | ~[]byte](dst []byte, s T) []byte {
	if len(s) < 32 {
		dst = append(dst, 0xa0|byte(len(s)))
	} else {
		dst = packHead(dst, len(s), 0xd9)
	}
	return append(dst, s...)
}

// packHead appends the length of a string or of bytes: first stands for a length of 8 bits, the next for 16 and 32.
func packHead(dst []byte, n int, first byte) []byte {
	switch {
	case n <= math.MaxUint8:
		return append(dst, first, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, first+1), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, first+2), uint32(n))
}

// packCount appends the number of items of an array or of pairs of a map.
func packCount(dst []byte, n int, small, first byte) []byte {
	switch {
	case n < 16:
		return append(dst, small|byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, first), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, first+1), uint32(n))
}
