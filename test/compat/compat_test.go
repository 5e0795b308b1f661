// Package compat keeps spec/compatibility.md: which libraries, at which versions, are run against the real server, and
// by which test each of their features is.
//
// The versions come from the lock files and every cell names a test that must be there, so the page cannot promise what
// nothing tests. Write it anew with: go test ./test/compat -update
package compat

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write spec/compatibility.md")

const (
	root = "../.."
	page = "spec/compatibility.md"
)

// library is one library and the tests that run it, by feature.
type library struct {
	name, registry string
	file           string // of its tests
	tests          map[string]string
}

// features are the rows of the two tables, in order.
var (
	clientFeatures = []string{"public channels", "private channels", "refused signatures", "presence, several members and tabs", "encrypted channels",
		"cache channels", "client events", "notifications", "sign-in, messages to a user", "terminated by the application", "back after a kill of the server",
		"recovery without loss", "recovery refused in plain words", "rewind", "messages that change", "history", "presence history"}
	serverFeatures = []string{"publish", "batches", "channel queries", "users of a presence channel", "messages to a user",
		"terminating connections", "wrong secret refused", "encrypted events", "history: pages, state, purge, reset", "messages: changes and versions",
		"presence history and snapshots"}
)

var clients = []library{
	{"pusher-js", "npm", "test/js/pusher-js.test.js", map[string]string{
		"public channels":                    "a public channel: subscribe, publish, exclude the sender",
		"private channels":                   "a private channel and client events",
		"refused signatures":                 "a wrong signature is refused and the connection lives on",
		"presence, several members and tabs": "presence: several members, two tabs of one user",
		"encrypted channels":                 "an encrypted channel is relayed as it is",
		"cache channels":                     "a cache channel gives the newest event, or a miss",
		"client events":                      "a private channel and client events",
		"sign-in, messages to a user":        "signin, messages to a user, terminate",
		"terminated by the application":      "signin, messages to a user, terminate",
		"back after a kill of the server":    "clients come back after a restart of the server",
	}},
	{"laravel-echo", "npm", "test/js/echo.test.js", map[string]string{
		"public channels":                    "a public channel: events by their class names",
		"private channels":                   "a private channel and whispers",
		"refused signatures":                 "a private channel that is refused",
		"presence, several members and tabs": "a presence channel: here, joining, leaving",
		"encrypted channels":                 "an encrypted channel",
		"client events":                      "a private channel and whispers",
		"notifications":                      "notifications",
		"back after a kill of the server":    "a page comes back after a restart of the server",
	}},
	{"Pysher", "PyPI", "test/python/test_pusher.py", map[string]string{
		"public channels":                    "test_public",
		"private channels":                   "test_private_signed_by_the_client",
		"presence, several members and tabs": "test_presence",
		"back after a kill of the server":    "test_reconnect_after_a_kill",
	}},
	{"sockudo-python", "PyPI", "test/python/test_sockudo.py", map[string]string{
		"public channels":                 "test_recovery",
		"private channels":                "test_recovery",
		"back after a kill of the server": "test_recovery_over_a_kill_of_the_server",
		"recovery without loss":           "test_recovery_of_several_channels",
		"recovery refused in plain words": "test_what_cannot_be_recovered_is_told",
		"rewind":                          "test_rewind",
		"messages that change":            "test_a_message_that_grows",
		"history":                         "test_history_through_the_proxy",
	}},
}

var servers = []library{
	{"pusher", "npm", "test/js/pusher-js.test.js", map[string]string{
		"publish":                     "a public channel: subscribe, publish, exclude the sender",
		"batches":                     "batches, channel queries and info",
		"channel queries":             "batches, channel queries and info",
		"users of a presence channel": "presence: several members, two tabs of one user",
		"messages to a user":          "signin, messages to a user, terminate",
		"terminating connections":     "signin, messages to a user, terminate",
		"encrypted events":            "an encrypted channel is relayed as it is",
	}},
	{"pusher", "PyPI", "test/python/test_pusher.py", map[string]string{
		"publish":                     "test_public",
		"batches":                     "test_several_channels_and_a_batch",
		"channel queries":             "test_queries",
		"users of a presence channel": "test_presence",
		"wrong secret refused":        "test_wrong_secret_is_refused",
	}},
	{"sockudo-http-python", "PyPI", "test/python/test_sockudo.py", map[string]string{
		"publish":                             "test_recovery",
		"history: pages, state, purge, reset": "test_http_history",
		"messages: changes and versions":      "test_http_versions",
	}},
}

