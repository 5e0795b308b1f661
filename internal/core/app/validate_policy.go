package app

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

func (c *checker) policy(at string, p *Policy, l Limits) {
	_, err := channel.ParsePattern(p.Pattern)
	c.err(at+"pattern", err)
	c.retention(at+"retention.", p.Retention)
	c.retention(at+"presence.retention.", p.Presence.Retention)
	c.duration(at+"recovery.age", p.Recovery.Age)
	c.messages(at, p, l)
	c.presence(at+"presence.", p.Presence)
	c.duration(at+"cache_ttl", p.Cache)
	c.words(at+"anonymous", p.Anonymous, RoomRights())
	c.words(at+"subscribe", p.Subscribe, []string{SubscribeAnyone})
	c.words(at+"publish", p.Publish, []string{PublishServer, PublishClient})
	c.snapshotURL(at+"snapshot_url", p.SnapshotURL)
	c.feed(at+"feed.", p.Feed)
}

func (c *checker) retention(at string, r stream.Retention) {
	c.duration(at+"age", r.Age)
	if r.MaxKeys > 0 && !r.KeepLatest {
		c.add(at+"max_keys", "max_keys bounds the keys that keep: latest holds; without it there are none to bound")
	}
}

func (c *checker) duration(key string, d time.Duration) { c.notNegative(key, int64(d)) }

// messages checks what the policy says about the log and the messages in it for contradictions.
func (c *checker) messages(at string, p *Policy, l Limits) {
	switch {
	case p.MaxMessage < 0:
		c.add(at+"max_message_bytes", "%d is negative", p.MaxMessage)
	case p.MaxMessage < l.PayloadBytes:
		c.add(at+"max_message_bytes", "messages of at most %d bytes cannot hold payloads of limits.payload_bytes = %d", p.MaxMessage, l.PayloadBytes)
	}
	c.notNegative(at+"max_versions", int64(p.MaxVersion))
	if p.LogClientEvents && !p.ClientEvents {
		c.add(at+"log_client_events", "client events cannot be logged where client_events is false")
	}
	if p.LogClientEvents && !p.ClientsPublish() {
		c.add(at+"log_client_events", "client events cannot be logged where publish does not name %q", PublishClient)
	}
	if !p.NoLog {
		return
	}
	needLog := []struct {
		key string
		on  bool
	}{
		{"mutable", p.Mutable}, {"log_client_events", p.LogClientEvents}, {"conflate", p.Conflate},
		{"retention.keep", p.Retention.KeepLatest}, {"feed.strict_window", p.Feed.StrictWindow},
	}
	for _, n := range needLog {
		if n.on {
			c.add(at+n.key, "%s needs the log that log: false switches off", n.key)
		}
	}
}

func (c *checker) presence(at string, p PresencePolicy) {
	if p.Retention.KeepLatest {
		c.add(at+"retention.keep", "a presence log always keeps its members; keep is for messages")
	}
	c.duration(at+"clean_grace", p.CleanGrace)
	c.duration(at+"drop_grace", p.DropGrace)
	c.duration(at+"drop_grace_v1", p.DropGraceV1)
	c.notNegative(at+"broadcast_limit", int64(p.BroadcastLimit))
	c.notNegative(at+"list_limit", int64(p.ListLimit))
}

func (c *checker) words(key string, list, allowed []string) {
	for i, w := range list {
		switch {
		case !slices.Contains(allowed, w):
			c.add(fmt.Sprintf("%s[%d]", key, i), "%s is not one of %s", channel.Quote(w), strings.Join(allowed, ", "))
		case slices.Index(list, w) < i:
			c.add(fmt.Sprintf("%s[%d]", key, i), "%q is named twice", w)
		}
	}
}

// snapshotURL checks a template: a URL or a path whose placeholders are {room_id} and {event_id}.
func (c *checker) snapshotURL(key, s string) {
	if s == "" {
		return
	}
	plain := strings.NewReplacer("{room_id}", "r", "{event_id}", "1").Replace(s)
	switch {
	case !strings.Contains(s, "{room_id}"):
		c.add(key, "the template %s does not contain {room_id}", channel.Quote(s))
	case strings.ContainsAny(plain, "{}"):
		c.add(key, "the template %s has a placeholder other than {room_id} and {event_id}", channel.Quote(s))
	case !webURL(plain) && !strings.HasPrefix(plain, "/"):
		c.add(key, "the template %s is neither an http or https URL nor a path", channel.Quote(s))
	}
}

// loginFields are the members of a feed login, and of its answer, that are not filters.
var loginFields = []string{"type", "apiKey", "channels", "receiveType", "clientName", "lang", "serverEpoch", "lastSeenId",
	"connId", "userId", "access", "ignored", "resume"}

func (c *checker) feed(at string, f FeedPolicy) {
	for _, field := range slices.Sorted(maps.Keys(f.Filters)) {
		filter := f.Filters[field]
		key := at + "filters." + field
		switch {
		case field == "":
			c.add(key, "the filter has no name: it is the login field that carries its values")
		case slices.Contains(loginFields, field):
			c.add(key, "%q is a member of every login and cannot be a filter", field)
		}
		if !strings.HasPrefix(filter.Path, "/") {
			c.add(key+".path", `%s is not a JSON pointer: it must begin with "/", like "/sportId"`, channel.Quote(filter.Path))
		}
		c.patterns(key+".exempt", filter.Exempt)
	}
}
