package config

import (
	"fmt"
	"strings"
	"time"
)

// contradictions finds settings that are fine alone and wrong together.
func (l *loader) contradictions() {
	c := l.cfg
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		missing := "tls.key"
		if c.TLS.Cert == "" {
			missing = "tls.cert"
		}
		l.wrong("tls", "%s is missing: a certificate and its key belong together", missing)
	}
	if c.Admin.Listen != "" && c.Admin.Listen == c.Listen && !strings.HasSuffix(c.Listen, ":0") {
		l.wrong("admin.listen", "is the same address as listen")
	}
	if len(c.UnixSocket) > maxSocketPath {
		l.wrong("unix_socket", "the path has %d bytes; sockets allow %d", len(c.UnixSocket), maxSocketPath)
	}
	if c.Hot.Budget < c.Hot.Bytes {
		l.wrong("hot.budget", "%s for all streams is less than the %s of one (hot.bytes)", c.Hot.Budget, c.Hot.Bytes)
	}
	if c.Rooms.RetryMax < c.Rooms.RetryBase {
		l.wrong("rooms.retry_max", "%s is shorter than retry_base, %s", formatDuration(c.Rooms.RetryMax), formatDuration(c.Rooms.RetryBase))
	}
	if c.WebSocket.ActivityTimeout%time.Second != 0 {
		l.wrong("websocket.activity_timeout", "%s is not a whole number of seconds, which is what the protocol tells clients", formatDuration(c.WebSocket.ActivityTimeout))
	}
	for i, p := range c.Proxies() {
		if p.Bits() == 0 {
			l.report(fmt.Sprintf("trusted_proxies[%d]", i), true, "name the proxies alone", "%s believes everyone: any client can choose the address that limits are counted by", p)
		}
	}
	l.secrets()
	for i := range c.Apps {
		at := fmt.Sprintf("apps[%d]", i)
		for j := range c.Apps[i].Channels {
			l.policy(fmt.Sprintf("%s.channels[%d]", at, j), &c.Apps[i].Channels[j])
			if c.Apps[i].Channels[j].LogClientEvents && !c.Apps[i].Features.ClientEvents {
				l.report(fmt.Sprintf("%s.channels[%d].log_client_events", at, j), false,
					fmt.Sprintf("set %s.features.client_events: true", at), "the app allows no client events that could be logged")
			}
		}
	}
	for j := range c.Channels {
		l.policy(fmt.Sprintf("channels[%d]", j), &c.Channels[j])
	}
}

// maxSocketPath is the longest path of a unix socket on every platform.
const maxSocketPath = 103

// shortSecret is the length in bytes below which a secret is doubtful.
const shortSecret = 16

// secrets refuses the secret that everyone knows, and doubts short ones.
func (l *loader) secrets() {
	if l.cfg.Development() {
		if !l.cfg.Loopback() {
			l.report("listen", true, "use mode: production unless only you can reach this address",
				"development mode answers everyone on %s: anybody there can log in as a guest", l.cfg.Listen)
		}
		return
	}
	for i := range l.cfg.Apps {
		for j, k := range l.cfg.Apps[i].Keys {
			key := fmt.Sprintf("apps[%d].keys[%d].secret", i, j)
			switch {
			case k.Secret == developmentSecret:
				l.report(key, false, `set mode: development, or take a secret from "continuo config init"`, "the development secret is known to everyone and is refused in production mode")
			case k.Secret != "" && len(k.Secret) < shortSecret:
				l.report(key, true, `"continuo config init" makes good ones`, "a secret of %d bytes can be guessed", len(k.Secret))
			}
		}
	}
}

// policy looks for settings of one policy that have no effect or cannot be kept.
func (l *loader) policy(at string, c *Channel) {
	if !c.Log {
		for _, name := range []string{"durability", "retention", "recovery", "max_versions", "max_message_bytes"} {
			if _, set := l.places[at+"."+name]; set {
				l.once(at+"."+name, name+" says something about the log that log: false switches off")
			}
		}
		if _, set := l.places[at+".mutable"]; set && c.Mutable {
			l.once(at+".mutable", "messages that are not kept cannot change: log is false")
		}
		return
	}
	r := c.Retention
	if r.Age == 0 && r.Entries == 0 && r.Bytes == 0 {
		l.report(at+".retention", true, "bound at least one of age, entries and bytes", "nothing is ever trimmed: the log grows until the disk is full")
	}
	const further = "reaches further back than the log is kept: the log is the limit"
	switch {
	case r.Age > 0 && c.Recovery.Age > r.Age:
		l.report(at+".recovery.age", true, "raise retention.age too", further)
	case r.Entries > 0 && c.Recovery.Entries > r.Entries:
		l.report(at+".recovery.entries", true, "raise retention.entries too", further)
	case r.Bytes > 0 && c.Recovery.Bytes > r.Bytes:
		l.report(at+".recovery.bytes", true, "raise retention.bytes too", further)
	}
}
