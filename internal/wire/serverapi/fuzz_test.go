package serverapi

import (
	"encoding/json"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

var limits = app.DefaultLimits()

// isFault fails when a decoder answers with anything that a client must not see.
func isFault(t *testing.T, err error) {
	t.Helper()
	if k := fault.KindOf(err); k == fault.Internal || !utf8.ValidString(err.Error()) {
		t.Fatalf("%v: %q", k, err)
	}
}

// FuzzDecodePublish: what is accepted is a publish that may be logged, and a batch of it (DecodeBatch) says the same.
func FuzzDecodePublish(f *testing.F) {
	for _, s := range []string{`{"name":"e","channel":"c","data":{"a":[1,"x"]}}`, `{"name":"e","channels":["a","b"],"data":"x","info":"position","tags":{"b":"1","a":"2"}}`,
		`{"name":"e","channel":"c","extras":{"headers":{"a":1},"push":{"data":{"a":"b"}},"idempotencyKey":"k"},"key":"k","socket_id":"1.2"}`, `{}`, `[]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		original := slices.Clone(body)
		e, err := DecodePublish(body, &limits)
		if err != nil {
			isFault(t, err)
			return
		}
		for i := range body { // what was decoded must not refer to the body
			body[i] = 'x'
		}
		checkEvent(t, &e)
		batch := append(append([]byte(`{"batch":[`), original...), ']', '}')
		list, err := DecodeBatch(batch, &limits)
		if err != nil {
			isFault(t, err)
			return
		}
		one, print := list[0].Receipt()
		if two, again := e.Receipt(); len(list) != 1 || one != two || print != again {
			t.Fatalf("%+v is another event in a batch", e)
		}
	})
}

func checkEvent(t *testing.T, e *Event) {
	t.Helper()
	entry := e.Entry()
	if len(e.Channels) == 0 || len(e.Channels) > limits.ChannelsPerPublish || channel.CheckPublish(e.Name, 0) != nil {
		t.Fatalf("%+v", e)
	}
	for _, c := range e.Channels {
		if _, err := channel.Parse(c, 0); err != nil {
			t.Fatal(err)
		}
	}
	if len(entry.Data.Bytes) > limits.PayloadBytes || !utf8.Valid(entry.Data.Bytes) || entry.Data.Type == stream.JSON && len(entry.Data.Bytes) > 0 && !json.Valid(entry.Data.Bytes) {
		t.Fatalf("data %q", entry.Data.Bytes)
	}
	if entry.Tags != nil && json.Unmarshal(entry.Tags, &map[string]string{}) != nil {
		t.Fatalf("tags %q", entry.Tags)
	}
	if entry.Extras != nil && json.Unmarshal(entry.Extras, &map[string]any{}) != nil {
		t.Fatalf("extras %q", entry.Extras)
	}
	if e.Socket != "" && (!auth.ValidSocket(e.Socket) || !entry.NoEcho) {
		t.Fatalf("socket %q", e.Socket)
	}
}

// FuzzDecodeMutation: what is accepted changes something and never sets and clears at once.
func FuzzDecodeMutation(f *testing.F) {
	for _, s := range []string{`{"data":"x"}`, `{"clear_fields":["data"],"op_id":"o","if_version":3}`, `{"extras":{"a":1},"metadata":{"b":2},"description":"d"}`, `{}`, ``} {
		for k := range byte(3) {
			f.Add([]byte(s), k)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, k byte) {
		action := []stream.Kind{stream.Update, stream.Delete, stream.Append}[k%3]
		m, err := DecodeMutation(body, action, &limits)
		if err != nil {
			isFault(t, err)
			return
		}
		e := m.Entry(7, "")
		switch {
		case e.Set&e.Clear != 0, action == stream.Update && e.Set|e.Clear == 0, action == stream.Append && (e.Data.Type != stream.Text || len(e.Data.Bytes) == 0):
			t.Fatalf("%+v", e)
		case e.Note != nil && e.Note.Metadata != nil && !json.Valid(e.Note.Metadata):
			t.Fatalf("metadata %q", e.Note.Metadata)
		}
		if key, _ := m.Receipt("7"); len(key) > 400 || (key == "") != (m.OpID == "") {
			t.Fatalf("receipt %q", key)
		}
	})
}

func FuzzDecodeOrder(f *testing.F) {
	f.Add([]byte(`{"confirm_channel":"c","confirm_operation":"purge","reason":"r","mode":"before_serial","before_serial":3}`), true)
	f.Add([]byte(`{"confirm_channel":"c","confirm_operation":"reset","reason":"r"}`), false)
	f.Fuzz(func(t *testing.T, body []byte, purge bool) {
		operation := "reset"
		if purge {
			operation = "purge"
		}
		o, err := DecodeOrder(body, operation, "c")
		if err != nil {
			isFault(t, err)
			return
		}
		if o.Reason == "" || o.Before > stream.MaxSerial || purge == (o.Mode == "") {
			t.Fatalf("%+v", o)
		}
	})
}

func FuzzDecodeAnnotation(f *testing.F) {
	f.Add([]byte(`{"type":"reactions:distinct.v1","name":"like","clientId":"u","count":2}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := DecodeAnnotation(body)
		if err != nil {
			isFault(t, err)
			return
		}
		if a.Type != Reactions || a.Count == 0 {
			t.Fatalf("%+v", a)
		}
	})
}

// FuzzParams reads queries as ParseHistory, ParseVersions, ParseSnapshot and ParseAnnotations do, with ParseInfo and
// ParseSerial below them.
func FuzzParams(f *testing.F) {
	for _, s := range []string{"limit=5&direction=oldest_first&start_serial=1", "at_serial=3&prefix=a", "cursor=AAAA", "info=user_count,cache", "type=reactions:distinct.v1&from_serial=1",
		"startTimeMs=1&end=2", "at_time_ms=5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := auth.ParseQuery(raw)
		if err != nil {
			return
		}
		seal := NewSeal("a", "s")
		for _, known := range [][]string{HistoryParams, VersionParams, SnapshotParams, AnnotationParams, {"info"}} {
			p, err := ParseParams(q, known...)
			if err != nil {
				isFault(t, err)
				continue
			}
			h, err := ParseHistory(&p, seal, "c", 100)
			if err != nil {
				isFault(t, err)
			} else if h.Limit < 1 || h.Limit > 100 || h.Serials.HasStart && h.Serials.HasEnd && h.Serials.Start > h.Serials.End {
				t.Fatalf("%+v", h)
			}
			for _, err := range []error{
				second(ParseVersions(&p, "c", 1, 100)), second(ParseSnapshot(&p, seal, "c", 100, 10)), second(ParseAnnotations(&p, 100)),
				second(ParseInfo(p.Text("info"), UserCount|WithCache)), second(ParseSerial(p.Text("at_serial"), "at_serial")),
			} {
				if err != nil {
					isFault(t, err)
				}
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }

// FuzzCursor: a cursor comes back as what it was, and one that was not made by the seal is refused.
func FuzzCursor(f *testing.F) {
	f.Add("c", "stream", uint64(7), uint64(9), uint64(1), uint64(100), true, []byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAA"))
	f.Fuzz(func(t *testing.T, name, id string, serial, asOf, start, end uint64, oldest bool, forged []byte) {
		seal := NewSeal("a", "s")
		h := History{Channel: name, Range: Range{OldestFirst: oldest, Serials: Span{Start: start, HasStart: start > 0}, Times: Span{End: end, HasEnd: end > 0}}}
		cursor := h.Next(seal, serial, stream.ID(id), asOf)
		got := History{Channel: name}
		if len(cursor) <= maxCursor {
			if err := got.open(seal, cursor); err != nil {
				t.Fatal(err)
			}
			if h.Serial, h.Stream, h.AsOf = serial, stream.ID(id), asOf; got != h {
				t.Fatalf("%+v came back as %+v", h, got)
			}
		}
		if NewSeal("b", "s") == seal || NewSeal("a", "t") == seal {
			t.Fatal("two apps have the same seal")
		}
		if err := new(History).open(NewSeal("a", "t"), cursor); err == nil {
			t.Fatal("a forged cursor was accepted")
		}
		for _, c := range []string{string(forged), cursor[:len(cursor)-1], cursor + "A"} {
			var s Snapshot
			if err := new(History).open(seal, c); err == nil {
				t.Fatalf("%q was accepted", c)
			} else {
				isFault(t, err)
			}
			if err := s.open(seal, c, false, 0); err == nil {
				t.Fatalf("%q was accepted", c)
			}
		}
	})
}

// FuzzParseBody: parseBody takes objects alone, and compact keeps what they say.
func FuzzParseBody(f *testing.F) {
	f.Add([]byte(` { "a" : [ 1 , " x \" y" ] } `))
	f.Fuzz(func(t *testing.T, body []byte) {
		v, err := parseBody(body, true)
		if err != nil {
			isFault(t, err)
			return
		}
		small := compacted(v)
		again, err := envelope.Parse(small)
		if err != nil || len(body) > 0 && !sameJSON(small, body) || len(compacted(again)) != len(small) {
			t.Fatalf("%q became %q (%v)", body, small, err)
		}
	})
}

func sameJSON(a, b []byte) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	p, _ := json.Marshal(x)
	q, _ := json.Marshal(y)
	return string(p) == string(q)
}
