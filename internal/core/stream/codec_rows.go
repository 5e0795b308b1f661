package stream

import "fmt"

const rowVersion = 1

// AppendMeta appends the stored form of m to dst.
func AppendMeta(dst []byte, m *Meta) []byte {
	w := encoder{append(dst, rowVersion)}
	for i, v := range []uint64{m.Forget, m.Resets, uint64(m.Class), m.Base, m.Floor, m.Head, uint64(m.FloorTime),
		uint64(m.HeadTime), m.FloorCum, m.HeadCum, uint64(m.Born), m.Keys} {
		w.num(i+1, v)
	}
	if m.Mutated {
		w.num(13, 1)
	}
	return w.b
}

// DecodeMeta reads the stored form of a Meta.
func DecodeMeta(b []byte) (Meta, error) {
	var m Meta
	if len(b) == 0 || b[0] != rowVersion {
		return m, fmt.Errorf("stream meta: unknown version: %w", ErrCorrupt)
	}
	err := fields(b[1:], func(tag int, v uint64, _ []byte) {
		switch tag {
		case 1:
			m.Forget = v
		case 2:
			m.Resets = v
		case 3:
			m.Class = Durability(v)
		case 4:
			m.Base = v
		case 5:
			m.Floor = v
		case 6:
			m.Head = v
		case 7:
			m.FloorTime = int64(v)
		case 8:
			m.HeadTime = int64(v)
		case 9:
			m.FloorCum = v
		case 10:
			m.HeadCum = v
		case 11:
			m.Born = int64(v)
		case 12:
			m.Keys = v
		case 13:
			m.Mutated = v != 0
		}
	})
	if err == nil && (m.Base > m.Floor || m.Floor > m.Head || m.FloorCum > m.HeadCum) {
		err = ErrCorrupt
	}
	if err != nil {
		return Meta{}, fmt.Errorf("stream meta: %w", err)
	}
	return m, nil
}

// AppendHeader appends the stored form of h to dst.
func AppendHeader(dst []byte, h *Header) []byte {
	w := encoder{append(dst, rowVersion)}
	w.str(1, h.Alias)
	for i, v := range []uint64{h.Message, h.Row, h.Last, uint64(h.Version), flag(h.Deleted), flag(h.Text), h.Len, h.StateAt,
		uint64(h.Since), h.LenAt} {
		w.num(i+2, v)
	}
	w.str(12, h.Creator)
	w.num(13, uint64(h.BegunAt))
	w.str(14, h.BegunConn)
	w.num(15, flag(h.Annotated))
	return w.b
}

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// DecodeHeader reads the stored form of a Header.
func DecodeHeader(b []byte) (Header, error) {
	var h Header
	if len(b) == 0 || b[0] != rowVersion {
		return h, fmt.Errorf("message header: unknown version: %w", ErrCorrupt)
	}
	err := fields(b[1:], func(tag int, v uint64, s []byte) {
		switch tag {
		case 1:
			h.Alias = string(s)
		case 2:
			h.Message = v
		case 3:
			h.Row = v
		case 4:
			h.Last = v
		case 5:
			h.Version = uint32(v)
		case 6:
			h.Deleted = v != 0
		case 7:
			h.Text = v != 0
		case 8:
			h.Len = v
		case 9:
			h.StateAt = v
		case 10:
			h.Since = uint32(v)
		case 11:
			h.LenAt = v
		case 12:
			h.Creator = string(s)
		case 13:
			h.BegunAt = int64(v)
		case 14:
			h.BegunConn = string(s)
		case 15:
			h.Annotated = v != 0
		}
	})
	if err != nil {
		return Header{}, fmt.Errorf("message header: %w", err)
	}
	return h, nil
}

// AppendKept appends the stored form of k to dst.
func AppendKept(dst []byte, k *Kept) []byte {
	w := encoder{append(dst, rowVersion)}
	w.bytes(1, k.Fingerprint[:])
	for i, v := range []uint64{uint64(k.Expires), uint64(k.Entry.Time), k.Entry.Serial, k.Message, k.Row, uint64(k.Version),
		k.Forget, k.Resets} {
		w.num(i+2, v)
	}
	return w.b
}

// DecodeKept reads the stored form of a Kept.
func DecodeKept(b []byte) (Kept, error) {
	var k Kept
	if len(b) == 0 || b[0] != rowVersion {
		return k, fmt.Errorf("receipt: unknown version: %w", ErrCorrupt)
	}
	err := fields(b[1:], func(tag int, v uint64, s []byte) {
		switch tag {
		case 1:
			copy(k.Fingerprint[:], s)
		case 2:
			k.Expires = int64(v)
		case 3:
			k.Entry.Time = int64(v)
		case 4:
			k.Entry.Serial = v
		case 5:
			k.Message = v
		case 6:
			k.Row = v
		case 7:
			k.Version = uint32(v)
		case 8:
			k.Forget = v
		case 9:
			k.Resets = v
		}
	})
	if err != nil {
		return Kept{}, fmt.Errorf("receipt: %w", err)
	}
	return k, nil
}
