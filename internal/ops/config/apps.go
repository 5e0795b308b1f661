package config

import "time"

// App is a tenant as it stands in the file.
type App struct {
	ID          string        `key:"id" doc:"Part of HTTP paths and of the data: it must not change. A-Z a-z 0-9 - _ ."`
	Name        string        `key:"name" doc:"For people."`
	Enabled     bool          `key:"enabled" default:"true" doc:"A disabled app refuses everyone."`
	Keys        []AppKey      `key:"keys" doc:"Credentials. Several may be valid at once, so that secrets can be rotated."`
	Origins     []string      `key:"origins" form:"origin" doc:"Origins of the pages that may connect, such as https://app.example.com, https://*.example.com or http://localhost:*. Empty: all."`
	Idempotency time.Duration `key:"idempotency" default:"120s" min:"1s" max:"24h" doc:"How long a publish is remembered under its idempotency key."`
	Features    Features      `key:"features" doc:"Protocol features."`
	Limits      AppLimits     `key:"limits" doc:"Quotas of the app."`
	Channels    []Channel     `key:"channels" doc:"Channel policies: the first whose pattern matches counts; what it leaves out has the default."`
	FeedKeys    []FeedKey     `key:"feed_keys" doc:"API keys of the feed face."`
	Rooms       RoomsAuth     `key:"rooms" doc:"Tokens of the rooms face, beside those signed with a secret of the app."`
}

// AppKey is a credential pair.
type AppKey struct {
	Key     string `key:"key" doc:"What clients connect with; not secret."`
	Secret  string `key:"secret" secret:"yes" doc:"Signs requests and channel authorisations; only backends have it."`
	Enabled bool   `key:"enabled" default:"true" doc:"A disabled key is refused."`
}

// Features switches protocol features.
type Features struct {
	ClientEvents      bool `key:"client_events" default:"false" dev:"true" doc:"Clients may send client events on private and presence channels."`
	UserAuth          bool `key:"user_auth" default:"true" doc:"Clients may sign in."`
	Watchlist         bool `key:"watchlist" default:"true" doc:"Signed-in clients hear of their watchlist going online and offline."`
	SubscriptionCount bool `key:"subscription_count" default:"false" doc:"Subscribers are told how many they are."`
	V2DataValue       bool `key:"v2_data_value" default:"false" doc:"V2 JSON frames carry data as a JSON value instead of a string."`
	Compression       bool `key:"compression" default:"false" doc:"permessage-deflate without context takeover."`
}

// AppLimits are the quotas of an app.
type AppLimits struct {
	Connections              int  `key:"connections" default:"0" min:"0" doc:"WebSocket connections at once; 0 is unlimited."`
	ChannelsPerConnection    int  `key:"channels_per_connection" default:"1000" min:"1" doc:"Subscriptions of one connection."`
	ChannelNameLength        Size `key:"channel_name_bytes" default:"200" min:"1" max:"1024" doc:"Longest channel name."`
	EventNameLength          Size `key:"event_name_bytes" default:"200" min:"1" max:"1024" doc:"Longest event name."`
	PayloadBytes             Size `key:"payload_bytes" default:"10KiB" min:"1" max:"64MiB" doc:"Largest data of one publish, client event or send."`
	ChannelsPerPublish       int  `key:"channels_per_publish" default:"100" min:"1" max:"10000" doc:"Channels that one publish may name."`
	BatchSize                int  `key:"batch_size" default:"10" min:"1" max:"10000" doc:"Events of one batch."`
	ClientEventsPerSecond    int  `key:"client_events_per_second" default:"0" min:"0" doc:"Client events and sends of one connection; 0 is unlimited."`
	PublishesPerSecond       int  `key:"publishes_per_second" default:"0" min:"0" doc:"Publishes over HTTP; 0 is unlimited."`
	ReadsPerSecond           int  `key:"reads_per_second" default:"0" min:"0" doc:"Reads over HTTP; 0 is unlimited."`
	PresenceMembers          int  `key:"presence_members" default:"100" min:"1" doc:"Members of one presence channel."`
	PresenceMemberBytes      Size `key:"presence_member_bytes" default:"2KiB" min:"1" max:"64MiB" doc:"Largest user_info."`
	PresenceUpdateBytes      Size `key:"presence_update_bytes" default:"1KiB" min:"1" max:"64MiB" doc:"Largest data of a presence update."`
	PresenceUpdatesPerSecond int  `key:"presence_updates_per_second" default:"10" min:"1" doc:"Presence updates of one member."`
	WatchlistSize            int  `key:"watchlist_size" default:"100" min:"1" max:"10000" doc:"Users of one watchlist."`
	FrameBytes               Size `key:"frame_bytes" default:"256KiB" min:"1KiB" max:"64MiB" doc:"Largest WebSocket message that a client may send."`
	HistoryPage              int  `key:"history_page" default:"100" min:"1" max:"10000" doc:"Items of a history page: default and maximum."`
	SnapshotPage             int  `key:"snapshot_page" default:"1000" min:"1" max:"10000" doc:"Items of a snapshot page: default and maximum."`
}

