package rooms

import (
	"maps"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/wire/wiretest"
)

const vectors = "../../../spec/vectors/rooms"

func TestScripts(t *testing.T) {
	servers := map[uintptr]*server{} // by scene: each has a map of settings of its own
	wiretest.Run(t, vectors, func(query string, settings map[string]string) (session.Machine, error) {
		scene := reflect.ValueOf(settings).Pointer()
		if servers[scene] == nil {
			servers[scene] = newServer()
		}
		servers[scene].unknown = settings["outcome"] == "unknown"
		keep = append(keep, settings)
		m, err := machineFor(query, settings)
		if err != nil {
			return nil, err
		}
		return &host{Machine: m, server: servers[scene]}, nil
	})
}

// keep holds the settings of all scenes, so that no two of them have the same address.
var keep []map[string]string

func machineFor(query string, settings map[string]string) (*Machine, error) {
	a, err := testApp(settings)
	if err != nil {
		return nil, err
	}
	o := &Options{App: a, Seal: [32]byte{1}, Heartbeat: 25 * time.Second}
	if query == "anonymous" {
		return New(o, auth.NewAnonymous(a.ID, func(name string) auth.Right {
			can, _ := auth.ParseRights(a.Policy(name).Anonymous)
			return can
		})), nil
	}
	g, err := grantOf(query, began)
	if err != nil {
		return nil, err
	}
	return New(o, g), nil
}

func testApp(settings map[string]string) (*app.App, error) {
	a := app.App{ID: "app-id", Enabled: true, Keys: []app.Key{{Key: "app-key", Secret: "app-secret", Enabled: true}}}
	p := app.Default(app.Production)
	p.Mutable = true
	p.Presence.DropGrace = 15 * time.Second
	number := func(s string) int { n, _ := strconv.Atoi(s); return n }
	for key, value := range settings {
		switch key {
		case "anonymous":
			p.Anonymous = strings.Fields(value)
		case "snapshot_url":
			p.SnapshotURL = value
		case "unverified_resume":
			p.UnverifiedResume = value == "true"
		case "durability":
			p.Durability, _ = stream.ParseDurability(value)
		case "recovery_entries":
			p.Recovery.Entries = uint64(number(value))
		case "rooms":
			a.Limits.ChannelsPerConnection = number(value)
		case "payload":
			a.Limits.PayloadBytes = number(value)
		case "event_name":
			a.Limits.EventNameLength = number(value)
		case "sends_per_second":
			a.Limits.ClientEventsPerSecond = number(value)
		case "member_bytes":
			a.Limits.PresenceMemberBytes = number(value)
		case "updates_per_second":
			a.Limits.PresenceUpdatesPerSecond = number(value)
		case "history_page":
			a.Limits.HistoryPage = number(value)
		case "subscribe":
			p.Subscribe = strings.Fields(strings.ReplaceAll(value, "nobody", ""))
		case "publish":
			p.Publish = strings.Fields(value)
		}
	}
	for name := range strings.FieldsSeq(settings["no_log"]) {
		no := p
		no.Pattern, no.NoLog, no.Mutable = name, true, false
		a.Policies = append(a.Policies, no)
	}
	a.Policies = append(a.Policies, p)
	return app.New(a)
}

// TestEveryKindIsScripted demands that the vectors hold every request that clients may make.
func TestEveryKindIsScripted(t *testing.T) {
	missing := maps.Clone(handlers)
	for _, frame := range wiretest.Clients(vectors) {
		if r, err := Decode([]byte(frame)); err == nil {
			delete(missing, r.Kind)
		}
	}
	for kind := range missing {
		t.Errorf("no vector has a %s", kind)
	}
}
