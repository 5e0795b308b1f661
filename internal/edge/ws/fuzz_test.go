package ws

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// script is a connection that yields its input in pieces of a given size, then ends.
type script struct {
	net.Conn
	in    []byte
	piece int
	again bool // endless
	at    int
}

func (s *script) Read(p []byte) (int, error) {
	if s.at == len(s.in) {
		if !s.again {
			return 0, io.EOF
		}
		s.at = 0
	}
	n := copy(p, s.in[s.at:min(len(s.in), s.at+s.piece)])
	s.at += n
	return n, nil
}

// journal writes down what Read and the control callbacks say.
type journal struct{ bytes.Buffer }

func (j *journal) OnPing(p []byte) { fmt.Fprintf(j, "ping %q\n", p) }
func (j *journal) OnPong()         { fmt.Fprintf(j, "pong\n") }

func (j *journal) message(isBinary bool, p []byte) { fmt.Fprintf(j, "message %t %q\n", isBinary, p) }

const fuzzLimit = 300

// readAll reads in through a connection, in pieces.
func readAll(in []byte, piece int, deflate bool) string {
	var j journal
	c := New(&script{in: in, piece: piece}, nil, Options{Control: &j, ReadLimit: fuzzLimit})
	c.deflate = deflate
	for {
		isBinary, p, err := c.Read()
		if err != nil {
			j.end(err)
			return j.String()
		}
		j.message(isBinary, p)
	}
}

func (j *journal) end(err error) {
	var broken *ViolationError
	if errors.As(err, &broken) {
		fmt.Fprintf(j, "failed %d", broken.Code)
		return
	}
	fmt.Fprintf(j, "end %v", err)
}

// readSimply is the same for a whole input, without fragments of buffers, without compression: gobwas reads the headers,
// one list of rules after RFC 6455 judges them.
func readSimply(in []byte) string {
	var j journal
	r := bytes.NewReader(in)
	var message []byte
	var op ws.OpCode // 0: none
	fail := func(code int) string { fmt.Fprintf(&j, "failed %d", code); return j.String() }
	end := func() string { j.end(io.EOF); return j.String() }
	for {
		at := len(in) - r.Len()
		if r.Len() < 2 {
			return end()
		}
		if first := in[at : at+2]; brokenFirst(first, op) {
			return fail(CodeProtocol)
		}
		h, err := ws.ReadHeader(r)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			// The length is judged as soon as it is there, the mask comes after it.
			if size := in[at+1] & 0x7f; size < 126 && !ws.OpCode(in[at]&0xf).IsControl() && int(size)+len(message) > fuzzLimit {
				return fail(CodeTooBig)
			} else if n, full := extended(in[at:]); full && n != nil {
				return fail(*n)
			} else if full && !ws.OpCode(in[at]&0xf).IsControl() && announced(in[at:])+uint64(len(message)) > fuzzLimit {
				return fail(CodeTooBig)
			}
			return end()
		case err != nil:
			return fail(CodeProtocol)
		}
		if code, _ := extended(in[at:]); code != nil {
			return fail(*code)
		}
		if !h.OpCode.IsControl() && h.Length+int64(len(message)) > fuzzLimit {
			return fail(CodeTooBig)
		}
		p := make([]byte, h.Length)
		n, _ := io.ReadFull(r, p)
		p = p[:n]
		ws.Cipher(p, h.Mask, 0)
		whole := n == int(h.Length)
		if h.OpCode.IsControl() {
			if !whole {
				return end()
			}
			switch h.OpCode {
			case ws.OpPing:
				j.OnPing(p)
			case ws.OpPong:
				j.OnPong()
			default:
				j.end(peerClosed(p))
				return j.String()
			}
			continue
		}
		if h.OpCode != ws.OpContinuation {
			op, message = h.OpCode, nil
		}
		message = append(message, p...)
		if op == ws.OpText && (whole && h.Fin && !utf8.Valid(message) || !canBecomeValid(message)) {
			return fail(CodeInvalidPayload)
		}
		if !whole {
			return end()
		}
		if h.Fin {
			j.message(op == ws.OpBinary, message)
			op, message = 0, nil
		}
	}
}

// brokenFirst judges two bytes of a header inside a message of op (0: between messages).
func brokenFirst(b []byte, op ws.OpCode) bool {
	next := ws.OpCode(b[0] & 0xf)
	switch {
	case b[0]&0x70 != 0, next.IsReserved(), b[1]&0x80 == 0:
		return true
	case next.IsControl():
		return b[0]&0x80 == 0 || b[1]&0x7f > 125
	case next == ws.OpContinuation:
		return op == 0
	}
	return op != 0
}

