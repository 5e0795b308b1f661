package rooms

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/node"
)

// disk measures how long the disk takes to make 200 bytes durable.
type disk struct {
	*os.File
	took []time.Duration
}

func newDisk(b *testing.B) *disk {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "probe"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = f.Close() })
	return &disk{File: f}
}

func (d *disk) probe(b *testing.B) {
	b.Helper()
	if _, err := d.Write(bytes.Repeat([]byte("x"), 200)); err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	if err := d.Sync(); err != nil {
		b.Fatal(err)
	}
	d.took = append(d.took, time.Since(start))
}

func quantile(took []time.Duration, percent int) time.Duration {
	slices.Sort(took)
	return took[len(took)*percent/100]
}

// member joins a room and then takes whatever comes, without a look.
func member(b *testing.B, address, user, room string) {
	b.Helper()
	l, err := dial(b.Context(), address, bearer(b, user))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	if err := l.send(map[string]any{"kind": "client.join", "room_id": room}); err != nil {
		b.Fatal(err)
	}
	for {
		f, _, err := l.read(5 * time.Second)
		if err != nil {
			b.Fatal(err)
		}
		if f.Kind == "room.joined" {
			break
		}
	}
	_ = l.SetReadDeadline(time.Time{})
	go func() { _, _ = io.Copy(io.Discard, l.in) }()
}

// BenchmarkEcho measures the way of a chat.send to its own echo, in a room of 100 on disk, and before each the disk's
// fsync, so that both meet the same load of the machine.
func BenchmarkEcho(b *testing.B) {
	disk := newDisk(b)
	address := start(b, "disk")
	for i := range 99 {
		member(b, address, fmt.Sprint("member-", i), "echo")
	}
	l, err := dial(b.Context(), address, bearer(b, "sender"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	if err := l.send(map[string]any{"kind": "client.join", "room_id": "echo"}); err != nil {
		b.Fatal(err)
	}
	wait := func(kind string) {
		for {
			f, _, err := l.read(5 * time.Second)
			if err != nil {
				b.Fatal(err)
			}
			if f.Kind == kind {
				return
			}
		}
	}
	wait("room.joined")
	var took []time.Duration
	text := strings.Repeat("x", 100)
	for b.Loop() {
		disk.probe(b)
		start := time.Now()
		if err := l.send(map[string]any{"kind": "chat.send", "room_id": "echo", "text": text}); err != nil {
			b.Fatal(err)
		}
		wait("chat.message")
		took = append(took, time.Since(start))
	}
	sync, p50 := quantile(disk.took, 50), quantile(took, 50)
	b.ReportMetric(float64(p50.Microseconds()), "p50-µs")
	b.ReportMetric(float64(quantile(took, 99).Microseconds()), "p99-µs")
	b.ReportMetric(float64(sync.Microseconds()), "fsync-µs")
	b.ReportMetric(float64(p50)/float64(sync), "p50/fsync")
}

// BenchmarkFanout measures the processor time of one delivery, in rooms and in Pusher V1: the same message to 500
// connections that only drain their sockets.
func BenchmarkFanout(b *testing.B) {
	for _, face := range []string{"v1", "rooms", "v1", "rooms"} {
		b.Run(face, func(b *testing.B) { fanout(b, face) })
	}
}

const drains = 500

func fanout(b *testing.B, face string) {
	s := serve(b, "memory")
	address := s.Addr().String()
	join := func() net.Conn {
		path, first := "/app/key?protocol=7", `{"event":"pusher:subscribe","data":{"channel":"fan"}}`
		h := ws.HandshakeHeaderHTTP{}
		if face == "rooms" {
			path, first = "/rooms", `{"kind":"client.join","room_id":"fan"}`
			h["Authorization"] = []string{"Bearer " + bearer(b, "drain")}
		}
		c, _, _, err := ws.Dialer{Header: h}.Dial(b.Context(), "ws://"+address+path)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = c.Close() })
		if _, err := c.Write(ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte(first))))); err != nil {
			b.Fatal(err)
		}
		return c
	}
	var all sync.WaitGroup
	all.Add(drains)
	joined := make(chan struct{}, drains)
	for range drains {
		c := join()
		go func() {
			defer all.Done()
			drain(c, joined)
		}()
	}
	for range drains {
		<-joined
	}
	ref := stream.Ref{App: "app", Channel: "fan"}
	data := stream.Data{Type: stream.Text, Bytes: bytes.Repeat([]byte("x"), 200)}
	before := cpu()
	for b.Loop() {
		if _, err := s.Node().Publish(context.Background(), node.Publish{Ref: ref, Position: true, Entry: stream.Entry{Kind: stream.Create, Event: "chat.message", Data: data}}); err != nil {
			b.Fatal(err)
		}
	}
	last := stream.Data{Type: stream.Text, Bytes: []byte("the end of it")}
	if _, err := s.Node().Publish(context.Background(), node.Publish{Ref: ref, Position: true, Entry: stream.Entry{Kind: stream.Create, Event: "chat.message", Data: last}}); err != nil {
		b.Fatal(err)
	}
	all.Wait()
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(b.N)/drains, "cpu-ns/delivery")
}

// drain reads until the last message has come; it says when the connection has joined.
func drain(c net.Conn, joined chan<- struct{}) {
	buf := make([]byte, 64<<10)
	var tail []byte
	told := false
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		tail = append(tail[max(0, len(tail)-64):], buf[:n]...)
		if !told && (bytes.Contains(tail, []byte("subscription_succeeded")) || bytes.Contains(tail, []byte("room.joined"))) {
			told = true
			joined <- struct{}{}
		}
		if bytes.Contains(tail[max(0, len(tail)-400):], []byte("the end of it")) {
			return
		}
	}
}

// cpu is the processor time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
