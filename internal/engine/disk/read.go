package disk

import (
	"context"
	"errors"
	"math"
	"sort"

	"github.com/cockroachdb/pebble/v2"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// errMoved says that a row within the bounds was not there: the floor has moved since they were taken, or the store is
// corrupt.
var errMoved = errors.New("a row within the bounds is missing")

// Read implements stream.Store.
func (s *Store) Read(ctx context.Context, q stream.Query) (stream.Page, error) {
	if err := checkQuery(&q); err != nil {
		return stream.Page{}, err
	}
	if err := ctx.Err(); err != nil {
		return stream.Page{}, fault.New(fault.Unavailable, "gave up: %w", err)
	}
	l, err := s.use()
	if err != nil {
		return stream.Page{}, err
	}
	defer l.release()
	page := func(r *reader) (p stream.Page, err error) {
		err = r.page(&q, &p)
		return p, err
	}
	if q.State || q.Message != 0 || q.Key != "" {
		return frozen(l, q.Ref, page)
	}
	return at(l, q.Ref, page)
}

func checkQuery(q *stream.Query) error {
	switch {
	case q.Limit < 0 || q.Bytes < 0:
		return fault.New(fault.Invalid, "a limit is not negative").In("limit")
	case q.Message != 0 && q.Key != "":
		return fault.New(fault.Invalid, "a query is for a message or for a key, not both")
	case q.State && q.Message == 0 && q.Key == "":
		return fault.New(fault.Invalid, "a state is that of a message or of a key")
	}
	return nil
}

// at runs a read against the bounds of one instant, and again when a trim has passed it.
func at[T any](l *life, ref stream.Ref, read func(r *reader) (T, error)) (T, error) {
	var none T
	st, err := l.pin(ref)
	if err != nil {
		return none, err
	}
	defer l.unpin(st)
	for {
		v := l.visible(st)
		r := l.reader(v)
		t, err := read(r)
		r.close()
		if !errors.Is(err, errMoved) {
			return t, err
		}
		if now := l.visible(st); now.sameFloor(v) {
			return none, l.missing(ref, err)
		}
	}
}

// frozen runs a read that puts rows of several kinds together: all of them are of one instant. Rows go only after the
// floor has moved, so while it stays nothing was missed. A read that is slower than the trims gets a snapshot, which
// makes pebble look for compactions when it is closed and so is not for every read.
func frozen[T any](l *life, ref stream.Ref, read func(r *reader) (T, error)) (t T, err error) {
	st, err := l.pin(ref)
	if err != nil {
		return t, err
	}
	defer l.unpin(st)
	for range hasty {
		v := l.visible(st)
		r := l.reader(v)
		t, err = read(r)
		r.close()
		if now := l.visible(st); now.sameFloor(v) {
			return t, l.missing(ref, err)
		}
	}
	for {
		v := l.visible(st)
		snapshot := l.db.NewSnapshot()
		if now := l.visible(st); !now.sameFloor(v) {
			snapshot.Close()
			continue
		}
		r := &reader{l: l, v: v, src: snapshot}
		t, err = read(r)
		r.close()
		snapshot.Close()
		return t, l.missing(ref, err)
	}
}

// hasty is how often a read is tried before it gets a snapshot.
const hasty = 2

// missing says that a row was not there which nobody can have taken.
func (l *life) missing(ref stream.Ref, err error) error {
	if errors.Is(err, errMoved) {
		return l.corrupt("the log of "+ref.String(), err)
	}
	return err
}

func (r *row) sameFloor(as *row) bool {
	return r.Floor == as.Floor && r.Resets == as.Resets && r.num == as.num
}

// reader reads one stream within the bounds of one instant, one page.
type reader struct {
	l   *life
	v   *row
	src pebble.Reader // the database, or a snapshot of it
	// Iterators over the rows of the stream, opened when they are needed: a page of keys needs them often.
	indexes, states, log *pebble.Iterator
	gets                 int // entries that were read one by one
	buf                  arena
}

func (l *life) reader(v *row) *reader { return &reader{l: l, v: v, src: l.db} }

// iter gives the iterator over the stream's rows with a tag.
func (r *reader) iter(kept **pebble.Iterator, tag byte) (*pebble.Iterator, error) {
	if *kept == nil {
		prefix := numberKey(nil, tag, r.v.num)
		it, err := r.src.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: upper(prefix)})
		if err != nil {
			return nil, r.l.readError(err)
		}
		*kept = it
	}
	return *kept, nil
}

func (r *reader) close() {
	for _, it := range [...]*pebble.Iterator{r.indexes, r.states, r.log} {
		if it != nil {
			it.Close()
		}
	}
	r.indexes, r.states, r.log = nil, nil, nil
}

