package serverapi

import (
	"encoding/binary"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// HistoryParams are the query parameters of a history.
var HistoryParams = []string{"limit", "direction", "cursor", "start_serial", "end_serial", "start_time_ms", "end_time_ms", "start", "end", "data"}

// History is what a history request asks for.
type History struct {
	Channel string
	Limit   int
	Values  bool // show JSON data as values
	Range
	// Serial, if not 0, is the last row of the page before; Stream and AsOf are those of the first page.
	Serial uint64
	Stream stream.ID
	AsOf   uint64
}

// Range is the direction and the bounds of a history: they hold for all its pages.
type Range struct {
	OldestFirst bool
	Serials     Span
	Times       Span // unix ms
}

// Span is an inclusive range with optional ends.
type Span struct {
	Start, End       uint64
	HasStart, HasEnd bool
}

func (s Span) check(start, end string) error {
	if s.HasStart && s.HasEnd && s.Start > s.End {
		return fault.New(fault.Invalid, "%s %d lies after %s %d", start, s.Start, end, s.End).In(start)
	}
	return nil
}

// empty reports whether nothing can lie in the span: serials and times begin after 0.
func (s Span) empty() bool { return s.HasEnd && s.End == 0 }

// Empty reports whether nothing can lie in the range.
func (r *Range) Empty() bool { return r.Serials.empty() || r.Times.empty() }

// ParseHistory reads the parameters of a history request for a channel. A cursor brings direction and bounds with it;
// those that are given beside it must be the same.
func ParseHistory(p *Params, seal Seal, name string, most int) (History, error) {
	h := History{Channel: name}
	var err error
	if h.Limit, err = p.Limit(most); err != nil {
		return h, err
	}
	if h.Values, err = p.Values(); err != nil {
		return h, err
	}
	given, err := parseRange(p)
	if err != nil {
		return h, err
	}
	cursor, ok := p.get("cursor")
	if !ok {
		h.Range = given
		return h, nil
	}
	if err := h.open(seal, cursor); err != nil {
		return h, err
	}
	_, directed := p.get("direction")
	return h, h.agrees(given, directed)
}

// AskHistory is ParseHistory for a request that came over a socket.
func AskHistory(q session.HistoryQuery, seal Seal, name string, most int) (History, error) {
	h := History{Channel: name, Limit: most}
	if q.Limit > 0 {
		h.Limit = min(q.Limit, most)
	}
	given := Range{OldestFirst: q.OldestFirst, Serials: Span(q.Serials), Times: Span(q.Times)}
	for _, one := range [...]struct {
		n    uint64
		name string
	}{{q.Serials.Start, "start_serial"}, {q.Serials.End, "end_serial"}, {q.Times.Start, "start_time_ms"}, {q.Times.End, "end_time_ms"}} {
		if one.n > stream.MaxSerial {
			return h, fault.New(fault.Invalid, "%s %d is larger than every one there is: the largest is %d", one.name, one.n, uint64(stream.MaxSerial)).In(one.name)
		}
	}
	if q.Cursor == "" {
		h.Range = given
		return h, nil
	}
	if err := h.open(seal, q.Cursor); err != nil {
		return h, err
	}
	return h, h.agrees(given, q.Directed || q.OldestFirst)
}

func parseRange(p *Params) (r Range, err error) {
	if r.OldestFirst, err = direction(p, true); err != nil {
		return r, err
	}
	if r.Serials.Start, r.Serials.HasStart, err = p.Serial("start_serial"); err != nil {
		return r, err
	}
	if r.Serials.End, r.Serials.HasEnd, err = p.Serial("end_serial"); err != nil {
		return r, err
	}
	if r.Times.Start, r.Times.HasStart, err = p.either("start_time_ms", "start"); err != nil {
		return r, err
	}
	if r.Times.End, r.Times.HasEnd, err = p.either("end_time_ms", "end"); err != nil {
		return r, err
	}
	if err := r.Serials.check("start_serial", "end_serial"); err != nil {
		return r, err
	}
	return r, r.Times.check("start_time_ms", "end_time_ms")
}

// direction reads the parameter direction; other says whether its synonyms are known.
func direction(p *Params, other bool) (oldest bool, err error) {
	s, ok := p.get("direction")
	if !ok {
		return false, nil
	}
	switch low := strings.ToLower(s); {
	case low == "newest_first", other && (low == "backwards" || low == "reverse"):
		return false, nil
	case low == "oldest_first", other && (low == "forwards" || low == "forward"):
		return true, nil
	}
	return false, fault.New(fault.Invalid, "direction %s is not known: there are newest_first and oldest_first", channel.Quote(s)).In("direction")
}

// either reads a time that has a short name too.
func (p *Params) either(name, short string) (uint64, bool, error) {
	ms, ok, err := p.Time(name)
	if err != nil {
		return 0, false, err
	}
	again, twice, err := p.Time(short)
	switch {
	case err != nil:
		return 0, false, err
	case ok && twice:
		return 0, false, fault.New(fault.Invalid, "%s and %s are the same parameter: give one of them", name, short).In(short)
	case twice:
		ms, ok = again, true
	}
	return uint64(ms), ok, nil
}

// agrees checks what is given beside a cursor; directed says that a direction is.
func (h *History) agrees(given Range, directed bool) error {
	if directed && given.OldestFirst != h.OldestFirst {
		return fault.New(fault.Invalid, "the cursor belongs to the other direction").In("cursor")
	}
	for _, pair := range [...]struct {
		given, has bool
		a, b       uint64
	}{
		{given.Serials.HasStart, h.Serials.HasStart, given.Serials.Start, h.Serials.Start},
		{given.Serials.HasEnd, h.Serials.HasEnd, given.Serials.End, h.Serials.End},
		{given.Times.HasStart, h.Times.HasStart, given.Times.Start, h.Times.Start},
		{given.Times.HasEnd, h.Times.HasEnd, given.Times.End, h.Times.End},
	} {
		if pair.given && (!pair.has || pair.a != pair.b) {
			return fault.New(fault.Invalid, "the cursor belongs to other bounds").In("cursor")
		}
	}
	return nil
}

// Next is the cursor of the page after one whose last row has this serial.
func (h *History) Next(seal Seal, last uint64, id stream.ID, asOf uint64) string {
	b := make([]byte, 0, 256)
	b = append(b, historyCursor)
	b = appendField(b, h.Channel)
	b = appendField(b, string(id))
	b = binary.AppendUvarint(b, last)
	b = binary.AppendUvarint(b, asOf)
	flags := uint64(0)
	for i, yes := range [...]bool{h.OldestFirst, h.Serials.HasStart, h.Serials.HasEnd, h.Times.HasStart, h.Times.HasEnd} {
		if yes {
			flags |= 1 << i
		}
	}
	for _, n := range [...]uint64{flags, h.Serials.Start, h.Serials.End, h.Times.Start, h.Times.End} {
		b = binary.AppendUvarint(b, n)
	}
	return seal.close(b)
}

func (h *History) open(seal Seal, cursor string) error {
	f, err := seal.open(cursor, historyCursor)
	if err != nil {
		return err
	}
	name := f.text()
	h.Stream = stream.ID(f.text())
	h.Serial, h.AsOf = f.num(), f.num()
	flags := f.num()
	h.Serials.Start, h.Serials.End, h.Times.Start, h.Times.End = f.num(), f.num(), f.num(), f.num()
	for i, flag := range [...]*bool{&h.OldestFirst, &h.Serials.HasStart, &h.Serials.HasEnd, &h.Times.HasStart, &h.Times.HasEnd} {
		*flag = flags&(1<<i) != 0
	}
	if err := f.done(); err != nil {
		return err
	}
	if name != h.Channel {
		return fault.New(fault.Invalid, "the cursor belongs to the channel %s", channel.Quote(name)).In("cursor")
	}
	return nil
}
