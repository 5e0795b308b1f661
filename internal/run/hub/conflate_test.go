package hub_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/hub"
)

// newest is a face that wants the newest frame of each key when it is behind.
type newest struct{ encoder }

func (newest) Conflates() bool { return true }

func (r *rig) put(key, data string) {
	r.t.Helper()
	r.append(room, stream.Entry{Kind: stream.Put, Key: key, Data: text(data)})
}

func TestConflation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		r.put("a", "a1")
		start := session.Start{Resume: true, Cursor: stream.Cursor{Serial: 0}}
		r.put("b", "b1")
		r.put("a", "a2")
		r.publish(room, "x")
		r.publish(room, "y")
		r.put("b", "b2")
		r.put("a", "hide a3")
		enc := r.enc()
		enc.skip = "hide"
		c := r.client(1 << 16)
		f, _ := c.follow(room, 1, newest{enc}, start)
		f.Release()
		c.expect("3 a2, 4 x, 5 y, 6 b2, ended@7")
		// Live, nothing is left out.
		r.put("a", "a4")
		r.put("a", "a5")
		c.expect("3 a2, 4 x, 5 y, 6 b2, ended@7, 8 a4, 9 a5")
		// A face that does not ask for it gets all.
		all := r.client(1 << 16)
		f, _ = all.follow(room, 1, enc, start)
		f.Release()
		all.expect("1 a1, 2 b1, 3 a2, 4 x, 5 y, 6 b2, 8 a4, 9 a5, ended@9")
	})
}

// A reader that stalls and comes back reads the newest of each key at its own serial, and is at the head then.
func TestConflationOfAStalledReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		c := r.client(256)
		c.sock.setRoom(0)
		c.live(newest{r.enc()})
		const n = 2000
		for i := range n {
			r.put(fmt.Sprint("k", i%3), fmt.Sprint(i))
		}
		synctest.Wait()
		c.sock.setRoom(-1)
		synctest.Wait()
		lines := c.lines()
		if len(lines) > n/4 {
			t.Errorf("%d of %d entries were sent", len(lines), n)
		}
		last, serial := map[string]string{}, uint64(0)
		for _, l := range lines {
			if l.Serial <= serial || l.Word != "" {
				t.Fatalf("%+v after %d", l, serial)
			}
			serial = l.Serial
			var i int
			_, _ = fmt.Sscan(l.Data, &i)
			last[fmt.Sprint("k", i%3)] = l.Data
		}
		if want := (map[string]string{"k0": "1998", "k1": "1999", "k2": "1997"}); fmt.Sprint(last) != fmt.Sprint(want) {
			t.Errorf("%v, want %v", last, want)
		}
		r.put("k0", "2000")
		synctest.Wait()
		if got := c.lines(); got[len(got)-1].Serial != n+1 {
			t.Errorf("%+v", got[len(got)-1])
		}
	})
}
