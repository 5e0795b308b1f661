package serverapi

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// SnapshotParams are the query parameters of a snapshot.
var SnapshotParams = []string{"limit", "cursor", "prefix", "at_serial", "at_time_ms", "data"}

// CursorLife is how long the cursor of a snapshot is good.
const CursorLife = 5 * time.Minute

// Snapshot is what a snapshot request asks for.
type Snapshot struct {
	Channel string
	Limit   int
	Values  bool
	Prefix  string
	// Serial and Time ask for a moment in the past; without them, and on the first page, it is now.
	Serial  uint64
	Time    int64
	AtTime  bool
	AtPoint bool // Serial is given
	Cursor  *SnapshotCursor
}

// SnapshotCursor is where a snapshot goes on: it pins the moment that the first page fixed.
type SnapshotCursor struct {
	Stream   stream.ID
	At       stream.EntryID
	Complete bool
	Rows     bool // the keys are done
	After    string
	Beyond   uint64
}

// ParseSnapshot reads the parameters of a snapshot request. now is unix ms.
func ParseSnapshot(p *Params, seal Seal, name string, most int, now int64) (s Snapshot, err error) {
	s = Snapshot{Channel: name}
	if s.Limit, err = p.Limit(most); err != nil {
		return s, err
	}
	if s.Values, err = p.Values(); err != nil {
		return s, err
	}
	prefix, prefixed := p.get("prefix")
	if len(prefix) > MaxKey || !utf8.ValidString(prefix) {
		return s, fault.New(fault.Invalid, "prefix %s has not at most %d bytes of UTF-8", channel.Quote(prefix), MaxKey).In("prefix")
	}
	s.Prefix = prefix
	if s.Serial, s.AtPoint, err = p.Serial("at_serial"); err != nil {
		return s, err
	}
	if s.Time, s.AtTime, err = p.Time("at_time_ms"); err != nil {
		return s, err
	}
	switch {
	case s.AtPoint && s.AtTime:
		return s, fault.New(fault.Invalid, "at_serial and at_time_ms name two moments: give one of them").In("at_time_ms")
	case s.AtTime && s.Time > now:
		return s, fault.New(fault.Invalid, "at_time_ms %d is in the future: it is %d", s.Time, now).In("at_time_ms")
	}
	cursor, ok := p.get("cursor")
	if !ok {
		return s, nil
	}
	return s, s.open(seal, cursor, prefixed, now)
}

// open reads the cursor; what is given beside it must be the same as on the first page.
func (s *Snapshot) open(seal Seal, cursor string, prefixed bool, now int64) error {
	f, err := seal.open(cursor, snapshotCursor)
	if err != nil {
		return err
	}
	name, prefix := f.text(), f.text()
	c := &SnapshotCursor{Stream: stream.ID(f.text())}
	c.At.Serial, c.At.Time = f.num(), int64(f.num())
	flags, expires := f.num(), int64(f.num())
	c.After, c.Beyond = f.text(), f.num()
	atTime := int64(f.num())
	c.Complete, c.Rows = flags&1 != 0, flags&2 != 0
	if err := f.done(); err != nil {
		return err
	}
	switch {
	case name != s.Channel:
		return fault.New(fault.Invalid, "the cursor belongs to the channel %s", channel.Quote(name)).In("cursor")
	case prefixed && prefix != s.Prefix:
		return fault.New(fault.Invalid, "the cursor belongs to the prefix %s", channel.Quote(prefix)).In("cursor")
	case s.AtPoint && s.Serial != c.At.Serial, s.AtTime && s.Time != atTime:
		return fault.New(fault.Invalid, "the cursor belongs to another moment").In("cursor")
	case now >= expires:
		return fault.New(fault.SnapshotExpired, "the cursor of the snapshot is older than %s: begin again with the first page", CursorLife).In("cursor")
	}
	s.Prefix, s.Cursor, s.Time = prefix, c, atTime
	return nil
}

