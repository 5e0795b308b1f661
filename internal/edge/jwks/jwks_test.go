package jwks

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/wire/token"
)

// issuer serves a set that can be changed, broken and counted.
type issuer struct {
	*testing.T
	server *httptest.Server
	body   atomic.Pointer[string]
	status atomic.Int32
	reads  atomic.Int32
	now    atomic.Int64 // ms after the beginning
	cache  *Cache
	failed atomic.Int32
}

func newIssuer(t *testing.T, keys ...any) *issuer {
	i := &issuer{T: t}
	i.status.Store(http.StatusOK)
	i.set(keys...)
	i.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.reads.Add(1)
		if i.status.Load() == http.StatusFound {
			http.Redirect(w, r, "/again", http.StatusFound)
			return
		}
		w.WriteHeader(int(i.status.Load()))
		_, _ = w.Write([]byte(*i.body.Load()))
	}))
	t.Cleanup(i.server.Close)
	start := time.Unix(1_787_000_000, 0)
	i.cache = New(Options{Now: func() time.Time { return start.Add(time.Duration(i.now.Load()) * time.Millisecond) },
		Failed: func(string, error) { i.failed.Add(1) }})
	return i
}

func (i *issuer) pass(d time.Duration) { i.now.Add(d.Milliseconds()) }

// set publishes keys named k0, k1, … (a nil is left out).
func (i *issuer) set(keys ...any) {
	i.Helper()
	body := setOf(i.T, keys...)
	i.body.Store(&body)
}

func setOf(t *testing.T, keys ...any) string {
	t.Helper()
	var list []jwkset.JWKMarshal
	for n, k := range keys {
		if k == nil {
			continue
		}
		_, private := k.([]byte)
		one, err := jwkset.NewJWKFromKey(k, jwkset.JWKOptions{Marshal: jwkset.JWKMarshalOptions{Private: private}, Metadata: jwkset.JWKMetadataOptions{KID: "k" + string(rune('0'+n))}})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, one.Marshal())
	}
	raw, err := json.Marshal(map[string]any{"keys": list})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func (i *issuer) want(alg, kid string, want ...crypto.PublicKey) {
	i.Helper()
	got, err := i.cache.Keys(app.RoomsAuth{JWKSURL: i.server.URL}, token.Header{Alg: alg, Kid: kid})
	if err != nil {
		i.Fatalf("%s %q: %v", alg, kid, err)
	}
	if len(got) != len(want) {
		i.Fatalf("%s %q: %d keys, want %d", alg, kid, len(got), len(want))
	}
	for n := range got {
		if !got[n].(interface{ Equal(crypto.PublicKey) bool }).Equal(want[n]) {
			i.Fatalf("%s %q: another key than was published", alg, kid)
		}
	}
}

func (i *issuer) wantReads(n int32) {
	i.Helper()
	if got := i.reads.Load(); got != n {
		i.Fatalf("the set was read %d times, want %d", got, n)
	}
}

func (i *issuer) wantDown() {
	i.Helper()
	_, err := i.cache.Keys(app.RoomsAuth{JWKSURL: i.server.URL}, token.Header{Alg: "EdDSA", Kid: "k0"})
	if err == nil || fault.KindOf(err) != fault.Unavailable {
		i.Fatalf("%v, want unavailable", err)
	}
}

