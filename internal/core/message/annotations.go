package message

import (
	"slices"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// distinct is the way of counting that is folded: for each name the set of users who gave it. The namespace before it
// is the application's ("reactions:distinct.v1"). Annotations of other kinds change nothing yet.
const distinct = ":distinct.v1"

// Annotations are the folded annotations of a message, in order of their types. They are never changed in place: a fold
// makes new ones.
type Annotations []Summary

// Summary is what one type of annotations adds up to, in order of names.
type Summary struct {
	Type  string
	Names []Reaction
}

// Reaction is one name and the users who gave it, in order. Its count is len(Users).
type Reaction struct {
	Name  string
	Users []string
}

// Of gives the reactions of one type, nil when there are none.
func (a Annotations) Of(kind string) []Reaction {
	if i, ok := a.find(kind); ok {
		return a[i].Names
	}
	return nil
}

func (a Annotations) find(kind string) (int, bool) {
	return slices.BinarySearchFunc(a, kind, func(s Summary, k string) int { return strings.Compare(s.Type, k) })
}

func findName(names []Reaction, name string) (int, bool) {
	return slices.BinarySearchFunc(names, name, func(r Reaction, n string) int { return strings.Compare(r.Name, n) })
}

// apply gives the annotations after an Annotate or Unannotate entry. To add a user who is there, or to remove one who
// is not, changes nothing.
func (a Annotations) apply(e *stream.Entry) Annotations {
	if e.Annot == nil || !strings.HasSuffix(e.Annot.Type, distinct) {
		return a
	}
	kind, name := e.Annot.Type, e.Annot.Name
	var names []Reaction
	var users []string
	t, hasType := a.find(kind)
	if hasType {
		names = a[t].Names
	}
	n, hasName := findName(names, name)
	if hasName {
		users = names[n].Users
	}
	u, hasUser := slices.BinarySearch(users, e.User)
	add := e.Kind == stream.Annotate
	if add == hasUser {
		return a
	}
	if add {
		users = with(users, u, false, e.User)
	} else {
		users = without(users, u)
	}
	if len(users) > 0 {
		names = with(names, n, hasName, Reaction{Name: name, Users: users})
	} else {
		names = without(names, n)
	}
	if len(names) > 0 {
		return with(a, t, hasType, Summary{Type: kind, Names: names})
	}
	return without(a, t)
}

// with gives a copy of list with v inserted at i, or instead of what is there.
func with[L ~[]V, V any](list L, i int, instead bool, v V) L {
	c := make(L, 0, len(list)+1)
	c = append(append(c, list[:i]...), v)
	if instead {
		i++
	}
	return append(c, list[i:]...)
}

// without gives a copy of list that lacks its element i, nil when nothing is left.
func without[L ~[]V, V any](list L, i int) L {
	if len(list) == 1 {
		return nil
	}
	c := make(L, 0, len(list)-1)
	return append(append(c, list[:i]...), list[i+1:]...)
}
