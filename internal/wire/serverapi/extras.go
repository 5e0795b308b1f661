package serverapi

import (
	"bytes"
	"slices"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// tagsMember reads an object of strings and writes it with its names sorted; nil when there is none.
func tagsMember(v envelope.Value, most int) ([]byte, error) {
	if !v.Given() {
		return nil, nil
	}
	if v.Kind() != envelope.Object {
		return nil, wrongKind("tags", "an object of strings", v)
	}
	type tag struct{ name, value []byte }
	var tags []tag
	for name, m := range v.Members() {
		if m.Kind() != envelope.String {
			return nil, wrongKind("tags."+clip(name), "a string", m)
		}
		tags = append(tags, tag{bytes.Clone(name), m.AppendText(nil)})
	}
	if len(tags) == 0 {
		return nil, nil
	}
	slices.SortFunc(tags, func(a, b tag) int { return bytes.Compare(a.name, b.name) })
	out := []byte{'{'}
	for i, t := range tags {
		if i > 0 {
			out = append(out, ',')
		}
		out = envelope.AppendString(out, t.name)
		out = append(out, ':')
		out = envelope.AppendString(out, t.value)
	}
	if out = append(out, '}'); most > 0 && len(out) > most {
		return nil, fault.New(fault.TooLarge, "tags have %d bytes, more than the %d allowed", len(out), most).In("tags")
	}
	return slices.Clip(out), nil
}

// extras are what a publisher says beside the data, and the parts of them that the server acts on.
type extras struct {
	json      []byte
	ephemeral bool
	once      string
}

// reservedHeader begins the names of headers that the server itself adds.
const reservedHeader = "sockudo_"

func extrasMember(v envelope.Value, most int) (x extras, err error) {
	if !v.Given() {
		return x, nil
	}
	if v.Kind() != envelope.Object {
		return x, wrongKind("extras", "an object", v)
	}
	some := false
	for name, m := range v.Members() {
		some = true
		switch string(name) {
		case "headers":
			err = checkHeaders(m)
		case "ephemeral":
			x.ephemeral, err = boolMember(m, "extras.ephemeral")
		case "echo":
			_, err = boolMember(m, "extras.echo")
		case "idempotencyKey", "idempotency_key":
			x.once, err = shortMember(m, "extras."+string(name), MaxIdempotencyKey)
		case "push":
			err = checkPush(m)
		case "ai":
			if m.Given() && m.Kind() != envelope.Object {
				err = wrongKind("extras.ai", "an object", m)
			}
		}
		if err != nil {
			return extras{}, err
		}
	}
	if !some {
		return x, nil
	}
	if x.json = compacted(v); most > 0 && len(x.json) > most {
		return extras{}, fault.New(fault.TooLarge, "extras have %d bytes, more than the %d allowed", len(x.json), most).In("extras")
	}
	return x, nil
}

func checkHeaders(v envelope.Value) error {
	if !v.Given() {
		return nil
	}
	if v.Kind() != envelope.Object {
		return wrongKind("extras.headers", "an object", v)
	}
	for name, m := range v.Members() {
		switch m.Kind() {
		case envelope.String, envelope.Number, envelope.Bool:
		default:
			return wrongKind("extras.headers."+clip(name), "a string, a number or a boolean", m)
		}
		if strings.HasPrefix(string(name), reservedHeader) {
			return fault.New(fault.Invalid, "the header %s is reserved: names that begin with %s are the server's own",
				channel.Quote(string(name)), reservedHeader).In("extras.headers")
		}
	}
	return nil
}

// checkPush checks what a push notification would be made of: texts, and data that is a flat object of strings.
func checkPush(v envelope.Value) error {
	if !v.Given() {
		return nil
	}
	if v.Kind() != envelope.Object {
		return wrongKind("extras.push", "an object", v)
	}
	for name, m := range v.Members() {
		switch string(name) {
		case "title", "body", "icon", "sound", "collapseKey", "templateId":
			if m.Given() && m.Kind() != envelope.String {
				return wrongKind("extras.push."+string(name), "a string", m)
			}
		case "data":
			if err := checkFlat(m); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkFlat(v envelope.Value) error {
	if !v.Given() {
		return nil
	}
	if v.Kind() != envelope.Object {
		return wrongKind("extras.push.data", "a flat object of strings", v)
	}
	for name, m := range v.Members() {
		if m.Kind() != envelope.String {
			return wrongKind("extras.push.data."+clip(name), "a string", m)
		}
	}
	return nil
}

// clip keeps an untrusted name short in a message.
func clip(name []byte) string {
	const most = 40
	if len(name) > most {
		name = name[:most]
	}
	return strings.ToValidUTF8(string(name), "\ufffd")
}
