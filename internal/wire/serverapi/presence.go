package serverapi

import (
	"crypto/hmac"
	"crypto/sha256"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// PresenceHistoryParams are the query parameters of a presence history: read them with ParseHistory.
var PresenceHistoryParams = []string{"limit", "direction", "cursor", "start_serial", "end_serial", "start_time_ms", "end_time_ms", "start", "end"}

// PresenceSnapshotParams are the query parameters of the members at a moment.
var PresenceSnapshotParams = []string{"at_serial", "at_time_ms", "at"}

// Presence is the seal of cursors of presence histories, which are no good for those of messages.
func (s Seal) Presence() Seal {
	h := hmac.New(sha256.New, s.key[:])
	h.Write([]byte("presence"))
	var p Seal
	h.Sum(p.key[:0])
	return p
}

// CheckPresence refuses channels that are not presence channels.
func CheckPresence(name string) error {
	if kind, _ := channel.Classify(name); kind != channel.Presence {
		return fault.New(fault.Invalid, "Only presence channels support this endpoint: %s does not begin with presence-", channel.Quote(name)).In("channel")
	}
	return nil
}

// Moment is when a presence snapshot is wanted: a serial, a time, whichever comes first of both, or now.
type Moment struct {
	Serial           uint64
	Time             int64
	AtSerial, AtTime bool
}

// ParseMoment reads the parameters of a presence snapshot.
func ParseMoment(p *Params, now int64) (m Moment, err error) {
	if m.Serial, m.AtSerial, err = p.Serial("at_serial"); err != nil {
		return m, err
	}
	ms, given, err := p.either("at_time_ms", "at")
	if err != nil {
		return m, err
	}
	if m.Time, m.AtTime = int64(ms), given; given && m.Time > now {
		return m, fault.New(fault.Invalid, "at_time_ms %d is in the future: it is %d", m.Time, now).In("at_time_ms")
	}
	return m, nil
}

// PresencePage is a page of a presence history: transitions.
type PresencePage struct {
	Asked    *History
	Bounds   stream.Bounds
	Oldest   stream.EntryID
	Rows     []*stream.Entry
	More     bool
	Next     string
	Degraded bool // transitions are missing
	Source   string
}

// AppendPresenceHistory appends a page of a presence history.
func AppendPresenceHistory(dst []byte, p *PresencePage) []byte {
	dst = append(dst, `{"items":[`...)
	var scratch []byte
	for i, e := range p.Rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		scratch = appendTransition(scratch[:0], p.Bounds.Stream, e, true)
		dst = appendTransition(dst, p.Bounds.Stream, e, false)
		dst = appendNumber(dst[:len(dst)-1], `,"payload_size_bytes":`, len(scratch))
		dst = append(append(dst, `,"presence_event":`...), scratch...)
		dst = append(dst, '}')
	}
	dst = p.Asked.append(append(dst, ']'), p.More, p.Next)
	truncated := p.Asked.truncated(p.Bounds)
	dst = appendRetained(append(dst, `,"continuity":{`...), p.Bounds, p.Oldest, "events")
	dst = appendBool(dst, `,"complete":`, !p.More && !truncated && !p.Degraded)
	dst = appendBool(dst, `,"truncated_by_retention":`, truncated)
	dst = appendBool(dst, `,"degraded":`, p.Degraded)
	dst = appendPresenceState(append(dst, `},"stream_state":`...), p.Bounds.Stream, p.Degraded, p.Source)
	return append(dst, '}')
}

// appendTransition appends one transition; with whole, all that is known of it.
func appendTransition(dst []byte, id stream.ID, e *stream.Entry, whole bool) []byte {
	cause, node := "", ""
	if e.Member != nil {
		cause, node = e.Member.Cause, e.Member.Node
	}
	dst = appendText(dst, `{"stream_id":`, id)
	dst = appendNumber(dst, `,"serial":`, e.Serial)
	dst = appendNumber(dst, `,"published_at_ms":`, e.Time)
	dst = appendText(dst, `,"event":`, presence.ChangeOf(e).String())
	dst = appendText(dst, `,"cause":`, cause)
	dst = appendText(dst, `,"user_id":`, e.Key)
	dst = appendOrNull(dst, `,"connection_id":`, e.Conn)
	if whole {
		dst = append(dst, `,"user_info":`...)
		if m, err := presence.Of(e.Key, e.Data); err == nil && len(m.Info) > 0 {
			dst = append(dst, m.Info...)
		} else {
			dst = append(dst, "null"...)
		}
		if seen := presence.NoteOf(e).ObservedAt; seen > 0 {
			dst = appendNumber(dst, `,"observed_at":`, seen)
		}
	}
	if cause != presence.Orphan {
		node = ""
	}
	dst = appendOrNull(dst, `,"dead_node_id":`, node)
	return append(dst, '}')
}