// header is the header row of a subject. It may be newer than the reader's bounds.
func (r *reader) header(name stream.Subject) (header, bool, error) {
	if r.v.num == 0 {
		return header{}, false, nil
	}
	var buf [64]byte
	return r.l.header(r.src, headerKey(buf[:0], r.v.num, name))
}

func (r *reader) page(q *stream.Query, p *stream.Page) error {
	p.Bounds = r.v.bounds()
	if q.State {
		if err := r.state(q, p); err != nil {
			return err
		}
	} else if q.Limit > 0 && r.v.Head > r.v.Floor {
		if err := r.entries(q, p); err != nil {
			return err
		}
	}
	if q.HasWitness {
		return r.witness(q.Witness, p)
	}
	return nil
}

// witness says what the log holds at a cursor and after it. At the head it needs no read; a page that begins after the
// cursor has read the next entry already.
func (r *reader) witness(c uint64, p *stream.Page) error {
	v, w := r.v, &p.Witness
	if c < v.Floor || c > v.Head || v.num == 0 {
		return nil
	}
	cum := v.FloorCum
	switch c {
	case v.Head:
		w.At, cum = stream.EntryID{Time: v.HeadTime, Serial: c}, v.HeadCum
	case v.Floor:
		w.At = stream.EntryID{Time: v.FloorTime, Serial: c}
	default:
		e, err := r.entry(c)
		if err != nil {
			return err
		}
		w.At, cum = e.ID(), e.Cum
	}
	w.Bytes = v.HeadCum - cum
	switch {
	case c == v.Head:
	case c+1 == v.Head:
		w.Next = stream.EntryID{Time: v.HeadTime, Serial: c + 1}
	case len(p.Entries) > 0 && p.Entries[0].Serial == c+1:
		w.Next = p.Entries[0].ID()
	default:
		e, err := r.entry(c + 1)
		if err != nil {
			return err
		}
		w.Next = e.ID()
	}
	return nil
}

// span is a range of serials, both inclusive.
type span struct{ lo, hi uint64 }

// span gives the serials within the query's bounds.
func (r *reader) span(q *stream.Query) (s span, err error) {
	s = span{max(q.From, r.v.Floor+1), r.v.Head}
	if q.To > 0 {
		s.hi = min(s.hi, q.To)
	}
	if q.FromTime > 0 {
		from, err := r.firstAt(q.FromTime)
		if err != nil {
			return s, err
		}
		s.lo = max(s.lo, from)
	}
	if q.ToTime > 0 && q.ToTime < math.MaxInt64 {
		after, err := r.firstAt(q.ToTime + 1)
		if err != nil {
			return s, err
		}
		s.hi = min(s.hi, after-1)
	}
	return s, nil
}

// firstAt finds the first serial whose entry is not older than t, head + 1 if there is none: time never runs backwards
// within a stream.
func (r *reader) firstAt(t int64) (uint64, error) {
	v := r.v
	switch {
	case v.Head == v.Floor || t > v.HeadTime:
		return v.Head + 1, nil
	case t <= v.FloorTime:
		return v.Floor + 1, nil
	}
	return r.search(func(e *stream.Entry) bool { return e.Time >= t })
}

// search finds the first serial above the floor for which f holds, head + 1 if there is none.
func (r *reader) search(f func(*stream.Entry) bool) (uint64, error) {
	var failed error
	n := sort.Search(int(r.v.Head-r.v.Floor), func(i int) bool {
		if failed != nil {
			return true
		}
		e, err := r.entry(r.v.Floor + 1 + uint64(i))
		if err != nil {
			failed = err
			return true
		}
		return f(e)
	})
	return r.v.Floor + 1 + uint64(n), failed
}

// collect fills a page up to its limits.
type collect struct {
	q    *stream.Query
	p    *stream.Page
	size int
}

// add takes an entry; false when the page is full, which it then says.
func (c *collect) add(e *stream.Entry) bool {
	if c.q.RowsOnly && !e.Kind.Row() || c.q.Message != 0 && e.Message != c.q.Message {
		return true
	}
	c.size += e.Size()
	if len(c.p.Entries) == c.q.Limit || c.q.Bytes > 0 && c.size > c.q.Bytes && len(c.p.Entries) > 0 {
		c.p.More = true
		return false
	}
	c.p.Entries = append(c.p.Entries, e)
	return true
}

func (r *reader) entries(q *stream.Query, p *stream.Page) error {
	s, err := r.span(q)
	if err != nil || s.lo > s.hi {
		return err
	}
	c := &collect{q: q, p: p}
	if q.Message != 0 || q.Key != "" {
		return r.subjectEntries(q, s, c)
	}
	// The page's own limit bounds the read unless entries are skipped; one more tells whether there is more.
	if !q.RowsOnly {
		if n := uint64(q.Limit); s.hi-s.lo >= n {
			if q.Reverse {
				s.lo = s.hi - n
			} else {
				s.hi = s.lo + n
			}
		}
	}
	return r.walk(s, q.Reverse, c.add)
}
