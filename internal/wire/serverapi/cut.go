package serverapi

import (
	"unicode/utf8"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// Order is a request to reset or purge a history.
type Order struct {
	Operation   string // reset or purge
	Reason      string
	RequestedBy string
	// Mode of a purge: all, before_serial or before_time_ms; Before is what the last two are about.
	Mode   string
	Before uint64
}

// maxReason is the longest reason, in bytes.
const maxReason = 1000

// DecodeOrder reads the body of POST …/history/reset or …/history/purge of a channel. What is destroyed for good has to
// be named twice: in the path and in the body.
func DecodeOrder(body []byte, operation, name string) (Order, error) {
	v, err := parseBody(body, false)
	if err != nil {
		return Order{}, err
	}
	o := Order{Operation: operation}
	var confirmed, operated string
	var serial, ms envelope.Value
	for member, m := range v.Members() {
		switch string(member) {
		case "confirm_channel":
			confirmed, err = textMember(m, "confirm_channel")
		case "confirm_operation":
			operated, err = textMember(m, "confirm_operation")
		case "reason":
			o.Reason, err = textMember(m, "reason")
		case "requested_by":
			o.RequestedBy, err = shortMember(m, "requested_by", maxReason)
		case "mode":
			o.Mode, err = textMember(m, "mode")
		case "before_serial":
			serial = m
		case "before_time_ms":
			ms = m
		default:
			err = unknownMember(member)
		}
		if err != nil {
			return Order{}, err
		}
	}
	switch {
	case confirmed != name:
		return Order{}, fault.New(fault.Invalid, "confirm_channel must be the channel of the path, %s, not %s", channel.Quote(name), channel.Quote(confirmed)).In("confirm_channel")
	case operated != operation:
		return Order{}, fault.New(fault.Invalid, "confirm_operation must be %q, not %s", operation, channel.Quote(operated)).In("confirm_operation")
	case o.Reason == "" || len(o.Reason) > maxReason || !utf8.ValidString(o.Reason):
		return Order{}, fault.New(fault.Invalid, "reason must say why, in 1 to %d bytes", maxReason).In("reason")
	}
	return o, o.mode(serial, ms)
}

// mode checks what a purge is about.
func (o *Order) mode(serial, ms envelope.Value) error {
	if o.Operation == "reset" {
		if o.Mode != "" || serial.Given() || ms.Given() {
			return fault.New(fault.Invalid, "a reset has no mode and no bound: it removes everything").In("mode")
		}
		return nil
	}
	bound := serial
	switch o.Mode {
	case "all":
		if serial.Given() || ms.Given() {
			return fault.New(fault.Invalid, "mode all has no bound: use mode before_serial or before_time_ms").In("mode")
		}
		return nil
	case "before_serial":
		if ms.Given() {
			return fault.New(fault.Invalid, "mode before_serial has no before_time_ms").In("before_time_ms")
		}
	case "before_time_ms":
		if bound = ms; serial.Given() {
			return fault.New(fault.Invalid, "mode before_time_ms has no before_serial").In("before_serial")
		}
	default:
		return fault.New(fault.Invalid, "mode %s is not known: there are all, before_serial and before_time_ms", channel.Quote(o.Mode)).In("mode")
	}
	n, ok := bound.Uint()
	if !ok || n > stream.MaxSerial {
		return wrongBound(o.Mode, bound)
	}
	o.Before = n
	return nil
}

func wrongBound(field string, v envelope.Value) error {
	if v.Kind() == envelope.Number {
		return fault.New(fault.Invalid, "%s must be a whole number from 0 to 2^53-1, not %s", field, clip(v)).In(field)
	}
	return wrongKind(field, "a whole number", v)
}

func unknownMember(name []byte) error {
	return fault.New(fault.Invalid, "the member %s is not known here", channel.Quote(string(name))).In(clip(name))
}

// AppendCut appends the answer to a reset or purge.
func AppendCut(dst []byte, name string, o *Order, r *stream.CutResult, oldest stream.EntryID, source string) []byte {
	dst = append(append(dst, `{"ok":true,"operation":"`...), o.Operation...)
	dst = appendText(dst, `","channel":`, name)
	if o.Operation == "purge" {
		dst = append(append(append(dst, `,"mode":"`...), o.Mode...), '"')
		dst = appendEnd(dst, `,"before_serial":`, o.Before, o.Mode == "before_serial")
		dst = appendEnd(dst, `,"before_time_ms":`, o.Before, o.Mode == "before_time_ms")
	}
	dst = appendText(dst, `,"reason":`, o.Reason)
	if o.RequestedBy == "" {
		dst = append(dst, `,"requested_by":null`...)
	} else {
		dst = appendText(dst, `,"requested_by":`, o.RequestedBy)
	}
	if o.Operation == "reset" {
		dst = appendText(dst, `,"previous_stream_id":`, r.Before.Stream)
		dst = appendText(dst, `,"new_stream_id":`, r.After.Stream)
	}
	dst = appendNumber(dst, `,"purged_messages":`, r.Entries)
	dst = appendNumber(dst, `,"purged_bytes":`, r.Bytes)
	dst = AppendStream(append(dst, `,"stream":`...), r.After, oldest, source)
	return append(dst, '}')
}
