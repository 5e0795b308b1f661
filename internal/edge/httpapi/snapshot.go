package httpapi

import (
	"net/http"
	"strconv"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/node"
	"github.com/continuo-rt/continuo/internal/wire/serverapi"
)

var snapshotRoutes = []route{
	{[]string{"channels", ":channel", "snapshot"}, []endpoint{
		{method: http.MethodGet, params: serverapi.SnapshotParams, read: true, do: (*call).snapshot}}},
}

func (c *call) snapshot() error {
	asked, err := serverapi.ParseSnapshot(&c.params, c.seal(), c.match.channel, c.app.Limits.SnapshotPage, c.api.opts.Now())
	if err != nil {
		return err
	}
	at, floor, err := c.pin(&asked)
	if err != nil {
		return err
	}
	tag := asked.Tag(at.Stream, at.At, floor)
	h := c.w.Header()
	h["Etag"] = []string{tag}
	h.Set("X-Stream-Id", string(at.Stream))
	h.Set("X-Serial", strconv.FormatUint(at.At.Serial, 10))
	h.Set("X-Entry-Id", at.At.String())
	h.Set("Cache-Control", "private, no-cache")
	if given := c.r.Header.Get("If-None-Match"); given != "" && serverapi.Matches(given, tag) {
		c.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	err = c.snapshotPage(&asked, at)
	if err != nil { // the headers promised a page
		for _, name := range []string{"Etag", "X-Stream-Id", "X-Serial", "X-Entry-Id", "Cache-Control"} {
			h.Del(name)
		}
	}
	return err
}

// pin finds the moment that the snapshot shows: that of the cursor, as long as the stream still has it.
func (c *call) pin(asked *serverapi.Snapshot) (serverapi.SnapshotCursor, uint64, error) {
	if asked.Cursor == nil {
		p, err := c.api.opts.Node.Pin(c.r.Context(), node.Pin{Ref: c.ref(), Serial: asked.Serial, HasSerial: asked.AtPoint,
			Time: asked.Time, HasTime: asked.AtTime})
		return serverapi.SnapshotCursor{Stream: p.Bounds.Stream, At: p.At, Complete: p.Complete}, p.Bounds.Floor, err
	}
	b, _, err := c.api.opts.Node.Bounds(c.r.Context(), c.ref())
	if err == nil {
		err = expired(asked, b)
	}
	return *asked.Cursor, b.Floor, err
}

// expired says when a stream no longer has the moment that a cursor pins.
func expired(asked *serverapi.Snapshot, b stream.Bounds) error {
	switch {
	case asked.Cursor == nil:
		return nil
	case b.Stream != asked.Cursor.Stream:
		return fault.New(fault.SnapshotExpired, "the stream was reset since the first page: begin again with it").In("cursor")
	case b.Floor > asked.Cursor.At.Serial:
		return passed(asked.Cursor.At.Serial)
	}
	return nil
}

func passed(serial uint64) error {
	return fault.New(fault.SnapshotExpired, "retention has passed serial %d, which the snapshot shows: begin again with the first page", serial).In("cursor")
}

func (c *call) snapshotPage(asked *serverapi.Snapshot, at serverapi.SnapshotCursor) error {
	items, next, err := c.snapshotPart(asked, at, c.seal())
	if err != nil {
		return err
	}
	c.out = serverapi.AppendSnapshot(c.out, &serverapi.SnapshotPage{Asked: asked, Stream: at.Stream, At: at.At, Complete: at.Complete,
		Items: items, Epoch: c.api.opts.Node.Store().Info().Epoch, Next: next})
	return c.answer(http.StatusOK)
}

// snapshotPart reads what a page shows, and the cursor of the next one.
func (c *call) snapshotPart(asked *serverapi.Snapshot, at serverapi.SnapshotCursor, seal serverapi.Seal) (items []message.State, next string, err error) {
	page, err := c.api.opts.Node.Snapshot(c.r.Context(), node.SnapshotQuery{Ref: c.ref(), At: at.At.Serial, Prefix: asked.Prefix,
		After: at.After, Rows: at.Rows, Beyond: at.Beyond, Limit: asked.Limit, Bytes: pageBytes})
	switch {
	case err != nil && fault.KindOf(err) == fault.NotProvable && asked.Cursor != nil:
		return nil, "", passed(at.At.Serial)
	case err != nil:
		return nil, "", err
	}
	if err := expired(asked, page.Bounds); err != nil {
		return nil, "", err
	}
	if page.Bounds.Stream != at.Stream {
		return nil, "", fault.New(fault.Unavailable, "the stream was reset while the snapshot was read: repeat the request")
	}
	if page.More {
		from := at
		from.Rows, from.After, from.Beyond = page.Rows, page.After, page.Beyond
		next = asked.Next(seal, &from, c.api.opts.Now())
	}
	return page.Items, next, nil
}