func appendOrNull(dst []byte, before, s string) []byte {
	if s == "" {
		return append(append(dst, before...), "null"...)
	}
	return appendText(dst, before, s)
}

func appendPresenceState(dst []byte, id stream.ID, degraded bool, source string) []byte {
	dst = appendText(dst, `{"stream_id":`, id)
	state, reason := "healthy", "null"
	if degraded {
		state, reason = "degraded", `"the log could not be written for a while: transitions are missing"`
	}
	dst = append(append(append(dst, `,"durable_state":"`...), state...), '"')
	dst = appendBool(dst, `,"continuity_proven":`, !degraded)
	dst = append(append(dst, `,"reset_required":false,"reason":`...), reason...)
	dst = append(dst, `,"node_id":null,"last_transition_at_ms":null`...)
	dst = appendText(dst, `,"authoritative_source":`, source)
	dst = appendText(dst, `,"observed_source":`, source)
	return append(dst, '}')
}

// PresenceStream is what is told of a presence log as such.
type PresenceStream struct {
	Channel  string
	Bounds   stream.Bounds
	Oldest   stream.EntryID
	Degraded bool
	Source   string
}

func (s *PresenceStream) append(dst []byte) []byte {
	dst = appendText(dst, `{"stream_id":`, s.Bounds.Stream)
	dst = appendNumber(dst, `,"next_serial":`, s.Bounds.Head+1)
	dst = appendRetained(append(dst, `,"retained":{`...), s.Bounds, s.Oldest, "events")
	dst = appendPresenceState(append(dst, `},"state":`...), s.Bounds.Stream, s.Degraded, s.Source)
	return append(dst, '}')
}

// AppendPresenceState appends the answer to GET …/presence/history/state.
func AppendPresenceState(dst []byte, s *PresenceStream) []byte {
	dst = appendText(dst, `{"channel":`, s.Channel)
	return append(s.append(append(dst, `,"stream":`...)), '}')
}

// AppendPresenceReset appends the answer to POST …/presence/history/reset.
func AppendPresenceReset(dst []byte, o *Order, r *stream.CutResult, s *PresenceStream) []byte {
	dst = appendText(dst, `{"ok":true,"operation":"reset","channel":`, s.Channel)
	dst = appendText(dst, `,"reason":`, o.Reason)
	dst = appendOrNull(dst, `,"requested_by":`, o.RequestedBy)
	dst = appendText(dst, `,"previous_stream_id":`, r.Before.Stream)
	dst = appendText(dst, `,"new_stream_id":`, r.After.Stream)
	dst = appendNumber(dst, `,"purged_events":`, r.Entries)
	dst = appendNumber(dst, `,"purged_bytes":`, r.Bytes)
	return append(s.append(append(dst, `,"stream":`...)), '}')
}

// MembersPage is the members of a channel at a moment.
type MembersPage struct {
	PresenceStream
	At      stream.EntryID
	Members []presence.State
}

// AppendMembers appends the answer to GET …/presence/history/snapshot.
func AppendMembers(dst []byte, p *MembersPage) ([]byte, error) {
	dst = appendText(dst, `{"channel":`, p.Channel)
	dst = append(dst, `,"members":[`...)
	for i := range p.Members {
		s := &p.Members[i]
		info, err := s.Info()
		if err != nil {
			return dst, err
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, `{"user_id":`, s.User)
		if len(info) > 0 {
			dst = append(append(dst, `,"user_info":`...), info...)
		}
		dst = appendText(dst, `,"last_event":`, s.Event.String())
		dst = appendNumber(dst, `,"last_event_serial":`, s.At.Serial)
		dst = appendNumber(dst, `,"last_event_at_ms":`, s.At.Time)
		dst = append(dst, '}')
	}
	b := p.Bounds
	dst = appendNumber(dst, `],"member_count":`, len(p.Members))
	dst = appendNumber(dst, `,"events_replayed":`, p.At.Serial-min(b.Floor, p.At.Serial))
	dst = appendEnd(dst, `,"snapshot_serial":`, p.At.Serial, p.At.Serial > 0) // null: before the first entry
	dst = appendEnd(dst, `,"snapshot_time_ms":`, uint64(p.At.Time), p.At.Serial > 0)
	dst = appendRetained(append(dst, `,"continuity":{`...), b, p.Oldest, "events")
	dst = appendBool(dst, `,"complete":`, !p.Degraded)
	dst = appendBool(dst, `,"truncated_by_retention":`, b.Truncated())
	dst = appendBool(dst, `,"degraded":`, p.Degraded)
	return append(dst, '}', '}'), nil
}
