package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
)

const (
	docBody  = `{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}`
	docQuery = "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0" +
		"&body_md5=ec365a775a4cd0599faeb73354201b6f&auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"
	docStamp = 1353088179
)

var docTime = time.Unix(docStamp, 0)

func request(t testing.TB, app, method, target, body string) *Request {
	t.Helper()
	path, raw := SplitTarget(target)
	q, err := ParseQuery(raw)
	if err != nil {
		t.Fatal(err)
	}
	return &Request{App: app, Method: method, Path: path, Query: q, Body: []byte(body)}
}

// sign signs what the server should take as the signing string, computed here by other means than the code under test.
func sign(text, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

func TestDocumentedSignature(t *testing.T) {
	r := request(t, "3", "POST", "/apps/3/events?"+docQuery, docBody)
	g, err := r.Verify(ring(t), docTime)
	if err != nil {
		t.Fatal(err)
	}
	if g.Kind() != Signature || !g.Proven() || g.App() != "3" || g.Key() != docKey || !g.Can("any", All) {
		t.Errorf("%+v", g)
	}
}

func TestSignatureRefusals(t *testing.T) {
	const target = "/apps/3/events?"
	for _, c := range []struct {
		why, app, method, target, body string
		now                            int64
		says                           string
	}{
		{"nothing given", "3", "POST", "/apps/3/events", docBody, docStamp, "has no credentials: sign it"},
		{"no key", "3", "POST", target + strings.Replace(docQuery, "auth_key=", "x=", 1), docBody, docStamp, "parameter auth_key is missing"},
		{"no timestamp", "3", "POST", target + strings.Replace(docQuery, "auth_timestamp", "x", 1), docBody, docStamp, "parameter auth_timestamp is missing"},
		{"no signature", "3", "POST", target + strings.Replace(docQuery, "auth_signature", "x", 1), docBody, docStamp, "parameter auth_signature is missing"},
		{"unknown key", "3", "POST", target + strings.Replace(docQuery, docKey, "nobody", 1), docBody, docStamp, `the key "nobody" is not known`},
		{"disabled key", "3", "POST", target + strings.Replace(docQuery, docKey, "old", 1), docBody, docStamp, `the key "old" is disabled`},
		{"key of another app", "4", "POST", target + docQuery, docBody, docStamp, "belongs to another app"},
		{"late", "3", "POST", target + docQuery, docBody, docStamp + 601, "off by -601 s"},
		{"early", "3", "POST", target + docQuery, docBody, docStamp - 601, "off by 601 s"},
		{"timestamp in ms", "3", "POST", target + strings.Replace(docQuery, "1353088179", "1353088179000", 1), docBody, docStamp, "not milliseconds"},
		{"timestamp no number", "3", "POST", target + strings.Replace(docQuery, "1353088179", "now", 1), docBody, docStamp, `"now" is not a number`},
		{"timestamp negative", "3", "POST", target + strings.Replace(docQuery, "1353088179", "-9223372036854775808", 1), docBody, docStamp, "not a number of seconds"},
		{"another method", "3", "PUT", target + docQuery, docBody, docStamp, "auth_signature is wrong"},
		{"another path", "3", "POST", "/apps/3/event?" + docQuery, docBody, docStamp, `of "POST\n/apps/3/event\nauth_key=`},
		{"another parameter", "3", "POST", target + docQuery + "&info=user_count", docBody, docStamp, "&info=user_count"},
		{"not hex", "3", "POST", target + strings.Replace(docQuery, "da4548", "zz4548", 1), docBody, docStamp, "auth_signature is wrong"},
		{"cut short", "3", "POST", target + docQuery[:len(docQuery)-2], docBody, docStamp, "auth_signature is wrong"},
		{"another body", "3", "POST", target + docQuery, docBody + " ", docStamp, "is not the MD5 of the body as it arrived"},
		{"no body", "3", "POST", target + docQuery, "", docStamp, "d41d8cd98f00b204e9800998ecf8427e over 0 bytes"},
	} {
		g, err := request(t, c.app, c.method, c.target, c.body).Verify(ring(t), time.Unix(c.now, 0))
		t.Run(c.why, func(t *testing.T) { refused(t, g, err, fault.AuthFailed, c.says) })
	}
	for _, skew := range []int64{-600, 600} {
		if _, err := request(t, "3", "POST", target+docQuery, docBody).Verify(ring(t), time.Unix(docStamp+skew, 0)); err != nil {
			t.Errorf("a skew of %d s is refused: %v", skew, err)
		}
	}
}

// TestSigningTraps has, for each way in which an SDK forms its request, the target as it travels and the text that it
// signed.
func TestSigningTraps(t *testing.T) {
	const auth = "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0"
	for _, c := range []struct {
		why, method, path, query, text, body string
	}{
		{"a path that is percent-encoded stays so", "GET", "/apps/3/channels/a%3Ab", auth, "GET\n/apps/3/channels/a%3Ab\n" + auth, ""},
		{"a path that is not stays so", "GET", "/apps/3/channels/a:b", auth, "GET\n/apps/3/channels/a:b\n" + auth, ""},
		{"a raw query", "GET", "/apps/3/channels", auth + "&info=user_count,subscription_count&x=a;b=c@d:e",
			"GET\n/apps/3/channels\n" + auth + "&info=user_count,subscription_count&x=a;b=c@d:e", ""},
		{"an encoded query", "GET", "/apps/3/channels", auth + "&info=user_count%2Csubscription_count&x=a%3bb%3Dc",
			"GET\n/apps/3/channels\n" + auth + "&info=user_count,subscription_count&x=a;b=c", ""},
		{"names in lower case and sorted", "GET", "/p", "deviceId=D1&" + auth + "&Zed=1&alpha=2",
			"GET\n/p\nalpha=2&" + auth + "&deviceid=D1&zed=1", ""},
		{"a space as plus", "GET", "/p", auth + "&prefix=a+b", "GET\n/p\n" + auth + "&prefix=a b", ""},
		{"a plus as itself", "GET", "/p", auth + "&prefix=a+b", "GET\n/p\n" + auth + "&prefix=a+b", ""},
		{"a plus encoded", "GET", "/p", auth + "&prefix=a%2Bb", "GET\n/p\n" + auth + "&prefix=a+b", ""},
		{"an empty value", "GET", "/p", auth + "&prefix=", "GET\n/p\n" + auth + "&prefix=", ""},
		{"a name without a value", "GET", "/p", auth + "&prefix", "GET\n/p\n" + auth + "&prefix=", ""},
		{"no body and no hash of it", "POST", "/p", auth, "POST\n/p\n" + auth, ""},
		{"no body and a hash of it", "POST", "/p", auth + "&body_md5=d41d8cd98f00b204e9800998ecf8427e",
			"POST\n/p\n" + auth + "&body_md5=d41d8cd98f00b204e9800998ecf8427e", ""},
		{"a GET with the hash of nothing", "GET", "/p", auth + "&body_md5=D41D8CD98F00B204E9800998ECF8427E",
			"GET\n/p\n" + auth + "&body_md5=D41D8CD98F00B204E9800998ECF8427E", ""},
		{"an empty object", "POST", "/p", auth + "&body_md5=99914b932bd37a50b983c5e7c90ae93b",
			"POST\n/p\n" + auth + "&body_md5=99914b932bd37a50b983c5e7c90ae93b", "{}"},
		{"no version", "GET", "/p", "auth_key=278d425bdf160c739803&auth_timestamp=1353088179",
			"GET\n/p\nauth_key=278d425bdf160c739803&auth_timestamp=1353088179", ""},
	} {
		t.Run(c.why, func(t *testing.T) {
			// the signature stands first, so that nothing depends on its being last
			r := request(t, "3", c.method, c.path+"?auth_signature="+sign(c.text, docSecret)+"&"+c.query, c.body)
			if _, err := r.Verify(ring(t), docTime); err != nil {
				t.Error(err)
			}
			if prefix, ok := r.Query.Get("prefix"); ok && !strings.HasSuffix(c.text, "&prefix="+prefix) {
				t.Errorf("the handler would read %q from %q", prefix, c.text)
			}
		})
	}
	q := auth + "&auth_signature=" + sign("POST\n/p\n"+auth, docSecret)
	g, err := request(t, "3", "POST", "/p?"+q, "{}").Verify(ring(t), docTime)
	refused(t, g, err, fault.AuthFailed, "body_md5 is missing")
}

func TestParseQueryRefuses(t *testing.T) {
	for raw, says := range map[string]string{
		"a=1&a=2":                           `"a" is given twice`,
		"a=%":                               "no percent-encoding",
		"a=%4":                              "no percent-encoding",
		"a=%zz":                             "no percent-encoding",
		"%=1":                               "no percent-encoding",
		strings.Repeat("a=1&", maxParams+1): "more than the 64 allowed",
		strings.Repeat("&", 100_000):        "more than the 64 allowed",
	} {
		if q, err := ParseQuery(raw); q != nil || fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), says) {
			t.Errorf("ParseQuery(%.20q) = %v, %v", raw, q, err)
		}
	}
	q, err := ParseQuery("&&a=1&&b=%41+=&")
	if err != nil || len(q) != 2 {
		t.Fatalf("%v, %v", q, err)
	}
	if b, _ := q.Get("b"); b != "A =" {
		t.Errorf("b = %q", b)
	}
	if _, ok := q.Get("A"); ok {
		t.Error("names are case-sensitive")
	}
	if !IsAuth("body_md5") || IsAuth("limit") {
		t.Error("IsAuth")
	}
}

