package node

import (
	"maps"
	"slices"
	"sync"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
)

// Session is one connected client, whatever face it speaks. Post must not block.
type Session interface {
	ID() string
	Post(in session.Input)
}

// Sessions is the register of the sessions that are connected to this node. All methods may be called concurrently.
type Sessions struct {
	mu    sync.RWMutex
	apps  map[string]*tenants
	total int
}

type tenants struct {
	byID   map[string]Session
	byUser map[string]map[string]Session
	users  map[string]string // session id → user
	// A session that goes by the id of an earlier one: adopted finds it by that id, as gives that id by its own.
	adopted map[string]Session
	as      map[string]string
}

// NewSessions makes an empty register.
func NewSessions() *Sessions { return &Sessions{apps: map[string]*tenants{}} }

// Add registers a session of an app. limit is how many the app may have at once, 0 without limit: beyond it the answer
// is LimitExceeded.
func (s *Sessions) Add(app string, one Session, limit int) error {
	return s.Admit(app, one, limit, "", 0)
}

// Admit registers a session of an app that is a user's from the start. userLimit is how many the user may have at once,
// 0 without limit.
func (s *Sessions) Admit(app string, one Session, limit int, user string, userLimit int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.apps[app]
	if t == nil {
		t = &tenants{byID: map[string]Session{}, byUser: map[string]map[string]Session{}, users: map[string]string{}}
	}
	if limit > 0 && len(t.byID) >= limit {
		return fault.New(fault.LimitExceeded, "the app has the %d connections that it may have", limit)
	}
	if userLimit > 0 && len(t.byUser[user]) >= userLimit {
		return fault.New(fault.LimitExceeded, "there are %d connections already, as many as there may be", userLimit)
	}
	s.apps[app] = t
	t.byID[one.ID()] = one
	s.total++
	if user != "" {
		t.identify(one, user)
	}
	return nil
}

// Remove forgets a session.
func (s *Sessions) Remove(app string, one Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.apps[app]
	if t == nil || t.byID[one.ID()] != one {
		return
	}
	delete(t.byID, one.ID())
	s.total--
	t.forgetUser(one.ID())
	t.disown(one)
	if len(t.byID) == 0 {
		delete(s.apps, app)
	}
}

// Adopt lets a session go by the id that its client had in an earlier session, too. It returns whoever goes by that id
// now, nil if nobody does: the caller ends that one.
func (s *Sessions) Adopt(app string, one Session, id string) (holder Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.apps[app]
	if t == nil || t.byID[one.ID()] != one {
		return nil
	}
	if holder = t.find(id); holder == one {
		return nil
	}
	t.disown(one)
	if t.adopted == nil {
		t.adopted, t.as = map[string]Session{}, map[string]string{}
	}
	t.adopted[id], t.as[one.ID()] = one, id
	return holder
}

// find looks for who goes by an id.
func (t *tenants) find(id string) Session {
	if one := t.adopted[id]; one != nil {
		return one
	}
	return t.byID[id]
}

// disown takes the id of an earlier session from one.
func (t *tenants) disown(one Session) {
	if id, ok := t.as[one.ID()]; ok {
		delete(t.as, one.ID())
		if t.adopted[id] == one {
			delete(t.adopted, id)
		}
	}
}

func (t *tenants) forgetUser(id string) {
	user, ok := t.users[id]
	if !ok {
		return
	}
	delete(t.users, id)
	delete(t.byUser[user], id)
	if len(t.byUser[user]) == 0 {
		delete(t.byUser, user)
	}
}

// Identify notes whose session this is. first reports that the user had none before.
func (s *Sessions) Identify(app string, one Session, user string) (first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.apps[app]
	if t == nil || t.byID[one.ID()] != one {
		return false
	}
	t.forgetUser(one.ID())
	return t.identify(one, user) == 1
}

// identify notes whose session this is and gives the number of the user's sessions.
func (t *tenants) identify(one Session, user string) int {
	t.users[one.ID()] = user
	of := t.byUser[user]
	if of == nil {
		of = map[string]Session{}
		t.byUser[user] = of
	}
	of[one.ID()] = one
	return len(of)
}

// ByID finds a session of an app.
func (s *Sessions) ByID(app, id string) (Session, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if t := s.apps[app]; t != nil {
		one := t.find(id)
		return one, one != nil
	}
	return nil, false
}

// User is who a session has been identified as, empty when nobody.
func (s *Sessions) User(app, id string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if t := s.apps[app]; t != nil {
		return t.users[id]
	}
	return ""
}

// OfUser lists a user's sessions.
func (s *Sessions) OfUser(app, user string) []Session {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t := s.apps[app]
	if t == nil {
		return nil
	}
	all := make([]Session, 0, len(t.byUser[user]))
	for _, one := range t.byUser[user] {
		all = append(all, one)
	}
	return all
}

// Online reports whether a user has a session.
func (s *Sessions) Online(app, user string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t := s.apps[app]
	return t != nil && len(t.byUser[user]) > 0
}

// All lists every session of every app.
func (s *Sessions) All() []Session {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]Session, 0, s.total)
	for _, t := range s.apps {
		for _, one := range t.byID {
			all = append(all, one)
		}
	}
	return all
}

// Of lists every session of an app.
func (s *Sessions) Of(app string) []Session {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t := s.apps[app]
	if t == nil {
		return nil
	}
	return slices.Collect(maps.Values(t.byID))
}

// Len is how many sessions are connected.
func (s *Sessions) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.total
}
