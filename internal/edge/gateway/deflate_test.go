package gateway

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/wire/pusher"
	"github.com/continuo-rt/continuo/test/frames"
)

// squeezed opens a connection that has negotiated compression, joined "news" and read that.
func (r *rig) squeezed(compressed bool) *peer {
	r.Helper()
	d := ws.Dialer{Header: ws.HandshakeHeaderHTTP(http.Header{})}
	if compressed {
		d.Extensions = []httphead.Option{httphead.NewOption("permessage-deflate", nil)}
	}
	c, buffered, hs, err := d.Dial(r.Context(), r.url+"/app/app-key?protocol=7")
	if err != nil {
		r.Fatal(err)
	}
	if compressed != (len(hs.Extensions) == 1) {
		r.Fatalf("compression %t, negotiated %v", compressed, hs.Extensions)
	}
	p := &peer{T: r.T, Conn: c, in: c}
	if buffered != nil {
		p.in = buffered
	}
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	r.Cleanup(func() { _ = c.Close() })
	p.want("connection_established")
	p.send(`{"event":"pusher:subscribe","data":{"channel":"news"}}`)
	p.want("subscription_succeeded")
	return p
}

// event reads a frame and what is in it.
func (p *peer) event() (text string, compressed bool) {
	p.Helper()
	f, err := frames.Read(p.in)
	if err != nil {
		p.Fatal(err)
	}
	if f.Header.Rsv != ws.Rsv(true, false, false) {
		return string(f.Payload), false
	}
	b, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(f.Payload), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))))
	if err != nil {
		p.Fatal(err)
	}
	return string(b), true
}

// Clients that negotiated compression get compressed frames where that makes them shorter, and the others on the channel
// the same bytes as they are.
func TestCompressedEvents(t *testing.T) {
	r := newRig(t, nil)
	r.configure(func(a *app.App) { a.Features.Compression = true })
	plain := r.squeezed(false)
	all := make([]*peer, 20)
	for i := range all {
		all[i] = r.squeezed(true)
	}
	long := fmt.Sprintf(`{"text":%q}`, strings.Repeat("all work and no play ", 50))
	r.publish("news", "", long)
	r.publish("news", "", `1`)
	for i, wantCompressed := range []bool{true, false} {
		want, compressed := plain.event()
		if compressed || !strings.HasPrefix(want, `{"event":"UPDATE","channel":"news"`) || i == 0 && !strings.Contains(want, "all work and no play") {
			t.Fatal(want, compressed)
		}
		for _, p := range all {
			if got, compressed := p.event(); got != want || compressed != wantCompressed {
				t.Fatalf("got %q, compressed %t\nwant %q, compressed %t", got, compressed, want, wantCompressed)
			}
		}
	}
	r.configure(func(*app.App) {})
	d := ws.Dialer{Extensions: []httphead.Option{httphead.NewOption("permessage-deflate", nil)}}
	c, _, hs, err := d.Dial(t.Context(), r.url+"/app/app-key?protocol=7")
	if err != nil || len(hs.Extensions) != 0 {
		t.Fatal("an app that does not compress has negotiated", hs.Extensions, err)
	}
	_ = c.Close()
}

// A compressing encoder is the same value for all who follow alike, so that a frame is compressed once for them.
func TestCompressedOnce(t *testing.T) {
	var a, b session.Encoder = deflated{pusher.Encoder{}}, deflated{pusher.Encoder{}}
	if a != b || a == session.Encoder(pusher.Encoder{}) {
		t.Fatal("hubs cannot tell compressing encoders apart")
	}
	r := newRig(t, nil)
	r.configure(func(a *app.App) { a.Features.Compression = true })
	all := []*peer{r.squeezed(false)}
	for range 100 {
		all = append(all, r.squeezed(true))
	}
	r.publish("news", "", fmt.Sprintf("%q", strings.Repeat("x", 1000)))
	for _, p := range all {
		p.event()
	}
	if n := r.encoded.Load(); n > 2 {
		t.Fatalf("%d frames were made for 101 subscribers of two kinds", n)
	}
}
