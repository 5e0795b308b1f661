package app

// Limits are an app's quotas. Those that have a default are always bounded: 0 stands for the default, and more is a
// larger number. For the others, 0 means unlimited.
type Limits struct {
	Connections              int // WebSocket connections at once; 0 = unlimited
	ChannelsPerConnection    int // subscriptions
	ChannelNameLength        int
	EventNameLength          int
	PayloadBytes             int // data of one publish, client event or send
	ChannelsPerPublish       int
	BatchSize                int // events of one batch_events
	ClientEventsPerSecond    int // per connection; 0 = unlimited
	PublishesPerSecond       int // backend events over HTTP, per app; 0 = unlimited
	ReadsPerSecond           int // HTTP reads, per app; 0 = unlimited
	PresenceMembers          int // per channel
	PresenceMemberBytes      int // user_info
	PresenceUpdateBytes      int // data of one presence update
	PresenceUpdatesPerSecond int // per member
	WatchlistSize            int // users of one watchlist
	FrameBytes               int // largest inbound WebSocket message
	HistoryPage              int // items of one history page: default and maximum
	SnapshotPage             int // items of one snapshot page: default and maximum
}

// DefaultLimits are the limits of an app that sets none.
func DefaultLimits() Limits {
	return Limits{
		ChannelsPerConnection:    1_000,
		ChannelNameLength:        200,
		EventNameLength:          200,
		PayloadBytes:             10 << 10,
		ChannelsPerPublish:       100,
		BatchSize:                10,
		PresenceMembers:          100,
		PresenceMemberBytes:      2 << 10,
		PresenceUpdateBytes:      1 << 10,
		PresenceUpdatesPerSecond: 10,
		WatchlistSize:            100,
		FrameBytes:               256 << 10,
		HistoryPage:              100,
		SnapshotPage:             1_000,
	}
}

// Effective is l with the defaults in place of zeros.
func (l Limits) Effective() Limits {
	d := DefaultLimits()
	for _, f := range l.fields() {
		if *f.value == 0 {
			*f.value = *f.of(&d)
		}
	}
	return l
}

// limitField is one limit by its configuration key.
type limitField struct {
	key   string
	value *int
	of    func(*Limits) *int
	max   int
}

// The most that a limit can be set to, so that a typing error does not become an exhausted server.
const (
	maxCount = 1 << 24
	maxBytes = 64 << 20
	maxName  = 1 << 10
	maxPage  = 10_000
)

var limitKeys = [...]struct {
	key string
	of  func(*Limits) *int
	max int
}{
	{"connections", func(l *Limits) *int { return &l.Connections }, maxCount},
	{"channels_per_connection", func(l *Limits) *int { return &l.ChannelsPerConnection }, maxCount},
	{"channel_name_bytes", func(l *Limits) *int { return &l.ChannelNameLength }, maxName},
	{"event_name_bytes", func(l *Limits) *int { return &l.EventNameLength }, maxName},
	{"payload_bytes", func(l *Limits) *int { return &l.PayloadBytes }, maxBytes},
	{"channels_per_publish", func(l *Limits) *int { return &l.ChannelsPerPublish }, maxPage},
	{"batch_size", func(l *Limits) *int { return &l.BatchSize }, maxPage},
	{"client_events_per_second", func(l *Limits) *int { return &l.ClientEventsPerSecond }, maxCount},
	{"publishes_per_second", func(l *Limits) *int { return &l.PublishesPerSecond }, maxCount},
	{"reads_per_second", func(l *Limits) *int { return &l.ReadsPerSecond }, maxCount},
	{"presence_members", func(l *Limits) *int { return &l.PresenceMembers }, maxCount},
	{"presence_member_bytes", func(l *Limits) *int { return &l.PresenceMemberBytes }, maxBytes},
	{"presence_update_bytes", func(l *Limits) *int { return &l.PresenceUpdateBytes }, maxBytes},
	{"presence_updates_per_second", func(l *Limits) *int { return &l.PresenceUpdatesPerSecond }, maxCount},
	{"watchlist_size", func(l *Limits) *int { return &l.WatchlistSize }, maxPage},
	{"frame_bytes", func(l *Limits) *int { return &l.FrameBytes }, maxBytes},
	{"history_page", func(l *Limits) *int { return &l.HistoryPage }, maxPage},
	{"snapshot_page", func(l *Limits) *int { return &l.SnapshotPage }, maxPage},
}

func (l *Limits) fields() []limitField {
	all := make([]limitField, len(limitKeys))
	for i, k := range limitKeys {
		all[i] = limitField{key: k.key, value: k.of(l), of: k.of, max: k.max}
	}
	return all
}
