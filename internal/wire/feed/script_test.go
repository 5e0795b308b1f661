package feed

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/filter"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/wire/wiretest"
)

const (
	vectors = "../../../spec/vectors/feed"
	epoch   = "0804ab61513c4681a3afd8afc1fb2f75"
)

func TestScripts(t *testing.T) { wiretest.Run(t, vectors, machineFor) }

func machineFor(_ string, settings map[string]string) (session.Machine, error) {
	o, err := testOptions(settings)
	if err != nil {
		return nil, err
	}
	return New(o), nil
}

// testOptions knows a few API keys, of an app with the settings of a script.
func testOptions(settings map[string]string) (*Options, error) {
	a, err := testApp(settings)
	if err != nil {
		return nil, err
	}
	keys := map[string]Entitlement{
		"desk.s3cret":     {ID: "desk", Label: "desk-7", Channels: patterns("fixtures", "scores", "odds-*", "bookmakers", "quiet", "closed", "private-x")},
		"wild.s3cret":     {ID: "wild", Label: "wild", Channels: patterns("*")},
		"one.s3cret":      {ID: "one", Label: "one", Channels: patterns("*"), Connections: 1},
		"confined.s3cret": {ID: "confined", Label: "c", Channels: patterns("*"), Filters: map[string][]string{"sportIds": {"1", "2"}}, Access: map[string]bool{"pregame": false, "props": true}},
		"late.s3cret":     {ID: "late", Label: "late", Channels: patterns("fixtures"), Expires: 1_787_000_060_000},
	}
	sets := map[string]*filter.Set{}
	return &Options{Epoch: epoch,
		Resolve: func(given string) (Entitlement, error) {
			switch e, ok := keys[given]; {
			case ok:
				e.App = a
				return e, nil
			case given == "gone.s3cret":
				return e, fault.New(fault.AuthFailed, "the API key %q was refused: %w", "gone", auth.ErrRevoked)
			case given == "broken":
				return e, fault.New(fault.Unavailable, "the keys cannot be read")
			case given == "busy":
				return e, fault.New(fault.Backpressure, "too many logins at once")
			}
			return Entitlement{}, fault.New(fault.AuthFailed, "the API key is not known")
		},
		Intern: func(s *filter.Set) *filter.Set {
			if known := sets[s.Key()]; known != nil {
				return known
			}
			sets[s.Key()] = s
			return s
		}}, nil
}

func patterns(list ...string) channel.Patterns {
	ps, err := channel.ParsePatterns(list)
	if err != nil {
		panic(err)
	}
	return ps
}

func testApp(settings map[string]string) (*app.App, error) {
	a := app.App{ID: "app-id", Enabled: true, Keys: []app.Key{{Key: "app-key", Secret: "app-secret", Enabled: true}}}
	p := app.Default(app.Production)
	p.Mutable = true
	number := func(s string) int { n, _ := strconv.Atoi(s); return n }
	for key, value := range settings {
		switch key {
		case "recovery_entries":
			p.Recovery.Entries = uint64(number(value))
		case "recovery_ms":
			p.Recovery.Age = time.Duration(number(value)) * time.Millisecond
		case "retention_ms":
			p.Retention.Age = time.Duration(number(value)) * time.Millisecond
		case "strict_window":
			p.Feed.StrictWindow = value == "true"
		case "channels":
			a.Limits.ChannelsPerConnection = number(value)
		case "filters":
			p.Feed.Filters = map[string]app.FeedFilter{"sportIds": {Path: "/sportId"}, "fixtureIds": {Path: "/fixture/id", Exempt: []string{"bookmakers"}}}
		}
	}
	closed := p
	closed.Pattern, closed.Feed.Enabled = "closed", false
	a.Policies = append(a.Policies, closed)
	names := slices.Collect(strings.FieldsSeq(settings["no_log"]))
	for _, name := range names {
		no := p
		no.Pattern, no.NoLog, no.Mutable, no.Feed.StrictWindow, no.Recovery = name, true, false, false, app.Policy{}.Recovery
		a.Policies = append(a.Policies, no)
	}
	a.Policies = append(a.Policies, p)
	return app.New(a)
}