// extended judges the longer encodings of a length: code is the failure, full whether the length is there whole.
func extended(b []byte) (code *int, full bool) {
	wrong := CodeProtocol
	switch size := b[1] & 0x7f; {
	case size == 126 && len(b) >= 4:
		if binary.BigEndian.Uint16(b[2:]) < 126 {
			return &wrong, true
		}
	case size == 127 && len(b) >= 10:
		if n := binary.BigEndian.Uint64(b[2:]); n <= 0xffff || n>>63 != 0 {
			return &wrong, true
		}
	case size >= 126:
		return nil, false
	}
	return nil, true
}

func announced(b []byte) uint64 {
	switch b[1] & 0x7f {
	case 126:
		return uint64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		return binary.BigEndian.Uint64(b[2:])
	}
	return uint64(b[1] & 0x7f)
}

// FuzzRead feeds Read with anything, in pieces of any size: the pieces must make no difference, and the outcome must be
// what a simple reader says.
func FuzzRead(f *testing.F) {
	masked := func(fin bool, op ws.OpCode, p string) []byte {
		return ws.MustCompileFrame(ws.MaskFrameWith(ws.NewFrame(op, fin, []byte(p)), [4]byte{1, 2, 3, 4}))
	}
	f.Add(masked(true, ws.OpText, "hello"), uint8(1), false)
	f.Add(append(masked(false, ws.OpText, "h\xc3"), masked(true, ws.OpContinuation, "\xa4")...), uint8(3), false)
	f.Add(append(masked(true, ws.OpPing, "p"), masked(true, ws.OpClose, "\x03\xe8bye")...), uint8(200), false)
	f.Add(masked(true, ws.OpBinary, string(make([]byte, 200))), uint8(7), false)
	f.Add(masked(true, ws.OpBinary, string(make([]byte, 301))), uint8(7), false)
	f.Add([]byte{0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4}, uint8(9), false)
	f.Add(append([]byte{0xc1, 0x87, 0, 0, 0, 0}, CompressedFrame(OpText, []byte("Hello"))[2:]...), uint8(5), true)
	f.Fuzz(func(t *testing.T, in []byte, piece uint8, deflate bool) {
		whole := readAll(in, len(in)+1, deflate)
		if pieces := readAll(in, int(piece)+1, deflate); pieces != whole {
			t.Errorf("in pieces of %d:\n%s\nwhole:\n%s", int(piece)+1, pieces, whole)
		}
		if simple := readSimply(in); !deflate && simple != whole {
			t.Errorf("a simple reader says:\n%s\nRead:\n%s", simple, whole)
		}
	})
}

// FuzzInflate decompresses anything: bounded, and what was compressed comes back.
func FuzzInflate(f *testing.F) {
	f.Add([]byte("Hello"))
	f.Add([]byte("\xf2\x48\xcd\xc9\xc9\x07\x00"))
	f.Fuzz(func(t *testing.T, p []byte) {
		if out, err := inflate(bytes.Clone(p), fuzzLimit); err == nil && len(out) > fuzzLimit {
			t.Errorf("%d bytes", len(out))
		}
		frame := CompressedFrame(OpBinary, p)
		h, err := ws.ReadHeader(bytes.NewReader(frame))
		if err != nil || !h.Rsv1() || int(h.Length) != len(frame)-ws.HeaderSize(h) {
			t.Fatalf("header %v, %v", h, err)
		}
		out, err := inflate(frame[ws.HeaderSize(h):], len(p))
		if err != nil || !bytes.Equal(out, p) {
			t.Errorf("%q came back as %q, %v", p, out, err)
		}
	})
}

// FuzzExtension answers any offer.
func FuzzExtension(f *testing.F) {
	f.Add("permessage-deflate; server_max_window_bits=15; client_max_window_bits")
	f.Fuzz(func(t *testing.T, offer string) {
		if answer, ok := accept(offer); ok != (answer != "") {
			t.Errorf("%q, %t", answer, ok)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	payload := bytes.Repeat([]byte("x"), 60)
	one := ws.MustCompileFrame(ws.MaskFrameWith(ws.NewTextFrame(payload), [4]byte{1, 2, 3, 4}))
	for name, in := range map[string][]byte{"one per segment": one, "twenty per segment": bytes.Repeat(one, 20)} {
		b.Run(name, func(b *testing.B) {
			c := New(&script{in: in, piece: len(in), again: true}, nil, Options{})
			b.ReportAllocs()
			for b.Loop() {
				if _, p, err := c.Read(); err != nil || len(p) != len(payload) {
					b.Fatal(err)
				}
			}
		})
	}
}
