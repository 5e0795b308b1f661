package sim

import (
	"context"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// planted is a store with a fault. What it does is decided by the entries alone, so that every seed meets it.
type planted struct {
	stream.Store
	read  func(stream.Query, *stream.Page)
	watch func(*stream.Advance)
	reply func([]stream.Op, []stream.Result)
}

func (s planted) Read(ctx context.Context, q stream.Query) (stream.Page, error) {
	page, err := s.Store.Read(ctx, q)
	if err == nil && s.read != nil {
		page.Entries = append([]*stream.Entry(nil), page.Entries...)
		s.read(q, &page)
	}
	return page, err
}

func (s planted) Watch(f func(stream.Advance)) func() {
	return s.Store.Watch(func(a stream.Advance) {
		if s.watch != nil {
			a.Entries = append([]*stream.Entry(nil), a.Entries...)
			s.watch(&a)
		}
		f(a)
	})
}

func (s planted) Append(ctx context.Context, ops []stream.Op) ([]stream.Result, error) {
	results, err := s.Store.Append(ctx, ops)
	if err == nil && s.reply != nil {
		s.reply(ops, results)
	}
	return results, err
}

func every(n uint64, e *stream.Entry) bool { return e.Serial%n == 0 }

// renumbered gives entries other serials, and contiguous ones, as a store would that lost or repeated one of them.
func renumbered(entries []*stream.Entry, drop func(*stream.Entry) bool) []*stream.Entry {
	var out []*stream.Entry
	for _, e := range entries {
		c := *e
		if drop(e) && len(out) > 0 {
			c.Data = out[len(out)-1].Data // the one before it again, in its place
		}
		out = append(out, &c)
	}
	return out
}

// TestOracleFindsPlantedFaults proves that the oracle can fail: each fault is one that a promise forbids.
func TestOracleFindsPlantedFaults(t *testing.T) {
	tests := []struct {
		name, finds string
		plant       planted
	}{
		{"an entry is doubled in the place of the next", "P", planted{
			watch: func(a *stream.Advance) {
				a.Entries = renumbered(a.Entries, func(e *stream.Entry) bool { return every(7, e) })
			}}},
		{"an entry is doubled in replays", "P", planted{
			read: func(q stream.Query, p *stream.Page) {
				p.Entries = renumbered(p.Entries, func(e *stream.Entry) bool { return every(7, e) })
			}}},
		{"an entry is skipped by calling it hidden from everybody", "never saw", planted{
			watch: func(a *stream.Advance) {
				for i, e := range a.Entries {
					if every(9, e) {
						c := *e
						c.Kind = stream.Annotate // no protocol shows it
						a.Entries[i] = &c
					}
				}
			}}},
		{"a head beyond what is stable is told", "P", planted{
			read: func(q stream.Query, p *stream.Page) {
				if q.Limit == 0 && p.Bounds.Head%5 == 0 {
					p.Bounds.Head++
				}
			}}},
		{"an acknowledgement names the next serial", "P1", planted{
			reply: func(_ []stream.Op, results []stream.Result) {
				for i := range results {
					if results[i].Entry.Serial%11 == 10 {
						results[i].Entry.Serial++
					}
				}
			}}},
		{"a refused publish is said to be applied", "P1", planted{
			reply: func(ops []stream.Op, results []stream.Result) {
				for i := range results {
					if results[i].Outcome == stream.Unknown {
						results[i] = stream.Result{Outcome: stream.Applied, Stream: results[i].Stream}
					}
				}
			}}},
		{"a stream changes its name", "P", planted{
			read: func(q stream.Query, p *stream.Page) {
				if p.Bounds.Head > 20 && q.HasWitness {
					p.Bounds.Stream += "x"
				}
			}}},
		{"a log loses its tail", "P", planted{
			read: func(q stream.Query, p *stream.Page) {
				if n := len(p.Entries); n > 0 && !p.More && q.Limit == 100 {
					p.Entries, p.Bounds.Head = p.Entries[:n-1], p.Bounds.Head-1
				}
			}}},
		{"a floor rises without a reason", "P", planted{
			read: func(q stream.Query, p *stream.Page) {
				if q.Ref.Channel == "calm" && q.HasWitness && p.Bounds.Head > 10 {
					p.Bounds.Floor = p.Bounds.Head
				}
			}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for seed := uint64(1); seed <= 60; seed++ {
				r := live(t, Options{Seed: seed, Wrap: func(s stream.Store) stream.Store {
					p := test.plant
					p.Store = s
					return p
				}})
				for _, v := range r.Violations {
					if strings.Contains(v, test.finds) {
						t.Logf("seed %d: %s", seed, v)
						return
					}
				}
			}
			t.Error("nobody noticed")
		})
	}
}

// TestOracle tells it short stories, each with one lie.
func TestOracle(t *testing.T) {
	a, b := payload{publisher: 1, seq: 1}, payload{publisher: 1, seq: 2}
	quick := payload{publisher: 1, seq: 1, ephemeral: true}
	at := func(serial uint64) place { return place{"s", serial} }
	stories := []struct {
		name, finds string
		tell        func(o *Oracle, f *follow)
	}{
		{"nothing is wrong", "", func(o *Oracle, f *follow) {
			o.attempt("c", a, "", false)
			o.acknowledged("c", a, at(1), false)
			o.opened(f, "1.1")
			o.attached("c", f, at(0), false, 0)
			o.delivered("c", f, at(1), a)
			o.arrived("c", f, at(1))
			o.audit("c", "s", 0, 1, []entry{{1, a}})
		}},
		{"acknowledged and lost", "is nowhere", func(o *Oracle, _ *follow) {
			o.attempt("c", a, "", false)
			o.acknowledged("c", a, place{}, false)
			o.audit("c", "s", 0, 0, nil)
		}},
		{"acknowledged and elsewhere", "which had been seen at", func(o *Oracle, _ *follow) {
			o.attempt("c", a, "", false)
			o.acknowledged("c", a, at(2), false)
			o.audit("c", "s", 0, 1, []entry{{1, a}})
		}},
		{"a position is used again", "where", func(o *Oracle, _ *follow) {
			o.attempt("c", a, "", false)
			o.attempt("c", b, "", false)
			o.acknowledged("c", a, at(1), false)
			o.acknowledged("c", b, at(1), false)
		}},
		{"a known serial is handed out", "was known before", func(o *Oracle, f *follow) {
			o.opened(f, "1.1")
			o.attached("c", f, at(5), false, 5)
			o.attempt("c", a, "", false)
			o.acknowledged("c", a, at(5), false)
		}},
		{"a hole in the log", "the log has serial 2", func(o *Oracle, _ *follow) {
			o.audit("c", "s", 0, 2, []entry{{2, a}})
		}},
		{"a duplicate", "was sent s/1 after s/1", func(o *Oracle, f *follow) {
			o.attempt("c", a, "", false)
			o.opened(f, "1.1")
			o.attached("c", f, at(0), false, 0)
			o.delivered("c", f, at(1), a)
			o.delivered("c", f, at(1), a)
		}},
		{"a gap", "never saw 1.1 at s/1", func(o *Oracle, f *follow) {
			o.attempt("c", a, "", false)
			o.attempt("c", b, "", false)
			o.opened(f, "1.1")
			o.attached("c", f, at(0), false, 0)
			o.delivered("c", f, at(2), b)
			o.audit("c", "s", 0, 2, []entry{{1, a}, {2, b}})
		}},
		{"a gap that is hidden", "", func(o *Oracle, f *follow) {
			o.attempt("c", a, "1.1", false)
			o.attempt("c", b, "", false)
			o.opened(f, "1.1")
			o.attached("c", f, at(0), false, 0)
			o.delivered("c", f, at(2), b)
			o.audit("c", "s", 0, 2, []entry{{1, a}, {2, b}})
		}},
		{"the end is missing", "never saw 1.1 at s/1", func(o *Oracle, f *follow) {
			o.attempt("c", a, "", false)
			o.opened(f, "1.1")
			o.attached("c", f, at(0), false, 0)
			o.arrived("c", f, at(1))
			o.audit("c", "s", 0, 1, []entry{{1, a}})
		}},
		{"a new stream without a word", "without a word", func(o *Oracle, f *follow) {
			o.attempt("c", a, "", false)
			o.opened(f, "1.1")
			o.attached("c", f, at(0), false, 0)
			o.delivered("c", f, place{"t", 1}, a)
		}},
		{"a refusal without a reason", "without a reason", func(o *Oracle, f *follow) {
			o.opened(f, "1.1")
			o.attached("c", f, at(0), false, 0)
			o.lost("c", f, codeReset, "because", place{"t", 1})
		}},
		{"a refusal with a reason", "", func(o *Oracle, f *follow) {
			o.opened(f, "1.1")
			o.attached("c", f, at(0), false, 0)
			o.ending("c")("t")
			o.lost("c", f, codeReset, "because", place{"t", 1})
			o.audit("c", "t", 1, 1, nil)
		}},
		{"live before the resume was answered", "while it resumed", func(o *Oracle, f *follow) {
			o.attempt("c", a, "", false)
			o.opened(f, "1.1")
			o.attached("c", f, at(0), false, 0)
			o.opened(f, "1.2")
			o.attached("c", f, at(0), true, 0)
			o.delivered("c", f, at(1), a)
		}},
		{"an answer ahead of the cursor", "was answered with", func(o *Oracle, f *follow) {
			o.opened(f, "1.1")
			o.attached("c", f, at(0), false, 0)
			o.opened(f, "1.2")
			o.attached("c", f, at(3), true, 3)
		}},
		{"before the answer", "before its subscription", func(o *Oracle, f *follow) {
			o.attempt("c", quick, "", false)
			o.opened(f, "1.1")
			o.fleeting("c", f, quick)
		}},
		{"an ephemeral message twice", "twice", func(o *Oracle, f *follow) {
			o.attempt("c", quick, "", false)
			o.opened(f, "1.1")
			o.attached("c", f, at(0), false, 0)
			o.fleeting("c", f, quick)
			o.fleeting("c", f, quick)
		}},
		{"an ephemeral message with a serial", "with serial 1", func(o *Oracle, f *follow) {
			o.attempt("c", quick, "", false)
			o.opened(f, "1.1")
			o.attached("c", f, at(0), false, 0)
			o.delivered("c", f, at(1), quick)
		}},
		{"a refused publish is there", "was refused", func(o *Oracle, _ *follow) {
			o.attempt("c", a, "", false)
			o.refusedPublish("c", a)
			o.audit("c", "s", 0, 1, []entry{{1, a}})
		}},
		{"a protocol without serials, out of order", "was sent s/1 after s/2", func(o *Oracle, f *follow) {
			o.attempt("c", a, "", false)
			o.attempt("c", b, "", false)
			o.opened(f, "1.1")
			o.joined(f)
			o.unnumbered("c", f, b)
			o.unnumbered("c", f, a)
			o.audit("c", "s", 0, 2, []entry{{1, a}, {2, b}})
		}},
	}
	for _, story := range stories {
		t.Run(story.name, func(t *testing.T) {
			o := NewOracle([]kind{{name: "c"}})
			f := o.follower("c", "client")
			story.tell(o, f)
			all := strings.Join(o.wrong, "\n")
			if story.finds == "" && all != "" || !strings.Contains(all, story.finds) {
				t.Errorf("the oracle says %q, want %q", all, story.finds)
			}
		})
	}
}
