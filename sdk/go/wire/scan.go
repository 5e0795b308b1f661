package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf8"
)

// What follows reads JSON that json.Valid has accepted: it need not look for errors, only for ends.

// object calls member for each member of a JSON object, in order; false: text is no object, or member returned an error.
func object(text []byte, member func(name, value []byte) error) error {
	at := space(text, 0)
	if text[at] != '{' {
		return errors.New("it is no JSON object")
	}
	for at = space(text, at+1); text[at] != '}'; {
		if text[at] == ',' {
			at = space(text, at+1)
		}
		end := skip(text, at)
		name := text[at+1 : end-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			plain, _ := str(text[at:end])
			name = []byte(plain)
		}
		at = space(text, space(text, end)+1) // after the colon
		end = skip(text, at)
		if err := member(name, text[at:end]); err != nil {
			return err
		}
		at = space(text, end)
	}
	return nil
}

// array calls item for each element of a JSON array.
func array(text []byte, item func(value []byte) error) error {
	if text[0] != '[' {
		return errors.New("it is no list")
	}
	for at := space(text, 1); text[at] != ']'; {
		if text[at] == ',' {
			at = space(text, at+1)
		}
		end := skip(text, at)
		if err := item(text[at:end]); err != nil {
			return err
		}
		at = space(text, end)
	}
	return nil
}

func space(text []byte, at int) int {
	for at < len(text) && (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t') {
		at++
	}
	return at
}

// skip returns the end of the value that begins at at.
func skip(text []byte, at int) int {
	switch text[at] {
	case '"':
		return skipString(text, at)
	case '{', '[':
		return skipNested(text, at)
	}
	for ; at < len(text); at++ {
		switch text[at] {
		case ' ', '\n', '\r', '\t', ',', ']', '}':
			return at
		}
	}
	return at
}

func skipString(text []byte, at int) int {
	for at++; text[at] != '"'; at++ {
		if text[at] == '\\' {
			at++
		}
	}
	return at + 1
}

func skipNested(text []byte, at int) int {
	for depth := 0; ; {
		switch text[at] {
		case '"':
			at = skipString(text, at)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		at++
		if depth == 0 {
			return at
		}
	}
}

// str reads a JSON string.
func str(value []byte) (string, bool) {
	if value[0] != '"' {
		return "", false
	}
	inner := value[1 : len(value)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), true
	}
	var s string
	err := json.Unmarshal(value, &s)
	return s, err == nil
}

// maxWhole is the largest whole number that every language of a client library can hold.
const maxWhole = 1<<53 - 1

// whole reads a whole number that is not negative.
func whole(value []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	return n, err == nil && n >= 0 && n <= maxWhole
}

// valid reports whether a text is JSON in UTF-8.
func valid(text []byte) bool { return utf8.Valid(text) && json.Valid(text) }
