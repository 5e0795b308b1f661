//go:build unix

package continuo

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// stream is a transport of a server that sends messages of a room as fast as they are read.
type stream struct {
	*script
	greeting int
	n, last  int
	buffer   []byte
}

func (s *stream) read() ([]byte, error) {
	if s.greeting < 2 {
		s.greeting++
		return []byte(helloText), nil
	}
	if s.n == s.last {
		return s.script.read()
	}
	s.n++
	s.buffer = fmt.Appendf(s.buffer[:0], `{"kind":"chat.message","room_id":"a","event_id":%d,"message_id":"%d","sender":"ann","ts":1787000000000,`+
		`"payload":{"price":101.5,"pair":"BTC/USD","at":"2026-11-22T02:00:00Z","bids":[[101.4,2],[101.3,1]]},"event":"price"}`, s.n, s.n)
	return s.buffer, nil
}

// BenchmarkReceive hands messages of 240 bytes from encoded frames through the codec, the session, the queue and the cursor
// store to a loop. One message is one op; messages/cpu-s is by the time that the process spent on both sides.
func BenchmarkReceive(b *testing.B) {
	c := New("http://127.0.0.1:1", Options{Buffer: 1 << 30})
	s := &stream{script: newScript()}
	c.open = func(context.Context, string) (transport, error) { return s, nil }
	r := c.Room("a")
	joined := make(chan error, 1)
	go func() { joined <- r.Join(context.Background(), Join{}) }()
	c.Connect()
	<-s.out // client.hello
	<-s.out // client.join
	s.in <- `{"kind":"room.joined","room_id":"a","stream_id":"A","event_id":0,"resumed":false,"replaying":0}`
	if err := <-joined; err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	began, spent := time.Now(), cpu()
	b.ResetTimer()
	c.mu.Lock()
	s.last = b.N
	c.mu.Unlock()
	s.in <- `{"kind":"server.pong"}`
	n := 0
	for e, err := range r.Events(context.Background()) {
		if err != nil || e.EventID != int64(n+1) {
			b.Fatal(e, err)
		}
		if n++; n == b.N {
			break
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(n)/time.Since(began).Seconds(), "messages/s")
	b.ReportMetric(float64(n)/(cpu()-spent).Seconds(), "messages/cpu-s")
	if err := c.Close(context.Background()); err != nil {
		b.Error(err)
	}
}
