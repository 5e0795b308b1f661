package continuo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/continuo-rt/continuo/sdk/go/session"
	"github.com/continuo-rt/continuo/sdk/go/wire"
)

// fetch begins to load a snapshot: the application does it in its turn, or the client at once. The client is locked.
func (r *Room) fetch(need SnapshotNeeded) {
	c := r.client
	r.stopLoading()
	r.loads++
	number := r.loads
	ctx, cancel := context.WithCancel(c.ctx)
	r.stopLoad = cancel
	if c.o.Snapshot != nil {
		r.push(item{need: &need, snapshot: number})
		return
	}
	token := c.token
	c.tasks.Go(func() {
		defer cancel()
		e, err := c.loadSnapshot(ctx, need, token)
		c.mu.Lock()
		defer c.mu.Unlock()
		switch {
		case r.loads != number || r.stopLoad == nil: // nobody waits for it any more
		case err != nil:
			c.report(fmt.Errorf("continuo: the snapshot of %q was not loaded: %w", need.Room, err))
			c.locked(session.Input{Do: session.SnapshotFailed, Room: r.name})
		default:
			r.push(item{event: e, snapshot: number})
		}
	})
}

// stopLoading forgets the snapshot that is under way. The client is locked.
func (r *Room) stopLoading() {
	if r.stopLoad != nil {
		r.stopLoad()
		r.stopLoad = nil
	}
}

// current reports whether a snapshot is still the one that is waited for.
func (r *Room) current(number int) bool {
	r.client.mu.Lock()
	defer r.client.mu.Unlock()
	return r.loads == number && r.stopLoad != nil
}

// ownSnapshot lets the application load the state.
func (r *Room) ownSnapshot(ctx context.Context, need SnapshotNeeded) {
	c := r.client
	at, err := c.o.Snapshot(ctx, need)
	if err != nil {
		if c.ctx.Err() == nil {
			c.report(fmt.Errorf("continuo: the snapshot of %q was not loaded: %w", need.Room, err))
		}
		c.step(session.Input{Do: session.SnapshotFailed, Room: r.name})
		return
	}
	c.step(session.Input{Do: session.SnapshotLoaded, Room: r.name, StreamID: at.StreamID, EventID: at.EventID})
}

const (
	pageSize = 500
	maxPage  = 64 << 20
	maxPages = 1000
)

// loadSnapshot reads all pages of a snapshot as one.
func (c *Client) loadSnapshot(ctx context.Context, need SnapshotNeeded, token string) (*Event, error) {
	address := c.plain.JoinPath("rooms", url.PathEscape(need.Room), "snapshot")
	if need.URL != "" {
		to, err := url.Parse(need.URL)
		if err != nil {
			return nil, err
		}
		address = c.plain.ResolveReference(to)
	}
	if origin(address) != origin(c.plain) {
		token = "" // it is for this server alone
	}
	var all *Event
	cursor := ""
	for range maxPages {
		page, err := c.loadPage(ctx, *address, token, cursor)
		if err != nil {
			return nil, err
		}
		switch {
		case all == nil:
			all = page
		case page.StreamID != all.StreamID || page.EventID != all.EventID:
			return nil, errors.New("the pages of a snapshot are of different moments")
		default:
			all.Items = append(all.Items, page.Items...)
		}
		if !page.HasMore {
			all.RoomID, all.Reason, all.HasMore, all.NextCursor = need.Room, need.Reason, false, ""
			return all, nil
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	return nil, errors.New("a snapshot that has no end")
}

// origin is the scheme, host and port of an address.
func origin(u *url.URL) [3]string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return [3]string{u.Scheme, strings.ToLower(u.Hostname()), port}
}

func (c *Client) loadPage(ctx context.Context, address url.URL, token, cursor string) (*Event, error) {
	query := address.Query()
	query.Set("limit", fmt.Sprint(pageSize))
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	address.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := c.o.HTTP.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxPage))
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered %s", answer.Status)
	}
	return wire.DecodeSnapshot(body)
}
