package stream

// Meta is the row of a stream: its incarnation, its bounds and what guards need to know about the whole stream.
// Engines keep one for what is allotted and one for what is visible.
type Meta struct {
	Incarnation
	Class Durability // of the newest append; another class begins a new incarnation
	Extent
	Born    int64  // time of the last forgetting before the row was made
	Keys    uint64 // live keys
	Mutated bool
}

// Extent is the part of Bounds that is stored as it is.
type Extent struct {
	Base, Floor, Head   uint64
	FloorTime, HeadTime int64
	FloorCum, HeadCum   uint64
}

// Bounds gives the bounds of the stream as readers see them when m is the visible meta.
func (m *Meta) Bounds(id ID) Bounds {
	return Bounds{Stream: id, Base: m.Base, Floor: m.Floor, Head: m.Head, FloorTime: m.FloorTime, HeadTime: m.HeadTime,
		FloorCum: m.FloorCum, HeadCum: m.HeadCum, Born: m.Born, Logged: true, Mutated: m.Mutated, Keys: m.Keys}
}

// Reset begins a new incarnation, which takes one serial for itself, so that every older cursor lies below the floor.
func (m *Meta) Reset(now int64) {
	m.Resets++
	m.Head++
	m.Base, m.Floor = m.Head, m.Head
	m.HeadTime = max(now, m.HeadTime)
	m.FloorTime, m.FloorCum = m.HeadTime, m.HeadCum
	m.Keys, m.Mutated = 0, false
}

// Trim moves the floor to the given entry. It never goes back and never passes the head.
func (m *Meta) Trim(floor uint64, at int64, cum uint64) {
	if floor > m.Floor && floor <= m.Head {
		m.Floor, m.FloorTime, m.FloorCum = floor, at, cum
	}
}