// elsewhere are tests of a library in a file that is about something else.
var elsewhere = map[string]map[string][2]string{
	"sockudo-python":      {"presence history": {"test/python/test_presence.py", "test_the_client_sdk_through_the_proxy"}},
	"sockudo-http-python": {"presence history and snapshots": {"test/python/test_presence.py", "test_snapshots"}},
}

func TestTable(t *testing.T) {
	got := render(t)
	path := filepath.Join(root, page)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Fatalf("%s does not say what the tests and the lock files do; write it anew with: go test ./test/compat -update", page)
	}
}

func render(t *testing.T) string {
	var b strings.Builder
	b.WriteString("# Compatibility\n\n" +
		"Libraries that are run, unchanged, against the real server by the tests of this repository. A mark is a feature that a test of the\n" +
		"library uses; where there is none, the library does not have the feature or no test uses it. This page is made from the tests and\n" +
		"their lock files (`go test ./test/compat -update`); a test compares.\n\n## Clients\n\n")
	table(t, &b, clients, clientFeatures)
	b.WriteString("\n## Server libraries\n\n")
	table(t, &b, servers, serverFeatures)
	b.WriteString("\n## Tests\n\n| library | feature | test |\n|---|---|---|\n")
	for i, l := range slices.Concat(clients, servers) {
		features := clientFeatures
		if i >= len(clients) {
			features = serverFeatures
		}
		for _, f := range features {
			if file, name, ok := l.test(f); ok {
				fmt.Fprintf(&b, "| %s (%s) | %s | `%s`: %s |\n", l.name, l.registry, f, strings.TrimPrefix(file, "test/"), name)
			}
		}
	}
	return b.String()
}

func table(t *testing.T, b *strings.Builder, all []library, features []string) {
	b.WriteString("| |")
	for _, l := range all {
		fmt.Fprintf(b, " %s %s (%s) |", l.name, l.version(t), l.registry)
		l.check(t, features)
	}
	b.WriteString("\n|---|" + strings.Repeat(":-:|", len(all)) + "\n")
	for _, f := range features {
		fmt.Fprintf(b, "| %s |", f)
		for _, l := range all {
			if _, _, ok := l.test(f); ok {
				b.WriteString(" ✓ |")
			} else {
				b.WriteString(" |")
			}
		}
		b.WriteString("\n")
	}
}

// test is the test of a feature.
func (l *library) test(feature string) (file, name string, ok bool) {
	if name, ok = l.tests[feature]; ok {
		return l.file, name, true
	}
	other, ok := elsewhere[l.name][feature]
	return other[0], other[1], ok
}

// check looks for every test that the library's cells name.
func (l *library) check(t *testing.T, features []string) {
	t.Helper()
	for feature := range l.tests {
		if !slices.Contains(features, feature) {
			t.Errorf("%s: no table has the feature %q", l.name, feature)
		}
	}
	for _, f := range features {
		file, name, ok := l.test(f)
		if !ok {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), fmt.Sprintf("test(%q", name)) && !strings.Contains(string(text), "def "+name+"(") {
			t.Errorf("%s: there is no test %q in %s", l.name, name, file)
		}
	}
}

// version is the version of the lock file.
func (l *library) version(t *testing.T) string {
	t.Helper()
	if l.registry == "npm" {
		text, err := os.ReadFile(filepath.Join(root, "test/js/package-lock.json"))
		if err != nil {
			t.Fatal(err)
		}
		var lock struct {
			Packages map[string]struct{ Version string }
		}
		if err := json.Unmarshal(text, &lock); err != nil {
			t.Fatal(err)
		}
		if v := lock.Packages["node_modules/"+l.name].Version; v != "" {
			return v
		}
	} else {
		text, err := os.ReadFile(filepath.Join(root, "test/python/requirements.lock"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), l.name+"=="); ok {
				return v
			}
		}
	}
	t.Fatalf("no lock file has %s", l.name)
	return ""
}
