// Package frames reads WebSocket frames for the clients of tests.
package frames

import (
	"fmt"
	"io"

	"github.com/gobwas/ws"
)

// Max is the largest payload that a test expects.
const Max = 16 << 20

// Read reads one frame whole.
func Read(in io.Reader) (ws.Frame, error) {
	h, err := ws.ReadHeader(in)
	if err != nil {
		return ws.Frame{}, err
	}
	if h.Length > Max {
		return ws.Frame{}, fmt.Errorf("a frame of %d bytes", h.Length)
	}
	f := ws.Frame{Header: h, Payload: make([]byte, h.Length)}
	_, err = io.ReadFull(in, f.Payload)
	return f, err
}
