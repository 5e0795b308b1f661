package node

import (
	"context"
	"fmt"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

var ref = stream.Ref{App: "app", Channel: "c"}

// BenchmarkPage compares a snapshot page of 1,000 keys with a history page of 1,000 rows, and the newest version of a
// message with a plain history read of one entry.
func BenchmarkPage(b *testing.B) {
	for name, open := range engines {
		for _, history := range []string{"put once", "put ten times"} {
			n := open(b)
			puts := 1
			if history == "put ten times" {
				puts = 10
			}
			for i := range 1000 * puts {
				publish(b, n, stream.Entry{Kind: stream.Put, Key: fmt.Sprintf("key%04d", i%1000), Event: "price", Data: text(fmt.Sprintf("{\"price\":%d}", i))})
			}
			publish(b, n, stream.Entry{Kind: stream.Create, Event: "chat", Data: text("a")})
			message := uint64(1000*puts + 1)
			for range 100 {
				publish(b, n, stream.Entry{Kind: stream.Append, Message: message, Data: text("fragment ")})
			}
			head := message + 101
			if _, err := n.Publish(context.Background(), Publish{Ref: ref, Entry: stream.Entry{Kind: stream.Create}, Position: true}); err != nil {
				b.Fatal(err)
			}
			run := func(what string, f func(context.Context) error) {
				b.Run(name+"/"+history+"/"+what, func(b *testing.B) {
					for b.Loop() {
						if err := f(context.Background()); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
			run("snapshot of 1000 keys", func(ctx context.Context) error {
				s, err := n.Snapshot(ctx, SnapshotQuery{Ref: ref, At: head, Limit: 1000})
				if err == nil && len(s.Items) != 1000 {
					return fmt.Errorf("%d items", len(s.Items))
				}
				return err
			})
			run("1000 entries", func(ctx context.Context) error {
				p, err := n.store.Read(ctx, stream.Query{Ref: ref, Limit: 1000})
				if err == nil && len(p.Entries) != 1000 {
					return fmt.Errorf("%d rows", len(p.Entries))
				}
				return err
			})
			run("history of 1000 rows", func(ctx context.Context) error {
				h, err := n.History(ctx, HistoryQuery{Ref: ref, To: 1000, Limit: 1000})
				if err == nil && len(h.Rows) != 1000 {
					return fmt.Errorf("%d rows", len(h.Rows))
				}
				return err
			})
			run("newest version", func(ctx context.Context) error {
				_, _, err := n.Message(ctx, ref, message, "", 0)
				return err
			})
			run("one entry", func(ctx context.Context) error {
				_, err := n.store.Read(ctx, stream.Query{Ref: ref, From: head, Limit: 1})
				return err
			})
		}
	}
}
