package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/fault"
)

var now = time.Unix(1_700_000_000, 0)

type pairs map[string]any

// raw puts a token together by hand and signs it with HS256, whatever its header says.
func raw(t testing.TB, header, claims any, secret string) string {
	t.Helper()
	h, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	c, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(c)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func good(changes pairs) pairs {
	c := pairs{"app": "a1", "sub": "u1", "exp": now.Unix() + 60}
	for k, v := range changes {
		if v == nil {
			delete(c, k)
		} else {
			c[k] = v
		}
	}
	return c
}

var hs = pairs{"alg": "HS256", "typ": "JWT"}

func hmacOnly() Verifier {
	return Verifier{Source: func(app string) (Source, bool) {
		switch app {
		case "a1":
			return Source{Secrets: map[string]string{"k1": "secret-1", "k2": "secret-2", "k3": ""}}, true
		case "bare":
			return Source{}, true
		}
		return Source{}, false
	}}
}

func TestHS256(t *testing.T) {
	v := hmacOnly()
	claims := good(pairs{"info": pairs{"name": "A"}, "rooms": []pairs{{"pattern": "room-*", "can": []string{"join", "send"}}}, "extra": 1})
	c, err := v.Verify(raw(t, hs, claims, "secret-2"), now)
	if err != nil {
		t.Fatal(err)
	}
	if c.App != "a1" || c.Subject != "u1" || c.Key != "" || c.Info != `{"name":"A"}` || !c.Expires.Equal(now.Add(time.Minute)) ||
		len(c.Rooms) != 1 || c.Rooms[0].Pattern != "room-*" || strings.Join(c.Rooms[0].Can, ",") != "join,send" {
		t.Errorf("%+v", c)
	}
	c, err = v.Verify(raw(t, pairs{"alg": "HS256", "kid": "k1"}, good(pairs{"info": json.RawMessage("null")}), "secret-1"), now)
	if err != nil || c.Key != "k1" || c.Info != "" {
		t.Errorf("with a key id: %+v, %v", c, err)
	}
	if _, err := v.Verify(raw(t, hs, good(pairs{"nbf": now.Unix() + 30}), "secret-1"), now); err != nil {
		t.Errorf("within the leeway: %v", err)
	}
	g, err := auth.VerifyToken(raw(t, hs, claims, "secret-1"), v, now)
	if err != nil || !g.Can("room-7", auth.Join|auth.Send) || g.Can("room-7", auth.History) || g.Can("x", auth.Join) {
		t.Errorf("as a grant: %+v, %v", g, err)
	}
}

func TestRefusals(t *testing.T) {
	h := func(changes pairs) pairs {
		all := pairs{"alg": "HS256"}
		for k, v := range changes {
			all[k] = v
		}
		return all
	}
	ok := raw(t, hs, good(nil), "secret-1")
	parts := strings.Split(ok, ".")
	for _, c := range []struct{ why, raw, says string }{
		{"empty", "", "missing"},
		{"no parts", "abc", "malformed"},
		{"two parts", parts[0] + "." + parts[1], "malformed"},
		{"four parts", ok + ".x", "malformed"},
		{"not base64", "!." + parts[1] + "." + parts[2], "malformed"},
		{"padding", parts[0] + "." + parts[1] + "." + parts[2] + "=", "malformed"},
		{"header no object", raw(t, "x", good(nil), "secret-1"), "malformed"},
		{"claims no object", raw(t, hs, "x", "secret-1"), "malformed"},
		{"claims null", raw(t, hs, nil, "secret-1"), "claim app is missing"},
		{"huge", ok + strings.Repeat("A", MaxBytes), "more than the 8192 allowed"},
		{"alg none, signed", raw(t, pairs{"alg": "none"}, good(nil), "secret-1"), `algorithm "none" is not accepted`},
		{"alg none, bare", noneToken(t), `algorithm "none" is not accepted`},
		{"alg None", raw(t, pairs{"alg": "None"}, good(nil), "secret-1"), `algorithm "None" is not accepted`},
		{"alg missing", raw(t, pairs{}, good(nil), "secret-1"), `algorithm "" is not accepted`},
		{"alg no string", raw(t, pairs{"alg": 1}, good(nil), "secret-1"), `algorithm "" is not accepted`},
		{"alg HS512", raw(t, pairs{"alg": "HS512"}, good(nil), "secret-1"), `algorithm "HS512" is not accepted`},
		{"alg PS256", raw(t, pairs{"alg": "PS256"}, good(nil), "secret-1"), `algorithm "PS256" is not accepted`},
		{"alg without keys", raw(t, pairs{"alg": "RS256"}, good(nil), "secret-1"), "no public keys"},
		{"crit", raw(t, h(pairs{"crit": []string{"b64"}}), good(nil), "secret-1"), "critical extensions"},
		{"kid unknown", raw(t, h(pairs{"kid": "k9"}), good(nil), "secret-1"), `names the key "k9"`},
		{"kid of another secret", raw(t, h(pairs{"kid": "k2"}), good(nil), "secret-1"), "signature is wrong"},
		{"kid of an empty secret", raw(t, h(pairs{"kid": "k3"}), good(nil), ""), `names the key "k3"`},
		{"kid no string", raw(t, h(pairs{"kid": 7}), good(nil), "secret-1"), "kid is not a string"},
		{"wrong secret", raw(t, hs, good(nil), "secret-x"), `signature is wrong for its app "a1"`},
		{"empty secret", raw(t, hs, good(nil), ""), "signature is wrong"},
		{"no signature", parts[0] + "." + parts[1] + ".", "signature is wrong"},
		{"no app", raw(t, hs, good(pairs{"app": nil}), "secret-1"), "claim app is missing"},
		{"unknown app", raw(t, hs, good(pairs{"app": "a9"}), "secret-1"), `app "a9", which is not known`},
		{"app without secrets", raw(t, hs, good(pairs{"app": "bare"}), ""), "no secret"},
		{"app no string", raw(t, hs, good(pairs{"app": 7}), "secret-1"), "claim app has the wrong type"},
		{"expired", raw(t, hs, good(pairs{"exp": now.Unix() - 100}), "secret-1"), "expired (100 s ago)"},
		{"expires now", raw(t, hs, good(pairs{"exp": now.Unix()}), "secret-1"), "expired (0 s ago)"},
		{"not yet valid", raw(t, hs, good(pairs{"nbf": now.Unix() + 31}), "secret-1"), "nbf is 31 s ahead"},
		{"no exp", raw(t, hs, good(pairs{"exp": nil}), "secret-1"), "claim exp is missing"},
		{"exp no number", raw(t, hs, good(pairs{"exp": "tomorrow"}), "secret-1"), "malformed"},
		{"exp absurd", raw(t, hs, good(pairs{"exp": 1e18}), "secret-1"), "1970 to 9999"},
		{"exp beyond int64", raw(t, hs, good(pairs{"exp": 1e300}), "secret-1"), ""},
		{"exp negative", raw(t, hs, good(pairs{"exp": -5}), "secret-1"), "expired"},
		{"rooms no list", raw(t, hs, good(pairs{"rooms": "all"}), "secret-1"), "claim rooms has the wrong type"},
		{"can no list", raw(t, hs, good(pairs{"rooms": []pairs{{"pattern": "*", "can": "join"}}}), "secret-1"), "claim rooms.can has the wrong type"},
	} {
		t.Run(c.why, func(t *testing.T) {
			got, err := hmacOnly().Verify(c.raw, now)
			if err == nil {
				t.Fatalf("accepted: %+v", got)
			}
			if fault.KindOf(err) != fault.AuthFailed || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v %q, want %q", fault.KindOf(err), err, c.says)
			}
			if got.App != "" || got.Subject != "" {
				t.Errorf("a refusal gave %+v", got)
			}
			if c.says != "" && strings.Contains(c.says, "expired") != errors.Is(err, auth.ErrExpired) {
				t.Errorf("ErrExpired is %v: %v", errors.Is(err, auth.ErrExpired), err)
			}
		})
	}
}

