// Package app holds tenants as immutable values: their keys, limits and channel policies.
package app

import (
	"time"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// App is one tenant. Values are never changed after they were handed out: a reload makes new ones.
type App struct {
	ID       string
	Name     string
	Enabled  bool
	Keys     []Key
	Origins  []string // allowed Origin patterns ("*" or empty: all); "https://*.example.com" matches one label or more
	Features Features
	Limits   Limits
	Policies []Policy // first match wins; after them, Default()
	FeedKeys []FeedKey
	Rooms    RoomsAuth
}

// Key is a credential pair. An app may have several, so that secrets can be rotated.
type Key struct {
	Key     string
	Secret  string
	Enabled bool
}

// Features switches protocol features of the Pusher family on or off.
type Features struct {
	ClientEvents      bool
	UserAuth          bool // signin
	Watchlist         bool
	SubscriptionCount bool
	V2DataValue       bool // V2 JSON frames carry data as a JSON value instead of a string
	Compression       bool // permessage-deflate, no context takeover
}

// Limits are the app's quotas; 0 means unlimited unless noted.
type Limits struct {
	Connections           int // WebSocket connections at once
	ChannelsPerConnection int
	ChannelNameLength     int // bytes; 0 = 200
	EventNameLength       int // bytes; 0 = 200
	PayloadBytes          int // of data; 0 = 10 KiB for HTTP and client events... see Normalize
	ChannelsPerPublish    int
	BatchSize             int
	ClientEventsPerSecond int
	PublishesPerSecond    int // backend events over HTTP
	ReadsPerSecond        int // HTTP reads
	PresenceMembers       int // per channel
	PresenceMemberBytes   int // user_info
	WatchlistSize         int
	FrameBytes            int // largest inbound WebSocket message
}

// Policy is what the channels that match Pattern may do. The zero value is not useful: start from Default.
type Policy struct {
	Pattern    string // exact, or with '*' for any run of bytes
	Durability stream.Durability
	Retention  stream.Retention
	Recovery   stream.Window // how far back a client may resume; zero fields: as far as the log reaches
	Mutable    bool
	MaxMessage int // bytes that one message may grow to by appends and updates
	MaxVersion int // versions that one message may have; 0 = unlimited
	// ClientEvents: who may send client events is the Pusher rule (private and presence channels); LogClientEvents
	// makes them entries of the log instead of ephemeral.
	ClientEvents    bool
	LogClientEvents bool
	Presence        PresencePolicy
	Conflate        bool // followers that are behind get the newest message of each key only
	Cache           time.Duration // how long cache channels remember the last event
	Anonymous       []string      // rooms: rights without a token
	Subscribe       []string      // who may subscribe through Pusher faces: "anyone" (by channel prefix rules) or "server" (nobody)
	Publish         []string      // who may publish: "server", "client"
	SnapshotURL     string        // rooms: the application's own snapshot template
	UnverifiedResume bool         // rooms: resume without stream_id
	Feed            FeedPolicy
}

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

// FeedKey is an API key of the feed face.
type FeedKey struct {
	ID          string
	SecretHash  [32]byte // SHA-256 of the secret
	Label       string
	Channels    []string // patterns
	Filters     map[string][]string
	Connections int
	Access      map[string]bool
	Expires     time.Time // zero: never
	Revoked     bool
}

// RoomsAuth says which tokens the rooms face accepts beside HS256 with an app secret.
type RoomsAuth struct {
	JWKSFile string
	JWKSURL  string
	Issuer   string
	Audience string
}
