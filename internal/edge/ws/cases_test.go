package ws_test

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// scripted is one case of the Autobahn suite: what the client sends, and the only reaction that is strictly right.
type scripted struct {
	id   string
	send []frame
	chop int     // bytes per write; 0 sends everything in one
	want []frame // in this order, nothing else
	// code of the server's close frame. -1: none of its own, it must answer the client's close 1000 with the same.
	code int
	raw  []byte // sent after send, as it is: a frame whose end never comes
}

func text(p string) frame                    { return frame{true, 0, 1, p} }
func blob(p string) frame                    { return frame{true, 0, 2, p} }
func ping(p string) frame                    { return frame{true, 0, 9, p} }
func pong(p string) frame                    { return frame{true, 0, 10, p} }
func part(op byte, fin bool, p string) frame { return frame{fin, 0, op, p} }
func bits(rsv, op byte, p string) frame      { return frame{true, rsv, op, p} }
func closing(code int, reason string) frame {
	return frame{true, 0, 8, string([]byte{byte(code >> 8), byte(code)}) + reason}
}

const (
	clean    = -1
	protocol = 1002
	invalid  = 1007
)

// fragments cuts a message into frames of size bytes.
func fragments(op byte, p string, size int) []frame {
	var all []frame
	for first := true; first || p != ""; first = false {
		n := min(size, len(p))
		f := frame{n == len(p), 0, op, p[:n]}
		if !first {
			f.op = 0
		}
		all, p = append(all, f), p[n:]
	}
	return all
}

// cases lists sections 1 to 7 and 10 of the suite.
func cases() []scripted {
	var all []scripted
	for _, section := range [][]scripted{framing(), pings(), reserved(), opcodes(), fragmentation(), texts(), closes(), {
		{id: "10.1.1", send: fragments(1, strings.Repeat("*", 65536), 1300), want: []frame{text(strings.Repeat("*", 65536))}, code: clean},
	}} {
		all = append(all, section...)
	}
	return all
}

// framing is section 1: payload sizes around the three encodings of the length.
func framing() []scripted {
	var all []scripted
	for i, size := range []int{0, 125, 126, 127, 128, 65535, 65536, 65536} {
		chop := 0
		if i == 7 {
			chop = 997
		}
		t, b := text(strings.Repeat("*", size)), blob(strings.Repeat("\xfe", size))
		all = append(all,
			scripted{id: fmt.Sprintf("1.1.%d", i+1), send: []frame{t}, want: []frame{t}, code: clean, chop: chop},
			scripted{id: fmt.Sprintf("1.2.%d", i+1), send: []frame{b}, want: []frame{b}, code: clean, chop: chop})
	}
	return all
}

// pings is section 2.
func pings() []scripted {
	binary, long := "\x00\xff\xfe\xfd\xfc\xfb\x00\xff", strings.Repeat("\xfe", 125)
	var ten, tenPongs []frame
	for i := range 10 {
		ten = append(ten, ping(fmt.Sprintf("payload-%d", i)))
		tenPongs = append(tenPongs, pong(fmt.Sprintf("payload-%d", i)))
	}
	return []scripted{
		{id: "2.1", send: []frame{ping("")}, want: []frame{pong("")}, code: clean},
		{id: "2.2", send: []frame{ping("Hello, world!")}, want: []frame{pong("Hello, world!")}, code: clean},
		{id: "2.3", send: []frame{ping(binary)}, want: []frame{pong(binary)}, code: clean},
		{id: "2.4", send: []frame{ping(long)}, want: []frame{pong(long)}, code: clean},
		{id: "2.5", send: []frame{ping(long + "\xfe")}, code: protocol},
		{id: "2.6", send: []frame{ping(long)}, want: []frame{pong(long)}, code: clean, chop: 1},
		{id: "2.7", send: []frame{pong("")}, code: clean},
		{id: "2.8", send: []frame{pong("unsolicited pong payload")}, code: clean},
		{id: "2.9", send: []frame{pong("unsolicited pong payload"), ping("ping payload")}, want: []frame{pong("ping payload")}, code: clean},
		{id: "2.10", send: ten, want: tenPongs, code: clean},
		{id: "2.11", send: ten, want: tenPongs, code: clean, chop: 1},
	}
}

