package sim

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/filter"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/feed"
)

// feedClient is a subscriber that speaks the feed protocol: one login, one cursor per channel.
type feedClient struct {
	world   *world
	name    string
	rnd     *rand.Rand
	reader  *client // how it reads
	epoch   string
	order   []string
	follows map[string]*follow
	cursors map[string]string

	// Of the present session.
	link      *link
	answered  bool
	attach    map[string]uint64
	replaying map[string]uint64 // accepted channels, until resume_complete: how many entries came
}

// feedClients makes the feed's clients of a world, from a random source that no other actor shares.
func (w *world) feedClients() []*feedClient {
	rnd := w.opts.random(rndFeeds)
	var all []*feedClient
	for i := range 1 + rnd.IntN(4) {
		c := &feedClient{world: w, name: fmt.Sprint("feed client ", i), rnd: w.opts.random(rndFeeds + 1 + uint64(i)), follows: map[string]*follow{}, cursors: map[string]string{}}
		c.reader = &client{world: w, name: c.name, rnd: c.rnd, outbox: 500 << c.rnd.IntN(8), room: 100 << c.rnd.IntN(7), tls: c.rnd.IntN(3) == 0, pace: c.rnd.IntN(paces)}
		for _, k := range w.kinds {
			c.order = append(c.order, k.name)
			c.follows[k.name] = w.oracle.follower(k.name, c.name)
		}
		all = append(all, c)
	}
	return all
}

// entitlement is what the one API key of the world may do: everything.
func (w *world) entitlement(string) (feed.Entitlement, error) {
	a, _ := w.apps.ByID(appID)
	everything, err := channel.ParsePatterns([]string{"*"})
	return feed.Entitlement{App: a, ID: "key", Label: "key", Channels: everything}, err
}

func (c *feedClient) live(stop <-chan struct{}) {
	for {
		c.session()
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(c.rnd.IntN(600)) * time.Millisecond):
		}
	}
}

func (c *feedClient) session() {
	s := c.world.running()
	if s == nil {
		return
	}
	m := feed.New(&feed.Options{Epoch: s.node.Store().Info().Epoch, Resolve: c.world.entitlement, Intern: func(f *filter.Set) *filter.Set { return f }})
	if c.link = s.connect(m, 20*time.Second, c.reader.room, c.reader.tls, c.reader.outbox); c.link == nil {
		return
	}
	c.world.oracle.count(func(n *Counts) { n.Sessions++ })
	c.reader.link = c.link
	keep, link := c.rnd.IntN(2*c.reader.room), c.link
	cut := time.AfterFunc(time.Duration(c.rnd.ExpFloat64()*2000)*time.Millisecond, func() {
		if !c.world.healed() {
			c.world.oracle.count(func(n *Counts) { n.Cuts++ })
			link.sever(keep)
		}
	})
	defer cut.Stop()
	defer link.sever(0)
	c.login()
	c.reader.listen(link, c.frame, c.dismissed)
	for _, f := range c.follows {
		c.world.oracle.closed(f)
	}
}

func (c *feedClient) login() {
	c.answered, c.attach, c.replaying = false, map[string]uint64{}, map[string]uint64{}
	login := map[string]any{"type": "login", "apiKey": "key"}
	if c.epoch != "" {
		login["serverEpoch"], login["lastSeenId"] = c.epoch, c.cursors
	}
	if c.epoch == "" || c.rnd.IntN(2) == 0 { // else the cursors name the channels
		login["channels"] = c.order
	}
	text, _ := json.Marshal(login)
	c.link.send(frameText, text)
}

// dismissed answers the server's close: for what the store or the client's own slowness did, never for anything else.
func (c *feedClient) dismissed(body []byte) {
	c.link.send(frameClose, nil)
	code := uint16(0)
	if len(body) >= 2 {
		code = binary.BigEndian.Uint16(body)
	}
	well := time.Now().After(c.world.end.Add(time.Minute))
	if code != 1011 && (code != 4002 || c.reader.pace == reads) || well {
		c.world.oracle.complain("%s was sent away with %d %q (all was well: %v)", c.name, code, body, well)
	}
}

// feedFrame is any frame of the protocol.
type feedFrame struct {
	Type     string            `json:"type"`
	Channel  string            `json:"channel"`
	Message  string            `json:"messageSerial"`
	Payload  string            `json:"payload"`
	EntryID  string            `json:"entryId"`
	Reason   string            `json:"reason"`
	Channels []string          `json:"channels"`
	IDs      map[string]string `json:"serverEntryIds"`
	Replayed map[string]uint64 `json:"replayed"`
	Resume   struct {
		Epoch   string            `json:"serverEpoch"`
		Cursors map[string]uint64 `json:"serverCursors"`
		IDs     map[string]string `json:"serverEntryIds"`
	} `json:"resume"`
}

func serialOf(id string) uint64 {
	_, digits, _ := strings.Cut(id, "-")
	n, _ := strconv.ParseUint(digits, 10, 64)
	return n
}

