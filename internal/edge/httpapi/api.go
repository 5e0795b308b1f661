// Package httpapi serves the HTTP server API: publishing, reading and changing channels on behalf of an app's backend.
//
//	request ─► route ─► app ─► body ─► credentials ─► limits ─► endpoint ─► node ─► JSON
//
// What requests and answers mean is in wire/serverapi; what happens to streams is in run/node. This package only joins
// them to net/http. Paths and queries are taken as they came, since signatures cover the raw text.
package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/run/node"
	"github.com/continuo-rt/continuo/internal/wire/serverapi"
)

// Options of an API.
type Options struct {
	Node *node.Node
	// Now gives unix ms.
	Now func() int64
	Log *slog.Logger
	// BodyLimit is the largest request body; 0 = 10 MiB.
	BodyLimit int64
	// Origins are patterns of the pages that may call the API; empty: those of the app.
	Origins []string
	// PlainBearer accepts Bearer secrets over plain HTTP from other machines too.
	PlainBearer bool
	// Development makes refused credentials say where the right ones are; what else it changes is in policies.
	Development bool
	// Presence answers who is in presence channels; nil: nobody is.
	Presence Presence
	// FeedKeys keeps the API keys of the feed; nil: there are none.
	FeedKeys FeedKeys
}

// Presence knows the members of presence channels. Its methods may be called concurrently; errors are faults.
type Presence interface {
	// Users lists the ids of the members, each once.
	Users(ctx context.Context, app, channel string) ([]string, error)
	// Count is how many there are.
	Count(ctx context.Context, app, channel string) (int, error)
}

// API is the handler of every path under /apps/. It may serve many requests at once.
type API struct {
	opts    Options
	origins *app.App // carries Options.Origins; nil: each app's own count
	keys    atomic.Pointer[keys]
	limits  limits
}

// New makes an API.
func New(o Options) *API {
	if o.BodyLimit <= 0 {
		o.BodyLimit = 10 << 20
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Presence == nil {
		o.Presence = nobody{}
	}
	return &API{opts: o, origins: compileOrigins(o.Origins, o.Log)}
}

type nobody struct{}

func (nobody) Users(context.Context, string, string) ([]string, error) { return nil, nil }
func (nobody) Count(context.Context, string, string) (int, error)      { return 0, nil }

// call is one request on its way through the API.
type call struct {
	api    *API
	w      http.ResponseWriter
	r      *http.Request
	app    *app.App
	path   string // raw
	query  auth.Query
	body   []byte // valid until the call returns
	params serverapi.Params
	match  match
	one    [1]node.Publish // of a request that publishes to one channel
	out    []byte
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := scratches.Get().(*scratch)
	c := &s.call
	*c = call{api: a, w: w, r: r, out: s.out[:0]}
	if err := c.serve(s); err != nil {
		c.fail(err)
	}
	s.release()
}

func (c *call) serve(s *scratch) error {
	target := c.r.RequestURI
	if target == "" {
		target = c.r.URL.RequestURI()
	}
	path, query := auth.SplitTarget(target)
	c.path = path
	var err error
	if c.match, err = find(path); err != nil {
		return err
	}
	found := false
	if c.app, found = c.api.opts.Node.Apps().ByID(c.match.app); !found {
		return fault.New(fault.AppNotFound, "there is no app %s", channel.Quote(c.match.app))
	}
	if c.cors() {
		return nil
	}
	e := c.match.route.endpoint(c.r.Method)
	if e == nil {
		return c.method()
	}
	if c.query, err = auth.ParseQuery(query); err != nil {
		return err
	}
	if c.body, err = readBody(c.r, s.in, c.api.opts.BodyLimit); err != nil {
		c.w.Header().Set("Connection", "close") // the rest of the body is not read
		return err
	}
	if err := c.authorize(); err != nil {
		return err
	}
	if c.params, err = serverapi.ParseParams(c.query, e.params...); err != nil {
		return err
	}
	if e.read {
		if err := c.api.limits.read(c); err != nil {
			return err
		}
	}
	if err := c.checkChannel(); err != nil {
		return err
	}
	return e.do(c)
}

// authorize proves the request's credentials.
func (c *call) authorize() error {
	if !c.app.Enabled {
		return fault.New(fault.AppDisabled, "the app %s is disabled", channel.Quote(c.app.ID))
	}
	request := auth.Request{App: c.app.ID, Method: c.r.Method, Path: c.path, Query: c.query, Body: c.body,
		Secure: c.secure()}
	if h := c.r.Header["Authorization"]; len(h) > 0 {
		request.Authorization = h[0]
	}
	_, err := request.Verify(c.api.lookup(), time.UnixMilli(c.api.opts.Now()))
	if err != nil && c.api.opts.Development && fault.KindOf(err) == fault.AuthFailed {
		f := *fault.Of(err)
		f.Msg += " (the server printed its key and secret when it started)"
		return &f
	}
	return err
}

// secure reports whether a secret may travel with the request: over TLS, or without leaving this machine.
func (c *call) secure() bool {
	return c.api.opts.PlainBearer || c.r.TLS != nil || local(c.r.RemoteAddr)
}

// checkChannel checks the channel of the path, if it has one.
func (c *call) checkChannel() error {
	if !c.match.hasChannel {
		return nil
	}
	_, err := channel.Parse(c.match.channel, c.app.Limits.ChannelNameLength)
	return err
}

var jsonType = []string{"application/json"}

// answer sends c.out.
func (c *call) answer(status int) error {
	h := c.w.Header()
	h["Content-Type"] = jsonType
	if len(c.out) > 2<<10 { // net/http counts shorter ones itself
		h.Set("Content-Length", strconv.Itoa(len(c.out)))
	}
	c.w.WriteHeader(status)
	_, _ = c.w.Write(c.out) // the client has gone: nobody is there to be told
	return nil
}

// fail answers with an error.
func (c *call) fail(err error) {
	f := fault.Of(err)
	if errors.Is(err, context.Canceled) && c.r.Context().Err() != nil {
		return // nobody listens any more
	}
	if f.Kind == fault.Internal {
		c.api.opts.Log.Error("a request failed", "method", c.r.Method, "path", c.path, "error", err)
		f = &fault.Error{Kind: fault.Internal, Msg: "internal server error"}
	}
	if f.Kind == fault.AuthFailed {
		c.w.Header().Set("WWW-Authenticate", `Bearer realm="continuo"`)
	}
	if wait := serverapi.RetryAfter(f); wait > 0 {
		c.w.Header().Set("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
	}
	c.out = serverapi.AppendError(c.out[:0], f)
	_ = c.answer(serverapi.Status(f.Kind))
}

// method answers a request whose path has no such method.
func (c *call) method() error {
	allowed := strings.Join(c.match.route.methods(), ", ")
	c.w.Header().Set("Allow", allowed)
	c.out = serverapi.AppendMethodError(c.out[:0], c.r.Method, allowed)
	return c.answer(http.StatusMethodNotAllowed)
}