// reserved is section 3: reserved bits.
func reserved() []scripted {
	hello := text("Hello, world!")
	return []scripted{
		{id: "3.1", send: []frame{bits(1, 1, "Hello, world!")}, code: protocol},
		{id: "3.2", send: []frame{hello, bits(2, 1, "Hello, world!"), ping("")}, want: []frame{hello}, code: protocol},
		{id: "3.3", send: []frame{hello, bits(3, 1, "Hello, world!"), ping("")}, want: []frame{hello}, code: protocol, chop: 19},
		{id: "3.4", send: []frame{hello, bits(4, 1, "Hello, world!"), ping("")}, want: []frame{hello}, code: protocol, chop: 1},
		{id: "3.5", send: []frame{bits(5, 2, "\x00\xff\xfe\xfd\xfc\xfb\x00\xff")}, code: protocol},
		{id: "3.6", send: []frame{bits(6, 9, "Hello, world!")}, code: protocol},
		{id: "3.7", send: []frame{bits(7, 8, "\x03\xe8")}, code: protocol},
	}
}

// opcodes is section 4: reserved opcodes.
func opcodes() []scripted {
	var all []scripted
	hello := text("Hello, world!")
	for i := range 5 {
		for section, first := range []byte{3, 11} {
			c := scripted{id: fmt.Sprintf("4.%d.%d", section+1, i+1), code: protocol}
			op := first + byte(i)
			switch i {
			case 0:
				c.send = []frame{bits(0, op, "")}
			case 1:
				c.send = []frame{bits(0, op, "reserved opcode payload")}
			default:
				c.send, c.want = []frame{hello, bits(0, op, strings.Repeat("x", (i-2)*11)), ping("")}, []frame{hello}
			}
			if i >= 3 {
				c.chop = 1
			}
			all = append(all, c)
		}
	}
	return all
}

// fragmentation is section 5.
func fragmentation() []scripted {
	two := []frame{part(1, false, "fragment1"), part(0, true, "fragment2")}
	joined := text("fragment1fragment2")
	pinged := []frame{two[0], ping("ping payload"), two[1]}
	five := []frame{part(1, false, "fragment1"), part(0, false, "fragment2"), ping("pongme 1!"),
		part(0, false, "fragment3"), part(0, false, "fragment4"), ping("pongme 2!"), part(0, true, "fragment5")}
	fiveWant := []frame{pong("pongme 1!"), pong("pongme 2!"), text("fragment1fragment2fragment3fragment4fragment5")}
	all := []scripted{
		{id: "5.1", send: []frame{part(9, false, "fragment1"), part(0, true, "fragment2")}, code: protocol},
		{id: "5.2", send: []frame{part(10, false, "fragment1"), part(0, true, "fragment2")}, code: protocol},
		{id: "5.15", send: append(append([]frame{}, two...), part(0, false, "fragment3"), text("fragment4")), want: []frame{joined}, code: protocol},
		{id: "5.16", send: []frame{part(0, false, "fragment1"), part(1, false, "fragment2"), part(0, true, "fragment3")}, code: protocol},
		{id: "5.17", send: []frame{part(0, true, "fragment1"), part(1, false, "fragment2"), part(0, true, "fragment3")}, code: protocol},
		{id: "5.18", send: []frame{part(1, false, "fragment1"), part(1, true, "fragment2")}, code: protocol},
	}
	for i, chop := range []int{0, 15, 1} {
		orphan := func(fin bool) []frame {
			return []frame{part(0, fin, "non-continuation payload"), text("Hello, world!")}
		}
		all = append(all,
			scripted{id: fmt.Sprintf("5.%d", 3+i), send: two, want: []frame{joined}, code: clean, chop: chop},
			scripted{id: fmt.Sprintf("5.%d", 6+i), send: pinged, want: []frame{pong("ping payload"), joined}, code: clean, chop: chop},
			scripted{id: fmt.Sprintf("5.%d", 9+i), send: orphan(true), code: protocol, chop: chop},
			scripted{id: fmt.Sprintf("5.%d", 12+i), send: orphan(false), code: protocol, chop: chop})
		if i < 2 {
			all = append(all, scripted{id: fmt.Sprintf("5.%d", 19+i), send: five, want: fiveWant, code: clean, chop: chop})
		}
	}
	return all
}

