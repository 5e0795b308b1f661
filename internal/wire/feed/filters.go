package feed

import (
	"slices"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/filter"
)

// filter compiles what applies to one channel: the login's filters, each confined to what the key is entitled to.
func (m *Machine) filter(a *attach, name string, policy map[string]app.FeedFilter) (*filter.Set, *Refusal) {
	var spec filter.Spec
	for _, f := range sortedKeys(policy) {
		values, r := a.login.values(f)
		if r != nil {
			return nil, r
		}
		if confined, ok := a.key.Filters[f]; ok {
			values = intersect(values, confined)
		}
		a.note(f, values)
		if values != nil {
			spec.Clauses = append(spec.Clauses, filter.Clause{Path: policy[f].Path, Values: values, Exempt: exempt(policy[f].Exempt, name)})
		}
	}
	set, err := filter.Compile(spec)
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

// intersect confines what was asked for (nil: everything) to what is allowed.
func intersect(asked, allowed []string) []string {
	if asked == nil {
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

func exempt(patterns []string, name string) bool {
	compiled, err := channel.ParsePatterns(patterns)
	return err == nil && compiled.Match(name)
}
