package pusher

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"strconv"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/wiretest"
)

// judge is a V2 client that knows only the protocol: what it may conclude from the frames must be true of the log.
type judge struct {
	t         *testing.T
	world     *wiretest.World
	rng       *rand.Rand
	conn      *wiretest.Conn
	sessions  int
	positions map[string]string
	at        map[string]uint64 // everything up to here was seen; absent: nothing is known
	live      map[string]bool   // an answer came in this session
	events    int
}

var judged = []string{"a", "b", "c"}

// TestRandomSessions cuts, stalls, trims and resets at random moments, and holds every frame against what the client may
// conclude: the next event of a channel follows the position that it holds, unless it was told of a loss.
func TestRandomSessions(t *testing.T) {
	events := 0
	for seed := range int64(120) {
		t.Run(strconv.FormatInt(seed, 10), func(t *testing.T) {
			j := &judge{t: t, world: wiretest.NewWorld(), rng: rand.New(rand.NewSource(seed)),
				positions: map[string]string{}, at: map[string]uint64{}}
			for range 300 {
				j.step()
			}
			j.finish()
			events += j.events
		})
	}
	if events < 3_000 {
		t.Errorf("only %d events were judged", events)
	}
}

func ref(channel string) stream.Ref { return stream.Ref{App: "app-id", Channel: channel} }

func (j *judge) step() {
	channel := judged[j.rng.Intn(len(judged))]
	switch n := j.rng.Intn(100); {
	case j.conn == nil || j.conn.Closed != nil:
		j.connect()
	case n < 40:
		j.publish(channel)
	case n < 70:
		for range j.rng.Intn(4) {
			j.read()
		}
	case n < 78:
		j.conn.PumpOne()
	case n < 84:
		j.conn.Stalled = !j.conn.Stalled
		j.conn.Pump()
	case n < 92:
		j.conn.Drop(j.rng.Intn(2) == 0)
		j.conn = nil
	case n < 95:
		j.world.Advance(int64(j.rng.Intn(40)))
	case n < 98:
		b := j.world.Log(ref(channel)).Bounds()
		j.world.Log(ref(channel)).Trim(b.Floor + uint64(j.rng.Intn(4)))
	default:
		j.world.Reset(ref(channel))
	}
}

func (j *judge) publish(channel string) {
	j.world.Append(ref(channel), stream.Entry{Kind: stream.Create, Event: "e", Data: stream.Data{Type: stream.Text, Bytes: []byte("x")}})
}

func (j *judge) connect() {
	m, err := machineFor("protocol=2", nil)
	if err != nil {
		j.t.Fatal(err)
	}
	j.sessions++
	j.live = map[string]bool{}
	j.conn = j.world.Open(fmt.Sprintf("%d.1", j.sessions), m)
	j.conn.Stalled = j.rng.Intn(2) == 0
	resume := func() {
		items := ""
		for _, channel := range judged {
			if p, ok := j.positions[channel]; ok {
				items += "," + strconv.Quote(channel) + ":" + p
			}
		}
		if items != "" {
			j.conn.Send(`{"event":"sockudo:resume","data":{"channel_positions":{` + items[1:] + `}}}`)
		}
	}
	for _, channel := range judged {
		if _, ok := j.positions[channel]; !ok { // cut right after a refusal: the client begins anew, and knows it
			delete(j.at, channel)
		}
	}
	first := j.rng.Intn(2) == 0
	if first {
		resume()
	}
	for _, channel := range judged {
		if j.rng.Intn(8) == 0 {
			j.publish(channel)
		}
		j.conn.Send(`{"event":"sockudo:subscribe","data":{"channel":"` + channel + `"}}`)
	}
	if !first {
		resume()
	}
}

// read takes one frame and judges it.
func (j *judge) read() {
	if len(j.conn.Inbox) == 0 {
		return
	}
	raw := j.conn.Inbox[0]
	j.conn.Inbox = j.conn.Inbox[1:]
	var f wireFrame
	if err := json.Unmarshal([]byte(raw), &f); err != nil {
		j.t.Fatal(err)
	}
	switch f.Event {
	case "e":
		j.event(&f)
	case "sockudo:resume_failed":
		j.failed(&f)
	case "sockudo_internal:subscription_succeeded":
		if at, known := j.at[f.Channel]; known && f.Serial != nil && *f.Serial != at {
			j.t.Fatalf("session %d: the answer for %s carries %d, but the client holds %d", j.sessions, f.Channel, *f.Serial, at)
		} else if !known {
			j.at[f.Channel] = *f.Serial
		}
		j.live[f.Channel] = true
	case "sockudo:error":
		j.t.Fatalf("session %d: %s", j.sessions, raw)
	}
	if f.Channel != "" && f.Serial != nil {
		j.positions[f.Channel] = fmt.Sprintf(`{"stream_id":%q,"serial":%d}`, f.StreamID, *f.Serial)
	}
}

func (j *judge) event(f *wireFrame) {
	j.events++
	if !j.live[f.Channel] {
		j.t.Fatalf("session %d: an event of %s came before its answer", j.sessions, f.Channel)
	}
	if at, known := j.at[f.Channel]; !known || *f.Serial != at+1 {
		j.t.Fatalf("session %d: event %d of %s after %d (known: %v)", j.sessions, *f.Serial, f.Channel, at, known)
	}
	j.at[f.Channel] = *f.Serial
}

// failed: the channel goes on from the newest serial that the refusal names.
func (j *judge) failed(f *wireFrame) {
	var text string
	var d struct {
		Newest *uint64 `json:"newest_available_serial"`
		Reason string
	}
	if json.Unmarshal(f.Data, &text) != nil || json.Unmarshal([]byte(text), &d) != nil || d.Newest == nil {
		j.t.Fatalf("session %d: resume_failed %s", j.sessions, f.Data)
	}
	if d.Reason == "live_delivery_has_begun" {
		j.t.Fatalf("session %d: %s", j.sessions, text)
	}
	delete(j.positions, f.Channel)
	j.at[f.Channel] = *d.Newest
}

// finish lets everything through and demands that the client is at the head of every channel.
func (j *judge) finish() {
	if j.conn == nil || j.conn.Closed != nil {
		j.connect()
	}
	j.world.Advance(windowMS)
	j.conn.Stalled = false
	j.conn.Pump()
	for len(j.conn.Inbox) > 0 {
		j.read()
	}
	for _, channel := range judged {
		if head := j.world.Log(ref(channel)).Bounds().Head; j.at[channel] != head {
			j.t.Fatalf("the client is at %d of %s, whose head is %d", j.at[channel], channel, head)
		}
	}
}