const kosme = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"

// texts is section 6: UTF-8, after Markus Kuhn's decoder stress test, and failing at the first impossible byte.
func texts() []scripted {
	hello := "Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!"
	bad := kosme + "\xed\xa0\x80edited"
	early, late := kosme+"\xf4", "\x90\x80\x80edited"
	all := []scripted{
		{id: "6.1.1", send: []frame{text("")}, want: []frame{text("")}, code: clean},
		{id: "6.1.2", send: []frame{part(1, false, ""), part(0, false, ""), part(0, true, "")}, want: []frame{text("")}, code: clean},
		{id: "6.1.3", send: []frame{part(1, false, ""), part(0, false, "middle frame payload"), part(0, true, "")},
			want: []frame{text("middle frame payload")}, code: clean},
		{id: "6.2.1", send: []frame{text(hello)}, want: []frame{text(hello)}, code: clean},
		{id: "6.2.2", send: []frame{part(1, false, hello[:12]), part(0, true, hello[12:])}, want: []frame{text(hello)}, code: clean},
		{id: "6.2.3", send: fragments(1, hello, 1), want: []frame{text(hello)}, code: clean},
		{id: "6.2.4", send: fragments(1, kosme, 1), want: []frame{text(kosme)}, code: clean},
		{id: "6.3.1", send: []frame{text(bad)}, code: invalid},
		{id: "6.3.2", send: fragments(1, bad, 1), code: invalid},
		// The rest of these is never sent: the failure must not wait for it.
		{id: "6.4.1", send: []frame{part(1, false, early+"\x90")}, code: invalid},
		{id: "6.4.2", send: []frame{part(1, false, early), part(0, false, "\x90")}, code: invalid},
		{id: "6.4.3", raw: text(early + late).encode()[:6+len(early)+1], code: invalid},
		{id: "6.4.4", raw: text(early + late).encode()[:6+len(early)+1], code: invalid, chop: 1},
	}
	for i, group := range sequences() {
		for j, p := range group {
			c := scripted{id: fmt.Sprintf("6.%d.%d", 5+i, j+1), send: []frame{text(p)}, code: invalid}
			if utf8.ValidString(p) { // the standard library is the oracle here
				c.want, c.code = []frame{text(p)}, clean
			}
			all = append(all, c)
		}
	}
	return all
}

