package httpapi_test

import (
	"fmt"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// TestPinnedUntilExpired: a page that was pinned shows the same under puts, deletions and trims, until retention passes
// its serial. Then it is refused, as is every moment below the floor, and the present state still has all keys.
func TestPinnedUntilExpired(t *testing.T) {
	const keys = 12
	eachStore(t, setup{app: func(a *app.App) {
		p := app.Default(app.Development)
		p.Retention = stream.Retention{Entries: 64, KeepLatest: true}
		a.Policies = []app.Policy{p}
	}}, func(t *testing.T, w *world) {
		put := func(key int, data string) {
			w.do("POST", "events", fmt.Sprintf(`{"name":"price","channel":"c","data":"%s","key":"k%02d"}`, data, key)).is(200, "{}")
		}
		for k := range keys {
			put(k, "1")
		}
		put(3, "2")
		w.do("DELETE", "channels/c/keys/k05", "").is(200, "")
		first := w.snapshot("?limit=4")
		query := "?limit=4&cursor=" + *first.Next
		second := w.snapshot(query)
		if first.state() != "k00=1 k01=1 k02=1 k03=2" || second.state() != "k04=1 k06=1 k07=1 k08=1" {
			t.Fatal(first.state(), second.state())
		}
		same := 0
		for i := 0; ; i++ {
			switch k := i % keys; {
			case i > 5000:
				t.Fatal("retention has not passed the page's serial")
			case k == 7 && i%3 == 0:
				w.do("DELETE", "channels/c/keys/k07", "")
			default:
				put(k, fmt.Sprint(i))
			}
			a := w.do("GET", "channels/c/snapshot"+query, "")
			if a.status != 200 {
				a.fails(410, "snapshot_expired", "begin again")
				break
			}
			var p snapshotPage
			a.into(&p)
			if p.state() != second.state() || p.Serial != first.Serial || p.StreamID != first.StreamID {
				t.Fatalf("after %d changes: %s at %d", i, p.state(), p.Serial)
			}
			same++
		}
		if same < 40 {
			t.Fatalf("the page was good for %d changes", same)
		}
		w.do("GET", fmt.Sprintf("channels/c/snapshot?at_serial=%d", first.Serial), "").fails(422, "not_provable", "retention has removed")
		if p := w.snapshot(""); !p.Complete || len(p.Items) < keys-1 || p.HasMore {
			t.Fatalf("%+v", p)
		}
	})
}
