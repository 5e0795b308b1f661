// Package jwks keeps the public keys of token issuers: read from files and URLs, cached, and read again when they rotate.
package jwks

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"net/http"
	"sync"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/wire/token"
)

// Options of a Cache. The zero value works.
type Options struct {
	Client *http.Client     // nil: one of its own, that follows no redirect to another scheme
	Now    func() time.Time // nil: time.Now
	// Fresh is how long a set from a URL is good; 0 = 15 minutes. Files are read again after 5 seconds.
	Fresh time.Duration
	// Stale is how long a set is used whose source cannot be read any more; 0 = 24 h.
	Stale time.Duration
	// Retry is the least time between two reads of one source, whoever asks for keys that it does not have; 0 = 10 s.
	Retry time.Duration
	// Timeout bounds one read; 0 = 10 s.
	Timeout time.Duration
	// Failed is called when a source could not be read; nil: nobody asks.
	Failed func(source string, err error)
}

// MaxBytes is the largest set that is read.
const MaxBytes = 256 << 10

// MaxKeys is how many keys a set may have: each may be tried for a token that names none.
const MaxKeys = 100

const freshFile = 5 * time.Second

// Cache holds the sets of all sources that tokens were checked with. Its methods may be called concurrently.
type Cache struct {
	opts Options
	mu   sync.Mutex
	sets map[string]*set
}

// set is the keys of one source.
type set struct {
	reading sync.Mutex // one read at a time

	mu    sync.Mutex
	keys  []key
	read  time.Time // when keys were read; zero: never
	tried time.Time // when a read was last begun
	err   error     // of the last read
}

type key struct {
	id, alg string
	public  crypto.PublicKey
}

// New makes an empty cache.
func New(o Options) *Cache {
	if o.Now == nil {
		o.Now = time.Now
	}
	for _, d := range []struct {
		value     *time.Duration
		otherwise time.Duration
	}{{&o.Fresh, 15 * time.Minute}, {&o.Stale, 24 * time.Hour}, {&o.Retry, 10 * time.Second}, {&o.Timeout, 10 * time.Second}} {
		if *d.value == 0 {
			*d.value = d.otherwise
		}
	}
	if o.Client == nil {
		o.Client = &http.Client{CheckRedirect: sameScheme}
	}
	return &Cache{opts: o, sets: map[string]*set{}}
}

// Keys finds the keys of an app's source that may have made a token; none is no error. It blocks while the source is
// read, but never when there are keys of it that fit. The fault is Unavailable when there is nothing to look in.
func (c *Cache) Keys(of app.RoomsAuth, h token.Header) ([]crypto.PublicKey, error) {
	source, fresh, retry := of.JWKSURL, c.opts.Fresh, c.opts.Retry
	file := source == ""
	if file {
		source, fresh, retry = of.JWKSFile, freshFile, min(freshFile, c.opts.Retry)
	}
	s := c.set(source)
	found, age, known := s.find(h, c.opts.Now())
	switch {
	case known && age < fresh && len(found) > 0:
		return found, nil
	case known && age < c.opts.Stale && len(found) > 0:
		if s.reading.TryLock() { // one caller reads anew; the others go on with what there is
			c.read(s, source, file, retry)
			s.reading.Unlock()
		}
	default:
		s.reading.Lock()
		c.read(s, source, file, retry)
		s.reading.Unlock()
	}
	found, age, known = s.find(h, c.opts.Now())
	if !known || age >= c.opts.Stale {
		return nil, fault.New(fault.Unavailable, "the keys for tokens cannot be read now: %w", s.why())
	}
	return found, nil
}

func (c *Cache) set(source string) *set {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.sets[source]
	if s == nil {
		s = &set{}
		c.sets[source] = s
	}
	return s
}

// read reads the source unless that was done a moment ago; s.reading is held.
func (c *Cache) read(s *set, source string, file bool, retry time.Duration) {
	now := c.opts.Now()
	s.mu.Lock()
	early := !s.tried.IsZero() && now.Sub(s.tried) < retry
	if !early {
		s.tried = now
	}
	s.mu.Unlock()
	if early {
		return
	}
	keys, err := c.fetch(source, file)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	if err == nil {
		s.keys, s.read = keys, now
	} else if c.opts.Failed != nil {
		c.opts.Failed(source, err)
	}
}

func (s *set) why() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// find looks for the keys that may have made a token; known is false when the source was never read.
func (s *set) find(h token.Header, now time.Time) (found []crypto.PublicKey, age time.Duration, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.keys {
		if (h.Kid == "" || k.id == h.Kid) && (k.alg == "" || k.alg == h.Alg) && family(k.public) == h.Alg {
			found = append(found, k.public)
		}
	}
	return found, now.Sub(s.read), !s.read.IsZero()
}

// family is the one algorithm that a key is used for here; empty: none.
func family(k crypto.PublicKey) string {
	switch k.(type) {
	case *rsa.PublicKey:
		return "RS256"
	case *ecdsa.PublicKey:
		return "ES256"
	case ed25519.PublicKey:
		return "EdDSA"
	}
	return ""
}