func edKey(t *testing.T) ed25519.PublicKey {
	t.Helper()
	k, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeysByAlgorithmAndID(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ed, other := edKey(t), edKey(t)
	i := newIssuer(t, ed, ec.Public(), rs.Public(), other, []byte("a secret that must never verify anything"))
	i.want("EdDSA", "", ed, other)
	i.want("EdDSA", "k3", other)
	i.want("ES256", "k1", &ec.PublicKey)
	i.want("RS256", "", &rs.PublicKey)
	i.wantReads(1)
	i.want("RS256", "k1") // the name of a key of another family
	i.want("HS256", "k4") // a symmetric key is none
}

func TestRotation(t *testing.T) {
	first, second := edKey(t), edKey(t)
	i := newIssuer(t, first)
	i.want("EdDSA", "k0", first)
	i.set(nil, second)
	i.want("EdDSA", "k1") // too early for another read
	i.wantReads(1)
	i.pass(10 * time.Second)
	i.want("EdDSA", "k1", second)
	i.wantReads(2)
	i.want("EdDSA", "k0") // the old key is gone
	i.wantReads(2)
	i.pass(15 * time.Minute)
	i.set(first)
	i.want("EdDSA", "k1") // what is not fresh any more is read again
	i.want("EdDSA", "k0", first)
	i.wantReads(3)
}

func TestManyUnknownKeysCostOneRead(t *testing.T) {
	i := newIssuer(t, edKey(t))
	i.pass(time.Hour)
	var all sync.WaitGroup
	for range 50 {
		all.Add(1)
		go func() {
			defer all.Done()
			_, _ = i.cache.Keys(app.RoomsAuth{JWKSURL: i.server.URL}, token.Header{Alg: "EdDSA", Kid: "made up"})
		}()
	}
	all.Wait()
	i.wantReads(1)
}

func TestDown(t *testing.T) {
	k := edKey(t)
	i := newIssuer(t, k)
	i.status.Store(http.StatusInternalServerError)
	i.wantDown()
	i.wantDown() // no second read at once
	i.wantReads(1)
	i.status.Store(http.StatusOK)
	i.pass(10 * time.Second)
	i.want("EdDSA", "k0", k)
	i.status.Store(http.StatusBadGateway)
	i.pass(23 * time.Hour)
	i.want("EdDSA", "k0", k) // what is known goes on for a day
	i.wantReads(3)
	i.pass(2 * time.Hour)
	i.wantDown()
	if i.failed.Load() != 3 {
		t.Errorf("%d failures were told, want 3", i.failed.Load())
	}
}

func TestSetsThatAreNone(t *testing.T) {
	many := make([]any, MaxKeys+1)
	for n := range many {
		many[n] = json.RawMessage(`{}`)
	}
	tooMany, _ := json.Marshal(map[string]any{"keys": many})
	for name, body := range map[string]string{
		"huge":         `{"keys":[],"x":"` + strings.Repeat("x", MaxBytes) + `"}`,
		"no JSON":      "<html>",
		"no keys":      `{"keys":[]}`,
		"another":      `{"kids":[]}`,
		"too many":     string(tooMany),
		"broken":       `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"!"},7,null,{"kty":"RSA","n":"AQAB"}]}`,
		"for secrecy":  strings.Replace(setOf(t, edKey(t)), `"kty"`, `"use":"enc","kty"`, 1),
		"symmetric":    `{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"k0"}]}`,
		"certificates": `{"keys":[{"kty":"RSA","x5u":"http://127.0.0.1:1/x","kid":"k0"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t, edKey(t))
			i.body.Store(&body)
			i.wantDown()
		})
	}
}

func TestRedirects(t *testing.T) {
	i := newIssuer(t, edKey(t))
	i.status.Store(http.StatusFound)
	i.wantDown()
	i.wantReads(4) // itself and three more
	from, to := httptest.NewRequest(http.MethodGet, "https://a.example/", nil), httptest.NewRequest(http.MethodGet, "http://a.example/", nil)
	if sameScheme(to, []*http.Request{from}) == nil {
		t.Error("a redirect from https to http was followed")
	}
}

func TestFiles(t *testing.T) {
	first, second := edKey(t), edKey(t)
	i := newIssuer(t)
	path := filepath.Join(t.TempDir(), "keys.json")
	of := app.RoomsAuth{JWKSFile: path}
	if _, err := i.cache.Keys(of, token.Header{Alg: "EdDSA"}); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("%v, want that the file is not there", err)
	}
	for _, k := range []ed25519.PublicKey{first, second} {
		if err := os.WriteFile(path, []byte(setOf(t, k)), 0o600); err != nil {
			t.Fatal(err)
		}
		i.pass(5 * time.Second)
		got, err := i.cache.Keys(of, token.Header{Alg: "EdDSA", Kid: "k0"})
		if err != nil || len(got) != 1 || !k.Equal(got[0]) {
			t.Fatalf("%v, %v: another key than was written", got, err)
		}
	}
}
