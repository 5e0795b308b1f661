package hub

import "github.com/continuo-rt/continuo/internal/core/stream"

// Conflater is an encoder whose followers, while they are behind, want of each key in a page its newest frame alone. Its
// frames must show whole messages, since what came before them may be left out.
type Conflater interface {
	// Conflates reports whether the channel's policy says so.
	Conflates() bool
}

// Chooser is an encoder whose followers, while they are behind, want no more of a page than what came of it.
type Chooser interface {
	// Choose says which of a page's entries, given in order, are to be sent.
	Choose(page []*stream.Entry) []bool
}

// chosen makes the frames of a page for a follower whose encoder chooses.
func (f *Follower) chosen(by Chooser, id stream.ID, items []*hot) [][]byte {
	page := make([]*stream.Entry, len(items))
	for i, item := range items {
		page[i] = item.Entry
	}
	made := make([][]byte, len(items))
	for i, yes := range by.Choose(page) {
		if yes && !f.hidden(items[i].Entry) {
			made[i], _ = f.topic.frame(f.enc, id, items[i])
		}
	}
	return made
}

// conflated makes the frames of a page for a follower whose encoder conflates, in place of those made one by one; ok is
// false when it does not. A frame is left out only for a later one of the same key that the follower is sent: what a
// filter or echo exclusion hides stands for nothing.
func (f *Follower) conflated(id stream.ID, items []*hot) (made [][]byte, ok bool) {
	if by, is := f.enc.(Chooser); is {
		return f.chosen(by, id, items), true
	}
	c, is := f.enc.(Conflater)
	if !is || !c.Conflates() {
		return nil, false
	}
	made = make([][]byte, len(items))
	newer := make(map[string]bool)
	for i := len(items) - 1; i >= 0; i-- {
		item := items[i]
		if newer[item.Key] || f.hidden(item.Entry) {
			continue
		}
		made[i], _ = f.topic.frame(f.enc, id, item)
		if made[i] != nil && item.Key != "" {
			newer[item.Key] = true
		}
	}
	return made, true
}
