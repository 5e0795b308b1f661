package ws

import "unicode/utf8"

// validator checks text for UTF-8 as it arrives, in pieces cut anywhere, and notices the first byte that cannot be part
// of valid text any more. The zero value is ready.
type validator struct {
	part [utf8.UTFMax]byte // a rune whose end has not come yet
	n    int
}

// add takes the next piece. False means that the text is invalid, whatever follows.
func (v *validator) add(p []byte) bool {
	for v.n > 0 && len(p) > 0 {
		v.part[v.n] = p[0]
		v.n, p = v.n+1, p[1:]
		if utf8.FullRune(v.part[:v.n]) {
			if r, size := utf8.DecodeRune(v.part[:v.n]); r == utf8.RuneError && size == 1 {
				return false
			}
			v.n = 0
		}
	}
	tail := incomplete(p)
	if !utf8.Valid(p[:len(p)-tail]) {
		return false
	}
	v.n += copy(v.part[v.n:], p[len(p)-tail:])
	return true
}

// done says whether the text may end here.
func (v *validator) done() bool { return v.n == 0 }

// incomplete returns how many bytes at the end of p are the beginning of a rune that may still become valid.
func incomplete(p []byte) int {
	for i := 1; i < utf8.UTFMax && i <= len(p); i++ {
		if b := p[len(p)-i:]; utf8.RuneStart(b[0]) {
			if utf8.FullRune(b) {
				return 0
			}
			return i
		}
	}
	return 0
}