// Channel is a channel policy.
type Channel struct {
	Pattern          string        `key:"pattern" doc:"Channel name; * stands for any run of characters."`
	Log              bool          `key:"log" default:"true" doc:"false: messages are delivered live or not at all; nothing can be resumed."`
	Durability       string        `key:"durability" default:"sync" oneof:"sync|interval|volatile" doc:"sync: on stable storage before the acknowledgement. interval: synced every store.interval. volatile: memory only."`
	Retention        Retention     `key:"retention" doc:"What the log keeps; whichever bound is reached first trims."`
	Recovery         Recovery      `key:"recovery" doc:"How far back a client may resume. Unset: as far as the log reaches."`
	Presence         Presence      `key:"presence" doc:"The presence log."`
	ClientEvents     bool          `key:"client_events" default:"true" doc:"Client events are allowed here, if features.client_events is on."`
	LogClientEvents  bool          `key:"log_client_events" default:"false" doc:"Client events become entries of the log instead of ephemeral."`
	Mutable          bool          `key:"mutable" default:"false" dev:"true" doc:"Messages may be updated, appended to and deleted."`
	MaxMessage       Size          `key:"max_message_bytes" default:"1MiB" min:"1" max:"64MiB" doc:"What one message may grow to."`
	MaxVersions      int           `key:"max_versions" default:"0" min:"0" doc:"Versions that one message may have; 0 is unlimited."`
	Conflate         bool          `key:"conflate" default:"false" doc:"Followers that are behind get only the newest message of each key."`
	Subscribe        []string      `key:"subscribe" default:"anyone" oneof:"anyone" doc:"Who may follow: anyone (by the rules of the channel's prefix); an empty list lets nobody."`
	Publish          []string      `key:"publish" default:"server,client" oneof:"server|client" doc:"Who may publish: server is the HTTP API, client is client events and sends."`
	CacheTTL         time.Duration `key:"cache_ttl" default:"1h" doc:"How long cache channels remember their last event."`
	Anonymous        []string      `key:"anonymous" dev:"join,send,history,presence,edit_own,edit_any,delete_own,delete_any,react" oneof:"join|send|history|presence|edit_own|edit_any|delete_own|delete_any|react" doc:"Rights in rooms without a token."`
	SnapshotURL      string        `key:"snapshot_url" doc:"Rooms: where clients get their state, as a template with {room_id} and {event_id}. Empty: the server's own snapshot."`
	UnverifiedResume bool          `key:"unverified_resume" default:"true" doc:"Rooms: a resume may come without a stream id."`
	Feed             FeedPolicy    `key:"feed" doc:"What the feed face does with these channels."`
}

// Retention bounds the log of a channel.
type Retention struct {
	Age     time.Duration `key:"age" default:"24h" doc:"0 is unbounded."`
	Entries int           `key:"entries" default:"10000" min:"0" doc:"0 is unbounded."`
	Bytes   Size          `key:"bytes" default:"64MiB" doc:"0 is unbounded."`
	Keep    string        `key:"keep" default:"none" oneof:"none|latest" doc:"latest: the newest message of each key outlives the trim, in a checkpoint that snapshots start from."`
	MaxKeys int           `key:"max_keys" default:"0" min:"0" doc:"Keys that keep: latest may hold; 0 is unlimited."`
}

