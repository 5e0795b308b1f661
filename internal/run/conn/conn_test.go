package conn_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

func (r *rig) wrote(want string) {
	r.t.Helper()
	synctest.Wait()
	if got := r.pipe.wrote(); got != want {
		r.t.Errorf("the client read\n\t%s\nwant\n\t%s", got, want)
	}
}

// Effects are carried out in order; what answers them at once is stepped after all effects of the same step.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, options{}, on(map[string][]session.Effect{
			"opened 1.1": {say("hello")},
			"go": {say("a"), session.Follow{Tag: 1, Ref: room, Encoder: encoder{}}, session.Identify{User: "u"}, say("b"),
				session.Ephemeral{Ref: stream.Ref{App: "app", Channel: "other"}, Entry: create("typing")}, session.Ping{}},
			"followed 1 proven": {say("c"), session.Release{Tag: 1}},
		})).serve()
		synctest.Wait()
		r.pipe.send("go", "next")
		synctest.Wait()
		r.expect("opened 1.1, frame go, other session.Identify, ephemeral typing, followed 1 proven, woken, frame next")
		r.append("x")
		r.wrote("hello a b [ping] c 1x")
	})
}

// Closed is the last input, and told once; what was posted meanwhile is dropped.
func TestClosedIsTheLastInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *rig
		r = newRig(t, options{}, func(in session.Input) []session.Effect {
			if _, ok := in.(session.Closed); ok {
				r.conn.Post(session.Woken{})
				r.conn.Terminate(session.ByApp)
				return []session.Effect{say("late"), session.Unfollow{Tag: 1}, session.Wake{At: now() + 10}}
			}
			return nil
		})
		r.serve()
		r.pipe.send("hi", "close")
		<-r.served
		r.conn.Post(session.Woken{})
		time.Sleep(time.Minute)
		r.expect("opened 1.1, frame hi, closed true, gone")
		r.wrote("[bye]")
	})
}

func TestConnectionThatBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, options{}, on(nil)).serve()
		synctest.Wait()
		_ = r.pipe.Close()
		<-r.served
		r.expect("opened 1.1, closed false, gone")
	})
}

// A close frame goes out after everything that is queued, and the client has a while to answer it.
func TestCloseHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, options{}, on(map[string][]session.Effect{
			"end": {say("a"), say("b"), session.Close{Code: 4200, Reason: "x"}, say("c")},
		})).serve()
		r.pipe.setRoom(2)
		r.pipe.send("end")
		r.wrote("a")
		r.pipe.setRoom(-1)
		r.wrote("a b [close4200x]")
		if r.pipe.linger != 5*time.Second {
			t.Errorf("linger %v", r.pipe.linger)
		}
		r.pipe.send("close")
		<-r.served
		r.expect("opened 1.1, frame end, closed true, gone")
	})
}

func TestClientThatDoesNotAnswerTheClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, options{}, on(map[string][]session.Effect{"end": {session.Close{Code: 4200}}})).serve()
		r.pipe.send("end")
		began := time.Now()
		<-r.served
		if d := time.Since(began); d != 5*time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

// A socket that takes nothing for the write timeout ends the connection.
func TestStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, options{}, on(map[string][]session.Effect{
			"hi":          {say("hello")},
			"terminate 4": {say("error"), session.Close{Code: 4100}},
		})).serve()
		r.pipe.setRoom(0)
		r.pipe.send("hi")
		began := time.Now()
		<-r.served
		synctest.Wait()
		if d := time.Since(began); d != 30*time.Second {
			t.Errorf("it took %v", d)
		}
		got := r.notes()
		if !strings.HasPrefix(got, "opened 1.1, frame hi, ") || !strings.HasSuffix(got, "closed false, gone") {
			t.Errorf("it went %s", got)
		}
		r.wrote("")
	})
}

// Control frames that find no room even in their reserve end the connection, once.
func TestOverloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := strings.Repeat("x", 900)
		r := newRig(t, options{outbox: 2000}, on(map[string][]session.Effect{
			"more":        {say(long)},
			"terminate 3": {say(long), session.Close{Code: 4100, Reason: "slow"}},
		})).serve()
		r.pipe.setRoom(0)
		for range 10 {
			r.pipe.send("more")
			synctest.Wait()
		}
		if n := strings.Count(r.notes(), "terminate"); n == 0 {
			t.Errorf("it went %s", r.notes())
		}
		r.conn.Outbox().Lock()
		held := r.conn.Outbox().Bytes()
		r.conn.Outbox().Unlock()
		if held > 2000+4096+100 {
			t.Errorf("the outbox holds %d bytes", held)
		}
		r.pipe.setRoom(-1)
		synctest.Wait()
		if got := r.pipe.wrote(); !strings.HasSuffix(got, "[close4100slow]") || strings.Count(got, "close") != 1 {
			t.Errorf("the client read …%s", got[max(0, len(got)-40):])
		}
	})
}

// Publishes keep their order; what comes while one is made durable goes out as the next batch.
func TestPublishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches []int
		r := newRig(t, options{}, func(in session.Input) []session.Effect {
			f, ok := in.(session.Frame)
			if !ok {
				return nil
			}
			return []session.Effect{session.Publish{Tag: session.Tag(len(f.Data)), Ops: make([]stream.Op, len(f.Data))}}
		})
		r.publish = func(ops []stream.Op) ([]stream.Result, error) {
			batches = append(batches, len(ops))
			time.Sleep(time.Second)
			if len(batches) == 3 {
				return nil, errors.New("the store is away")
			}
			return make([]stream.Result, len(ops)), nil
		}
		r.serve()
		synctest.Wait()
		r.pipe.send("1")
		synctest.Wait()
		r.pipe.send("22", "333", "4444")
		time.Sleep(1500 * time.Millisecond)
		r.pipe.send("55555")
		time.Sleep(time.Minute)
		r.expect("opened 1.1, frame 1, frame 22, frame 333, frame 4444, published 1 (1), frame 55555, " +
			"published 2 (2), published 3 (3), published 4 (4), published 5 (0)")
		if fmt.Sprint(batches) != "[1 9 5]" {
			t.Errorf("batches %v", batches)
		}
	})
}

// A client that publishes faster than the store takes is not read from.
func TestPublisherWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, options{}, func(in session.Input) []session.Effect {
			if _, ok := in.(session.Frame); ok {
				return []session.Effect{session.Publish{Tag: 1, Ops: make([]stream.Op, 1)}}
			}
			return nil
		})
		hold := make(chan struct{})
		r.publish = func(ops []stream.Op) ([]stream.Result, error) {
			<-hold
			return make([]stream.Result, len(ops)), nil
		}
		r.serve()
		for range 300 {
			r.pipe.send("p")
		}
		synctest.Wait()
		if n := strings.Count(r.notes(), "frame"); n > 64+65 { // a batch that is being written, and the next
			t.Errorf("%d frames were read", n)
		}
		close(hold)
		synctest.Wait()
		if n := strings.Count(r.notes(), "published"); n != 300 {
			t.Errorf("%d were published", n)
		}
	})
}

func TestPingsOfTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, options{}, on(nil)).serve()
		synctest.Wait()
		r.conn.OnPing([]byte("1"))
		r.wrote("[pong1]")
	})
}
