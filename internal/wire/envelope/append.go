package envelope

import (
	"slices"
	"unicode/utf8"
)

// plain marks the bytes that stand for themselves in a JSON string.
var plain = func() (set [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		set[c] = c != '"' && c != '\\'
	}
	return set
}()

// escaped is the most that one byte of a string can become.
const escaped = len(`\u00ff`)

// chunk is how many bytes are escaped between two looks at the room that is left.
const chunk = 32

// AppendString appends s as a JSON string. What is not valid UTF-8 becomes U+FFFD, so that a frame is always valid.
func AppendString[T ~string | ~[]byte](dst []byte, s T) []byte {
	dst = slices.Grow(dst, len(s)+len(s)/4+chunk*escaped)
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		end := min(i+chunk, len(s))
		dst = slices.Grow(dst, chunk*escaped+utf8.UTFMax)
		room := dst[:cap(dst)]
		at := len(dst)
		for i < end {
			c := s[i]
			switch {
			case plain[c]:
				room[at] = c
				at++
				i++
			case c == '"' || c == '\\':
				room[at], room[at+1] = '\\', c
				at += 2
				i++
			case c < utf8.RuneSelf:
				at += escape(room[at:], c)
				i++
			default:
				n, size := runeAt(room[at:], s, i)
				at += n
				i += size
			}
		}
		dst = room[:at]
	}
	return append(dst, '"')
}

// runeAt writes the rune at i, U+FFFD if there is no valid one, and gives what was written and what was read.
func runeAt[T ~string | ~[]byte](dst []byte, s T, i int) (n, size int) {
	var b [utf8.UTFMax]byte
	r, size := utf8.DecodeRune(b[:copy(b[:], s[i:min(i+utf8.UTFMax, len(s))])])
	return utf8.EncodeRune(dst, r), size
}

func escape(dst []byte, c byte) int {
	const digits = "0123456789abcdef"
	short := byte(0)
	switch c {
	case '\n':
		short = 'n'
	case '\r':
		short = 'r'
	case '\t':
		short = 't'
	}
	if short != 0 {
		return copy(dst, []byte{'\\', short})
	}
	return copy(dst, []byte{'\\', 'u', '0', '0', digits[c>>4], digits[c&15]})
}
