package serverapi

import (
	"strconv"
	"unicode/utf8"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// Lengths of what an editor says, in bytes.
const (
	MaxOpID        = 64
	maxClientID    = 200
	maxDescription = 1000
)

// Mutation is a request to update, delete or append to one message.
type Mutation struct {
	Action      stream.Kind
	Name        string
	Data        stream.Data
	Extras      []byte
	Set, Clear  stream.Fields
	ClientID    string
	Socket      string
	Description string
	Metadata    []byte
	OpID        string
	IfVersion   uint32
}

// DecodeMutation reads the body of POST …/messages/{serial}/update|delete|append. An absent field is kept, one in
// clear_fields becomes absent, a given one replaces; null counts as absent. Members that are not known are refused: a
// misspelt if_version must not become an edit without a condition.
func DecodeMutation(body []byte, action stream.Kind, lim *app.Limits) (Mutation, error) {
	v, err := parseBody(body, action == stream.Delete)
	if err != nil {
		return Mutation{}, err
	}
	m := Mutation{Action: action}
	for name, member := range v.Members() {
		if err := m.member(string(name), member, lim); err != nil {
			return Mutation{}, err
		}
	}
	return m, m.check(lim)
}

func (m *Mutation) member(name string, v envelope.Value, lim *app.Limits) (err error) {
	switch name {
	case "name":
		if m.Name, err = textMember(v, name); err == nil && v.Given() {
			m.Set |= stream.FieldName
		}
	case "data":
		if v.Given() {
			m.Data, err = dataMember(v, lim.PayloadBytes)
			m.Set |= stream.FieldData
		}
	case "extras":
		var x extras
		if x, err = extrasMember(v, lim.PayloadBytes); err == nil && v.Given() {
			m.Extras, m.Set = x.json, m.Set|stream.FieldExtras
		}
	case "clear_fields", "clearFields":
		m.Clear, err = clearMember(v)
	case "client_id", "clientId":
		m.ClientID, err = shortMember(v, "client_id", maxClientID)
	case "socket_id", "socketId":
		m.Socket, err = socketMember(v)
	case "description":
		m.Description, err = textMember(v, name)
	case "metadata":
		m.Metadata, err = metadataMember(v, lim.PayloadBytes)
	case "op_id", "opId":
		m.OpID, err = shortMember(v, "op_id", MaxOpID)
	case "if_version", "ifVersion":
		m.IfVersion, err = versionMember(v)
	default:
		err = unknownMember([]byte(name))
	}
	return err
}

// check finds what cannot be right whatever the message is.
func (m *Mutation) check(lim *app.Limits) error {
	if len(m.Description) > maxDescription {
		return badLength("description", len(m.Description), maxDescription)
	}
	if m.Set&m.Clear != 0 {
		return fault.New(fault.Invalid, "%s cannot be replaced and cleared at once", fieldNames(m.Set&m.Clear)).In("clear_fields")
	}
	switch m.Action {
	case stream.Update:
		if m.Set|m.Clear == 0 {
			return fault.New(fault.Invalid, "the update changes nothing: give name, data, extras or clear_fields")
		}
	case stream.Delete:
		if m.Set&stream.FieldName != 0 {
			return fault.New(fault.Invalid, "a deletion has no name").In("name")
		}
	case stream.Append:
		if m.Set&stream.FieldName != 0 || m.Clear != 0 {
			return fault.New(fault.Invalid, "an append has no name and no clear_fields")
		}
		if m.Set&stream.FieldData == 0 || m.Data.Type != stream.Text || len(m.Data.Bytes) == 0 {
			return fault.New(fault.Invalid, "an append needs data: the text to add, a string that is not empty").In("data")
		}
		m.Set &^= stream.FieldData
	}
	if m.Set&stream.FieldName != 0 {
		return channel.CheckPublish(m.Name, lim.EventNameLength)
	}
	return nil
}

var fieldWords = [...]struct {
	field stream.Fields
	name  string
}{{stream.FieldName, "name"}, {stream.FieldData, "data"}, {stream.FieldExtras, "extras"}}

func fieldNames(set stream.Fields) string {
	names := ""
	for _, w := range fieldWords {
		if set&w.field != 0 {
			if names != "" {
				names += ", "
			}
			names += w.name
		}
	}
	return names
}

func clearMember(v envelope.Value) (set stream.Fields, err error) {
	if !v.Given() {
		return 0, nil
	}
	if v.Kind() != envelope.Array {
		return 0, wrongKind("clear_fields", "an array of name, data, extras", v)
	}
	for item := range v.Items() {
		word, ok := item.Text()
		if !ok {
			return 0, wrongKind("clear_fields", "made of strings", item)
		}
		one := stream.Fields(0)
		for _, w := range fieldWords {
			if w.name == word {
				one = w.field
			}
		}
		switch {
		case one == 0:
			return 0, fault.New(fault.Invalid, "clear_fields has %s; there are name, data and extras", channel.Quote(word)).In("clear_fields")
		case set&one != 0:
			return 0, fault.New(fault.Invalid, "clear_fields has %s twice", word).In("clear_fields")
		}
		set |= one
	}
	return set, nil
}

func metadataMember(v envelope.Value, most int) ([]byte, error) {
	if !v.Given() {
		return nil, nil
	}
	b := compacted(v)
	if most > 0 && len(b) > most {
		return nil, fault.New(fault.TooLarge, "metadata has %d bytes, more than the %d allowed", len(b), most).In("metadata")
	}
	return b, nil
}

func versionMember(v envelope.Value) (uint32, error) {
	if !v.Given() {
		return 0, nil
	}
	n, ok := v.Uint()
	if !ok || n == 0 || n > 1<<32-1 {
		return 0, fault.New(fault.Invalid, "if_version must be a version: a whole number of 1 or more").In("if_version")
	}
	return uint32(n), nil
}

// Entry is the entry that the mutation appends, about a message by its serial or by key.
func (m *Mutation) Entry(message uint64, key string) stream.Entry {
	e := stream.Entry{Kind: m.Action, Message: message, Key: key, Event: m.Name, Data: m.Data, Extras: m.Extras,
		User: m.ClientID, Conn: m.Socket, Set: m.Set, Clear: m.Clear}
	if m.Description != "" || m.Metadata != nil {
		e.Note = &stream.Note{Description: m.Description, Metadata: m.Metadata}
	}
	return e
}

// Receipt is the key under which the answer is kept, empty without an op_id, and the fingerprint of the mutation. subject
// is the message's serial, or "key:" and its key.
func (m *Mutation) Receipt(subject string) (key string, print [16]byte) {
	if m.OpID == "" {
		return "", print
	}
	f := newFingerprint(m.Action.String())
	f.add([]byte(m.Name))
	f.data(m.Data)
	f.add(m.Extras)
	f.num(uint64(m.Set))
	f.num(uint64(m.Clear))
	f.add([]byte(m.ClientID))
	f.add([]byte(m.Description))
	f.add(m.Metadata)
	f.num(uint64(m.IfVersion))
	return "op:" + m.Action.String() + ":" + subject + ":" + m.OpID, f.sum()
}

// AppendMutated appends the answer to a mutation.
func AppendMutated(dst []byte, name string, action stream.Kind, r *stream.Result) []byte {
	dst = appendText(dst, `{"channel":`, name)
	dst = appendQuoted(dst, `,"message_serial":`, r.Message)
	dst = append(append(dst, `,"action":"`...), action.String()...)
	dst = appendQuoted(dst, `","accepted":true,"version_serial":`, r.Entry.Serial)
	dst = appendNumber(dst, `,"history_serial":`, r.Message)
	dst = appendNumber(dst, `,"delivery_serial":`, r.Entry.Serial)
	dst = appendNumber(dst, `,"version":`, r.Version)
	if r.Outcome == stream.Duplicate {
		return append(dst, `,"status":"duplicate"}`...)
	}
	return append(dst, `,"status":"applied"}`...)
}

// Take takes from the query what the body of a deletion did not say.
func (m *Mutation) Take(p *Params) error {
	for _, one := range []struct {
		name string
		into *string
		most int
	}{{"op_id", &m.OpID, MaxOpID}, {"client_id", &m.ClientID, maxClientID}, {"socket_id", &m.Socket, maxClientID}} {
		s, ok := p.get(one.name)
		switch {
		case !ok:
			continue
		case *one.into != "":
			return fault.New(fault.Invalid, "%s is given in the query and in the body", one.name).In(one.name)
		case s == "" || len(s) > one.most || !utf8.ValidString(s):
			return badLength(one.name, len(s), one.most)
		case one.name == "socket_id" && !auth.ValidSocket(s):
			return fault.New(fault.Invalid, "the socket_id %s is not of the form 123.456", channel.Quote(s)).In("socket_id")
		}
		*one.into = s
	}
	s, ok := p.get("if_version")
	if !ok {
		return nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 0 || m.IfVersion > 0 {
		return fault.New(fault.Invalid, "if_version %s is not a version, a whole number of 1 or more given once", channel.Quote(s)).In("if_version")
	}
	m.IfVersion = uint32(n)
	return nil
}

// CheckKey checks the key of a path.
func CheckKey(key string) (string, error) {
	if key == "" || len(key) > MaxKey || !utf8.ValidString(key) {
		return "", fault.New(fault.Invalid, "the key %s has not 1 to %d bytes of UTF-8", channel.Quote(key), MaxKey).In("key")
	}
	return key, nil
}
