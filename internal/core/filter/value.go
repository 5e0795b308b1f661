package filter

import (
	"encoding/json"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/continuo-rt/continuo/internal/core/fault"
)

// ParseValue reads one value of a filter from JSON: a string as it is, a number as its decimal string, true or false.
func ParseValue(raw []byte) (string, error) {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return "", fault.New(fault.Invalid, "a filter value is not JSON")
	}
	return value(v, raw)
}

// ParseValues reads an array of filter values, at most MaxValues.
func ParseValues(raw []byte) ([]string, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil || items == nil {
		return nil, fault.New(fault.Invalid, "a filter must be an array of strings or numbers")
	}
	if len(items) > MaxValues {
		return nil, fault.New(fault.Invalid, "a filter has %d values, more than the %d allowed", len(items), MaxValues)
	}
	values := make([]string, len(items))
	for i, item := range items {
		v, err := ParseValue(item)
		if err != nil {
			return nil, fault.New(fault.Invalid, "value %d: %w", i, err)
		}
		values[i] = v
	}
	return values, nil
}

func value(v any, raw []byte) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case float64:
		trimmed := eval{data: raw}
		trimmed.space()
		if plain, ok := appendNumber(nil, trimmed.word()); ok {
			return string(plain), nil
		}
	}
	return "", fault.New(fault.Invalid, "a filter value must be a string, a number, true or false")
}

// maxPlain is how long the plain decimal form of a number may get; a longer one keeps its exponent.
const maxPlain = 60

// appendNumber appends the decimal string of a JSON number: without exponent, without trailing zeros behind the point,
// zero without a sign. 7, 7.0 and 70e-1 all give "7". ok is false for what is no JSON number.
func appendNumber(dst, raw []byte) (out []byte, ok bool) {
	n, ok := scanNumber(raw)
	if !ok {
		return dst, false
	}
	if n.plain {
		return append(dst, raw...), true
	}
	var buf [64]byte
	digits := append(buf[:0], n.whole...)
	digits = append(digits, n.fraction...)
	point := len(n.whole) + n.exponent // digits[:point] stand before the decimal point
	for len(digits) > 0 && digits[0] == '0' {
		digits, point = digits[1:], point-1
	}
	for len(digits) > 0 && digits[len(digits)-1] == '0' {
		digits = digits[:len(digits)-1]
	}
	if len(digits) == 0 {
		return append(dst, '0'), true
	}
	if n.negative {
		dst = append(dst, '-')
	}
	switch {
	case len(digits) > maxPlain || point > maxPlain || point < -maxPlain:
		dst = append(dst, digits...)
		dst = append(dst, 'e')
		return strconv.AppendInt(dst, int64(point-len(digits)), 10), true
	case point >= len(digits):
		return zeros(append(dst, digits...), point-len(digits)), true
	case point <= 0:
		return append(zeros(append(dst, '0', '.'), -point), digits...), true
	}
	dst = append(append(dst, digits[:point]...), '.')
	return append(dst, digits[point:]...), true
}

func zeros(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, '0')
	}
	return dst
}

type number struct {
	negative, plain bool // plain: an integer as it should be written
	whole, fraction []byte
	exponent        int
}

func scanNumber(raw []byte) (n number, ok bool) {
	rest := raw
	if len(rest) > 0 && rest[0] == '-' {
		n.negative, rest = true, rest[1:]
	}
	n.whole, rest = run(rest)
	if len(n.whole) == 0 || (len(n.whole) > 1 && n.whole[0] == '0') {
		return n, false
	}
	n.plain = len(rest) == 0 && !(n.negative && n.whole[0] == '0')
	if len(rest) > 0 && rest[0] == '.' {
		if n.fraction, rest = run(rest[1:]); len(n.fraction) == 0 {
			return n, false
		}
	}
	if len(rest) > 0 && (rest[0] == 'e' || rest[0] == 'E') {
		rest = rest[1:]
		minus := false
		if len(rest) > 0 && (rest[0] == '+' || rest[0] == '-') {
			minus, rest = rest[0] == '-', rest[1:]
		}
		var digits []byte
		if digits, rest = run(rest); len(digits) == 0 {
			return n, false
		}
		for _, d := range digits {
			if n.exponent < 1_000_000 { // far beyond any number that is compared
				n.exponent = n.exponent*10 + int(d-'0')
			}
		}
		if minus {
			n.exponent = -n.exponent
		}
	}
	return n, len(rest) == 0
}

func run(s []byte) (digits, rest []byte) {
	i := 0
	for i < len(s) && '0' <= s[i] && s[i] <= '9' {
		i++
	}
	return s[:i], s[i:]
}

// appendUnescaped appends what stands between the quotes of a JSON string, with its escapes resolved. ok is false for
// an escape that JSON does not have; a lone surrogate becomes U+FFFD, as everywhere.
func appendUnescaped(dst, raw []byte) (out []byte, ok bool) {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			dst = append(dst, raw[i])
			continue
		}
		if i++; i >= len(raw) {
			return dst, false
		}
		switch c := raw[i]; c {
		case '"', '\\', '/':
			dst = append(dst, c)
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, size := unescapeRune(raw[i+1:])
			if size == 0 {
				return dst, false
			}
			dst = utf8.AppendRune(dst, r)
			i += size
		default:
			return dst, false
		}
	}
	return dst, true
}

// unescapeRune reads what follows \u, and the second half of a surrogate pair with it.
func unescapeRune(s []byte) (r rune, size int) {
	r, ok := hex4(s)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 4
	}
	if len(s) >= 10 && s[4] == '\\' && s[5] == 'u' {
		if low, ok := hex4(s[6:]); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				return pair, 10
			}
		}
	}
	return utf8.RuneError, 4
}

func hex4(s []byte) (r rune, ok bool) {
	if len(s) < 4 {
		return 0, false
	}
	for _, c := range s[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
