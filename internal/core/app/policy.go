package app

import (
	"slices"
	"time"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Policy is what the channels that match Pattern may do. The zero value is not useful: start from Default.
type Policy struct {
	Pattern    string // exact, or with '*' for any run of bytes
	NoLog      bool   // the channels keep no log: everything is delivered live or not at all
	Durability stream.Durability
	Retention  stream.Retention
	Recovery   stream.Window // how far back a client may resume; zero fields: as far as the log reaches
	Mutable    bool
	MaxMessage int // bytes that one message may grow to by appends and updates
	MaxVersion int // versions that one message may have; 0 = unlimited
	// ClientEvents: who may send client events is the Pusher rule (private and presence channels, and the app's
	// feature must be on); LogClientEvents makes them entries of the log instead of ephemeral.
	ClientEvents     bool
	LogClientEvents  bool
	Presence         PresencePolicy
	Conflate         bool          // followers that are behind get the newest message of each key only
	Cache            time.Duration // how long cache channels remember the last event
	Anonymous        []string      // rooms: rights without a token
	Subscribe        []string      // who may follow: SubscribeAnyone (by the rules of the channel's prefix), or nobody
	Publish          []string      // who may publish: PublishServer (the HTTP API), PublishClient (client events and sends)
	SnapshotURL      string        // rooms: the application's own snapshot template
	UnverifiedResume bool          // rooms: resume without stream_id
	Feed             FeedPolicy
}

// Words of Policy.Subscribe and Policy.Publish.
const (
	SubscribeAnyone = "anyone"
	PublishServer   = "server"
	PublishClient   = "client"
)

// PresencePolicy rules the presence log of a channel.
type PresencePolicy struct {
	Retention      stream.Retention
	CleanGrace     time.Duration // after an unsubscribe or a clean close
	DropGrace      time.Duration // after a dropped connection (V2, rooms)
	DropGraceV1    time.Duration
	BroadcastLimit int // members above which faces get counts only
	ListLimit      int // members listed in a subscription answer
}

// FeedPolicy is the part of a policy that the feed face reads.
type FeedPolicy struct {
	Enabled      bool
	Filters      map[string]FeedFilter // login field → filter
	StrictWindow bool
}

// FeedFilter maps a login field to a JSON pointer in the payload.
type FeedFilter struct {
	Path   string
	Exempt []string // channel patterns that the filter does not apply to
}

// RoomRights lists the rights that a rooms token or an anonymous policy may carry.
func RoomRights() []string {
	return []string{"join", "send", "history", "presence", "edit_own", "edit_any", "delete_own", "delete_any", "react"}
}

// Default is the policy of a channel that no pattern matches.
func Default(m Mode) Policy {
	p := Policy{
		Pattern:      "*",
		Durability:   stream.Sync,
		Retention:    stream.DefaultRetention(),
		MaxMessage:   1 << 20,
		ClientEvents: true,
		Presence: PresencePolicy{
			Retention:      stream.DefaultRetention(),
			DropGrace:      15 * time.Second,
			BroadcastLimit: 1_000,
			ListLimit:      1_000,
		},
		Cache:            time.Hour,
		Subscribe:        []string{SubscribeAnyone},
		Publish:          []string{PublishServer, PublishClient},
		UnverifiedResume: true,
		Feed:             FeedPolicy{Enabled: true},
	}
	if m == Development {
		p.Mutable = true
		p.Anonymous = RoomRights()
	}
	return p
}

// Rules are what a store needs to know of the policy for the channel's stream of messages.
func (p *Policy) Rules() stream.Rules {
	return stream.Rules{Durability: p.Durability, Retention: p.Retention}
}

// PresenceRules are what a store needs to know of the policy for the channel's presence stream. Presence is as durable
// as the messages are, its log always keeps its members, and of a channel without a log it is in memory alone.
func (p *Policy) PresenceRules() stream.Rules {
	r := stream.Rules{Durability: p.Durability, Retention: p.Presence.Retention}
	r.Retention.KeepLatest = true
	if p.NoLog {
		r.Durability = stream.Volatile
	}
	return r
}

// Window limits a resume, with strict (the feed's strict_window) by the age of the cursor itself too.
func (p *Policy) Window(strict bool) stream.Window {
	w := p.Recovery
	if strict {
		w.CursorAge = p.ResumeAge()
	}
	return w
}

// ResumeAge is the longest gap, by time, that a resume may have: the recovery window's or, without one, as far as the
// log reaches. 0 means that time does not limit it.
func (p *Policy) ResumeAge() time.Duration {
	switch {
	case p.NoLog:
		return 0
	case p.Recovery.Age == 0:
		return p.Retention.Age
	case p.Retention.Age == 0:
		return p.Recovery.Age
	}
	return min(p.Recovery.Age, p.Retention.Age)
}

// ClientsSubscribe reports whether clients may follow the channels at all.
func (p *Policy) ClientsSubscribe() bool { return slices.Contains(p.Subscribe, SubscribeAnyone) }

// ServerPublishes reports whether the HTTP API may publish.
func (p *Policy) ServerPublishes() bool { return slices.Contains(p.Publish, PublishServer) }

// ClientsPublish reports whether clients may publish, as far as their own rights go: sends, and client events where
// ClientEvents says so.
func (p *Policy) ClientsPublish() bool { return slices.Contains(p.Publish, PublishClient) }

// AnonymousMay reports whether the rooms face grants a right without a token.
func (p *Policy) AnonymousMay(right string) bool { return slices.Contains(p.Anonymous, right) }
