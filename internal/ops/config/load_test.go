package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
)

func TestTenFaults(t *testing.T) {
	_, problems := Load(Sources{File: filepath.Join("testdata", "ten.yaml")})
	want, err := os.ReadFile(filepath.Join("testdata", "ten.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if got := problems.Error() + "\n"; filepath.ToSlash(got) != string(want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if n := len(problems.Faults()); n != 10 {
		t.Errorf("%d faults, want 10", n)
	}
	if problems.Err() == nil {
		t.Error("no error")
	}
}

// goodApp is the least that a production configuration needs.
const goodApp = `
apps:
  - id: a
    keys: [{key: k, secret: 0123456789abcdef0123456789abcdef}]
`

// faults are judged by a file alone: want holds parts of the problems, in order; none means that it must be clean.
func TestLoadFile(t *testing.T) {
	tests := []struct {
		name, file string
		want       []string
	}{
		{"empty", "", nil},
		{"comments only", "# nothing\n", nil},
		{"null values leave defaults", "listen:\nstore:\napps:\n", nil},
		{"an app", goodApp, nil},
		{"short forms", "store: memory\nmetrics: false\ntrace: http://127.0.0.1:4318\n", nil},
		{"not a mapping", "- a\n- b\n", []string{"f:1:1: a list stands where keys"}},
		{"not YAML", "listen: [1\nstore: x\n", []string{"f:1:1: this is not YAML"}},
		{"a tab", "store:\n\tengine: disk\n", []string{"f:2:1: this is not YAML: found character that cannot start any token (indent with spaces"}},
		{"two documents", "listen: :1\n---\nlisten: :2\n", []string{"a second document"}},
		{"the same key twice", "data: a\ndata: b\n", []string{"f:2:1: data: the key is already set in line 1"}},
		{"nearest key", "store:\n  free-reserv: 1GiB\n", []string{"f:2:3: store.free-reserv: there is no such key (did you mean free_reserve?)"}},
		{"key of another server", "port: 6001\n", []string{"listen: HOST:PORT"}},
		{"list as section", "store: [a]\n", []string{"f:1:8: store: a list stands where a section"}},
		{"section as value", "listen: {host: a}\n", []string{"a section stands where a text"}},
		{"value as list", "apps: shop\n", []string{`f:1:7: apps: "shop" stands where a list is wanted (begin each element`}},
		{"map as list", "channels: {a: b}\n", []string{"a section stands where a list"}},
		{"bool as text", "metrics: {enabled: \"true\"}\n", []string{`the text "true" stands where true or false`}},
		{"not a bool", "metrics: {enabled: maybe}\n", []string{`"maybe" is neither true nor false`}},
		{"bad addresses", "listen: 6001\nadmin: {listen: \"localhost:http\"}\n", []string{`f:1:9: listen: "6001" is not an address`, `the port "http"`}},
		{"port too large", "listen: 127.0.0.1:70000\n", []string{`the port "70000"`}},
		{"bad network", "trusted_proxies: [10.0.0.0/8, proxy]\n", []string{`f:1:31: trusted_proxies[1]: "proxy" is neither`}},
		{"everyone is a proxy", "trusted_proxies: 0.0.0.0/0\n", []string{"f:1:18: warning: trusted_proxies[0]: 0.0.0.0/0 believes everyone"}},
		{"bad path", "path_prefix: realtime\n", []string{"is not a path"}},
		{"bad url", "trace: {endpoint: localhost:4318}\n", []string{"is not an http or https URL"}},
		{"negative duration", "drain: -5s\n", []string{"is not a duration"}},
		{"long drain", "drain: 2h\n", []string{"2h is out of range: at most 1h"}},
		{"fraction", "trace: {sample: 1.5}\n", []string{"1.5 is out of range: 0 to 1"}},
		{"half of TLS", "tls: {cert: a.pem}\n", []string{"tls: tls.key is missing"}},
		{"same address", "listen: :7\nadmin: {listen: \":7\"}\nmode: production\n", []string{"admin.listen: is the same address as listen"}},
		{"hot window", "hot: {bytes: 1GiB}\n", []string{"hot.budget: 256MiB for all streams is less than the 1GiB of one"}},
		{"retry", "rooms: {retry_max: 100ms}\n", []string{"shorter than retry_base"}},
		{"activity", "websocket: {activity_timeout: 1500ms}\n", []string{"not a whole number of seconds"}},
		{"socket path", "unix_socket: /" + strings.Repeat("x", 120) + "\n", []string{"sockets allow 103"}},
		{"half an app", "app: {id: a}\n", []string{"app.key: is missing"}},
		{"development for everyone", "mode: development\nlisten: :6001\n", []string{"f:2:9: warning: listen: development mode answers everyone"}},
		{"short secret", "apps: [{id: a, keys: [{key: k, secret: short}]}]\n", []string{"warning: apps[0].keys[0].secret: a secret of 5 bytes"}},
		{"development secret", "apps: [{id: a, keys: [{key: k, secret: app-secret}]}]\n", []string{"refused in production mode"}},
		{"development secret in its mode", "mode: development\napps: [{id: a, keys: [{key: k, secret: app-secret}]}]\n", nil},
		{"no keys", "apps: [{id: a}]\n", []string{"f:1:8: apps[0].keys: the app has no key"}},
		{"no id", "apps: [{keys: [{key: k, secret: 0123456789abcdef}]}]\n", []string{"apps[0].id: the id is empty"}},
		{"same key twice", goodApp + "  - id: b\n    keys: [{key: k, secret: 0123456789abcdef}]\n", []string{`f:6:18: apps[1].keys[0].key: the key "k" is already apps[0].keys[0]`}},
		{"bad origin", goodApp + "    origins: [https://*.a.com, \"https://a.*\"]\n", []string{"f:5:32: apps[0].origins[1]: the origin"}},
		{"merge key", "x: &x {a: 1}\n", []string{"x: there is no such key"}},
		{"unknown shared policy key", "channels: [{pattern: a, retetion: {}}]\n", []string{"did you mean retention?"}},
		{"channel pattern", "channels: [{pattern: \"a b\"}]\n", []string{"channels[0].pattern: the channel pattern"}},
		{"no pattern", "channels: [{mutable: true}]\n", []string{"channels[0].pattern: the channel pattern is empty"}},
		{"shadowed shared policy", goodApp + "channels: [{pattern: \"*\"}, {pattern: \"a:*\"}]\n", []string{"channels[1].pattern: the policy \"a:*\" is never reached"}},
		{"shared policies may be shadowed by an app", goodApp + "    channels: [{pattern: \"*\"}]\nchannels: [{pattern: \"a:*\"}]\n", nil},
		{"shared faults are reported once", goodApp + "  - id: b\n    keys: [{key: k2, secret: 0123456789abcdef}]\nchannels: [{pattern: \"a b\"}]\n", []string{"channels[0].pattern"}},
		{"log off", "channels: [{pattern: a, log: false, retention: {age: 1h}}]\n", []string{"retention says something about the log"}},
		{"log off and mutable by default", "mode: development\nchannels: [{pattern: a, log: false}]\n", nil},
		{"log off and conflate", "channels: [{pattern: a, log: false, conflate: true}]\n", []string{"conflate needs the log"}},
		{"log off and mutable", "channels: [{pattern: a, log: false, mutable: true}]\n", []string{"mutable: messages that are not kept cannot change"}},
		{"unbounded", "channels: [{pattern: a, retention: {age: 0, entries: 0, bytes: 0}}]\n", []string{"warning: channels[0].retention: nothing is ever trimmed"}},
		{"recovery beyond retention", "channels: [{pattern: a, recovery: {age: 48h}}]\n", []string{"warning: channels[0].recovery.age: reaches further"}},
		{"logged client events off", goodApp + "    channels: [{pattern: a, log_client_events: true}]\n", []string{"allows no client events"}},
		{"logged client events without client events", "channels: [{pattern: a, client_events: false, log_client_events: true}]\n", []string{"cannot be logged where client_events is false"}},
		{"rights", "channels: [{pattern: a, anonymous: [join, sent]}]\n", []string{`f:1:43: channels[0].anonymous[1]: "sent" is not one of join, send, history, presence, edit_own, edit_any, delete_own, delete_any, react (did you mean send?)`}},
		{"nobody subscribes", "channels: [{pattern: a, subscribe: []}]\n", nil},
		{"snapshot template", "channels: [{pattern: a, snapshot_url: \"https://a/{room}\"}]\n", []string{"does not contain {room_id}"}},
		{"feed filter", "channels: [{pattern: a, feed: {filters: {sportIds: sportId, apiKey: /a}}}]\n", []string{`sportIds.path: "sportId" is not a JSON pointer`, `filters.apiKey: "apiKey" is a member of every login`}},
		{"small messages", "channels: [{pattern: a, max_message_bytes: 100}]\n", []string{"cannot hold payloads"}},
		{"small frames", goodApp + "    limits: {frame_bytes: 2KiB}\n", []string{"frame_bytes: frames of 2048 bytes cannot carry"}},
		{"feed key", goodApp + "    feed_keys: [{id: f, secret_sha256: abc, channels: [\"*\"]}]\n", []string{"not a SHA-256 in hexadecimal"}},
		{"feed key without a secret", goodApp + "    feed_keys: [{id: f, channels: [a]}]\n", []string{"neither secret nor secret_sha256"}},
		{"feed key twice", goodApp + "    feed_keys: [{id: f, secret: s, channels: [a]}, {id: f, secret: s, channels: [a]}]\n", []string{`id: the id "f" is already`, "secret: the secret is the same"}},
		{"jwks", goodApp + "    rooms: {jwks_url: \"https://a/k\", jwks_file: b}\n", []string{"exclude each other"}},
		{"expires", goodApp + "    feed_keys: [{id: f, secret: s, channels: [a], expires: tomorrow}]\n", []string{"is not a time"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, problems := Load(Sources{File: "f", Data: []byte(tt.file)})
			ok := len(problems) == len(tt.want)
			for i := range min(len(problems), len(tt.want)) {
				ok = ok && strings.Contains(problems[i].Error(), tt.want[i])
			}
			if !ok {
				t.Errorf("got:\n%s\nwant:\n%s", problems.Error(), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestSourcesOverride(t *testing.T) {
	file := "listen: 127.0.0.1:1\ndata: /file\ndrain: 1s\ntrusted_proxies: [10.0.0.1, 10.0.0.2]\n"
	cfg, problems := Load(Sources{File: "f", Data: []byte(file),
		Env:   []string{"CONTINUO_DATA=/env", "CONTINUO_DRAIN=2s", "CONTINUO_STORE=memory", "CONTINUO_LOG_LEVEL=", "OTHER=1", "CONTINUO_TRUSTED_PROXIES=10.0.0.3, 10.0.0.4/31"},
		Flags: map[string]string{"drain": "3s", "metrics-enabled": "false"}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	got := fmt.Sprintln(cfg.Listen, cfg.Data, cfg.Drain, cfg.Store.Engine, cfg.Log.Level, cfg.Metrics.Enabled, cfg.Proxies())
	if want := fmt.Sprintln("127.0.0.1:1", "/env", 3*time.Second, "memory", "info", false, "[10.0.0.3/32 10.0.0.4/31]"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	origins := map[string]string{"listen": "f:1:9", "data": "CONTINUO_DATA", "drain": "--drain", "store.engine": "CONTINUO_STORE", "log.level": ""}
	for key, want := range origins {
		if got := cfg.Origin(key); got != want {
			t.Errorf("origin of %s: %q, want %q", key, got, want)
		}
	}
}

func TestVariablesAndFlagsAreChecked(t *testing.T) {
	_, problems := Load(Sources{
		Env: []string{"CONTINUO_STORE_SHARD=3", "CONTINUO_DRAIN=long", "CONTINUO_PORT_6001_TCP=tcp://1", "CONTINUO_SERVICE_HOST=1", "CONTINUO_URL=x",
			"CONTINUO_TRUSTED_PROXIES=a"},
		Flags: map[string]string{"listn": ":1", "store": "redis"},
	})
	want := []string{
		`CONTINUO_TRUSTED_PROXIES: trusted_proxies: "a" is neither`,
		`CONTINUO_DRAIN: drain: "long" is not a duration`,
		"CONTINUO_STORE_SHARD: warning: no setting has this variable (did you mean CONTINUO_STORE_SHARDS?)",
		"--listn: there is no such flag (did you mean --listen?)",
		`--store: store.engine: "redis" is not one of disk, memory`,
	}
	if len(problems) != len(want) {
		t.Fatalf("got:\n%s", problems.Error())
	}
	for i := range want {
		if !strings.Contains(problems[i].Error(), want[i]) {
			t.Errorf("got %q, want %q", problems[i].Error(), want[i])
		}
	}
}

func TestFileFromVariable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte("listen: 127.0.0.1:9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if cfg, problems := Load(Sources{Env: []string{"CONTINUO_CONFIG=" + path}}); len(problems) > 0 || cfg.Listen != "127.0.0.1:9" {
		t.Errorf("%s: %v", cfg.Listen, problems)
	}
	if _, problems := Load(Sources{File: path + ".no"}); !strings.Contains(problems.Error(), "cannot be read") {
		t.Errorf("got %v", problems)
	}
}

func TestMode(t *testing.T) {
	tests := []struct {
		name, file string
		flags      map[string]string
		mode       string
		apps       string // ids
	}{
		{"nothing", "", nil, "development", "app-id"},
		{"another port", "listen: localhost:7000", nil, "development", "app-id"},
		{"not loopback", "listen: :6001", nil, "production", ""},
		{"not loopback, but told so", "listen: :6001\nmode: development", nil, "development", "app-id"},
		{"production told", "mode: production", nil, "production", ""},
		{"apps", goodApp, nil, "production", "a"},
		{"one app by flags", "", map[string]string{"app-id": "x", "app-key": "xk", "app-secret": "0123456789abcdef"}, "production", "x"},
		{"one more app by flags", goodApp, map[string]string{"app-id": "x", "app-key": "xk", "app-secret": "0123456789abcdef"}, "production", "a,x"},
		{"one more key by flags", goodApp, map[string]string{"app-id": "a", "app-key": "xk", "app-secret": "0123456789abcdef"}, "production", "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, problems := Load(Sources{Data: []byte(tt.file), Flags: tt.flags})
			if err := problems.Err(); err != nil {
				t.Fatal(err)
			}
			ids := []string{}
			for a := range cfg.Registry().All() {
				ids = append(ids, a.ID)
			}
			if got := strings.Join(ids, ","); cfg.Mode != tt.mode || got != tt.apps {
				t.Errorf("mode %s with apps %q, want %s with %q", cfg.Mode, got, tt.mode, tt.apps)
			}
			if cfg.NeedsApp() != (tt.apps == "") || cfg.Development() != (tt.mode == "development") {
				t.Error("NeedsApp or Development says otherwise")
			}
			if key := tt.flags["app-key"]; key != "" {
				if a, _, ok := cfg.Registry().ByKey(key); !ok || a.ID != tt.flags["app-id"] {
					t.Error("the key of the flags leads nowhere")
				}
			}
		})
	}
}

func TestDefaultsAreTheCores(t *testing.T) {
	for _, mode := range []app.Mode{app.Production, app.Development} {
		var c Channel
		fillDefaults(reflect.ValueOf(&c).Elem(), mode == app.Development)
		c.Pattern = "*"
		if got, want := c.core(), app.Default(mode); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: a policy that says nothing is\n%+v\nand not the core's\n%+v", mode, got, want)
		}
		var a App
		fillDefaults(reflect.ValueOf(&a).Elem(), mode == app.Development)
		if got, want := a.Limits.core(), app.DefaultLimits(); got != want {
			t.Errorf("limits\n%+v\nwant\n%+v", got, want)
		}
		if got, want := app.Features(a.Features), app.DefaultFeatures(mode); got != want {
			t.Errorf("%s: features %+v, want %+v", mode, got, want)
		}
		if a.Idempotency != app.DefaultIdempotency {
			t.Error("idempotency differs")
		}
	}
}

func TestPoliciesReachTheCore(t *testing.T) {
	file := goodApp + `    channels:
      - &base
        pattern: "a:*"
        durability: interval
        retention: {age: 7d, entries: 5, bytes: 1KiB, keep: latest, max_keys: 9}
        recovery: {entries: 3}
        feed: {strict_window: true, filters: {sportIds: {path: /sportId, exempt: ["a:all"]}, kinds: /kind}}
      - <<: *base
        pattern: "b:*"
        durability: volatile
channels:
  - {pattern: "*", mutable: true, publish: server}
`
	cfg, problems := Load(Sources{File: "f", Data: []byte(file)})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	a, _ := cfg.Registry().ByID("a")
	p, q, rest := a.Policy("a:1"), a.Policy("b:1"), a.Policy("other")
	got := fmt.Sprint(p.Durability, p.Retention, p.Recovery.Entries, p.Feed.StrictWindow, p.Feed.Filters, p.Mutable)
	if want := "interval {168h0m0s 5 1024 true 9} 3 true map[kinds:{/kind []} sportIds:{/sportId [a:all]}] false"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if q.Durability.String() != "volatile" || q.Retention != p.Retention {
		t.Errorf("the merged policy is %+v", q)
	}
	if !rest.Mutable || rest.ClientsPublish() || !rest.ServerPublishes() {
		t.Errorf("the shared policy is %+v", rest)
	}
}

func FuzzLoad(f *testing.F) {
	for _, s := range []string{"", goodApp, "a: &a [*a]\n", "channels: &x [*x]\n", "<<: *y", "apps: [{<<: [{id: a}], channels: [{}]}]", "listen: !!binary aGk=", "? [a]\n: b\n"} {
		f.Add([]byte(s))
	}
	ten, err := os.ReadFile(filepath.Join("testdata", "ten.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(ten)
	f.Add(InitFile(DevelopmentApp()))
	f.Fuzz(func(t *testing.T, data []byte) {
		if data == nil {
			data = []byte{}
		}
		cfg, problems := Load(Sources{File: "f", Data: data})
		if problems.Err() != nil {
			return
		}
		if cfg.Registry().Len() != len(cfg.Apps) {
			t.Errorf("%d of %d apps were made although nothing is wrong", cfg.Registry().Len(), len(cfg.Apps))
		}
		if _, err := cfg.YAML(false); err != nil {
			t.Error(err)
		}
	})
}
