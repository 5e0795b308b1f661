package pusher

import (
	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/limit"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// stage is how far a subscription has come.
type stage uint8

const (
	waiting   stage = iota // for a resume that may name the channel
	entering               // the presence log
	following              // the start is being decided
	replaying              // rows and entries up to the attach serial are on their way
	settled                // everything up to the attach serial was sent; held
	live
)

// subscription is one channel of a connection. Its tag is that of the messages; the presence log has the next one.
type subscription struct {
	tag    session.Tag
	name   channel.Name
	policy *app.Policy
	enc    Encoder
	stage  stage
	rewind rewind
	resume *resumption       // nil: from the head
	start  *session.Followed // from the decision about the start until the subscription is live
	base   place
	member *membership
	flags
}

// place is where a subscription was attached: the position of its first answer, or of its newest loss.
type place struct {
	stream stream.ID
	serial uint64
	logged bool
}

func placeOf(b stream.Bounds) place { return place{b.Stream, b.Head, b.Logged} }

// flags are the small facts about a subscription.
type flags struct {
	hidden    bool // made by a sign-in: the client has not asked for it yet
	acked     bool // subscription_succeeded was sent
	again     bool // the client asked a second time before it was answered
	recalling bool // the cached event was asked for
	counted   bool // the number of subscriptions was asked for
}

// membership is the presence part of a subscription.
type membership struct {
	session.Member
	entered  *session.Entered // until it was told
	follows  bool             // the presence log is followed
	released bool             // and goes on
	updates  limit.Window
}

// rewind is what a subscribe asks for of the past.
type rewind struct {
	count uint64
	ms    int64
}

func (r rewind) wanted() bool { return r.count > 0 || r.ms > 0 }

func (s *subscription) ref(m *Machine) stream.Ref {
	return stream.Ref{App: m.opts.App.ID, Channel: s.name.String()}
}

func (s *subscription) presenceRef(m *Machine) stream.Ref {
	ref := s.ref(m)
	ref.Log = stream.Presence
	return ref
}

// presenceTag is the tag of the presence log.
func (s *subscription) presenceTag() session.Tag { return s.tag + 1 }

// table holds a connection's subscriptions. Connections have few: a list is smaller than a map, and quicker up to a few
// dozen; beyond that a map joins it.
type table struct {
	list  []*subscription
	names map[string]*subscription
	last  session.Tag
}

const listMax = 16

func (t *table) add(s *subscription) {
	t.last += 2
	s.tag = t.last
	t.list = append(t.list, s)
	if t.names == nil && len(t.list) > listMax {
		t.names = make(map[string]*subscription, 4*listMax)
		for _, s := range t.list {
			t.names[s.name.String()] = s
		}
	}
	if t.names != nil {
		t.names[s.name.String()] = s
	}
}

func (t *table) remove(s *subscription) {
	if i := t.search(s.tag); i >= 0 {
		t.list = append(t.list[:i], t.list[i+1:]...)
		delete(t.names, s.name.String())
	}
}

func (t *table) find(name string) *subscription {
	if t.names != nil {
		return t.names[name]
	}
	for _, s := range t.list {
		if s.name.String() == name {
			return s
		}
	}
	return nil
}

// search gives the index of a tag, -1 if it is not there. Tags ascend.
func (t *table) search(tag session.Tag) int {
	low, high := 0, len(t.list)
	for low < high {
		if mid := int(uint(low+high) >> 1); t.list[mid].tag < tag {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low < len(t.list) && t.list[low].tag == tag {
		return low
	}
	return -1
}

// tagged gives the subscription of a tag, and whether the tag is that of its presence log.
func (t *table) tagged(tag session.Tag) (s *subscription, presence bool) {
	if i := t.search(tag &^ 1); i >= 0 {
		return t.list[i], tag&1 == 1
	}
	return nil, false
}