func noneToken(t testing.TB) string {
	s, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims(good(nil))).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

type keys struct {
	rsa, rsaSmall *rsa.PrivateKey
	ec, ec384     *ecdsa.PrivateKey
	ed            ed25519.PrivateKey
}

func newKeys(t testing.TB) (k keys) {
	t.Helper()
	var errs [5]error
	k.rsa, errs[0] = rsa.GenerateKey(rand.Reader, 2048)
	k.rsaSmall, errs[1] = rsa.GenerateKey(rand.Reader, 1024)
	k.ec, errs[2] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.ec384, errs[3] = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, k.ed, errs[4] = ed25519.GenerateKey(rand.Reader)
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	return k
}

func signed(t testing.TB, m jwt.SigningMethod, kid string, claims pairs, key any) string {
	t.Helper()
	tok := jwt.NewWithClaims(m, jwt.MapClaims(claims))
	if kid != "" {
		tok.Header["kid"] = kid
	}
	s, err := tok.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPublicKeys(t *testing.T) {
	k := newKeys(t)
	var asked Header
	var answer []crypto.PublicKey
	var failure error
	v := Verifier{Source: func(string) (Source, bool) {
		return Source{
			Secrets: map[string]string{"k1": "secret-1"}, Issuer: "https://id.example", Audience: "continuo",
			Keys: func(h Header) ([]crypto.PublicKey, error) { asked = h; return answer, failure },
		}, true
	}}
	claims := good(pairs{"iss": "https://id.example", "aud": []string{"x", "continuo"}})
	every := []crypto.PublicKey{nil, "junk", (*rsa.PublicKey)(nil), &rsa.PublicKey{}, &k.rsa.PublicKey, &k.ec.PublicKey, k.ed.Public()}
	for _, c := range []struct {
		alg  string
		m    jwt.SigningMethod
		sign any
	}{{"RS256", jwt.SigningMethodRS256, k.rsa}, {"ES256", jwt.SigningMethodES256, k.ec}, {"EdDSA", jwt.SigningMethodEdDSA, k.ed}} {
		answer = every
		got, err := v.Verify(signed(t, c.m, "key-7", claims, c.sign), now)
		if err != nil || got.Subject != "u1" || got.Key != "key-7" {
			t.Errorf("%s: %+v, %v", c.alg, got, err)
		}
		if asked != (Header{Alg: c.alg, Kid: "key-7"}) {
			t.Errorf("%s: asked for %+v", c.alg, asked)
		}
		if _, err := v.Verify(signed(t, c.m, "key-7", good(pairs{"aud": "continuo"}), c.sign), now); err == nil || !strings.Contains(err.Error(), "issuer") {
			t.Errorf("%s: without an issuer: %v", c.alg, err)
		}
		if _, err := v.Verify(signed(t, c.m, "key-7", good(pairs{"iss": "https://id.example", "aud": "y"}), c.sign), now); err == nil || !strings.Contains(err.Error(), "audience") {
			t.Errorf("%s: for another audience: %v", c.alg, err)
		}
		answer = []crypto.PublicKey{&newOther(t).PublicKey, &k.ec384.PublicKey}
		if _, err := v.Verify(signed(t, c.m, "key-7", claims, c.sign), now); fault.KindOf(err) != fault.AuthFailed {
			t.Errorf("%s: with others' keys: %v", c.alg, err)
		}
	}
	// A secret needs neither issuer nor audience.
	if _, err := v.Verify(raw(t, hs, good(nil), "secret-1"), now); err != nil {
		t.Errorf("HS256 beside public keys: %v", err)
	}
	answer = []crypto.PublicKey{&k.rsaSmall.PublicKey}
	if _, err := v.Verify(signed(t, jwt.SigningMethodRS256, "", claims, k.rsaSmall), now); err == nil || !strings.Contains(err.Error(), "no RS256 key") {
		t.Errorf("a 1024-bit key: %v", err)
	}
	failure = errors.New("dial tcp: refused")
	if _, err := v.Verify(signed(t, jwt.SigningMethodRS256, "", claims, k.rsa), now); fault.KindOf(err) != fault.Unavailable || !errors.Is(err, failure) {
		t.Errorf("keys that cannot be had: %v", err)
	}
	failure = fault.New(fault.AuthFailed, "no such key")
	if _, err := v.Verify(signed(t, jwt.SigningMethodRS256, "", claims, k.rsa), now); fault.KindOf(err) != fault.AuthFailed {
		t.Errorf("a fault of the lookup: %v", err)
	}
}

func newOther(t testing.TB) *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestAlgorithmConfusion signs with HS256 and the public key as the secret, the classical forgery.
func TestAlgorithmConfusion(t *testing.T) {
	k := newOther(t)
	der, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	v := Verifier{Source: func(string) (Source, bool) {
		return Source{Keys: func(Header) ([]crypto.PublicKey, error) { return []crypto.PublicKey{&k.PublicKey}, nil }}, true
	}}
	for _, alg := range []string{"HS256", "RS256"} {
		if c, err := v.Verify(raw(t, pairs{"alg": alg}, good(nil), string(der)), now); err == nil {
			t.Errorf("%s: forged: %+v", alg, c)
		}
	}
}

func TestMake(t *testing.T) {
	c := auth.Claims{App: "a1", Key: "k1", Subject: "u1", Expires: now.Add(time.Minute), Info: `{"a":1}`,
		Rooms: []auth.RoomClaim{{Pattern: "*", Can: []string{"join"}}}}
	s, err := Make(c, "secret-1")
	if err != nil {
		t.Fatal(err)
	}
	got, err := hmacOnly().Verify(s, now)
	if err != nil || got.Subject != "u1" || got.Key != "k1" || got.Info != `{"a":1}` || len(got.Rooms) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := Make(c, ""); err == nil {
		t.Error("signed with an empty secret")
	}
	if _, err := Make(auth.Claims{Info: "{"}, "s"); err == nil {
		t.Error("signed an info that is no JSON")
	}
	if s, err := Make(auth.Claims{App: "a1", Subject: "u"}, "secret-1"); err != nil {
		t.Error(err)
	} else if _, err := hmacOnly().Verify(s, now); err == nil {
		t.Error("a token without exp passed")
	}
}

// FuzzVerify: nothing passes that was not signed with a secret of the app; and nothing panics.
func FuzzVerify(f *testing.F) {
	f.Add(raw(f, hs, good(nil), "secret-1"))
	f.Add(raw(f, hs, good(pairs{"rooms": []pairs{{"pattern": "*", "can": []string{"join"}}}}), "secret-2"))
	f.Add(raw(f, pairs{"alg": "none"}, good(nil), ""))
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := hmacOnly().Verify(s, now)
		if err != nil {
			return
		}
		i := strings.LastIndexByte(s, '.')
		for _, secret := range []string{"secret-1", "secret-2"} {
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write([]byte(s[:i]))
			if s[i+1:] == base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) {
				return
			}
		}
		t.Fatalf("forged: %q gave %+v", s, c)
	})
}

func BenchmarkVerify(b *testing.B) {
	v := hmacOnly()
	s := raw(b, pairs{"alg": "HS256", "kid": "k1"}, good(pairs{"rooms": []pairs{{"pattern": "room-*", "can": []string{"join", "send"}}}}), "secret-1")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(s, now); err != nil {
			b.Fatal(err)
		}
	}
}