// Next seals the cursor of the page after one.
func (s *Snapshot) Next(seal Seal, c *SnapshotCursor, now int64) string {
	b := make([]byte, 0, 512)
	b = append(b, snapshotCursor)
	b = appendField(b, s.Channel)
	b = appendField(b, s.Prefix)
	b = appendField(b, string(c.Stream))
	flags := uint64(0)
	if c.Complete {
		flags |= 1
	}
	if c.Rows {
		flags |= 2
	}
	for _, n := range [...]uint64{c.At.Serial, uint64(c.At.Time), flags, uint64(now + CursorLife.Milliseconds())} {
		b = binary.AppendUvarint(b, n)
	}
	b = appendField(b, c.After)
	b = binary.AppendUvarint(b, c.Beyond)
	b = binary.AppendUvarint(b, uint64(s.Time))
	return seal.close(b)
}

// Tag is the ETag of a page: another one when anything that the page is made from is another.
func (s *Snapshot) Tag(id stream.ID, at stream.EntryID, floor uint64) string {
	f := newFingerprint("snapshot")
	f.add([]byte(s.Channel))
	f.add([]byte(id))
	f.add([]byte(s.Prefix))
	values := uint64(0)
	if s.Values {
		values = 1
	}
	for _, n := range [...]uint64{at.Serial, uint64(at.Time), floor, uint64(s.Limit), values} {
		f.num(n)
	}
	if c := s.Cursor; c != nil {
		f.add([]byte(c.After))
		f.num(c.Beyond)
	}
	sum := f.sum()
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

// Matches reports whether an If-None-Match header names a tag.
func Matches(header, tag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
		if one == tag || one == "*" {
			return true
		}
	}
	return false
}

// SnapshotPage is a page of a snapshot.
type SnapshotPage struct {
	Asked    *Snapshot
	Stream   stream.ID
	At       stream.EntryID
	Epoch    string
	Complete bool
	Items    []message.State
	Next     string
}

// AppendSnapshot appends a page of a snapshot.
func AppendSnapshot(dst []byte, p *SnapshotPage) []byte {
	dst = appendText(dst, `{"channel":`, p.Asked.Channel)
	dst = appendText(dst, `,"stream_id":`, p.Stream)
	dst = appendNumber(dst, `,"serial":`, p.At.Serial)
	dst = appendEntryID(dst, `,"entry_id":`, p.At)
	dst = appendText(dst, `,"epoch":`, p.Epoch)
	dst = appendBool(dst, `,"complete":`, p.Complete)
	dst = append(dst, `,"items":[`...)
	for i := range p.Items {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = p.item(dst, &p.Items[i])
	}
	dst = appendBool(dst, `],"has_more":`, p.Next != "")
	return append(appendNext(dst, p.Next), '}')
}

func (p *SnapshotPage) item(dst []byte, s *message.State) []byte {
	dst = append(dst, '{')
	if s.Key != "" {
		dst = append(appendText(dst, `"key":`, s.Key), ',')
	}
	dst = appendQuoted(dst, `"message_serial":`, s.Message())
	dst = appendNumber(dst, `,"version":`, s.Version)
	dst = appendText(dst, `,"event":`, s.Event)
	dst = (&Item{State: s, Data: s.Data, Values: p.Asked.Values}).data(dst)
	if s.Edit.User != "" {
		dst = appendText(dst, `,"user_id":`, s.Edit.User)
	}
	if len(s.Tags) > 0 {
		dst = append(append(dst, `,"tags":`...), s.Tags...)
	}
	if len(s.Extras) > 0 {
		dst = append(append(dst, `,"extras":`...), s.Extras...)
	}
	dst = appendNumber(dst, `,"serial":`, s.Edit.Serial)
	dst = appendNumber(dst, `,"history_serial":`, s.Message())
	dst = appendNumber(dst, `,"published_at_ms":`, s.Published())
	dst = appendNumber(dst, `,"updated_at_ms":`, s.Edit.Time)
	return append(appendAnnotations(dst, s.Annotations), '}')
}
