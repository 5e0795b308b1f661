package feed

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// pack appends the frame as a MessagePack map with the members of the JSON form, in the same order.
func (f *frame) pack(dst []byte) []byte {
	b := bytes.NewBuffer(dst)
	w := packer{msgpack.NewEncoder(b)}
	w.e.UseCompactInts(true)
	n := 3
	for _, there := range []bool{f.key != "", f.message != 0, f.named(), !f.deleted, f.id.Serial != 0} {
		if there {
			n++
		}
	}
	w.size(n)
	w.pair("channel", f.channel)
	w.pair("type", f.kind())
	if f.key != "" {
		w.pair("key", f.key)
	}
	if f.message != 0 {
		w.pair("messageSerial", stream.EntryID{Serial: f.message}.String()[2:])
	}
	if f.named() {
		w.pair("event", f.event)
	}
	if !f.deleted {
		w.text("payload")
		w.payload(f.payload)
	}
	w.text("ts")
	_ = w.e.EncodeInt(f.id.Time)
	if f.id.Serial != 0 {
		w.pair("entryId", f.id.String())
	}
	return b.Bytes()
}

// packer writes to memory, so its errors cannot happen.
type packer struct{ e *msgpack.Encoder }

func (w packer) size(n int)       { _ = w.e.EncodeMapLen(n) }
func (w packer) text(s string)    { _ = w.e.EncodeString(s) }
func (w packer) pair(k, v string) { w.text(k); w.text(v) }

func (w packer) payload(d stream.Data) {
	switch {
	case d.Type == stream.Bytes:
		_ = w.e.EncodeBytes(d.Bytes)
	case d.Type == stream.JSON, d.Type == stream.Text && structured(d.Bytes):
		dec := json.NewDecoder(bytes.NewReader(d.Bytes))
		dec.UseNumber()
		w.value(dec)
	case d.Type == stream.Text:
		w.text(string(d.Bytes))
	default:
		_ = w.e.EncodeNil()
	}
}

// value copies the next JSON value. Members keep their order; numbers are integers where they were written as such.
func (w packer) value(dec *json.Decoder) {
	token, err := dec.Token()
	if err != nil {
		_ = w.e.EncodeNil()
		return
	}
	w.token(dec, token)
}

func (w packer) token(dec *json.Decoder, token json.Token) {
	switch t := token.(type) {
	case json.Delim:
		w.nested(dec, t)
	case json.Number:
		w.number(t)
	case string:
		w.text(t)
	case bool:
		_ = w.e.EncodeBool(t)
	default:
		_ = w.e.EncodeNil()
	}
}

// nested copies an array or an object. MessagePack wants the number of items first, so they are packed aside.
func (w packer) nested(dec *json.Decoder, open json.Delim) {
	var items bytes.Buffer
	inner := packer{msgpack.NewEncoder(&items)}
	inner.e.UseCompactInts(true)
	n := 0
	for dec.More() {
		inner.value(dec)
		if open == '{' {
			inner.value(dec)
		}
		n++
	}
	_, _ = dec.Token()
	if open == '{' {
		_ = w.e.EncodeMapLen(n)
	} else {
		_ = w.e.EncodeArrayLen(n)
	}
	_ = w.e.Encode(msgpack.RawMessage(items.Bytes()))
}

func (w packer) number(n json.Number) {
	if !strings.ContainsAny(string(n), ".eE") {
		if i, err := n.Int64(); err == nil {
			_ = w.e.EncodeInt(i)
			return
		}
		var u uint64
		if json.Unmarshal([]byte(n), &u) == nil {
			_ = w.e.EncodeUint(u)
			return
		}
	}
	f, err := n.Float64()
	if err != nil {
		w.text(string(n))
		return
	}
	_ = w.e.EncodeFloat64(f)
}
