package rooms

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

type stage uint8

const (
	deciding  stage = iota // the start, and the members, are being found out
	replaying              // room.joined was sent, room.resumed is to come
	live
)

// room is one room that the connection has joined, or is about to.
type room struct {
	name    channel.Name
	tag     session.Tag // of the messages; that of the presence log is one higher
	policy  *app.Policy
	stage   stage
	waiting []string // correlation ids of the joins that room.joined answers
	wish    wish
	enc     Encoder
	begun   bool // the start was asked for
	decided bool
	start   session.Followed
	member  *member // nil: presence is neither entered nor watched
}

// wish is where a join asks to begin.
type wish struct {
	resume   bool
	refused  stream.Reason // why the position cannot even be asked about
	verified bool          // it came with a stream id
	cursor   stream.Cursor
	count    uint64 // of a rewind
	ms       int64
}

func (w *wish) rewinds() bool { return w.count > 0 || w.ms > 0 }

func (s *room) ref(m *Machine) stream.Ref {
	return stream.Ref{App: m.opts.App.ID, Channel: s.name.String()}
}

func (s *room) presenceRef(m *Machine) stream.Ref {
	return stream.Ref{App: m.opts.App.ID, Channel: s.name.String(), Log: stream.Presence}
}

func (s *room) presenceTag() session.Tag { return s.tag + 1 }

// table is the rooms of a connection. Tags of messages are even, those of presence logs odd.
type table struct {
	byName map[string]*room
	byTag  map[session.Tag]*room
	next   session.Tag
}

func (t *table) len() int { return len(t.byName) }

func (t *table) add(s *room) {
	if t.byName == nil {
		t.byName, t.byTag = map[string]*room{}, map[session.Tag]*room{}
	}
	s.tag = t.next
	t.next += 2
	t.byName[s.name.String()], t.byTag[s.tag] = s, s
}

func (t *table) remove(s *room) {
	delete(t.byName, s.name.String())
	delete(t.byTag, s.tag)
}

func (t *table) find(name string) *room { return t.byName[name] }

// tagged finds the room of a tag, and whether the tag is that of its presence log.
func (t *table) tagged(tag session.Tag) (s *room, presence bool) {
	return t.byTag[tag&^1], tag&1 == 1
}

// all lists the rooms in the order in which they were joined.
func (t *table) all() []*room {
	list := make([]*room, 0, len(t.byTag))
	for _, s := range t.byTag {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *room) int { return int(a.tag) - int(b.tag) })
	return list
}

// snapshotURL is where a client gets the room's state: the application's own place, or this server's, as a path.
func (s *room) snapshotURL(at uint64) string {
	template := s.policy.SnapshotURL
	if template == "" {
		template = "/rooms/{room_id}/snapshot"
	}
	return strings.NewReplacer("{room_id}", url.PathEscape(s.name.String()), "{event_id}", strconv.FormatUint(at, 10)).Replace(template)
}
