package pusher

import (
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

func TestMembersEncoder(t *testing.T) {
	ref := stream.Ref{App: "a", Channel: "presence-x", Log: stream.Presence}
	m := presence.Member{Info: []byte(`{"n":"<é>"}`), Conns: []presence.Conn{{ID: "1.2"}}}
	put := stream.Entry{Serial: 7, Kind: stream.Put, Version: 1, Key: `u"1`, Data: m.Data(), Member: &stream.Member{}}
	updated := put
	updated.Version, updated.Member = 2, &stream.Member{Update: true}
	further := put
	further.Version = 2
	plain := put
	plain.Data = presence.Member{Conns: m.Conns}.Data()
	removed := stream.Entry{Serial: 8, Kind: stream.Delete, Version: 3, Key: `u"1`, Data: m.Data(), Member: &stream.Member{}}
	quiet := put
	quiet.Event = presence.Quiet
	const v1, v2 = `{"event":"pusher_internal:`, `{"event":"sockudo_internal:`
	tests := []struct {
		name   string
		e      stream.Entry
		v1, v2 string
	}{
		{"added", put, v1 + `member_added","channel":"presence-x","data":"{\"user_id\":\"u\\\"1\",\"user_info\":{\"n\":\"<é>\"}}"}`,
			v2 + `member_added","channel":"presence-x","data":"{\"user_id\":\"u\\\"1\",\"user_info\":{\"n\":\"<é>\"}}","message_id":"S:7"}`},
		{"without info", plain, v1 + `member_added","channel":"presence-x","data":"{\"user_id\":\"u\\\"1\",\"user_info\":{}}"}`,
			v2 + `member_added","channel":"presence-x","data":"{\"user_id\":\"u\\\"1\",\"user_info\":{}}","message_id":"S:7"}`},
		{"updated", updated, "", v2 + `presence_update","channel":"presence-x","data":"{\"user_id\":\"u\\\"1\",\"user_info\":{\"n\":\"<é>\"}}","message_id":"S:7"}`},
		{"a further connection", further, "", ""},
		{"removed", removed, v1 + `member_removed","channel":"presence-x","data":"{\"user_id\":\"u\\\"1\"}"}`,
			v2 + `member_removed","channel":"presence-x","data":"{\"user_id\":\"u\\\"1\"}","message_id":"S:8"}`},
		{"in a large channel", quiet, "", ""},
	}
	for _, tt := range tests {
		for p, want := range map[Protocol]string{V1: tt.v1, V2: tt.v2} {
			enc := Members{Protocol: p}
			got, ok := enc.Entry(nil, session.Delivery{Ref: ref, Stream: "S", Entry: &tt.e})
			if ok != (want != "") || ok && string(got) != want {
				t.Errorf("%s, protocol %v: %s %v, want %s", tt.name, p, got, ok, want)
			}
			if enc.State(stream.Delete) || enc.Position(nil, ref, "S", 1) != nil || enc.Binary() || enc.Whole() {
				t.Error("a presence log needs neither states nor positions")
			}
		}
	}
}

func TestMembersThatDoNotFit(t *testing.T) {
	m := &Machine{}
	for _, tt := range []struct {
		user, info, want string // want: a part of the error, empty: it fits
	}{
		{strings.Repeat("u", maxUserID), `1`, ""},
		{strings.Repeat("u", maxUserID+1), `1`, "has 161 bytes"},
		{strings.Repeat("é", 81), `1`, "has 162 bytes"},
		{"u\x00", `1`, "zero byte"},
		{"u", `"0123456789"`, "12 bytes"},
		{"u", ``, ""},
	} {
		err := m.fits(session.Member{User: tt.user, Info: []byte(tt.info)}, 11)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q %s: %v, want %q", tt.user, tt.info, err, tt.want)
		}
	}
}

func TestMemberList(t *testing.T) {
	members := []session.Member{{User: "a", Info: []byte(`1`)}, {User: "c"}}
	tests := []struct {
		user  string
		count int
		want  string
	}{
		{"c", 2, `"presence":{"ids":["a","c"],"hash":{"a":1,"c":null},"count":2}`},
		{"c", 9, `"presence":{"ids":["a","c"],"hash":{"a":1,"c":null},"count":9,"truncated":true}`},
		{"b", 9, `"presence":{"ids":["a","b","c"],"hash":{"a":1,"b":{},"c":null},"count":9,"truncated":true}`},
		{"d", 3, `"presence":{"ids":["a","c","d"],"hash":{"a":1,"c":null,"d":{}},"count":3}`},
	}
	for _, tt := range tests {
		p := &membership{Member: session.Member{User: tt.user, Info: []byte(`{}`)}, entered: &session.Entered{Members: members, Count: tt.count}}
		if got := string(p.append(nil)); got != tt.want {
			t.Errorf("%s of %d: %s, want %s", tt.user, tt.count, got, tt.want)
		}
	}
	if len(members) != 2 || strings.Join([]string{members[0].User, members[1].User}, "") != "ac" {
		t.Error("a list that is shared was changed")
	}
}