func TestSplitTarget(t *testing.T) {
	for target, want := range map[string][2]string{
		"/a/b?c=d?e":       {"/a/b", "c=d?e"},
		"/a%2Fb":           {"/a%2Fb", ""},
		"//a":              {"//a", ""},
		"http://h:1/a?b":   {"/a", "b"},
		"https://h?b":      {"/", "b"},
		"*":                {"*", ""},
		"/http://x/y?auth": {"/http://x/y", "auth"},
	} {
		if path, query := SplitTarget(target); path != want[0] || query != want[1] {
			t.Errorf("SplitTarget(%q) = %q, %q", target, path, query)
		}
	}
}

// TestSignQueryVerifies signs random requests and verifies them, then spoils one byte of each.
func TestSignQueryVerifies(t *testing.T) {
	keys := ring(t)
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 500 {
		values := url.Values{}
		for range rnd.IntN(6) {
			b := make([]byte, 1+rnd.IntN(8))
			for i := range b {
				b[i] = byte(rnd.IntN(256))
			}
			values.Set("p"+strconv.Itoa(rnd.IntN(20)), string(b))
		}
		body := make([]byte, rnd.IntN(40))
		method := []string{"GET", "POST", "DELETE"}[rnd.IntN(3)]
		raw, err := keys("second").SignQuery(method, "/apps/3/x", values.Encode(), body, docTime)
		if err != nil {
			t.Fatal(err)
		}
		r := request(t, "3", method, "/apps/3/x?"+raw, string(body))
		if _, err := r.Verify(keys, docTime); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		for name := range values {
			if got, _ := r.Query.Get(name); got != values.Get(name) {
				t.Fatalf("%s: %s = %q", raw, name, got)
			}
		}
		spoilt := []byte(raw)
		spoilt[rnd.IntN(len(spoilt))] ^= 1
		q, err := ParseQuery(string(spoilt))
		if err != nil {
			continue
		}
		r.Query = q
		if g, err := r.Verify(keys, docTime); err == nil && !onlyHexCase(raw, string(spoilt)) {
			t.Fatalf("%s\naccepted as\n%s\n%+v", raw, spoilt, g)
		}
	}
	if _, err := keys("second").SignQuery("GET", "/", "auth_key=x", nil, docTime); err == nil {
		t.Error("signed a query that holds an auth_key")
	}
}

