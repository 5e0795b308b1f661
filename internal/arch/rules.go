package arch

import "regexp"

// row says what the non-test code of a folder may import. The first row that matches a folder counts; a folder that no
// row matches is itself a violation.
//
// Patterns: "*" is one path element or a part of it, "**" any number of elements (also none), "{1}" in ours and never
// is what the first "*" matched.
type row struct {
	dir   string
	suite bool     // the row is for suites alone: packages named for their parent, such as core/stream/streamtest
	ours  []string // folders of this module
	never []string // exceptions from ours, and import paths of others that everything below may not import
	std   []string // packages of the standard library
	third []string // modules (import path prefixes) of others
}

var (
	all      = []string{"**"}
	nothing  = []string(nil)
	rapid    = []string{"pgregory.net/rapid"}
	sockets  = []string{"github.com/gobwas/ws"}
	codecs   = []string{"github.com/vmihailenco/msgpack/v5", "google.golang.org/protobuf", "github.com/segmentio/encoding"}
	prom     = []string{"github.com/prometheus/**"}
	coreOnly = []string{"internal/core/**"}
	inner    = []string{"internal/core/**", "internal/wire/**", "internal/run/**"}
)

// pure lists the packages of the standard library that pure code may import: no I/O, no clock, no scheduler, no lock, no
// logger, no global randomness. What some of them hold beside is in impure.
var pure = []string{
	"bytes", "cmp", "container/*", "context",
	"crypto", "crypto/aes", "crypto/cipher", "crypto/ecdsa", "crypto/ed25519", "crypto/elliptic", "crypto/hmac", "crypto/md5",
	"crypto/rsa", "crypto/sha1", "crypto/sha256", "crypto/sha3", "crypto/sha512", "crypto/subtle",
	"encoding", "encoding/*", "errors", "fmt",
	"hash", "hash/adler32", "hash/crc32", "hash/crc64", "hash/fnv",
	"io", "iter", "maps", "math", "math/big", "math/bits", "math/cmplx", "math/rand", "math/rand/v2",
	"net/netip", "net/url", "path", "regexp", "regexp/syntax", "slices", "sort", "strconv", "strings", "text/*",
	"time", "unicode", "unicode/*",
}

// table is the import table of the repository: rings, inward only.
var table = []row{
	{dir: "cmd/continuo", ours: []string{"internal/ops/cli"}, std: all},

	{dir: "internal/core/**", suite: true, ours: coreOnly, std: all, third: rapid},
	{dir: "internal/core/**", ours: coreOnly, std: pure},

	{dir: "internal/wire/**", suite: true, ours: []string{"internal/core/**", "internal/wire/**"}, std: all, third: rapid},
	{dir: "internal/wire/token/**", ours: []string{"internal/core/**", "internal/wire/token/**"}, std: pure, third: []string{"github.com/golang-jwt/jwt/v5"}},
	{dir: "internal/wire/*/**", ours: []string{"internal/core/**", "internal/wire/envelope/**", "internal/wire/{1}/**"}, std: pure, third: codecs},

	{dir: "internal/run/conn/**", ours: inner, never: []string{"internal/run/node/**"}, std: all},
	{dir: "internal/run/node/**", ours: inner, never: []string{"internal/run/conn/**"}, std: all},
	{dir: "internal/run/**", ours: inner, std: all},

	{dir: "internal/engine/memory/**", ours: []string{"internal/core/**", "internal/engine/memory/**"}, std: all},
	{dir: "internal/engine/disk/**", ours: []string{"internal/core/**", "internal/engine/disk/**"}, std: all, third: []string{"github.com/cockroachdb/pebble/v2"}},
	{dir: "internal/engine/redis/**", ours: []string{"internal/core/**", "internal/engine/redis/**"}, std: all, third: []string{"github.com/redis/rueidis"}},
	{dir: "internal/engine/nats/**", ours: []string{"internal/core/**", "internal/engine/nats/**"}, std: all, third: []string{"github.com/nats-io/nats.go"}},
	{dir: "internal/engine/postgres/**", ours: []string{"internal/core/**", "internal/engine/postgres/**"}, std: all, third: []string{"github.com/jackc/pgx/v5"}},

	{dir: "internal/sink/webhook/**", ours: []string{"internal/core/**", "internal/run/relay/**", "internal/sink/webhook/**"}, std: all},
	{dir: "internal/sink/push/**", ours: []string{"internal/core/**", "internal/run/relay/**", "internal/sink/push/**"}, std: all,
		third: []string{"github.com/SherClockHolmes/webpush-go", "github.com/sideshow/apns2"}},

	{dir: "internal/edge/jwks/**", ours: []string{"internal/core/**", "internal/wire/token"}, std: all, third: []string{"github.com/MicahParks/jwkset"}},
	{dir: "internal/edge/*/**", ours: append([]string{"internal/edge/{1}/**", "internal/edge/ws"}, inner...), std: all, third: sockets},

	{dir: "internal/ops/metrics/**", ours: all, std: all, third: all},
	{dir: "internal/ops/**", ours: all, never: prom, std: all, third: all},

	{dir: "internal/sim/**", ours: append([]string{"internal/engine/memory/**", "internal/sim/**"}, inner...), std: all},
	{dir: "internal/arch", ours: nothing, std: all},

	{dir: "sdk/go/**", ours: []string{"sdk/go/**"}, std: all, third: sockets},
	{dir: "examples/**", ours: []string{"sdk/go/**", "examples/**"}, std: all, third: sockets},
	{dir: "test/**", ours: all, std: all, third: all}, // whole-binary tests
}

// blank lists the packages that may be imported for their effect alone.
var blank = []string{"embed"}

// pureDirs are the folders whose code takes time as an argument and returns effects as values (suites excepted).
var pureDirs = []string{"internal/core/**", "internal/wire/**"}

// names restricts what is used of a package: only the names in only (if there are any), and none of those in never.
type names struct {
	only  []string
	never []string
	why   string
}

// impure lists what pure code may not use of the packages that it may import.
var impure = map[string]names{
	"time": {never: []string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "NewTimer", "NewTicker", "Tick", "LoadLocation"},
		why: "time is an argument here"},
	"context": {only: []string{"Context", "Canceled", "DeadlineExceeded", "Cause"},
		why: "a context is passed through here, never made"},
	"fmt": {never: []string{"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
		why: "no I/O here"},
	"math/rand": {only: []string{"New", "NewSource", "NewZipf", "Rand", "Source", "Source64", "Zipf"},
		why: "randomness comes from a seeded source here"},
	"math/rand/v2": {only: []string{"New", "NewPCG", "NewChaCha8", "NewZipf", "Rand", "Source", "PCG", "ChaCha8", "Zipf"},
		why: "randomness comes from a seeded source here"},
}

// vagueNames are no nouns of this project.
var vagueNames = []string{"util", "utils", "common", "helper", "helpers", "types", "models", "misc"}

// Sizes, in lines. Tests and generated files are free.
const (
	maxFileLines = 600
	maxFuncLines = 80
	maxMainLines = 20 // of cmd/*/main.go
)

// decoderDirs is where a function that takes bytes from outside must have a fuzz target, and decoderName what it is called.
var (
	decoderDirs = []string{"internal/core/**", "internal/wire/**", "internal/engine/**"}
	decoderName = regexp.MustCompile(`^([Dd]ecode|[Pp]arse|[Uu]nmarshal)([A-Z0-9_].*)?$`)
)
