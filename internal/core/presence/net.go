package presence

import "github.com/continuo-rt/continuo/internal/core/stream"

// Net says which entries of a page (contiguous, in order) tell what came of it: of a user who came and went nothing, of
// one who came the coming, of one who went the going, of one who went and came back the last of both; and the last
// change of info of those who are there in the end. Whoever is shown these alone ends up with the same members. Quiet
// transitions are not told anyway, so they count for nothing.
func Net(page []*stream.Entry) []bool {
	keep := make([]bool, len(page))
	users := map[string]*net{}
	for i, e := range page {
		change := ChangeOf(e)
		if change == None || IsQuiet(e) {
			continue
		}
		u := users[e.Key]
		if u == nil {
			u = &net{was: change != Added, added: -1, updated: -1, removed: -1}
			users[e.Key] = u
		}
		switch change {
		case Added:
			u.added, u.updated = i, -1
		case Updated:
			u.updated = i
		case Removed:
			u.removed, u.updated = i, -1
		}
	}
	for _, u := range users {
		u.choose(keep)
	}
	return keep
}

// net is what happened to one user: the last entry of each kind that still counts, -1 for none.
type net struct {
	was                     bool // there before the page
	added, updated, removed int
}

func (u *net) choose(keep []bool) {
	is := u.added > u.removed || u.was && u.removed < 0
	switch {
	case is && u.updated >= 0:
		keep[u.updated] = true
	case !is && !u.was:
		return
	}
	if u.was && u.removed >= 0 {
		keep[u.removed] = true
	}
	if is && u.added >= 0 {
		keep[u.added] = true
	}
}
