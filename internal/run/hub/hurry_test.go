package hub

import (
	"testing"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// TestPublisherComesFirst puts the session that published at the head of a turn, and leaves all other turns alone.
func TestPublisherComesFirst(t *testing.T) {
	for _, test := range []struct {
		name, conn string
		noEcho     bool
		want       string
	}{
		{"a session that follows", "c", false, "cbad"},
		{"the first", "a", false, "abcd"},
		{"one that does not follow", "x", false, "abcd"},
		{"a backend", "", false, "abcd"},
		{"one that wants no echo", "c", true, "abcd"},
	} {
		u := turn{items: []*hot{{Entry: &stream.Entry{Conn: test.conn, NoEcho: test.noEcho}}}}
		for _, conn := range "abcd" {
			u.list = append(u.list, &Follower{conn: string(conn)})
		}
		u.hurry()
		got := ""
		for _, f := range u.list {
			got += f.conn
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
	empty := turn{list: []*Follower{{conn: "a"}}}
	empty.hurry()
}