// onlyHexCase: a percent-encoding in another case decodes to the same.
func onlyHexCase(a, b string) bool {
	x, err1 := url.QueryUnescape(a)
	y, err2 := url.QueryUnescape(b)
	return err1 == nil && err2 == nil && x == y
}

func TestBearer(t *testing.T) {
	for _, c := range []struct {
		header string
		secure bool
		kind   fault.Kind
		says   string
	}{
		{"Bearer " + docKey + ":" + docSecret, true, 0, ""},
		{"bearer  " + docKey + ":" + docSecret + " ", true, 0, ""},
		{"Bearer second:second-secret", true, 0, ""},
		{"Bearer " + docKey + ":" + docSecret, false, fault.InsecureTransport, "over TLS or from this machine only"},
		{"Bearer nobody:x", false, fault.InsecureTransport, "over TLS"},
		{"Bearer " + docKey + ":" + docSecret + "x", true, fault.AuthFailed, "not that of key"},
		{"Bearer " + docKey + ":x", true, fault.AuthFailed, "not that of key"},
		{"Bearer nobody:x", true, fault.AuthFailed, `key "nobody" is not known`},
		{"Bearer old:old-secret", true, fault.AuthFailed, "is disabled"},
		{"Bearer other:other-secret", true, fault.AuthFailed, "belongs to another app"},
		{"Bearer " + docKey, true, fault.AuthFailed, "expected <key>:<secret>"},
		{"Bearer " + docKey + ":", true, fault.AuthFailed, "expected <key>:<secret>"},
		{"Bearer :x", true, fault.AuthFailed, "expected <key>:<secret>"},
		{"Bearer", true, fault.AuthFailed, "expected <key>:<secret>"},
		{"Basic abc", true, fault.AuthFailed, "has no credentials"},
		{"", true, fault.AuthFailed, "has no credentials"},
	} {
		r := &Request{App: "3", Method: "GET", Path: "/", Authorization: c.header, Secure: c.secure}
		g, err := r.Verify(ring(t), docTime)
		if c.says != "" {
			refused(t, g, err, c.kind, c.says)
			continue
		}
		if err != nil || g.Kind() != Bearer || !g.Can("x", All) || g.App() != "3" {
			t.Errorf("%q: %+v, %v", c.header, g, err)
		}
	}
	if _, err := (&Request{App: "3", Authorization: "Bearer nobody:" + docSecret, Secure: true}).Verify(ring(t), docTime); strings.Contains(err.Error(), docSecret) {
		t.Error("an error repeats the secret")
	}
}

