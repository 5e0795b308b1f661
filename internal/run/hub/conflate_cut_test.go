package hub_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/hub"
)

// The position of a follower whose page is conflated moves truthfully: a client that is cut off after any frame, and
// resumes from the serial of the last one that it has, comes to the newest value of every key and to every message
// without a key, none of them twice.
func TestConflationCutAnywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hub.Options{})
		want, plain := map[string]string{}, map[uint64]string{}
		const n = 60
		for i := range n {
			if i%7 == 3 {
				r.publish(room, fmt.Sprint("plain ", i))
				plain[uint64(i+1)] = fmt.Sprint("plain ", i)
				continue
			}
			data := fmt.Sprint("k", i*i%5, "=", i)
			r.put(data[:2], data)
			want[data[:2]] = data
		}
		resume := func(from uint64) []line {
			c := r.client(1 << 16)
			f, _ := c.follow(room, 1, newest{r.enc()}, session.Start{Resume: true, Cursor: stream.Cursor{Serial: from}})
			f.Release()
			synctest.Wait()
			var got []line
			for _, l := range c.lines() {
				if l.Word == "" {
					got = append(got, l)
				} else if l.Word != "ended" || l.Serial != n {
					t.Fatalf("from %d: %+v", from, l)
				}
			}
			return got
		}
		whole := resume(0)
		if len(whole) >= n/2 {
			t.Fatalf("%d frames for %d entries", len(whole), n)
		}
		for cut := range len(whole) + 1 {
			got := append([]line(nil), whole[:cut]...)
			from := uint64(0)
			if cut > 0 {
				from = whole[cut-1].Serial
			}
			got = append(got, resume(from)...)
			last, seen, at := map[string]string{}, 0, uint64(0)
			for _, l := range got {
				if l.Serial <= at {
					t.Fatalf("cut after %d: serial %d after %d", cut, l.Serial, at)
				}
				if at = l.Serial; plain[at] == "" {
					last[l.Data[:2]] = l.Data
				} else if seen++; l.Data != plain[at] {
					t.Fatalf("cut after %d: %+v", cut, l)
				}
			}
			if fmt.Sprint(last) != fmt.Sprint(want) || seen != len(plain) {
				t.Fatalf("cut after %d: %v and %d plain messages, want %v and %d", cut, last, seen, want, len(plain))
			}
		}
	})
}
