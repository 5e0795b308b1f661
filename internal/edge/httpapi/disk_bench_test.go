package httpapi_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/edge/httpapi"
	"github.com/continuo-rt/continuo/internal/engine/disk"
	"github.com/continuo-rt/continuo/internal/run/hub"
	"github.com/continuo-rt/continuo/internal/run/node"
)

// BenchmarkDurablePublish publishes over 16 keep-alive connections to a store that syncs each before its answer.
func BenchmarkDurablePublish(b *testing.B) {
	registry, _ := app.NewRegistry(mustApp(b, app.App{ID: "app-id", Mode: app.Development, Enabled: true,
		Keys: []app.Key{{Key: "app-key", Secret: "app-secret", Enabled: true}}}))
	now := func() int64 { return time.Now().UnixMilli() }
	store, err := disk.Open(b.TempDir(), disk.Options{Now: now, Rules: func(ref stream.Ref) stream.Rules { return node.Rules(registry, ref) },
		Folds: map[stream.Log]stream.Fold{stream.Messages: message.Fold}, FreeReserve: -1})
	if err != nil {
		b.Fatal(err)
	}
	h := hub.New(hub.Options{Store: store, Now: now, Frame: func(_ bool, p []byte) []byte { return p }})
	n := node.New(node.Options{Store: store, Hub: h, Apps: registry, Now: now})
	s := httptest.NewServer(httpapi.New(httpapi.Options{Node: n, Now: now}))
	b.Cleanup(func() {
		s.Close()
		h.Close()
		_ = store.Close()
	})
	request := []byte(fmt.Sprintf("POST /apps/app-id/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer app-key:app-secret\r\nContent-Length: %d\r\n\r\n%s",
		len(benchBody), benchBody))
	b.SetParallelism(16)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer func() { _ = c.Close() }()
		in := bufio.NewReader(c)
		for pb.Next() {
			if err := exchange(c, in, request); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// exchange sends a request and reads past its answer, which ends with "{}".
func exchange(c net.Conn, in *bufio.Reader, request []byte) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && string(line[9:12]) != "200" {
			return fmt.Errorf("%s", line)
		}
		if len(line) == 2 {
			_, err := in.Discard(2)
			return err
		}
	}
}
