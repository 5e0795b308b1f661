// Package config is what an operator can set: one table of keys (the tags of the structs in this package) from which
// the YAML file, the CONTINUO_… variables, the flags of serve and docs/configuration.md are all read.
//
// The tags of a field: key is its name in YAML; default its value when nothing is said, and dev the one in development
// mode where that differs; min, max and oneof bound it; reload:"live" means that a reload applies it to a running
// server; secret:"yes" that it is never shown; flag and env replace the derived names; short:"yes" lets the enclosing
// section be written as this one value; doc is the sentence in the reference.
package config

import (
	"time"

	"github.com/continuo-rt/continuo/internal/core/app"
)

// Config is everything that a server is told. Load makes it; the fields hold effective values.
type Config struct {
	Listen         string        `key:"listen" default:"127.0.0.1:6001" form:"hostport" doc:"Address of the public listener: every face and the HTTP API. Port 0 takes a free one."`
	UnixSocket     string        `key:"unix_socket" doc:"Path of a unix socket that serves the same as listen, for a reverse proxy on the same machine."`
	Data           string        `key:"data" default:"./continuo-data" doc:"Folder of the store, the control socket and generated credentials."`
	Mode           string        `key:"mode" default:"auto" oneof:"auto|development|production" doc:"development has a guest login, a page at / and generous defaults. auto is development when no app is configured and listen is on loopback, else production."`
	PathPrefix     string        `key:"path_prefix" default:"/" form:"path" doc:"Path below which everything is served, behind a proxy that does not strip it."`
	TrustedProxies []string      `key:"trusted_proxies" form:"cidr" reload:"live" doc:"Addresses or networks whose X-Forwarded-For and X-Forwarded-Proto are believed."`
	Drain          time.Duration `key:"drain" default:"10s" max:"1h" reload:"live" doc:"Time over which clients are told to reconnect at shutdown, before what is left is closed."`

	Store     Store     `key:"store" doc:"Where the log is kept."`
	TLS       TLS       `key:"tls" doc:"TLS of the public listener. The files are read again at a reload and when they change."`
	Log       Log       `key:"log" doc:"What the server prints."`
	Admin     Admin     `key:"admin" doc:"A second listener for operators."`
	Metrics   Metrics   `key:"metrics" doc:"Prometheus metrics."`
	Trace     Trace     `key:"trace" doc:"OpenTelemetry traces of publishes."`
	HTTP      HTTP      `key:"http" doc:"The HTTP API."`
	WebSocket WebSocket `key:"websocket" doc:"Connections of every face."`
	Hot       Hot       `key:"hot" doc:"The newest entries of active streams, kept in memory so that short gaps are recovered without the disk."`
	Feed      Feed      `key:"feed" doc:"The feed face."`
	Rooms     Rooms     `key:"rooms" doc:"The rooms face."`
	Limits    Limits    `key:"limits" doc:"Limits of the whole server. Those of an app are below apps."`

	App      SingleApp `key:"app" reload:"live" doc:"One app in three words, for when there is only one. With the id of an app in apps it is one more key of that app."`
	Apps     []App     `key:"apps" reload:"live" doc:"The tenants."`
	Channels []Channel `key:"channels" reload:"live" doc:"Channel policies of every app; they are asked after the app's own."`

	origins  map[string]string // key → where its value came from, if not the default
	registry *app.Registry
}

// Store says where the log is kept.
type Store struct {
	Engine      string        `key:"engine" flag:"store" env:"STORE" short:"yes" default:"disk" oneof:"disk|memory" doc:"disk is durable; memory forgets everything at a restart."`
	Shards      int           `key:"shards" default:"1" min:"1" max:"64" doc:"Committers; each stream belongs to one. A second one pays when the first fills a processor, at about 100,000 messages/s."`
	Interval    time.Duration `key:"interval" default:"10ms" min:"1ms" max:"10s" doc:"Time between syncs of channels with durability interval."`
	FreeReserve Size          `key:"free_reserve" default:"256MiB" reload:"live" doc:"Appends are refused when the disk has less space left than this."`
	MaxBytes    Size          `key:"max_bytes" default:"0" reload:"live" doc:"Appends are refused when the store is larger than this; 0 does not limit it."`
	Cache       Size          `key:"cache" default:"64MiB" min:"1MiB" doc:"Memory for blocks read from the disk."`
	Forget      time.Duration `key:"forget" default:"30d" doc:"A stream that was empty and idle for this long is forgotten; it has a new stream id when it comes back. 0 keeps every one."`
}

// TLS holds the certificate of the public listener.
type TLS struct {
	Cert string `key:"cert" reload:"live" doc:"PEM file of the certificate chain."`
	Key  string `key:"key" reload:"live" doc:"PEM file of the private key."`
}

// Log says what the server prints.
type Log struct {
	Level  string `key:"level" default:"info" oneof:"debug|info|warn|error" reload:"live" doc:"Least important level that is printed."`
	Format string `key:"format" default:"auto" oneof:"auto|text|json" doc:"auto is text on a terminal and JSON otherwise."`
}

// Admin is a listener for operators.
type Admin struct {
	Listen string `key:"listen" form:"hostport" doc:"Address of a listener with /debug/pprof, /metrics, /live and /ready. It has no authentication: keep it private. Empty: none."`
}

// Metrics says whether and where metrics are served.
type Metrics struct {
	Enabled bool `key:"enabled" default:"true" short:"yes" doc:"Collect metrics and serve them."`
	Public  bool `key:"public" default:"true" doc:"Serve /metrics on the public listener too. The admin listener always does."`
}

