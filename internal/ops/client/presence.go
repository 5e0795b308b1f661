package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Presence reads who is and was in a presence channel.
type Presence struct {
	Server  Server
	HTTP    *http.Client // nil: http.DefaultClient
	Channel string
	// Waiting is told before each retry of Follow; nil: nobody.
	Waiting func(err error, delay time.Duration)
}

// Moment is when: a serial, a time (unix ms), or now.
type Moment struct {
	Serial *uint64
	Time   *int64
}

// Members is who was there.
type Members struct {
	Channel    string   `json:"channel"`
	Members    []Member `json:"members"`
	Count      int      `json:"member_count"`
	Serial     uint64   `json:"snapshot_serial"`
	Time       int64    `json:"snapshot_time_ms"`
	Continuity struct {
		Stream   string `json:"stream_id"`
		Degraded bool   `json:"degraded"`
	} `json:"continuity"`
}

// Member is one user of a channel.
type Member struct {
	User   string          `json:"user_id"`
	Info   json.RawMessage `json:"user_info,omitempty"`
	Event  string          `json:"last_event"`
	Serial uint64          `json:"last_event_serial"`
	Time   int64           `json:"last_event_at_ms"`
}

// Transition is one change of who is there.
type Transition struct {
	Stream     string          `json:"stream_id"`
	Serial     uint64          `json:"serial"`
	Time       int64           `json:"published_at_ms"`
	Event      string          `json:"event"`
	Cause      string          `json:"cause"`
	User       string          `json:"user_id"`
	Connection *string         `json:"connection_id"`
	Info       json.RawMessage `json:"user_info"`
	Observed   int64           `json:"observed_at,omitempty"`
}

// Members reads the members at a moment.
func (p *Presence) Members(ctx context.Context, at Moment) (m Members, err error) {
	q := url.Values{}
	if at.Serial != nil {
		q.Set("at_serial", strconv.FormatUint(*at.Serial, 10))
	}
	if at.Time != nil {
		q.Set("at_time_ms", strconv.FormatInt(*at.Time, 10))
	}
	return m, p.get(ctx, "/snapshot", q, &m)
}

type transitions struct {
	Items []struct {
		Transition Transition `json:"presence_event"`
	} `json:"items"`
	Next       *string `json:"next_cursor"`
	Continuity struct {
		Stream string  `json:"stream_id"`
		Newest *uint64 `json:"newest_available_serial"`
	} `json:"continuity"`
}

// History calls f with every transition up to a moment that is retained, oldest first. It returns the serial and the
// stream that it has come to.
func (p *Presence) History(ctx context.Context, until Moment, f func(Transition) error) (last Cursor, err error) {
	q := url.Values{"direction": {"oldest_first"}}
	if until.Serial != nil {
		q.Set("end_serial", strconv.FormatUint(*until.Serial, 10))
	}
	if until.Time != nil {
		q.Set("end_time_ms", strconv.FormatInt(*until.Time, 10))
	}
	return p.pages(ctx, q, f)
}

func (p *Presence) pages(ctx context.Context, q url.Values, f func(Transition) error) (last Cursor, err error) {
	for {
		var page transitions
		if err := p.get(ctx, "", q, &page); err != nil {
			return last, err
		}
		if last.Stream == "" && page.Continuity.Newest != nil { // what comes while pages are read is for the next call
			last.Serial = *page.Continuity.Newest
		}
		last.Stream = page.Continuity.Stream
		for _, i := range page.Items {
			if err := f(i.Transition); err != nil {
				return last, err
			}
		}
		if page.Next == nil {
			return last, nil
		}
		q.Set("cursor", *page.Next)
	}
}

// pollEvery is how often Follow asks.
const pollEvery = 500 * time.Millisecond

// Follow calls f with the transitions after a cursor as they happen, through restarts of the server, until ctx ends or f
// fails. reset is called when the log was begun anew.
func (p *Presence) Follow(ctx context.Context, after Cursor, f func(Transition) error, reset func()) error {
	retry := Publisher{Waiting: p.Waiting}
	var failed error
	keep := func(t Transition) error {
		if after.Serial = max(after.Serial, t.Serial); failed == nil {
			failed = f(t)
		}
		return failed
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pollEvery):
		}
		err := retry.again(ctx, func() error {
			last, err := p.pages(ctx, url.Values{"direction": {"oldest_first"}, "start_serial": {strconv.FormatUint(after.Serial+1, 10)}}, keep)
			switch {
			case failed != nil:
				return &Error{Msg: failed.Error()}
			case err != nil:
				return err
			case after.Stream != "" && last.Stream != after.Stream:
				reset()
			}
			after.Stream, after.Serial = last.Stream, max(after.Serial, last.Serial)
			return nil
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case failed != nil:
			return failed
		case err != nil:
			return err
		}
	}
}

func (p *Presence) get(ctx context.Context, path string, q url.Values, answer any) error {
	call := "channels/" + url.PathEscape(p.Channel) + "/presence/history" + path
	if len(q) > 0 {
		call += "?" + q.Encode()
	}
	c := Publisher{Server: p.Server, HTTP: p.HTTP}
	return c.call(ctx, http.MethodGet, call, nil, answer)
}
