package serverapi

import (
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

func TestAskHistory(t *testing.T) {
	seal := NewSeal("app", "secret")
	first := History{Channel: "room", Range: Range{OldestFirst: true, Serials: bounded(5, 50)}}
	cursor := first.Next(seal, 20, "stream", 60)
	span := func(start, end uint64) session.Span { return session.Span(bounded(start, end)) }
	for name, c := range map[string]struct {
		ask     session.HistoryQuery
		channel string
		limit   int
		serial  uint64
		refused string
	}{
		"the defaults":              {session.HistoryQuery{}, "room", 100, 0, ""},
		"a limit above the most":    {session.HistoryQuery{Limit: 1000}, "room", 100, 0, ""},
		"a limit":                   {session.HistoryQuery{Limit: 7}, "room", 7, 0, ""},
		"a cursor alone":            {session.HistoryQuery{Cursor: cursor}, "room", 100, 20, ""},
		"a cursor and its bounds":   {session.HistoryQuery{Cursor: cursor, OldestFirst: true, Directed: true, Serials: span(5, 50)}, "room", 100, 20, ""},
		"the other direction":       {session.HistoryQuery{Cursor: cursor, Directed: true}, "room", 0, 0, "other direction"},
		"other bounds":              {session.HistoryQuery{Cursor: cursor, Serials: span(5, 51)}, "room", 0, 0, "other bounds"},
		"times that it has not":     {session.HistoryQuery{Cursor: cursor, Times: span(1, 2)}, "room", 0, 0, "other bounds"},
		"another channel":           {session.HistoryQuery{Cursor: cursor}, "other", 0, 0, `belongs to the channel "room"`},
		"a cursor of nobody":        {session.HistoryQuery{Cursor: cursor[:len(cursor)-1] + "_"}, "room", 0, 0, "not made by this server"},
		"a serial beyond all":       {session.HistoryQuery{Serials: span(0, stream.MaxSerial+1)}, "room", 0, 0, "larger than"},
		"a time beyond all":         {session.HistoryQuery{Times: span(1<<60, 0)}, "room", 0, 0, "larger than"},
		"the largest serial is one": {session.HistoryQuery{Serials: span(0, stream.MaxSerial)}, "room", 100, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := AskHistory(c.ask, seal, c.channel, 100)
			if c.refused != "" {
				if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.refused) {
					t.Fatalf("refused with %v", err)
				}
				return
			}
			if err != nil || h.Limit != c.limit || h.Serial != c.serial {
				t.Fatalf("%+v %v", h, err)
			}
			if c.serial > 0 && (!h.OldestFirst || h.Serials != first.Serials || h.AsOf != 60 || h.Stream != "stream") {
				t.Fatalf("the cursor brought %+v", h)
			}
		})
	}
}

// bounded is a span with both ends.
func bounded(start, end uint64) Span { return Span{start, end, true, true} }
