package driver

import (
	"context"
	"crypto/md5" // #nosec: the signature scheme of the protocol asks for it
	"encoding/hex"
	"strconv"

	"github.com/continuo-rt/continuo/internal/ops/bench/post"
)

// httpPublisher publishes by one POST each. The functions give the parts of the request that differ between servers.
type httpPublisher struct {
	host   string
	header string // further header lines, each with its CRLF
	target func(channel string, body []byte) string
	body   func(dst []byte, channel string, data []byte) []byte
	check  func(answer []byte) error // says whether a 2xx answer means yes; nil when it always does

	client *post.Client
	out    []byte
	text   []byte
}

func (h httpPublisher) dial(ctx context.Context) (Publisher, error) {
	client, err := post.Dial(ctx, h.host, Timeout)
	if err != nil {
		return nil, err
	}
	h.client = client
	return &h, nil
}

func (h *httpPublisher) Publish(ctx context.Context, channel string, data []byte) error {
	h.text = h.body(h.text[:0], channel, data)
	b := append(h.out[:0], "POST "...)
	b = append(b, h.target(channel, h.text)...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, h.host...)
	b = append(b, "\r\n"...)
	b = append(b, h.header...)
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(len(h.text)), 10)
	b = append(b, "\r\n\r\n"...)
	h.out = append(b, h.text...)
	status, answer, err := h.client.Do(ctx, h.out)
	if err != nil {
		return err
	}
	if status/100 != 2 {
		return reject("publish: status "+strconv.Itoa(status), answer)
	}
	if h.check != nil {
		return h.check(answer)
	}
	return nil
}

func (h *httpPublisher) Close() error { return h.client.Close() }

func md5Hex(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}
