// Package season makes up a sports season: fixtures, scores and the odds of several bookmakers, endless and the same for
// the same seed.
//
// It is what a feed server is run on when no real feed is at hand. Every payload has a number of its own, seq, counted
// from 1 in each channel, so that a client can tell what it missed or saw twice without trusting the server's serials.
package season

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

// The channels of a season.
const (
	Fixtures = "fixtures" // key: fixture
	Scores   = "scores"   // key: fixture
	Odds     = "odds"     // key: fixture:bookmaker
)

// Channels lists them.
func Channels() []string { return []string{Fixtures, Scores, Odds} }

// Event is one thing that happens: a key is put, or deleted.
type Event struct {
	At      time.Duration // since the season began
	Channel string
	Key     string
	Delete  bool
	Data    []byte // JSON; nil of a deletion
}

// Season is an endless sequence of events. It is not safe for concurrent use.
type Season struct {
	seed   uint64
	random *rand.Rand
	day    int           // match days so far
	began  time.Duration // when the present match day began
	queue  []Event       // of the present match day, in order
	last   []*match      // of the match day before, still to be removed
	seq    map[string]uint64
}

// New begins a season. The same seed gives the same events.
func New(seed uint64) *Season {
	return &Season{seed: seed, random: rand.New(rand.NewPCG(seed, 0x5ea50)), seq: map[string]uint64{}}
}

// Next is the next event. Times never run backwards.
func (s *Season) Next() Event {
	for len(s.queue) == 0 {
		s.play()
	}
	e := s.queue[0]
	s.queue = s.queue[1:]
	if !e.Delete {
		s.seq[e.Channel]++
		e.Data = append(strconv.AppendUint(append(e.Data, `,"seq":`...), s.seq[e.Channel], 10), '}')
	}
	return e
}

// sport is what a fixture is played by.
type sport struct {
	id         int
	name       string
	tournament int
	minutes    int
	perMinute  float64 // chance that a side scores in a minute
	points     int     // the most for one
	draws      bool
	teams      []string
}

var sports = []sport{
	{1, "football", 17, 90, 0.016, 1, true, []string{"Alder", "Birch", "Cedar", "Drift", "Elm", "Fjord", "Grove", "Heath"}},
	{1, "football", 23, 90, 0.016, 1, true, []string{"Iron", "Jade", "Kelp", "Lark", "Moss", "Nettle"}},
	{2, "basketball", 31, 48, 0.9, 3, false, []string{"Otters", "Pikes", "Quails", "Ravens", "Stoats", "Terns"}},
}

// Bookmakers are those who quote odds.
var Bookmakers = []string{"acorn", "bolt", "crest", "delta", "ember"}

// day is how long a match day is.
const day = 110 * time.Minute

// match is a fixture of a match day.
type match struct {
	*sport
	id         int
	home, away string
	kickoff    time.Duration
}

func (m *match) key() string { return "f-" + strconv.Itoa(m.id) }

// head is what every payload about a match begins with.
func (m *match) head() string {
	return fmt.Sprintf(`{"sportId":%d,"tournamentId":%d,"fixtureId":%q`, m.sport.id, m.tournament, m.key())
}

// play fills the queue with a match day.
func (s *Season) play() {
	var all []Event
	add := func(at time.Duration, channel, key, format string, args ...any) {
		all = append(all, Event{At: s.began + at, Channel: channel, Key: key, Data: fmt.Appendf(nil, format, args...)})
	}
	remove := func(at time.Duration, channel, key string) {
		all = append(all, Event{At: s.began + at, Channel: channel, Key: key, Delete: true})
	}
	for _, m := range s.last {
		remove(0, Fixtures, m.key())
		remove(0, Scores, m.key())
	}
	s.last = s.draw()
	for _, m := range s.last {
		fixture := func(at time.Duration, status string) {
			add(at, Fixtures, m.key(), `%s,"sport":%q,"home":%q,"away":%q,"kickoff":%d,"status":%q`, m.head(), m.name, m.home, m.away,
				(s.began + m.kickoff).Milliseconds(), status)
		}
		fixture(0, "scheduled")
		fixture(m.kickoff, "live")
		end := s.minutes(m, add)
		s.odds(m, end, add, remove)
		fixture(end, "finished")
	}
	slices.SortStableFunc(all, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	s.queue = all
	s.day++
	s.began += day
}

// draw pairs the teams of every tournament: each meets another one on each match day.
func (s *Season) draw() []*match {
	var all []*match
	for i := range sports {
		sp := &sports[i]
		n := len(sp.teams)
		turn := s.day % (n - 1)
		at := func(i int) string { // the circle method: the first team stays, the others go round
			if i == 0 {
				return sp.teams[0]
			}
			return sp.teams[1+(i-1+turn)%(n-1)]
		}
		for k := range n / 2 {
			home, away := at(k), at(n-1-k)
			if (s.day/(n-1)+k)%2 == 1 {
				home, away = away, home
			}
			all = append(all, &match{sport: sp, id: s.day*100 + len(all) + 1, home: home, away: away,
				kickoff: time.Duration(1+s.random.IntN(10)) * time.Minute})
		}
	}
	return all
}

// minutes plays a match and gives the time of its end.
func (s *Season) minutes(m *match, add func(time.Duration, string, string, string, ...any)) time.Duration {
	home, away := 0, 0
	score := func(at time.Duration, minute int, status string) {
		add(at, Scores, m.key(), `%s,"home":%d,"away":%d,"minute":%d,"status":%q`, m.head(), home, away, minute, status)
	}
	at := m.kickoff
	score(at, 0, "live")
	for minute := 1; minute <= m.sport.minutes; minute++ {
		at += time.Minute
		for _, side := range []*int{&home, &away} {
			if s.random.Float64() < m.perMinute {
				*side += 1 + s.random.IntN(m.points)
			}
		}
		if minute == m.sport.minutes && !m.draws && home == away {
			home++
		}
		score(at-time.Duration(s.random.IntN(30))*time.Second, minute, map[bool]string{true: "finished", false: "live"}[minute == m.sport.minutes])
	}
	return at
}

// odds lets every bookmaker change its mind until the end, and withdraws what is quoted then.
func (s *Season) odds(m *match, end time.Duration, add func(time.Duration, string, string, string, ...any), remove func(time.Duration, string, string)) {
	for _, name := range Bookmakers {
		key := m.key() + ":" + name
		// The conversions keep every machine from fusing the operations: the same seed gives the same digits everywhere.
		home, draw := 0.35+float64(0.3*s.random.Float64()), 0.15+float64(0.1*s.random.Float64())
		for at := time.Duration(s.random.IntN(60)) * time.Second; at < end; at += time.Duration(5+s.random.IntN(25)) * time.Second {
			home = min(0.9, max(0.03, home+float64(0.04*(s.random.Float64()-0.5))))
			draw = min(0.97-home, max(0.02, draw+float64(0.02*(s.random.Float64()-0.5))))
			const margin = 0.95
			quote := func(p float64) float64 { return max(1.01, margin/max(0.01, p)) }
			if m.draws {
				add(at, Odds, key, `%s,"bookmaker":%q,"home":%.2f,"draw":%.2f,"away":%.2f`, m.head(), name, quote(home), quote(draw), quote(1-home-draw))
			} else {
				add(at, Odds, key, `%s,"bookmaker":%q,"home":%.2f,"away":%.2f`, m.head(), name, quote(home), quote(1-home))
			}
		}
		remove(end, Odds, key)
	}
}