// sequences are the texts of 6.5 to 6.23.
func sequences() [][]string {
	var prefixes, lonely, nonCharacters []string
	for i := range len(kosme) {
		prefixes = append(prefixes, kosme[:i+1])
	}
	for _, r := range [][2]byte{{0xc0, 0xdf}, {0xe0, 0xef}, {0xf0, 0xf7}, {0xf8, 0xfb}, {0xfc, 0xfd}} {
		var s []byte
		for b := r[0]; b < r[1]; b++ {
			s = append(s, b, ' ')
		}
		lonely = append(lonely, string(s))
	}
	nonCharacters = append(nonCharacters, "\xef\xbf\xbe", "\xef\xbf\xbf")
	for plane := rune(1); plane <= 16; plane++ {
		nonCharacters = append(nonCharacters, string(plane<<16|0xfffe), string(plane<<16|0xffff))
	}
	var continuations []byte
	for b := byte(0x80); b < 0xbf; b++ {
		continuations = append(continuations, b)
	}
	missing := []string{"\xc0", "\xe0\x80", "\xf0\x80\x80", "\xf8\x80\x80\x80", "\xfc\x80\x80\x80\x80",
		"\xdf", "\xef\xbf", "\xf7\xbf\xbf", "\xfb\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf"}
	return [][]string{
		{"hello\x24world", "hello\xc2\xa2world", "hello\xe2\x82\xacworld", "hello\xf0\xa4\xad\xa2world", kosme},
		prefixes,
		{"\x00", "\xc2\x80", "\xe0\xa0\x80", "\xf0\x90\x80\x80"},
		{"\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80"},
		{"\x7f", "\xdf\xbf", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf"},
		{"\xf7\xbf\xbf\xbf", "\xfb\xbf\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf\xbf"},
		{"\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd", "\xf4\x8f\xbf\xbf", "\xf4\x90\x80\x80"},
		{"\x80", "\xbf", "\x80\xbf", "\x80\xbf\x80", "\x80\xbf\x80\xbf", "\x80\xbf\x80\xbf\x80", "\x80\xbf\x80\xbf\x80\xbf", string(continuations)},
		lonely,
		missing,
		{strings.Join(missing, "")},
		{"\xfe", "\xff", "\xfe\xfe\xff\xff"},
		{"\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf", "\xfc\x80\x80\x80\x80\xaf"},
		{"\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf8\x87\xbf\xbf\xbf", "\xfc\x83\xbf\xbf\xbf\xbf"},
		{"\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xf8\x80\x80\x80\x80", "\xfc\x80\x80\x80\x80\x80"},
		{"\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf", "\xed\xb0\x80", "\xed\xbe\x80", "\xed\xbf\xbf"},
		{"\xed\xa0\x80\xed\xb0\x80", "\xed\xa0\x80\xed\xbf\xbf", "\xed\xad\xbf\xed\xb0\x80", "\xed\xad\xbf\xed\xbf\xbf",
			"\xed\xae\x80\xed\xb0\x80", "\xed\xae\x80\xed\xbf\xbf", "\xed\xaf\xbf\xed\xb0\x80", "\xed\xaf\xbf\xed\xbf\xbf"},
		nonCharacters,
		{"\xef\xbf\xb9", "\xef\xbf\xba", "\xef\xbf\xbb", "\xef\xbf\xbc", "\xef\xbf\xbd", "\xef\xbf\xbe", "\xef\xbf\xbf"},
	}
}

// closes is section 7: the closing handshake and its codes.
func closes() []scripted {
	hello := text("Hello World!")
	big := text(strings.Repeat("BAsd7&jh23", 26214) + "BAsd")
	all := []scripted{
		{id: "7.1.1", send: []frame{hello, closing(1000, "")}, want: []frame{hello}, code: 1000},
		{id: "7.1.2", send: []frame{closing(1000, ""), {true, 0, 8, ""}}, code: 1000},
		{id: "7.1.3", send: []frame{closing(1000, ""), ping("")}, code: 1000},
		{id: "7.1.4", send: []frame{closing(1000, ""), hello}, code: 1000},
		{id: "7.1.5", send: []frame{part(1, false, "fragment1"), closing(1000, ""), part(0, true, "fragment2")}, code: 1000},
		{id: "7.1.6", send: []frame{big, hello, closing(1000, ""), ping("")}, want: []frame{big, hello}, code: 1000},
		{id: "7.3.1", send: []frame{{true, 0, 8, ""}}, code: 0},
		{id: "7.3.2", send: []frame{{true, 0, 8, "a"}}, code: protocol},
		{id: "7.3.3", send: []frame{closing(1000, "")}, code: 1000},
		{id: "7.3.4", send: []frame{closing(1000, "Hello World!")}, code: 1000},
		{id: "7.3.5", send: []frame{closing(1000, strings.Repeat("*", 123))}, code: 1000},
		{id: "7.3.6", send: []frame{closing(1000, strings.Repeat("*", 124))}, code: protocol},
		{id: "7.5.1", send: []frame{closing(1000, kosme+"\xed\xa0\x80edited")}, code: invalid},
		{id: "7.13.1", send: []frame{closing(5000, "")}, code: protocol},
		{id: "7.13.2", send: []frame{{true, 0, 8, "\x00\x01\x00\x00"}}, code: protocol},
	}
	for i, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999} {
		all = append(all, scripted{id: fmt.Sprintf("7.7.%d", i+1), send: []frame{closing(code, "")}, code: code})
	}
	for i, code := range []int{0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999} {
		all = append(all, scripted{id: fmt.Sprintf("7.9.%d", i+1), send: []frame{closing(code, "")}, code: protocol})
	}
	return all
}
