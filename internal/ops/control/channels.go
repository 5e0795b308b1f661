package control

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Channel is one channel that has a log or subscribers.
type Channel struct {
	Channel     string `json:"channel"`
	Subscribers int    `json:"subscribers"`
	Entries     uint64 `json:"entries"`
	Bytes       uint64 `json:"bytes"`
	Floor       uint64 `json:"floor"`
	Head        uint64 `json:"head"`
	HeadTime    int64  `json:"head_time_ms,omitempty"`
	Keys        uint64 `json:"keys,omitempty"`
	Stream      string `json:"stream_id,omitempty"`
	Durability  string `json:"durability"`
}

// Channels is a page of them, in order of names.
type Channels struct {
	App      string    `json:"app"`
	Channels []Channel `json:"channels"`
	Next     string    `json:"next,omitempty"` // after which the next page begins
}

const maxChannels = 1000

func (s *Server) channels(w http.ResponseWriter, r *http.Request) {
	a, err := s.app(r)
	if err != nil {
		s.fail(w, err)
		return
	}
	q := r.URL.Query()
	limit := maxChannels
	if text := q.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxChannels {
			s.fail(w, fault.New(fault.Invalid, "limit must be 1 to %d", maxChannels).In("limit"))
			return
		}
	}
	page, err := s.list(r.Context(), a.ID, q.Get("prefix"), q.Get("after"), limit)
	if err != nil {
		s.fail(w, err)
		return
	}
	for i := range page.Channels {
		if err := s.complete(r.Context(), a, &page.Channels[i]); err != nil {
			s.fail(w, err)
			return
		}
	}
	answer(w, page)
}

// complete says how durable a channel is. The log of a volatile one is not where the others are listed.
func (s *Server) complete(ctx context.Context, a *app.App, c *Channel) error {
	policy := a.Policy(c.Channel)
	c.Durability = durability(policy.NoLog, policy.Durability)
	if policy.NoLog || policy.Durability != stream.Volatile {
		return nil
	}
	p, err := s.opts.Node.Store().Read(ctx, stream.Query{Ref: stream.Ref{App: a.ID, Channel: c.Channel}})
	if err == nil {
		c.set(p.Bounds)
	}
	return err
}

func (c *Channel) set(b stream.Bounds) {
	c.Entries, c.Bytes, c.Floor, c.Head, c.HeadTime, c.Keys, c.Stream = b.Retained(), b.RetainedBytes(), b.Floor, b.Head, b.HeadTime, b.Keys, string(b.Stream)
}

func durability(none bool, d stream.Durability) string {
	if none {
		return "none"
	}
	return d.String()
}

// list merges the channels that the store knows with those that have subscribers, which may not be stored.
func (s *Server) list(ctx context.Context, app, prefix, after string, limit int) (Channels, error) {
	found := map[string]stream.Bounds{}
	end := "" // the store's page reaches up to here; empty: to the end
	if s.opts.Disk != nil {
		from := max(after, before(prefix))
		stored, err := s.opts.Disk.Channels(ctx, app, from, limit+1)
		if err != nil {
			return Channels{}, err
		}
		for _, l := range stored {
			if l.Ref.Log == stream.Messages && strings.HasPrefix(l.Ref.Channel, prefix) {
				found[l.Ref.Channel] = l.Bounds
			}
		}
		if n := len(stored); n > 0 && distinct(stored, func(i int) string { return stored[i].Ref.Channel }) > limit {
			end = stored[n-1].Ref.Channel
		}
	}
	subscribers := map[string]int{}
	s.opts.Node.Hub().Occupied(app, func(name string, n int) bool {
		if name > after && strings.HasPrefix(name, prefix) && (end == "" || name <= end) {
			subscribers[name] = n
		}
		return true
	})
	for name := range subscribers {
		if _, ok := found[name]; ok {
			continue
		}
		p, err := s.opts.Node.Store().Read(ctx, stream.Query{Ref: stream.Ref{App: app, Channel: name}})
		if err != nil {
			return Channels{}, err
		}
		found[name] = p.Bounds
	}
	out := Channels{App: app, Channels: []Channel{}}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if len(out.Channels) == limit {
			out.Next = out.Channels[limit-1].Channel
			break
		}
		one := Channel{Channel: name, Subscribers: subscribers[name]}
		one.set(found[name])
		out.Channels = append(out.Channels, one)
	}
	if out.Next == "" && end != "" && strings.HasPrefix(end, prefix) {
		out.Next = end
	}
	return out, nil
}

func distinct[T any](list []T, name func(int) string) int {
	n := 0
	for i := range list {
		if i == 0 || name(i) != name(i-1) {
			n++
		}
	}
	return n
}

// before is a text that is smaller than every name with the prefix, and greater than every name that is smaller than
// all of them.
func before(prefix string) string {
	if prefix == "" {
		return ""
	}
	last := len(prefix) - 1
	return prefix[:last] + string([]byte{prefix[last] - 1, 0xff})
}
