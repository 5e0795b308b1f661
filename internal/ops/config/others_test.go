package config

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestSizes(t *testing.T) {
	tests := []struct {
		text string
		want Size
		ok   bool
	}{
		{"0", 0, true}, {"512", 512, true}, {"10KiB", 10 << 10, true}, {"64 MiB", 64 << 20, true}, {"1.5GiB", 3 << 29, true},
		{"10kb", 10_000, true}, {"3B", 3, true}, {"2TiB", 2 << 40, true},
		{"", 0, false}, {"-1", 0, false}, {"1.5", 0, false}, {"MiB", 0, false}, {"1XB", 0, false}, {"9999999TiB", 0, false}, {"1e30GiB", 0, false}, {"NaNKiB", 0, false},
	}
	for _, tt := range tests {
		got, err := ParseSize(tt.text)
		if (err == nil) != tt.ok || tt.ok && got != tt.want {
			t.Errorf("%q: %d, %v", tt.text, got, err)
		}
		if again, err := ParseSize(got.String()); err != nil || again != got {
			t.Errorf("%s does not come back: %v", got, err)
		}
	}
}

func TestDurations(t *testing.T) {
	tests := []struct {
		text, shown string // shown "": a fault
		want        time.Duration
	}{
		{"10s", "10s", 10 * time.Second}, {"120s", "2m", 2 * time.Minute}, {"24h", "24h", day}, {"1d", "24h", day}, {"30d", "30d", 30 * day},
		{"1d12h", "36h", 36 * time.Hour}, {"2d12h", "2d12h", 60 * time.Hour}, {"90m", "1h30m", 90 * time.Minute}, {"1500ms", "1.5s", 1500 * time.Millisecond},
		{"10", "", 0}, {"", "", 0}, {"-1s", "", 0}, {"1d-1h", "", 0}, {"99999999d", "", 0}, {"d", "", 0}, {"soon", "", 0}, {"1w", "", 0},
	}
	for _, tt := range tests {
		got, err := ParseDuration(tt.text)
		if (err == nil) != (tt.shown != "") || got != tt.want {
			t.Errorf("%q: %s, %v", tt.text, got, err)
		}
		if err == nil && formatDuration(got) != tt.shown {
			t.Errorf("%q is shown as %q, want %q", tt.text, formatDuration(got), tt.shown)
		}
	}
}

func TestSettings(t *testing.T) {
	env, flags := map[string]string{}, map[string]string{}
	for _, s := range Settings() {
		if s.Doc == "" || !strings.HasSuffix(s.Doc, ".") {
			t.Errorf("%s: the description %q is no sentence", s.Key, s.Doc)
		}
		if s.Env != "" {
			if env[s.Env] != "" || flags[s.Flag] != "" {
				t.Errorf("%s and %s share a variable or flag", s.Key, env[s.Env])
			}
			env[s.Env], flags[s.Flag] = s.Key, s.Key
			if injected.MatchString(s.Env) {
				t.Errorf("%s: container platforms set %s themselves", s.Key, s.Env)
			}
		}
	}
	for _, name := range cliVariables {
		if env[name] != "" {
			t.Errorf("%s has the variable %s, which commands read", env[name], name)
		}
	}
}

func TestInitFile(t *testing.T) {
	k := RandomApp()
	file := InitFile(k)
	cfg, problems := Load(Sources{File: "f", Data: file})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	a, key, ok := cfg.Registry().ByKey(k.Key)
	if !ok || a.ID != k.ID || key.Secret != k.Secret {
		t.Error("the app is not in the file")
	}
	all := regexp.MustCompile(`(?m)^( *)#([a-z ])`).ReplaceAllString(string(file), "$1$2")
	all = regexp.MustCompile(`(?m)^ *[A-Z ].*[.:,)/]?$`).ReplaceAllStringFunc(all, func(s string) string {
		if regexp.MustCompile(`^ *-? ?"?[a-z_]+"?:|^ *- `).MatchString(s) {
			return s
		}
		return "#" + s
	})
	if _, problems := Load(Sources{File: "f", Data: []byte(all)}); len(problems) > 0 {
		t.Errorf("with everything switched on:\n%s\n%s", problems.Error(), all)
	}
}

func TestReferenceExamples(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(Reference()), -1)
	if len(blocks) == 0 {
		t.Fatal("no example")
	}
	for _, b := range blocks {
		if _, problems := Load(Sources{File: "example", Data: []byte(b[1])}); len(problems) > 0 {
			t.Error(problems)
		}
	}
}

