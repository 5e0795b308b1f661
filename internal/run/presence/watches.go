package presence

import (
	"slices"
	"sync"

	"github.com/continuo-rt/continuo/internal/core/session"
)

// watches are the users whom somebody wants to see come and go.
type watches struct {
	mu    sync.Mutex
	users map[person]*watched
	lists map[Session]watchlist
}

// person is a user of an app.
type person struct{ app, user string }

type watched struct {
	online bool
	by     map[Session]struct{}
}

type watchlist struct {
	app   string
	users []string
}

func (w *watches) init() {
	w.users, w.lists = map[person]*watched{}, map[Session]watchlist{}
}

func (g *Register) online(p person) bool {
	return g.opts.Online != nil && g.opts.Online(p.app, p.user)
}

// Watch answers session.Watch: who of the users is online, and from now on who comes and goes.
func (g *Register) Watch(app string, s Session, e session.Watch) session.Watched {
	users := slices.Clone(e.Users)
	slices.Sort(users)
	users = slices.Compact(users)
	w := &g.watches
	w.mu.Lock()
	defer w.mu.Unlock()
	w.remove(s)
	var out session.Watched
	for _, name := range users {
		p := person{app, name}
		u := w.users[p]
		if u == nil {
			u = &watched{online: g.online(p), by: map[Session]struct{}{}}
			w.users[p] = u
		}
		u.by[s] = struct{}{}
		if u.online {
			out.Online = append(out.Online, name)
		}
	}
	if len(users) > 0 {
		w.lists[s] = watchlist{app, users}
	}
	return out
}

func (w *watches) remove(s Session) {
	list, ok := w.lists[s]
	if !ok {
		return
	}
	delete(w.lists, s)
	for _, name := range list.users {
		p := person{list.app, name}
		if u := w.users[p]; u != nil {
			if delete(u.by, s); len(u.by) == 0 {
				delete(w.users, p)
			}
		}
	}
}

// Changed is called after a user's connection has come or gone: whether that changed anything for watchers is found out
// here, so calls may overlap.
func (g *Register) Changed(app, user string) {
	p := person{app, user}
	w := &g.watches
	w.mu.Lock()
	u := w.users[p]
	if u == nil {
		w.mu.Unlock()
		return
	}
	online := g.online(p)
	if online == u.online {
		w.mu.Unlock()
		return
	}
	u.online = online
	news := session.Watched{Offline: []string{user}}
	if online {
		news = session.Watched{Online: []string{user}}
	}
	for s := range u.by { // with the lock held, so that news keep their order; Post does not block
		s.Post(news)
	}
	w.mu.Unlock()
}

// Gone ends all that a session asked for. That it left its channels it has said by itself.
func (g *Register) Gone(s Session) {
	g.counts.gone(s)
	g.watches.mu.Lock()
	defer g.watches.mu.Unlock()
	g.watches.remove(s)
}