// Recovery bounds how far back a client may resume.
type Recovery struct {
	Entries int           `key:"entries" default:"0" min:"0" doc:"Longest gap in entries; 0 does not limit it."`
	Bytes   Size          `key:"bytes" default:"0" doc:"Longest gap in bytes; 0 does not limit it."`
	Age     time.Duration `key:"age" default:"0" doc:"Longest gap in time; 0 does not limit it."`
}

// Presence rules the presence log of a channel.
type Presence struct {
	Retention      PresenceRetention `key:"retention" doc:"What the presence history keeps."`
	CleanGrace     time.Duration     `key:"clean_grace" default:"0" max:"24h" doc:"Time between an unsubscribe or clean close and the leave."`
	DropGrace      time.Duration     `key:"drop_grace" default:"15s" max:"24h" doc:"Time between a dropped connection and the leave: V2 and rooms."`
	DropGraceV1    time.Duration     `key:"drop_grace_v1" default:"0" max:"24h" doc:"The same for V1."`
	BroadcastLimit int               `key:"broadcast_limit" default:"1000" min:"0" doc:"Members above which joins and leaves are told as counts only."`
	ListLimit      int               `key:"list_limit" default:"1000" min:"0" doc:"Members that the answer to a subscribe lists."`
}

// PresenceRetention bounds the presence log.
type PresenceRetention struct {
	Age     time.Duration `key:"age" default:"24h" doc:"0 is unbounded."`
	Entries int           `key:"entries" default:"10000" min:"0" doc:"0 is unbounded."`
	Bytes   Size          `key:"bytes" default:"64MiB" doc:"0 is unbounded."`
}

// FeedPolicy is what the feed face does with a channel.
type FeedPolicy struct {
	Enabled      bool                  `key:"enabled" default:"true" doc:"The channels can be part of a feed."`
	StrictWindow bool                  `key:"strict_window" default:"false" doc:"Cursors older than the window are refused also when nothing was missed."`
	Filters      map[string]FeedFilter `key:"filters" doc:"Login field to filter; a message passes when the value at the path is in the list that the login gives."`
}

// FeedFilter says where in a payload a filter looks.
type FeedFilter struct {
	Path   string   `key:"path" short:"yes" doc:"JSON pointer into the payload, such as /sportId."`
	Exempt []string `key:"exempt" form:"pattern" doc:"Channels whose messages pass without the value."`
}

// FeedKey is an API key of the feed face.
type FeedKey struct {
	ID           string              `key:"id" doc:"Name of the key in logs."`
	Secret       string              `key:"secret" secret:"yes" doc:"What the client sends as apiKey. Better give its hash."`
	SecretSHA256 string              `key:"secret_sha256" secret:"yes" doc:"SHA-256 of it, in hexadecimal."`
	Label        string              `key:"label" doc:"Shown to the client as userId. Empty: the id."`
	Channels     []string            `key:"channels" form:"pattern" doc:"Patterns of the channels that the key is entitled to."`
	Filters      map[string][]string `key:"filters" doc:"Login field to the only values that it may have."`
	Connections  int                 `key:"connections" default:"0" min:"0" doc:"Connections at once; 0 is unlimited."`
	Access       map[string]bool     `key:"access" doc:"Flags shown in login_ok."`
	Expires      time.Time           `key:"expires" doc:"When the key ends, such as 2030-01-31T00:00:00Z."`
	Revoked      bool                `key:"revoked" default:"false" doc:"A revoked key is refused and its connections are closed."`
}

// RoomsAuth says which tokens the rooms face takes.
type RoomsAuth struct {
	JWKSFile string `key:"jwks_file" doc:"File with a JSON Web Key Set."`
	JWKSURL  string `key:"jwks_url" form:"url" doc:"URL of one; it is cached and refreshed."`
	Issuer   string `key:"issuer" doc:"Required iss claim of tokens signed by it."`
	Audience string `key:"audience" doc:"Required aud claim of tokens signed by it."`
}
