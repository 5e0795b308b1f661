package ws

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"sync"
)

// tail ends a message's blocks: the four bytes that a sender leaves out (RFC 7692, 7.2.2), and a final empty block, so
// that the decoder sees an end.
const tail = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"

// windowSize is how far back deflate looks.
const windowSize = 32 << 10

// deflater and inflater are large (0.7 MB and 44 KB): no context is taken over between messages, so a few serve all.
type deflater struct {
	w   *flate.Writer
	out bytes.Buffer
}

type inflater struct {
	r   io.ReadCloser // also a flate.Resetter
	src bytes.Reader
}

var (
	deflaters = sync.Pool{New: func() any {
		d := new(deflater)
		d.w, _ = flate.NewWriter(&d.out, flate.BestSpeed) // fails for an unknown level only
		return d
	}}
	inflaters = sync.Pool{New: func() any {
		i := new(inflater)
		i.r = flate.NewReader(&i.src)
		return i
	}}
)

// CompressedFrame returns a complete data frame of the server for connections with Compression, by permessage-deflate
// without context takeover: so its bytes, too, can be shared. It is not always shorter than Frame's.
func CompressedFrame(op byte, payload []byte) []byte {
	d := deflaters.Get().(*deflater)
	defer deflaters.Put(d)
	d.out.Reset()
	d.w.Reset(&d.out)
	d.w.Write(payload) //nolint:errcheck // a bytes.Buffer takes everything
	d.w.Flush()        //nolint:errcheck
	p := d.out.Bytes()
	p = p[:len(p)-4] // the end of the sync marker, which the receiver puts back
	frame := make([]byte, 0, headerSize(len(p))+len(p))
	return append(appendHeader(frame, bitFin|bitRsv1|op, len(p)), p...)
}

// inflate returns the payload of a compressed message, at most limit bytes.
func inflate(data []byte, limit int) ([]byte, error) {
	i := inflaters.Get().(*inflater)
	defer inflaters.Put(i)
	i.src.Reset(append(data, tail...))
	var out []byte
	for i.src.Len() > 0 { // more than one round if the sender used final blocks
		window := out[max(0, len(out)-windowSize):]
		if err := i.r.(flate.Resetter).Reset(&i.src, window); err != nil {
			return nil, err
		}
		var err error
		if out, err = readLimited(i.r, out, limit); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// readLimited appends what r has to out, which must not grow beyond limit.
func readLimited(r io.Reader, out []byte, limit int) ([]byte, error) {
	for {
		if len(out) == cap(out) {
			out = append(out, make([]byte, 512)...)[:len(out)]
		}
		n, err := r.Read(out[len(out):min(cap(out), limit+1)])
		out = out[:len(out)+n]
		switch {
		case len(out) > limit:
			return nil, violation(CodeTooBig, "message too large")
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, violation(CodeInvalidPayload, "compressed data is corrupt")
		}
	}
}
