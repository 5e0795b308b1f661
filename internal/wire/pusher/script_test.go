package pusher

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/wire/wiretest"
)

const vectors = "../../../spec/vectors/pusher"

func TestScripts(t *testing.T) { wiretest.Run(t, vectors, machineFor) }

func machineFor(query string, settings map[string]string) (session.Machine, error) {
	q, err := ParseQuery(query)
	if err != nil {
		return nil, err
	}
	a, err := testApp(settings)
	if err != nil {
		return nil, err
	}
	o := &Options{App: a, Keys: testKeys(), Query: q}
	if s := settings["activity"]; s != "" {
		n, _ := strconv.Atoi(s)
		o.Activity = time.Duration(n) * time.Second
	}
	return New(o), nil
}

func testKeys() auth.Lookup {
	key, err := auth.NewKey("app-id", "app-key", "app-secret", true)
	if err != nil {
		panic(err)
	}
	return func(id string) *auth.Key {
		if id == "app-key" {
			return key
		}
		return nil
	}
}

func testApp(settings map[string]string) (*app.App, error) {
	a := app.App{ID: "app-id", Enabled: true, Features: app.DefaultFeatures(app.Development),
		Keys: []app.Key{{Key: "app-key", Secret: "app-secret", Enabled: true}}}
	p := app.Default(app.Production)
	p.Presence.DropGrace = 0
	number := func(s string) int { n, _ := strconv.Atoi(s); return n }
	for key, value := range settings {
		switch key {
		case "mutable":
			p.Mutable = value == "true"
		case "log_client_events":
			p.LogClientEvents = value == "true"
		case "client_events":
			a.Features.ClientEvents = value == "true"
		case "subscription_count":
			a.Features.SubscriptionCount = value == "true"
		case "v2_data":
			a.Features.V2DataValue = value == "value"
		case "user_auth":
			a.Features.UserAuth = value == "true"
		case "recovery_entries":
			p.Recovery.Entries = uint64(number(value))
		case "unverified_resume":
			p.UnverifiedResume = value == "true"
		case "drop_grace_ms":
			p.Presence.DropGrace = time.Duration(number(value)) * time.Millisecond
		case "channels":
			a.Limits.ChannelsPerConnection = number(value)
		case "payload":
			a.Limits.PayloadBytes = number(value)
		case "event_name":
			a.Limits.EventNameLength = number(value)
		case "channel_name":
			a.Limits.ChannelNameLength = number(value)
		case "client_events_per_second":
			a.Limits.ClientEventsPerSecond = number(value)
		case "member_bytes":
			a.Limits.PresenceMemberBytes = number(value)
		case "watchlist":
			a.Limits.WatchlistSize = number(value)
		case "presence_updates_per_second":
			a.Limits.PresenceUpdatesPerSecond = number(value)
		case "subscribe":
			p.Subscribe = strings.Fields(strings.ReplaceAll(value, "nobody", ""))
		}
	}
	for name := range strings.FieldsSeq(settings["no_log"]) {
		no := p
		no.Pattern, no.NoLog = name, true
		a.Policies = append(a.Policies, no)
	}
	a.Policies = append(a.Policies, p)
	return app.New(a)
}
