package serverapi

import (
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// parseBody reads a request body that must be a JSON object. empty says that no body at all stands for an empty object.
func parseBody(body []byte, empty bool) (envelope.Value, error) {
	if len(body) == 0 && empty {
		return envelope.Value("{}"), nil
	}
	v, err := envelope.Parse(body)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the body is not valid JSON: %s", fault.Of(err).Msg).In("body")
	}
	if v.Kind() != envelope.Object {
		return nil, fault.New(fault.Invalid, "the body is %s, not a JSON object", kindName(v)).In("body")
	}
	return v, nil
}

func kindName(v envelope.Value) string {
	return [...]string{envelope.Absent: "absent", envelope.Null: "null", envelope.Bool: "a boolean", envelope.Number: "a number",
		envelope.String: "a string", envelope.Array: "an array", envelope.Object: "an object"}[v.Kind()]
}

func wrongKind(field, want string, v envelope.Value) error {
	return fault.New(fault.Invalid, "%s must be %s, not %s", field, want, kindName(v)).In(field)
}

// textMember reads a string; null counts as absent.
func textMember(v envelope.Value, field string) (string, error) {
	if !v.Given() {
		return "", nil
	}
	s, ok := v.Text()
	if !ok {
		return "", wrongKind(field, "a string", v)
	}
	return s, nil
}

// shortMember reads a string of 1 to most bytes; null counts as absent.
func shortMember(v envelope.Value, field string, most int) (string, error) {
	s, err := textMember(v, field)
	if err != nil || !v.Given() {
		return "", err
	}
	if s == "" || len(s) > most {
		return "", badLength(field, len(s), most)
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7f {
			return "", fault.New(fault.Invalid, "%s %s has a control character at byte %d", field, channel.Quote(s), i).In(field)
		}
	}
	return s, nil
}

func badLength(field string, n, most int) error {
	if n == 0 {
		return fault.New(fault.Invalid, "%s is empty", field).In(field)
	}
	return fault.New(fault.Invalid, "%s has %d bytes, more than the %d allowed", field, n, most).In(field)
}

func boolMember(v envelope.Value, field string) (bool, error) {
	if !v.Given() {
		return false, nil
	}
	b, ok := v.Bool()
	if !ok {
		return false, wrongKind(field, "true or false", v)
	}
	return b, nil
}

// compact appends a JSON value without the white space between its tokens.
func compact(dst []byte, v envelope.Value) []byte {
	from := 0
	for i := 0; i < len(v); {
		switch v[i] {
		case ' ', '\t', '\n', '\r':
			dst = append(dst, v[from:i]...)
			i++
			from = i
		case '"':
			for i++; v[i] != '"'; i++ {
				if v[i] == '\\' {
					i++
				}
			}
			i++
		default:
			i++
		}
	}
	return append(dst, v[from:]...)
}

// compacted is compact into bytes of its own.
func compacted(v envelope.Value) []byte { return compact(make([]byte, 0, len(v)), v) }
