package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"

	"github.com/continuo-rt/continuo/internal/ops/config"
	"github.com/continuo-rt/continuo/internal/ops/server"
)

// serveCommand runs the server.
type serveCommand struct {
	settings `embed:""`
}

// Run serves until the process is asked to stop.
func (c *serveCommand) Run(env *Env) error {
	cfg, problems := c.load()
	for _, p := range problems.Warnings() {
		fmt.Fprintln(env.Stderr, p.Error())
	}
	if err := problems.Err(); err != nil {
		return err
	}
	shown, err := theApp(cfg)
	if err != nil {
		return err
	}
	useCores()
	level := &slog.LevelVar{}
	level.Set(server.Level(cfg.Log.Level))
	log := logger(cfg, env.Stderr, level)
	s, err := server.New(server.Options{Config: cfg, Log: log, Level: level, Version: Version()})
	if err != nil {
		return explainInUse(err)
	}
	greet(env.Stdout, cfg, s, shown)
	stop := c.onHangup(env, s, log)
	defer stop()
	defer keepHeap(env.Context)()
	if err := s.Run(env.Context); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// theApp makes sure that there is an app, and gives the credentials to show: those of the development app, or random
// ones the first time they are made.
func theApp(cfg *config.Config) (shown *config.Credentials, err error) {
	if !cfg.NeedsApp() {
		if cfg.Development() && len(cfg.Apps) == 1 && len(cfg.Apps[0].Keys) > 0 {
			k := cfg.Apps[0].Keys[0]
			return &config.Credentials{ID: cfg.Apps[0].ID, Key: k.Key, Secret: k.Secret}, nil
		}
		return nil, nil
	}
	kept, made, err := config.KeptApp(cfg.Data)
	if err != nil {
		return nil, err
	}
	if err := cfg.AddApp(kept); err != nil {
		return nil, err
	}
	if made {
		return &kept, nil
	}
	return nil, nil
}

func logger(cfg *config.Config, w io.Writer, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if cfg.Log.Format == "json" || cfg.Log.Format == "auto" && !terminal(w) {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// terminal reports whether w is one.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// greet says where the server is, what it promises and what to try next.
func greet(w io.Writer, cfg *config.Config, s *server.Server, shown *config.Credentials) {
	url := "http://" + reachable(s.Addr().String())
	if cfg.TLS.Cert != "" {
		url = "https://" + reachable(s.Addr().String())
	}
	info := s.Node().Store().Info()
	fmt.Fprintf(w, "Continuo %s, %s mode\n", Version(), cfg.Mode)
	fmt.Fprintf(w, "  listening  %s\n", url)
	if admin := s.AdminAddr(); admin != nil {
		fmt.Fprintf(w, "  operators  http://%s\n", reachable(admin.String()))
	}
	fmt.Fprintf(w, "  store      %s: %s\n", info.Name, survives(info.ProcessCrash, info.MachineCrash, info.Failover, info.Note))
	fmt.Fprintf(w, "  epoch      %s\n", info.Epoch)
	if shown == nil {
		return
	}
	fmt.Fprintf(w, "  app        id %s, key %s, secret %s\n\n", shown.ID, shown.Key, shown.Secret)
	fmt.Fprintf(w, "Try it, in another terminal:\n")
	fmt.Fprintf(w, "  continuo subscribe news%s\n", flags(url, shown, false))
	fmt.Fprintf(w, "  continuo publish news hello '{\"a\":1}'%s\n", flags(url, shown, true))
	fmt.Fprintf(w, "  curl -H 'Authorization: Bearer %s:%s' -d '{\"name\":\"hello\",\"channel\":\"news\",\"data\":{\"a\":1}}' %s/apps/%s/events\n",
		shown.Key, shown.Secret, url, shown.ID)
}

// flags are what the commands need where their defaults do not fit.
func flags(url string, k *config.Credentials, publish bool) string {
	var b strings.Builder
	if url != defaultURL {
		fmt.Fprintf(&b, " --url %s", url)
	}
	if d := config.DevelopmentApp(); *k != d {
		fmt.Fprintf(&b, " --key %s", k.Key)
		if publish {
			fmt.Fprintf(&b, " --app %s --secret %s", k.ID, k.Secret)
		}
	}
	return b.String()
}

// reachable replaces the address that means every interface by one that can be dialled.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

func survives(process, machine, failover bool, note string) string {
	var what []string
	for _, one := range []struct {
		yes  bool
		name string
	}{{process, "process crash"}, {machine, "machine crash"}, {failover, "fail-over"}} {
		if one.yes {
			what = append(what, one.name)
		}
	}
	text := "an acknowledged publish survives nothing but the process"
	if len(what) > 0 {
		text = "an acknowledged publish survives " + strings.Join(what, " and ")
	}
	if note != "" {
		text += " (" + note + ")"
	}
	return text
}
