package config

import "strings"

// InitFile is a commented configuration file with one app. Settings that are commented out ("#listen: …") show what
// would hold without them, or an example.
func InitFile(k Credentials) []byte {
	return []byte(strings.NewReplacer("$ID", k.ID, "$KEY", k.Key, "$SECRET", k.Secret).Replace(initFile))
}

const initFile = `# Configuration of Continuo. Check it with: continuo config check FILE
# Every key also has a variable (CONTINUO_LISTEN) and a flag (--listen); variables win over this file, flags over both.
# This file holds a secret: keep it from other people's eyes.

# production, or development for a guest login, a page at / and generous defaults.
mode: production

# The public listener. The default reaches this machine alone; ":6001" reaches every machine.
#listen: ":6001"

# Where the log is kept.
#data: ./continuo-data
#store:
#  engine: disk
#  free_reserve: 256MiB
#  max_bytes: 100GiB

# TLS, unless a proxy in front of the server does it. The files are read again when they change.
#tls:
#  cert: /etc/continuo/cert.pem
#  key: /etc/continuo/key.pem

# Proxies whose X-Forwarded-For is believed.
#trusted_proxies: [10.0.0.0/8]

# Profiles and metrics for operators; keep this address private.
#admin:
#  listen: 127.0.0.1:6002

#log:
#  level: info
#  format: json

# Limits of the whole server; 0 is unlimited.
#limits:
#  connections: 100000
#  connects_per_ip: 600

apps:
  - id: $ID
    name: My first app
    # Clients connect with the key. The secret belongs to backends alone. To rotate, add a second pair, move everyone
    # over, then remove the first.
    keys:
      - key: $KEY
        secret: $SECRET
    # Pages that may connect; without this, all.
    #origins: ["https://app.example.com", "https://*.example.com"]
    #features:
    #  client_events: true
    #limits:
    #  payload_bytes: 10KiB
    #  presence_members: 100
    # What channels may do: the first pattern that matches counts, and what it leaves out has its default.
    channels:
      # State by key: the newest message of each key outlives the trim, and snapshots start from it.
      - pattern: "prices:*"
        retention: {age: 24h, entries: 10000, keep: latest, max_keys: 100000}
        conflate: true
      # Conversations: messages can be edited, a week is kept, clients may resume over a day.
      - pattern: "private-chat-*"
        mutable: true
        retention: {age: 7d, entries: 100000, bytes: 256MiB}
        recovery: {age: 24h}
      # Typing, cursors: live or not at all.
      - pattern: "live:*"
        log: false
`