// Trace says where traces go.
type Trace struct {
	Endpoint string  `key:"endpoint" short:"yes" form:"url" doc:"OTLP/HTTP endpoint, such as http://127.0.0.1:4318. Empty: no traces."`
	Sample   float64 `key:"sample" default:"1" min:"0" max:"1" doc:"Share of publishes that are traced."`
}

// HTTP rules the HTTP API.
type HTTP struct {
	BodyLimit     Size          `key:"body_limit" default:"10MiB" min:"1KiB" max:"1GiB" reload:"live" doc:"Largest request body."`
	HeaderTimeout time.Duration `key:"header_timeout" default:"5s" min:"100ms" max:"5m" doc:"Time to send the request line and headers."`
	BodyTimeout   time.Duration `key:"body_timeout" default:"30s" min:"100ms" max:"1h" doc:"Time to send the whole request."`
	IdleTimeout   time.Duration `key:"idle_timeout" default:"75s" min:"1s" max:"1h" doc:"How long an unused keep-alive connection is kept."`
	CORSOrigins   []string      `key:"cors_origins" form:"origin" reload:"live" doc:"Origins of pages that may call the HTTP API. Empty: those of the app."`
	PlainBearer   bool          `key:"unsafe_bearer_over_plain_http" default:"false" reload:"live" doc:"Accept Bearer key:secret over plain HTTP from other machines too. Everyone on the way can read the secret then."`
}

// WebSocket rules connections of every face.
type WebSocket struct {
	ActivityTimeout time.Duration `key:"activity_timeout" default:"120s" min:"1s" max:"1h" reload:"live" doc:"What Pusher clients are told: they ping after so much silence. Whole seconds."`
	WriteTimeout    time.Duration `key:"write_timeout" default:"30s" min:"100ms" max:"1h" reload:"live" doc:"A connection whose socket takes nothing for this long is closed."`
	Outbox          Size          `key:"outbox" default:"256KiB" min:"4KiB" max:"64MiB" reload:"live" doc:"Encoded frames that wait for one slow socket. Beyond it the client is read from the log again later, at its own pace."`
}

// Hot bounds the window of newest entries in memory.
type Hot struct {
	Entries int           `key:"entries" default:"1024" min:"0" max:"1000000" doc:"Entries per stream; 0 keeps none."`
	Bytes   Size          `key:"bytes" default:"1MiB" doc:"Bytes per stream."`
	Age     time.Duration `key:"age" default:"5m" doc:"A stream that was idle for this long gives its memory back."`
	Budget  Size          `key:"budget" default:"256MiB" doc:"Bytes for all streams together."`
}

// Feed rules the feed face.
type Feed struct {
	LoginTimeout time.Duration `key:"login_timeout" default:"10s" min:"100ms" max:"5m" reload:"live" doc:"Time for the login frame."`
	PingInterval time.Duration `key:"ping_interval" default:"20s" min:"1s" max:"1h" reload:"live" doc:"The server pings a connection of the feed that was quiet for this long."`
	PongTimeout  time.Duration `key:"pong_timeout" default:"20s" min:"1s" max:"1h" reload:"live" doc:"A connection of the feed that does not answer a ping within this time is dropped."`
}

// Rooms rules the rooms face.
type Rooms struct {
	TokenWarning time.Duration `key:"token_warning" default:"30s" max:"1h" reload:"live" doc:"How long before its token expires a client is told."`
	RetryBase    time.Duration `key:"retry_base" default:"500ms" min:"10ms" max:"1h" reload:"live" doc:"Advice to clients: the first delay before a reconnect."`
	RetryMax     time.Duration `key:"retry_max" default:"30s" min:"10ms" max:"1h" reload:"live" doc:"Advice to clients: the longest delay before a reconnect."`
}

// Limits bound the whole server; 0 does not limit.
type Limits struct {
	Connections      int `key:"connections" default:"0" min:"0" reload:"live" doc:"WebSocket connections at once; 0 is unlimited."`
	ConnectionsPerIP int `key:"connections_per_ip" default:"0" min:"0" reload:"live" doc:"WebSocket connections at once from one address; 0 is unlimited."`
	ConnectsPerIP    int `key:"connects_per_ip" default:"0" min:"0" reload:"live" doc:"New connections per minute from one address; 0 is unlimited."`
	RequestsPerIP    int `key:"requests_per_ip" default:"0" min:"0" reload:"live" doc:"HTTP requests per minute from one address; 0 is unlimited."`
}

// SingleApp is one app in three words.
type SingleApp struct {
	ID     string `key:"id" doc:"Id of the app."`
	Key    string `key:"key" doc:"Its key."`
	Secret string `key:"secret" secret:"yes" doc:"Its secret. Other users of the machine can see the flags of a process: prefer the variable or the file."`
}

// AppMode is the mode that the server runs in.
func (c *Config) AppMode() app.Mode {
	if c.Mode == modeDevelopment {
		return app.Development
	}
	return app.Production
}

// Development reports whether the server runs in development mode.
func (c *Config) Development() bool { return c.Mode == modeDevelopment }

// Values of Config.Mode. Load resolves auto to one of the others.
const (
	modeAuto        = "auto"
	modeDevelopment = "development"
	modeProduction  = "production"
)

// Registry holds the configured apps. It is empty when there are none: see NeedsApp.
func (c *Config) Registry() *app.Registry { return c.registry }

// NeedsApp reports that no app is configured outside development mode: the server then uses one with random
// credentials that it keeps in its data folder (KeptApp, AddApp).
func (c *Config) NeedsApp() bool { return c.registry.Len() == 0 }

// Origin says where the value of a key came from: "file:12:3", "CONTINUO_LISTEN", "--listen", or "" for the default.
func (c *Config) Origin(key string) string { return c.origins[key] }