func FuzzParseBearer(f *testing.F) {
	f.Add("Bearer a:b")
	f.Add("bearer")
	f.Fuzz(func(t *testing.T, header string) {
		pair, ok, err := ParseBearer(header)
		if ok && err == nil && (pair.Key == "" || pair.Secret == "" || strings.Contains(pair.Key, ":")) {
			t.Fatalf("%q: %+v", header, pair)
		}
		if !ok && (err != nil || pair != Pair{}) {
			t.Fatalf("%q: %+v, %v", header, pair, err)
		}
	})
}

func FuzzParseQuery(f *testing.F) {
	for _, s := range []string{docQuery, "a=1&b=2", "%41=%2B+", "a;b=c,d&=&&x", "a=%zz", "Ab=1&aB=2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := ParseQuery(raw)
		if err != nil {
			return
		}
		for _, p := range q {
			if v, ok := q.Get(p.Name); !ok || v != p.Value {
				t.Fatalf("%q: %q is %q, %v", raw, p.Name, v, ok)
			}
		}
		// Where net/url accepts the query too, both must read the same, and the signing string must be the sorted join.
		std, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		var pairs []string
		for _, p := range q {
			if v, ok := std[p.Name]; !ok || len(v) != 1 || v[0] != p.Value {
				t.Fatalf("%q: %q is %q here, %q there", raw, p.Name, p.Value, v)
			}
			if p.Name != "auth_signature" {
				pairs = append(pairs, strings.ToLower(p.Name)+"\x00"+p.Value)
			}
		}
		sort.SliceStable(pairs, func(i, j int) bool {
			a, _, _ := strings.Cut(pairs[i], "\x00")
			b, _, _ := strings.Cut(pairs[j], "\x00")
			return a < b
		})
		want := strings.ReplaceAll(strings.Join(pairs, "&"), "\x00", "=")
		if got := string(q.signed(nil, false)); !strings.Contains(raw, "%00") && !strings.Contains(raw, "\x00") && got != want {
			t.Fatalf("%q signs %q, want %q", raw, got, want)
		}
	})
}

func BenchmarkVerifySignature(b *testing.B) {
	keys := ring(b)
	q, err := ParseQuery(docQuery)
	if err != nil {
		b.Fatal(err)
	}
	r := &Request{App: "3", Method: "POST", Path: "/apps/3/events", Query: q, Body: []byte(docBody)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Verify(keys, docTime); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyBearer(b *testing.B) {
	keys := ring(b)
	r := &Request{App: "3", Authorization: "Bearer " + docKey + ":" + docSecret, Secure: true}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Verify(keys, docTime); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseQuery(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseQuery(docQuery); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMAC(b *testing.B) {
	k := newKey(b, "3", docKey, docSecret, true)
	text := make([]byte, 300)
	b.Run("clone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			k.mac(text)
		}
	})
	plain := *k
	plain.keyed = nil
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			plain.mac(text)
		}
	})
}