func (c *feedClient) frame(body []byte) bool {
	var f feedFrame
	o := c.world.oracle
	if err := json.Unmarshal(body, &f); err != nil || c.answered == (f.Type == "login_ok") {
		o.complain("%s was sent %s (the login was answered: %v, %v)", c.name, body, c.answered, err)
		return true
	}
	switch f.Type {
	case "login_ok":
		c.loginOK(&f)
	case "UPDATE", "DELETE":
		c.data(&f, body)
	case "snapshot_required", "resync_required":
		c.refused(&f, body)
	case "resume_complete":
		c.completed(&f, body)
	default:
		o.complain("%s was sent %s", c.name, body)
	}
	return true
}

func (c *feedClient) loginOK(f *feedFrame) {
	o := c.world.oracle
	if len(f.Channels) != len(c.order) || c.epoch != "" && c.epoch != f.Resume.Epoch {
		o.complain("%s: login_ok names %v of epoch %s, want %v of %s", c.name, f.Channels, f.Resume.Epoch, c.order, c.epoch)
	}
	c.answered = true
	for _, name := range f.Channels {
		c.attach[name] = f.Resume.Cursors[name]
		if c.epoch != "" {
			c.replaying[name] = 0
			continue
		}
		c.cursors[name] = f.Resume.IDs[name]
		o.follows(c.follows[name])
	}
	c.epoch = f.Resume.Epoch
}

func (c *feedClient) data(f *feedFrame, body []byte) {
	o, follow := c.world.oracle, c.follows[f.Channel]
	p, ok := newest(f.Payload)
	if !ok || follow == nil {
		o.complain("%s was sent %s", c.name, body)
		return
	}
	if f.EntryID == "" {
		if _, waits := c.replaying[f.Channel]; waits {
			o.complain("%s was sent the ephemeral %+v before resume_complete", c.name, p)
		}
		o.fleeting(f.Channel, follow, p)
		return
	}
	at, was := serialOf(f.EntryID), serialOf(c.cursors[f.Channel])
	_, replaying := c.replaying[f.Channel]
	if at <= was || replaying != (at <= c.attach[f.Channel]) {
		o.complain("P2 %s: %s was sent %d after %d (attached at %d, replaying: %v)", f.Channel, c.name, at, was, c.attach[f.Channel], replaying)
	}
	if replaying {
		c.replaying[f.Channel]++
	}
	c.cursors[f.Channel] = f.EntryID
	o.unnumbered(f.Channel, follow, p)
}

func (c *feedClient) refused(f *feedFrame, body []byte) {
	for _, name := range f.Channels {
		_, presented := c.replaying[name]
		if presented != (f.Type == "snapshot_required") {
			c.world.oracle.complain("%s was sent %s, while it resumes %v", c.name, body, c.replaying)
		}
		delete(c.replaying, name)
		c.cursors[name], c.attach[name] = f.IDs[name], serialOf(f.IDs[name])
		c.world.oracle.refusedFeed(name, c.follows[name], f.Reason, presented)
	}
}

func (c *feedClient) completed(f *feedFrame, body []byte) {
	o := c.world.oracle
	if len(f.Channels) != len(c.replaying) {
		o.complain("%s was sent %s, while it resumes %v", c.name, body, c.replaying)
	}
	for _, name := range f.Channels {
		n, ok := c.replaying[name]
		// What is left of a message that retention has ended is not shown: where entries were trimmed, the last may be such.
		if at := serialOf(c.cursors[name]); !ok || n != f.Replayed[name] || at > c.attach[name] || at < c.attach[name] && o.whole(name) {
			o.complain("P3 %s: %s completed at %d with %d entries, the server says %d and attached it at %d", name, c.name, at, n, f.Replayed[name], c.attach[name])
		}
		o.follows(c.follows[name])
		o.count(func(n *Counts) { n.Resumes++ })
	}
	clear(c.replaying)
}

// newest is the payload that was appended last to a text, which shows all of them.
func newest(text string) (p payload, ok bool) {
	for text != "" {
		n := 0
		for bars := 0; n < len(text) && bars < 3; n++ {
			if text[n] == '|' {
				bars++
			}
		}
		for n < len(text) && text[n] == 'x' {
			n++
		}
		if p, ok = parse(text[:n]); !ok {
			return p, false
		}
		text = text[n:]
	}
	return p, ok
}

// judgeFeeds demands that every feed client has come to the head of every channel, but for entries that are not shown:
// what changes a message that retention has ended.
func (w *world) judgeFeeds(clients []*feedClient) {
	for _, k := range w.kinds {
		for _, c := range clients {
			at := serialOf(c.cursors[k.name])
			page, err := w.running().node.Store().Read(context.Background(), stream.Query{Ref: stream.Ref{App: appID, Channel: k.name}, From: at + 1, Limit: 1000})
			if err != nil {
				w.oracle.complain("%s: the log cannot be read at the end: %v", k.name, err)
				continue
			}
			for _, e := range page.Entries {
				if !e.Kind.Mutation() || e.Message > page.Bounds.Floor {
					w.oracle.complain("P2 %s: %s ended at %d, and never saw %d (floor %d, head %d)", k.name, c.name, at, e.Serial, page.Bounds.Floor, page.Bounds.Head)
					break
				}
			}
		}
	}
}
