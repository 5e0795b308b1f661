package serverapi

import (
	"slices"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// Lengths of ids that a caller may choose, in bytes.
const (
	MaxIdempotencyKey = 128
	MaxMessageID      = 128
	MaxKey            = 200
)

// Event is what one publish says: the same for each of its channels.
type Event struct {
	Channels  []string // valid names, none twice, at least one
	Name      string
	Data      stream.Data
	Key       string // set: a put of that key
	Tags      []byte
	Extras    []byte
	Socket    string // the connection that does not get it
	Ephemeral bool
	Info      Info
	// MessageID is the caller's own id of the message's frames.
	MessageID string
	// Once is the idempotency key; empty: the message id is one, if there is any.
	Once string
}

// DecodePublish reads the body of POST /apps/{app}/events.
func DecodePublish(body []byte, lim *app.Limits) (Event, error) {
	v, err := parseBody(body, false)
	if err != nil {
		return Event{}, err
	}
	return event(v, lim, true)
}

// event reads one publish; several says whether it may name more than one channel.
func event(v envelope.Value, lim *app.Limits, several bool) (Event, error) {
	var e Event
	var one, many envelope.Value
	for name, m := range v.Members() {
		var err error
		switch string(name) {
		case "name":
			e.Name, err = textMember(m, "name")
		case "data":
			e.Data, err = dataMember(m, lim.PayloadBytes)
		case "channel":
			one = m
		case "channels":
			many = m
		default:
			err = e.option(name, m, lim)
		}
		if err != nil {
			return Event{}, err
		}
	}
	if err := channel.CheckPublish(e.Name, lim.EventNameLength); err != nil {
		return Event{}, err
	}
	if !several && many.Given() {
		return Event{}, fault.New(fault.Invalid, "an event of a batch names one channel: use channel, not channels").In("channels")
	}
	return e, e.channels(one, many, lim)
}

// option reads the members that most publishes do without. Unknown ones are passed over, as Pusher does.
func (e *Event) option(name []byte, v envelope.Value, lim *app.Limits) (err error) {
	switch string(name) {
	case "socket_id", "socketId":
		e.Socket, err = socketMember(v)
	case "info":
		e.Info, err = infoMember(v)
	case "key":
		e.Key, err = shortMember(v, "key", MaxKey)
	case "ephemeral":
		var yes bool
		yes, err = boolMember(v, "ephemeral")
		e.Ephemeral = e.Ephemeral || yes
	case "idempotency_key":
		var once string
		if once, err = shortMember(v, "idempotency_key", MaxIdempotencyKey); once != "" {
			e.Once = once
		}
	case "message_id":
		e.MessageID, err = shortMember(v, "message_id", MaxMessageID)
	case "tags":
		e.Tags, err = tagsMember(v, lim.PayloadBytes)
	case "extras":
		var x extras
		if x, err = extrasMember(v, lim.PayloadBytes); err == nil {
			e.Extras, e.Ephemeral = x.json, e.Ephemeral || x.ephemeral
			if e.Once == "" {
				e.Once = x.once
			}
		}
	case "delta":
		_, err = boolMember(v, "delta")
	}
	return err
}

// channels collects and checks what channel and channels name.
func (e *Event) channels(one, many envelope.Value, lim *app.Limits) error {
	if many.Given() {
		if many.Kind() != envelope.Array {
			return wrongKind("channels", "an array of channel names", many)
		}
		for item := range many.Items() {
			if err := e.addChannel(item, "channels", lim); err != nil {
				return err
			}
		}
	}
	if one.Given() {
		if err := e.addChannel(one, "channel", lim); err != nil {
			return err
		}
	}
	if len(e.Channels) == 0 {
		return fault.New(fault.MissingChannel, "the event names no channel: give channel or channels").In("channel")
	}
	return nil
}

func (e *Event) addChannel(v envelope.Value, field string, lim *app.Limits) error {
	name, ok := v.Text()
	if !ok {
		return wrongKind(field, "made of channel names", v)
	}
	if _, err := channel.Parse(name, lim.ChannelNameLength); err != nil {
		return fault.Of(err).In(field)
	}
	if slices.Contains(e.Channels, name) {
		return nil
	}
	if len(e.Channels) == lim.ChannelsPerPublish {
		return fault.New(fault.Invalid, "the event names more than the %d channels that one publish may have", lim.ChannelsPerPublish).In("channels")
	}
	e.Channels = append(e.Channels, name)
	return nil
}

// dataMember keeps data as what it was: text stays text, every other JSON value stays that value.
func dataMember(v envelope.Value, most int) (stream.Data, error) {
	var d stream.Data
	if v.Kind() == envelope.String {
		d = stream.Data{Type: stream.Text, Bytes: v.AppendText(make([]byte, 0, len(v)-2))}
	} else {
		d = stream.Data{Type: stream.JSON, Bytes: compacted(v)}
	}
	if most > 0 && len(d.Bytes) > most {
		return d, fault.New(fault.TooLarge, "data has %d bytes, more than the %d allowed", len(d.Bytes), most).In("data")
	}
	return d, nil
}

func socketMember(v envelope.Value) (string, error) {
	s, err := textMember(v, "socket_id")
	if err != nil || s == "" {
		return "", err
	}
	if !auth.ValidSocket(s) {
		return "", fault.New(fault.Invalid, "the socket_id %s is not of the form 123.456", channel.Quote(s)).In("socket_id")
	}
	return s, nil
}

// Kind is the kind of entry that the event appends.
func (e *Event) Kind() stream.Kind {
	if e.Key != "" {
		return stream.Put
	}
	return stream.Create
}

// Entry is the entry that the event appends to each of its channels.
func (e *Event) Entry() stream.Entry {
	return stream.Entry{Kind: e.Kind(), Key: e.Key, Frame: e.MessageID, Event: e.Name, Data: e.Data, Tags: e.Tags,
		Extras: e.Extras, Conn: e.Socket, NoEcho: e.Socket != ""}
}

// WithOnce takes the idempotency key of a header, unless the body has one of its own. index, if not negative, is the
// place of the event in its batch.
func (e *Event) WithOnce(header string, index int) {
	if e.Once != "" || header == "" {
		return
	}
	e.Once = header
	if index >= 0 {
		e.Once += ":" + itoa(uint64(index))
	}
}

// Receipt is the key under which the answer to the event is kept in each of its channels, empty when it is not
// idempotent, and the fingerprint of its payload. An idempotency key counts before a message id.
func (e *Event) Receipt() (key string, print [16]byte) {
	switch {
	case e.Ephemeral:
		return "", print
	case e.Once != "":
		key = "k:" + e.Once
	case e.MessageID != "":
		key = "m:" + e.MessageID
	default:
		return "", print
	}
	f := newFingerprint("publish")
	f.add([]byte(e.Name))
	f.data(e.Data)
	f.add([]byte(e.Key))
	f.add(e.Tags)
	f.add(e.Extras)
	f.add([]byte(e.Socket))
	return key, f.sum()
}

// CheckOnce checks an idempotency key that came in a header.
func CheckOnce(s string) error {
	if s == "" || len(s) > MaxIdempotencyKey {
		return badLength("X-Idempotency-Key", len(s), MaxIdempotencyKey)
	}
	for i := range len(s) {
		if s[i] <= 0x20 || s[i] >= 0x7f {
			return fault.New(fault.Invalid, "X-Idempotency-Key has the byte 0x%02x at %d; allowed is printable ASCII", s[i], i).In("X-Idempotency-Key")
		}
	}
	return nil
}

// Info is what a request asks to be told about channels.
type Info uint8

// The words of info.
const (
	UserCount Info = 1 << iota
	SubscriptionCount
	WithPosition
	WithCache
)

// ParseInfo reads the comma-separated words of an info parameter, of those that may be asked for.
func ParseInfo(s string, may Info) (Info, error) {
	var all Info
	for word := range strings.SplitSeq(s, ",") {
		var i Info
		switch strings.TrimSpace(word) {
		case "":
			continue
		case "user_count":
			i = UserCount
		case "subscription_count":
			i = SubscriptionCount
		case "position":
			i = WithPosition
		case "cache":
			i = WithCache
		}
		if i&may == 0 {
			return 0, fault.New(fault.Invalid, "info %s is not known here", channel.Quote(word)).In("info")
		}
		all |= i
	}
	return all, nil
}

func infoMember(v envelope.Value) (Info, error) {
	s, err := textMember(v, "info")
	if err != nil {
		return 0, err
	}
	return ParseInfo(s, UserCount|SubscriptionCount|WithPosition)
}
