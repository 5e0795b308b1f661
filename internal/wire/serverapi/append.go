package serverapi

import (
	"encoding/base64"
	"strconv"

	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

func itoa(n uint64) string { return strconv.FormatUint(n, 10) }

// appendNumber appends what stands before a number, and the number.
func appendNumber[N uint64 | uint32 | int64 | int](dst []byte, before string, n N) []byte {
	dst = append(dst, before...)
	if n < 0 {
		return strconv.AppendInt(dst, int64(n), 10)
	}
	return strconv.AppendUint(dst, uint64(n), 10)
}

// appendText appends what stands before a string, and the string.
func appendText[S ~string | ~[]byte](dst []byte, before string, s S) []byte {
	return envelope.AppendString(append(dst, before...), s)
}

// appendQuoted appends a number in quotes, as message and version serials are written.
func appendQuoted(dst []byte, before string, n uint64) []byte {
	dst = append(dst, before...)
	dst = append(dst, '"')
	dst = strconv.AppendUint(dst, n, 10)
	return append(dst, '"')
}

func appendEntryID(dst []byte, before string, id stream.EntryID) []byte {
	dst = append(dst, before...)
	dst = append(dst, '"')
	dst = strconv.AppendInt(dst, id.Time, 10)
	dst = append(dst, '-')
	dst = strconv.AppendUint(dst, id.Serial, 10)
	return append(dst, '"')
}

func appendBool(dst []byte, before string, b bool) []byte {
	return strconv.AppendBool(append(dst, before...), b)
}

func appendBase64(dst, b []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, '"')
}
