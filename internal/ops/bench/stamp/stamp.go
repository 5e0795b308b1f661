// Package stamp marks benchmark payloads, so that whoever receives one knows when it was sent and what should have come
// before it, whatever protocol carried it.
//
// The mark is plain ASCII without a character that any JSON escaper touches. A receiver therefore finds it in the raw
// bytes of a frame by one search, and need not decode the envelope around it:
//
//	~bm:<lane, 6 hex>.<seq, 8 hex>.<nanoseconds, 16 hex>~
package stamp

import "bytes"

// Stamp is what a payload says about itself. A lane is one sequence of messages with one sender, so that order within it
// is promised by every server; the seq of a lane counts 1, 2, 3 … without a gap.
type Stamp struct {
	Lane uint32 // below 1<<24
	Seq  uint32
	Nano int64 // send time on the clock of the sending process
}

const (
	open  = "~bm:"
	close = '~'

	// Size is the length of a mark, and so the shortest payload that can carry one.
	Size = len(open) + 6 + 1 + 8 + 1 + 16 + 1
)

const digits = "0123456789abcdef"

// Append appends a payload of the given size that begins with the mark of s; the rest is filler. A size below Size
// yields Size bytes.
func Append(dst []byte, s Stamp, size int) []byte {
	dst = append(dst, open...)
	dst = appendHex(dst, uint64(s.Lane), 6)
	dst = append(dst, '.')
	dst = appendHex(dst, uint64(s.Seq), 8)
	dst = append(dst, '.')
	dst = appendHex(dst, uint64(s.Nano), 16)
	dst = append(dst, close)
	for n := Size; n < size; n++ {
		dst = append(dst, 'x')
	}
	return dst
}

func appendHex(dst []byte, v uint64, width int) []byte {
	for shift := (width - 1) * 4; shift >= 0; shift -= 4 {
		dst = append(dst, digits[v>>shift&15])
	}
	return dst
}

var marker = []byte(open)

// Next finds the first mark in b and returns it with the bytes that follow it. Without one, ok is false.
func Next(b []byte) (s Stamp, rest []byte, ok bool) {
	for {
		i := bytes.Index(b, marker)
		if i < 0 || len(b)-i < Size {
			return Stamp{}, nil, false
		}
		m := b[i+len(open) : i+Size]
		lane, ok1 := hex(m[0:6])
		seq, ok2 := hex(m[7:15])
		nano, ok3 := hex(m[16:32])
		if ok1 && ok2 && ok3 && m[6] == '.' && m[15] == '.' && m[32] == close {
			return Stamp{Lane: uint32(lane), Seq: uint32(seq), Nano: int64(nano)}, b[i+Size:], true
		}
		b = b[i+len(open):]
	}
}

func hex(b []byte) (v uint64, ok bool) {
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			v = v<<4 | uint64(c-'a'+10)
		default:
			return 0, false
		}
	}
	return v, true
}

// Verdict says how a message stands to those of its lane that were seen before.
type Verdict struct {
	Missing   uint32 // messages of the lane that should have come before this one and did not
	Duplicate bool   // this one, or a later one, was seen before
	Stray     bool   // the lane was never meant for this receiver
}

// Track follows the lanes that one receiver is meant to see.
type Track struct {
	base uint32
	last []uint32
}

// NewTrack follows the given number of lanes from base on, each expected to begin with seq 1.
func NewTrack(base uint32, lanes int) Track {
	return Track{base: base, last: make([]uint32, lanes)}
}

// Note takes one message and judges it.
func (t *Track) Note(s Stamp) Verdict {
	i := s.Lane - t.base
	if s.Lane < t.base || int(i) >= len(t.last) {
		return Verdict{Stray: true}
	}
	last := t.last[i]
	if s.Seq <= last {
		return Verdict{Duplicate: true}
	}
	t.last[i] = s.Seq
	return Verdict{Missing: s.Seq - last - 1}
}

// Seen returns the highest seq noted of a lane, 0 before the first.
func (t *Track) Seen(lane uint32) uint32 {
	i := lane - t.base
	if lane < t.base || int(i) >= len(t.last) {
		return 0
	}
	return t.last[i]
}
