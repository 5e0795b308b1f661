package control

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Every kind of entry is written down and read back; serials and times are allotted anew, and so is who had it sent.
func TestLinesKeepEntries(t *testing.T) {
	text := stream.Data{Type: stream.Text, Bytes: []byte("a \"text\" – <b>")}
	for _, e := range []stream.Entry{
		{Kind: stream.Create, Message: 3, Event: "e", Data: text, Tags: []byte(`{"a":"b"}`), Extras: []byte(`{"headers":{"x":1}}`), User: "u", Frame: "mine"},
		{Kind: stream.Create, Message: 3, Event: "e", Data: stream.Data{Type: stream.JSON, Bytes: []byte(`{"n":1.50}`)}},
		{Kind: stream.Create, Message: 3, Event: "e", Data: stream.Data{Type: stream.JSON, Bytes: []byte(`null`)}},
		{Kind: stream.Create, Message: 3, Event: "e", Data: stream.Data{Type: stream.Bytes, Bytes: []byte{0, 255, 1}}},
		{Kind: stream.Create, Message: 3, Event: "e"},
		{Kind: stream.Put, Message: 3, Key: "k", Event: "e", Data: text},
		{Kind: stream.Update, Message: 1, Event: "new", Data: text, Set: stream.FieldName | stream.FieldData, Clear: stream.FieldExtras,
			Note: &stream.Note{Description: "why", Metadata: []byte(`[1]`)}},
		{Kind: stream.Append, Message: 1, Data: text},
		{Kind: stream.Delete, Message: 1, Key: "k", Clear: stream.FieldData},
		{Kind: stream.Annotate, Message: 1, Annot: &stream.Annotation{Type: "reactions:distinct.v1", Name: "like", Count: 2}, User: "u"},
		{Kind: stream.Unannotate, Message: 1, Annot: &stream.Annotation{Type: "reactions:distinct.v1", Name: "like"}},
	} {
		e.Serial, e.Time, e.Cum, e.Version, e.Conn, e.NoEcho = 3, 1700000000000, 99, 2, "1.1", true
		b, err := json.Marshal(LineOf("news", &e))
		if err != nil {
			t.Fatal(err)
		}
		var l Line
		if err := json.Unmarshal(b, &l); err != nil {
			t.Fatal(err)
		}
		got, err := l.Entry()
		if err != nil {
			t.Errorf("%s: %v", b, err)
			continue
		}
		want := e
		want.Serial, want.Time, want.Cum, want.Version, want.Conn, want.NoEcho = 0, 0, 0, 0, "", false
		if want.Kind.Row() || want.Key != "" {
			want.Message = 0
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s\n got %+v\nwant %+v", b, got, want)
		}
	}
}

func TestLinesThatAreWrong(t *testing.T) {
	for text, want := range map[string]string{
		`{"channel":"c","kind":"creates"}`:                        "none of create",
		`{"kind":"create"}`:                                       "channel is missing",
		`{"channel":"c","kind":"put"}`:                            "needs a key",
		`{"channel":"c","kind":"update"}`:                         "needs the message",
		`{"channel":"c","kind":"annotate","message":1}`:           "annotation is missing",
		`{"channel":"c","kind":"update","message":1,"set":["x"]}`: "none of the fields",
	} {
		var l Line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Entry(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestBefore(t *testing.T) {
	for _, prefix := range []string{"a", "prices:", "\x80", "aa"} {
		b := before(prefix)
		if b >= prefix || strings.HasPrefix(b, prefix) {
			t.Errorf("%q is not before %q", b, prefix)
		}
		if smaller := prefix[:len(prefix)-1] + string([]byte{prefix[len(prefix)-1] - 1}) + "zzz~"; smaller > b {
			t.Errorf("%q is after %q, so it would be listed with %q", smaller, b, prefix)
		}
	}
	if before("") != "" {
		t.Error("no prefix begins at the beginning")
	}
}
