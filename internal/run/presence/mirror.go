package presence

import (
	"encoding/json"
	"math"
	"slices"

	"github.com/continuo-rt/continuo/internal/core/presence"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// mirror is the members of a channel at one serial, moved on by what this node writes, so that the answer to a join
// costs what it lists and not what the log holds. An entry of somebody else makes it useless until it is read again. It
// is the worker's own.
type mirror struct {
	good   bool
	stream stream.ID
	serial uint64
	names  []string // in order
	info   map[string]json.RawMessage
	read   int64 // when it was last read, unix ms
}

// rereadAfter is how long a roll whose log others write too goes without a mirror.
const rereadAfter = 10_000

// reflect reads the mirror unless it is good.
func (r *roll) reflect(now int64) {
	m := &r.mirror
	if m.good || m.read != 0 && now-m.read < rereadAfter {
		return
	}
	*m = mirror{info: map[string]json.RawMessage{}, read: max(1, now)}
	b, at, err := r.reg.rows(r.reg.ctx, r.ref, 0, math.MaxInt, func(row stream.KeyRow) error {
		one, err := memberOf(row)
		m.names, m.info[one.User] = append(m.names, one.User), one.Info
		return err
	})
	m.stream, m.serial, m.good = b.Stream, at, err == nil
}

// written is one write of a turn that is visible.
type written struct {
	res    stream.Result
	user   string
	info   json.RawMessage
	change presence.Change // as the committer decided it
}

// move moves the mirror on by the writes of a turn, in order.
func (m *mirror) move(writes []written) {
	if !m.good || len(writes) == 0 {
		return
	}
	var fresh []string
	for _, w := range writes {
		if w.res.Entry.Serial != m.serial+1 || w.res.Stream != m.stream {
			m.good, m.names, m.info = false, nil, nil
			return
		}
		m.serial++
		_, known := m.info[w.user]
		switch {
		case w.change != presence.Removed:
			m.info[w.user] = w.info
			if !known {
				fresh = append(fresh, w.user)
			}
		case known:
			delete(m.info, w.user)
			if i, found := slices.BinarySearch(m.names, w.user); found {
				m.names = slices.Delete(m.names, i, i+1)
			}
		}
	}
	m.add(fresh)
}

// add puts new names in their places.
func (m *mirror) add(fresh []string) {
	if len(fresh) > 16 {
		m.names = append(m.names, fresh...)
		slices.Sort(m.names)
		return
	}
	for _, name := range fresh {
		i, _ := slices.BinarySearch(m.names, name)
		m.names = slices.Insert(m.names, i, name)
	}
}

// list is the members, no more than limit of them.
func (m *mirror) list(limit int) session.Entered {
	out := session.Entered{Stream: m.stream, Serial: m.serial, Count: len(m.names)}
	out.Members = make([]session.Member, min(max(limit, 0), len(m.names)))
	for i := range out.Members {
		out.Members[i] = session.Member{User: m.names[i], Info: m.info[m.names[i]]}
	}
	return out
}
