package feed

import (
	"slices"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/filter"
)

// filter compiles what applies to one channel: the login's filters, each confined to what the key is entitled to.
func (m *Machine) filter(name string, policy map[string]app.FeedFilter) (*filter.Set, *Refusal) {
	var spec filter.Spec
	for _, field := range sortedKeys(policy) {
		values, r := m.login.values(field)
		if r != nil {
			return nil, r
		}
		if confined, ok := m.key.Filters[field]; ok {
			values = intersect(values, confined)
		}
		m.fields[field] = values
		if values == nil {
			continue
		}
		f := policy[field]
		spec.Clauses = append(spec.Clauses, filter.Clause{Path: f.Path, Values: values, Exempt: exempt(f.Exempt, name)})
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

// intersect confines what was asked for (nil: everything) to what is allowed.
func intersect(asked, allowed []string) []string {
	if asked == nil {
		return slices.Clone(allowed)
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
