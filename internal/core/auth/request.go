package auth

import (
	"crypto/md5" // the protocol's choice; what makes it safe is that the HMAC covers it
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
)

// MaxSkew is how far the auth_timestamp of a signed request may be off.
const MaxSkew = 600 * time.Second

// Request is what the credentials of an HTTP request cover.
type Request struct {
	App           string // the app id of the path
	Method        string
	Path          string // raw, as it stood in the request line: "%3A" stays "%3A"
	Query         Query
	Body          []byte
	Authorization string // the header; a Bearer credential in it decides, else the signature does
	Secure        bool   // TLS, or from this machine: only then may a secret travel
}

// SplitTarget cuts the target of a request line into raw path and raw query. Absolute targets lose their origin.
func SplitTarget(target string) (path, query string) {
	path, query, _ = strings.Cut(target, "?")
	if !strings.HasPrefix(path, "/") {
		if _, rest, ok := strings.Cut(path, "://"); ok {
			if i := strings.IndexByte(rest, '/'); i >= 0 {
				return rest[i:], query
			}
			return "/", query
		}
	}
	return path, query
}

// Verify proves that the request comes from a holder of a secret of its app. The fault says which credential was
// expected and what was wrong with it.
func (r *Request) Verify(keys Lookup, now time.Time) (Grant, error) {
	if given, ok, err := ParseBearer(r.Authorization); ok {
		if err != nil {
			return Grant{}, err
		}
		return r.bearer(given, keys)
	}
	if r.Query.index("auth_signature") < 0 && r.Query.index("auth_key") < 0 {
		return Grant{}, fault.New(fault.AuthFailed, "the request has no credentials: sign it (auth_key, auth_timestamp, "+
			"auth_version, body_md5 and auth_signature in the query) or send the header Authorization: Bearer <key>:<secret>")
	}
	return r.signature(keys, now)
}

// signature checks cheap things first; what only a holder of the secret can have sent (the body's hash) comes last.
func (r *Request) signature(keys Lookup, now time.Time) (Grant, error) {
	signature, err := r.param("auth_signature")
	if err != nil {
		return Grant{}, err
	}
	id, err := r.param("auth_key")
	if err != nil {
		return Grant{}, err
	}
	stamp, err := r.param("auth_timestamp")
	if err != nil {
		return Grant{}, err
	}
	key, err := find(keys, id, r.App)
	if err != nil {
		return Grant{}, err
	}
	if err := checkTimestamp(stamp, now); err != nil {
		return Grant{}, err
	}
	if !r.signedBy(key, signature) {
		return Grant{}, fault.New(fault.AuthFailed, "the auth_signature is wrong: expected the hex HMAC-SHA256, with the secret of key %s, of %s",
			channel.Quote(id), r.shown()).In("auth_signature")
	}
	if err := r.checkBody(); err != nil {
		return Grant{}, err
	}
	return Grant{kind: Signature, app: key.app, key: key.id, rights: All}, nil
}

func (r *Request) param(name string) (string, error) {
	value, _ := r.Query.Get(name)
	if value == "" {
		return "", fault.New(fault.AuthFailed, "the signature is incomplete: the query parameter %s is missing", name).In(name)
	}
	return value, nil
}

// signedBy tries a query with a '+' both ways, and leaves the values in the query as the signer meant them.
func (r *Request) signedBy(key *Key, signature string) bool {
	if checkHex(signature, key.mac(r.text(make([]byte, 0, 512), false))) {
		return true
	}
	if !r.Query.hasPlus() || !checkHex(signature, key.mac(r.text(make([]byte, 0, 512), true))) {
		return false
	}
	for i := range r.Query {
		r.Query[i].Value = r.Query[i].value(true)
	}
	return true
}

func (r *Request) text(buf []byte, plain bool) []byte {
	buf = append(buf, r.Method...)
	buf = append(buf, '\n')
	buf = append(buf, r.Path...)
	buf = append(buf, '\n')
	return r.Query.signed(buf, plain)
}

// shown is the text to sign, for an error message; it holds no secret.
func (r *Request) shown() string {
	const most = 500
	text := r.text(nil, false)
	if len(text) > most {
		return strconv.Quote(string(text[:most])) + "…"
	}
	return strconv.Quote(string(text))
}

// maxTimestamp keeps the subtraction below far from overflow; it is the year 5138.
const maxTimestamp = 100_000_000_000

func checkTimestamp(stamp string, now time.Time) error {
	at, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || at < 0 {
		return fault.New(fault.AuthFailed, "the auth_timestamp %s is not a number of seconds since 1970", channel.Quote(stamp)).In("auth_timestamp")
	}
	if at > maxTimestamp {
		return fault.New(fault.AuthFailed, "the auth_timestamp %d lies too far ahead: it counts seconds, not milliseconds", at).In("auth_timestamp")
	}
	const most = int64(MaxSkew / time.Second)
	if off := at - now.Unix(); off > most || off < -most {
		return fault.New(fault.AuthFailed, "the auth_timestamp is off by %d s: it says %d, the server's clock %d, and %d s are allowed",
			off, at, now.Unix(), most).In("auth_timestamp")
	}
	return nil
}

// checkBody requires body_md5 only where there is a body: some SDKs always send one, some never for an empty body.
func (r *Request) checkBody() error {
	given, ok := r.Query.Get("body_md5")
	if !ok {
		if len(r.Body) == 0 {
			return nil
		}
		return fault.New(fault.AuthFailed, "the signature does not cover the body: the query parameter body_md5 is missing").In("body_md5")
	}
	want := md5.Sum(r.Body)
	var got [md5.Size]byte
	if len(given) == 2*md5.Size {
		if _, err := hex.Decode(got[:], []byte(given)); err == nil && subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
			return nil
		}
	}
	return fault.New(fault.AuthFailed, "the body_md5 %s is not the MD5 of the body as it arrived: %x over %d bytes",
		channel.Quote(given), want, len(r.Body)).In("body_md5")
}

// find looks a key up and checks that it may be used for an app.
func find(keys Lookup, id, app string) (*Key, error) {
	key := keys(id)
	switch {
	case key == nil:
		return nil, fault.New(fault.AuthFailed, "the key %s is not known", channel.Quote(id)).In("auth_key")
	case key.app != app:
		return nil, fault.New(fault.AuthFailed, "the key %s belongs to another app than %s", channel.Quote(id), channel.Quote(app)).In("auth_key")
	case key.disabled:
		return nil, fault.New(fault.AuthFailed, "the key %s is disabled", channel.Quote(id)).In("auth_key")
	}
	return key, nil
}

// SignQuery signs a request as the SDKs do: it gives the raw query to send, the caller's parameters included. The
// caller's query must not hold parameters of a signature.
func (k *Key) SignQuery(method, path, query string, body []byte, now time.Time) (string, error) {
	raw := query
	if raw != "" {
		raw += "&"
	}
	raw += "auth_key=" + url.QueryEscape(k.id) + "&auth_timestamp=" + strconv.FormatInt(now.Unix(), 10) + "&auth_version=1.0"
	if len(body) > 0 {
		sum := md5.Sum(body)
		raw += "&body_md5=" + hex.EncodeToString(sum[:])
	}
	q, err := ParseQuery(raw)
	if err != nil {
		return "", err
	}
	r := Request{Method: method, Path: path, Query: q}
	sum := k.mac(r.text(make([]byte, 0, 512), false))
	out := make([]byte, 0, len(raw)+len("&auth_signature=")+2*sha256.Size)
	out = append(out, raw...)
	out = append(out, "&auth_signature="...)
	return string(hex.AppendEncode(out, sum[:])), nil
}