func TestShowHidesSecrets(t *testing.T) {
	file := goodApp + "    feed_keys: [{id: f, secret: feed-secret, channels: [\"a:*\"], filters: {sportIds: [1, 2]}, access: {live: true}}]\n" +
		"    channels: [{pattern: \"#server-to-user-*\", feed: {filters: {kinds: /kind}}}]\n"
	cfg, problems := Load(Sources{File: "f", Data: []byte(file), Env: []string{"CONTINUO_APP_SECRET=another-secret-0123", "CONTINUO_APP_ID=a", "CONTINUO_APP_KEY=k2"}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, set := range []bool{false, true} {
		text, err := cfg.YAML(set)
		if err != nil {
			t.Fatal(err)
		}
		object, err := cfg.JSON(set)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"0123456789abcdef0123456789abcdef", "feed-secret", "another-secret-0123"} {
			if strings.Contains(string(text), secret) || strings.Contains(string(object), secret) {
				t.Errorf("the secret %s is shown:\n%s", secret, text)
			}
		}
		if _, again := Load(Sources{File: "shown", Data: text}); again.Err() != nil {
			t.Errorf("what is shown is no configuration: %v", again.Err())
		}
	}
}

func TestDiffAndReload(t *testing.T) {
	load := func(file string) *Config {
		cfg, problems := Load(Sources{File: "f", Data: []byte(file)})
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	before := load("listen: :1\nlog: {level: info}\n" + goodApp)
	after := load("listen: :2\nlog: {level: debug, format: json}\n" + strings.Replace(goodApp, "0123", "4567", 1) +
		"    limits: {batch_size: 20}\n  - id: b\n    keys: [{key: k2, secret: 0123456789abcdef}]\n")
	got := map[string]Change{}
	for _, c := range Diff(before, after) {
		got[c.Key] = c
	}
	want := []Change{
		{"listen", ":1", ":2", false}, {"log.level", "info", "debug", true}, {"log.format", "auto", "json", false},
		{"apps[a].keys[0].secret", redacted, redacted, true}, {"apps[a].limits.batch_size", "10", "20", true}, {"apps[b].id", "", "b", true},
	}
	for _, w := range want {
		if got[w.Key] != w {
			t.Errorf("got %+v, want %+v", got[w.Key], w)
		}
		delete(got, w.Key)
	}
	for key := range got {
		if !strings.HasPrefix(key, "apps[b].") {
			t.Errorf("unexpected change of %s", key)
		}
	}
	now := Reload(before, after)
	if now.Listen != ":1" || now.Log.Level != "debug" || now.Log.Format != "auto" || now.Registry().Len() != 2 {
		t.Errorf("after the reload: %s %+v %d", now.Listen, now.Log, now.Registry().Len())
	}
	if before.Log.Level != "info" || before.Registry().Len() != 1 {
		t.Error("the reload changed the old configuration")
	}
	if rest := Diff(now, after); len(rest) != 2 {
		t.Errorf("still different: %v", rest)
	}
	if same := Diff(after, load("listen: :2\nlog: {level: debug, format: json}\n"+strings.Replace(goodApp, "0123", "4567", 1)+
		"    limits: {batch_size: 20}\n  - id: b\n    keys: [{key: k2, secret: 0123456789abcdef}]\n")); len(same) != 0 {
		t.Errorf("equal configurations differ: %v", same)
	}
}

func TestReloadAcrossModes(t *testing.T) {
	before, _ := Load(Sources{})
	after, _ := Load(Sources{Data: []byte("drain: 3s\n" + goodApp)})
	for _, c := range Diff(before, after) {
		if strings.HasPrefix(c.Key, "apps[") && c.Live {
			t.Errorf("%s cannot change with the mode", c)
		}
	}
	now := Reload(before, after)
	if _, ok := now.Registry().ByID("app-id"); !ok || now.Drain != 3*time.Second || !now.Development() {
		t.Error("the mode must wait for a restart, and the apps with it")
	}
}

func TestKeptApp(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	k, made, err := KeptApp(data)
	if err != nil || !made || k == (Credentials{}) {
		t.Fatal(k, made, err)
	}
	again, made, err := KeptApp(data)
	if err != nil || made || again != k {
		t.Fatal(again, made, err)
	}
	path := filepath.Join(data, keptFile)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	cfg, problems := Load(Sources{Flags: map[string]string{"listen": ":6001"}})
	if len(problems) > 0 || !cfg.NeedsApp() {
		t.Fatal(problems)
	}
	if err := cfg.AddApp(k); err != nil || cfg.NeedsApp() {
		t.Fatal(err)
	}
	if err := cfg.AddApp(k); err == nil {
		t.Error("the same app twice")
	}
	if _, found, ok := cfg.Registry().ByKey(k.Key); !ok || found.Secret != k.Secret {
		t.Error("the app is not there")
	}
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := KeptApp(data); err == nil {
		t.Error("a broken file must not be replaced silently")
	}
}

func TestRandomAppsDiffer(t *testing.T) {
	if a, b := RandomApp(), RandomApp(); a.ID == b.ID || a.Key == b.Key || a.Secret == b.Secret {
		t.Error("twice the same")
	}
}

func TestManyAliases(t *testing.T) {
	var b strings.Builder
	b.WriteString("apps:\n  - &a\n    id: a\n    channels: &list\n")
	for range 100 {
		b.WriteString("      - {pattern: a}\n")
	}
	for range 100 {
		b.WriteString("  - *a\n")
	}
	_, problems := Load(Sources{File: "f", Data: []byte(b.String()), values: 5000})
	if len(problems) != 1 || !strings.Contains(problems.Error(), "more than 5000 values") {
		t.Errorf("%d problems: %s", len(problems), problems[:1])
	}
}
