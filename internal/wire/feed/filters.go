package feed

import (
	"slices"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/filter"
)

// Policy gives the policy of a channel that the key may follow in a feed, else nil. Where the key is confined to values
// of a filter that the channel does not have, nothing would confine it, so it may not.
func (e *Entitlement) Policy(name string) *app.Policy {
	if _, err := channel.Parse(name, e.App.Limits.ChannelNameLength); err != nil || !e.Channels.Match(name) {
		return nil
	}
	policy := e.App.Policy(name)
	if !policy.Feed.Enabled || !policy.ClientsSubscribe() {
		return nil
	}
	for confined := range e.Filters {
		if _, ok := policy.Feed.Filters[confined]; !ok {
			return nil
		}
	}
	return policy
}

// Confine gives the values that a filter field may have for the key, of those that were asked for (nil: all).
func (e *Entitlement) Confine(field string, asked []string) []string {
	allowed, ok := e.Filters[field]
	switch {
	case !ok:
		return asked
	case asked == nil:
		return append([]string{}, allowed...)
	}
	both := []string{}
	for _, v := range asked {
		if slices.Contains(allowed, v) {
			both = append(both, v)
		}
	}
	return both
}

// Compile prepares the filters of a policy for one channel: values has the list of each field that filters.
func Compile(name string, policy map[string]app.FeedFilter, values map[string][]string) (*filter.Set, error) {
	var spec filter.Spec
	for _, field := range sortedKeys(policy) {
		if list := values[field]; list != nil {
			f := policy[field]
			spec.Clauses = append(spec.Clauses, filter.Clause{Path: f.Path, Values: list, Exempt: exempt(f.Exempt, name)})
		}
	}
	return filter.Compile(spec)
}

func exempt(patterns []string, name string) bool {
	compiled, err := channel.ParsePatterns(patterns)
	return err == nil && compiled.Match(name)
}

// filter compiles what applies to one channel of a login.
func (m *Machine) filter(a *attach, name string, policy map[string]app.FeedFilter) (*filter.Set, *Refusal) {
	values := make(map[string][]string, len(policy))
	for _, field := range sortedKeys(policy) {
		asked, r := a.login.values(field)
		if r != nil {
			return nil, r
		}
		values[field] = a.key.Confine(field, asked)
		a.note(field, values[field])
	}
	set, err := Compile(name, policy, values)
	if err != nil {
		return nil, invalid("filters", "%v", err)
	}
	if set == nil {
		return nil, nil
	}
	return m.opts.Intern(set), nil
}

// note remembers a filter for login_ok.
func (a *attach) note(name string, values []string) {
	if !slices.ContainsFunc(a.fields, func(f field) bool { return f.name == name }) {
		a.fields = append(a.fields, field{name, values})
	}
}
