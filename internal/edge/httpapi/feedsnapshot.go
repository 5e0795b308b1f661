package httpapi

import (
	"encoding/hex"
	"net/http"
	"slices"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/filter"
	"github.com/continuo-rt/continuo/internal/wire/feed"
	"github.com/continuo-rt/continuo/internal/wire/serverapi"
)

// feedSnapshotPrefix is where the snapshots of the feed face are.
const feedSnapshotPrefix = "/feed/snapshot/"

// FeedSnapshot serves GET /feed/snapshot/{channel}: the state of a channel in the words of the feed face, for the holder
// of one of its API keys.
func (a *API) FeedSnapshot(w http.ResponseWriter, r *http.Request) {
	s := scratches.Get().(*scratch)
	defer s.release()
	c := &s.call
	*c = call{api: a, w: w, r: r, out: s.out[:0]}
	if err := c.feedSnapshot(); err != nil {
		c.fail(err)
	}
}

func (c *call) feedSnapshot() error {
	path, query := auth.SplitTarget(c.r.RequestURI)
	c.path = path
	name, ok := strings.CutPrefix(path, feedSnapshotPrefix)
	if !ok || name == "" || strings.Contains(name, "/") {
		return notFound(path)
	}
	var err error
	if c.match.channel, err = decode(name); err != nil {
		return err
	}
	c.app = c.guessApp()
	if c.app != nil && c.cors() {
		return nil
	}
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		c.w.Header().Set("Allow", "GET, HEAD")
		c.out = serverapi.AppendMethodError(c.out[:0], c.r.Method, "GET, HEAD")
		return c.answer(http.StatusMethodNotAllowed)
	}
	if c.query, err = auth.ParseQuery(query); err != nil {
		return err
	}
	key, err := c.feedKey()
	if err != nil {
		return err
	}
	c.app = key.App
	policy := key.Policy(c.match.channel)
	if origin := c.r.Header.Get("Origin"); policy == nil || origin != "" && !c.app.AllowsOrigin(origin) {
		return fault.New(fault.Forbidden, "the API key is not entitled to the channel %s", channel.Quote(c.match.channel)).In("channel")
	}
	set, err := c.feedFilter(&key, policy)
	if err != nil {
		return err
	}
	if err := c.api.limits.read(c); err != nil {
		return err
	}
	return c.feedPage(set)
}

// guessApp finds an app for the questions that a browser asks before it shows the API key: one whose pages may ask.
func (c *call) guessApp() *app.App {
	origin := c.r.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	for a := range c.api.opts.Node.Apps().All() {
		if a.AllowsOrigin(origin) {
			return a
		}
	}
	return nil
}

// feedKey proves the request's API key: a Bearer credential, or the query parameter apiKey.
func (c *call) feedKey() (feed.Entitlement, error) {
	given := ""
	if scheme, token, ok := strings.Cut(c.r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		given = strings.TrimSpace(token)
	} else if i := slices.IndexFunc(c.query, func(p auth.Param) bool { return p.Name == "apiKey" }); i >= 0 {
		given = c.query[i].Value
	}
	if given == "" || c.api.opts.FeedKeys == nil {
		return feed.Entitlement{}, fault.New(fault.AuthFailed, "an API key is expected: send Authorization: Bearer <apiKey>, or the query parameter apiKey")
	}
	return c.api.opts.FeedKeys.Resolve(given)
}

// feedFilter reads the query: the parameters of a snapshot, and the channel's filters, each a list with commas or a JSON
// array.
func (c *call) feedFilter(key *feed.Entitlement, policy *app.Policy) (*filter.Set, error) {
	known := []string{"apiKey", "limit", "cursor", "prefix", "at_serial", "at_time_ms"}
	for field := range policy.Feed.Filters {
		known = append(known, field)
	}
	slices.Sort(known)
	var err error
	if c.params, err = serverapi.ParseParams(c.query, known...); err != nil {
		return nil, err
	}
	values := map[string][]string{}
	for field := range policy.Feed.Filters {
		asked, err := filterParam(c.params.Text(field))
		if err != nil {
			return nil, fault.Of(err).In(field)
		}
		if asked == nil && slices.ContainsFunc(c.query, func(p auth.Param) bool { return p.Name == field }) {
			return nil, fault.New(fault.Invalid, "the filter %s is empty: leave it out, or list values", channel.Quote(field)).In(field)
		}
		values[field] = key.Confine(field, asked)
	}
	return feed.Compile(c.match.channel, policy.Feed.Filters, values)
}

func filterParam(text string) ([]string, error) {
	switch {
	case text == "":
		return nil, nil
	case text[0] == '[':
		return filter.ParseValues([]byte(text))
	}
	values := strings.Split(text, ",")
	if len(values) > filter.MaxValues {
		return nil, fault.New(fault.Invalid, "a filter has %d values, more than the %d allowed", len(values), filter.MaxValues)
	}
	return values, nil
}

// feedPage answers with one page. Its cursors are good with the same filters only.
func (c *call) feedPage(set *filter.Set) error {
	seal := serverapi.NewSeal(c.app.ID, c.app.Keys[0].Secret+"\x00feed\x00"+set.Key())
	asked, err := serverapi.ParseSnapshot(&c.params, seal, c.match.channel, c.app.Limits.SnapshotPage, c.api.opts.Now())
	if err != nil {
		return err
	}
	at, floor, err := c.pin(&asked)
	if err != nil {
		return err
	}
	epoch, id := c.api.opts.Node.Store().Info().Epoch, at.At
	if id.Serial == 0 {
		id.Time = c.api.opts.Now() // as in login_ok: a valid cursor of a channel that has no entry
	}
	tag := strings.TrimSuffix(asked.Tag(at.Stream, at.At, floor), `"`) + "-" + hex.EncodeToString([]byte(set.Key())) + `"`
	given := c.r.Header.Get("If-None-Match")
	if given != "" && serverapi.Matches(given, tag) {
		c.feedPosition(tag, epoch, id.String())
		c.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	items, next, err := c.snapshotPart(&asked, at, seal)
	if err != nil {
		return err
	}
	c.out = feed.AppendSnapshot(c.out, &feed.Snapshot{Channel: c.match.channel, Epoch: epoch, At: id, Items: items, Filter: set, Next: next})
	c.feedPosition(tag, epoch, id.String())
	return c.answer(http.StatusOK)
}

func (c *call) feedPosition(tag, epoch, id string) {
	h := c.w.Header()
	h["Etag"] = []string{tag}
	h.Set("X-Server-Epoch", epoch)
	h.Set("X-Entry-Id", id)
	h.Set("Cache-Control", "private, no-cache")
	h.Add("Vary", "Authorization")
}
