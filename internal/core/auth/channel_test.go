package auth

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/fault"
)

const socket = "1234.1234"

func TestDocumentedAuthStrings(t *testing.T) {
	const (
		private = "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"
		member  = `{"user_id":10,"user_info":{"name":"Mr. Channels"}}`
		pres    = "31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80"
		user    = `{"id":"12345"}`
		signin  = "4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba"
	)
	k := ring(t)(docKey)
	if got, err := k.SignChannel(socket, "private-foobar", ""); got != docKey+":"+private || err != nil {
		t.Errorf("private: %s, %v", got, err)
	}
	if got, err := k.SignChannel(socket, "presence-foobar", member); got != docKey+":"+pres || err != nil {
		t.Errorf("presence: %s, %v", got, err)
	}
	if got, err := k.SignUser(socket, user); got != docKey+":"+signin || err != nil {
		t.Errorf("sign-in: %s, %v", got, err)
	}
	g, err := Subscription{App: "3", Socket: socket, Name: name(t, "private-foobar"), Auth: docKey + ":" + private}.Verify(ring(t))
	if err != nil || g.Kind() != Channel || g.Data() != "" || g.Rights("private-foobar") != Join|History|Send || g.Rights("private-x") != 0 {
		t.Errorf("private: %+v, %v", g, err)
	}
	g, err = Subscription{App: "3", Socket: socket, Name: name(t, "presence-foobar"), Auth: docKey + ":" + pres, Data: member}.Verify(ring(t))
	if err != nil || g.Data() != member || !g.Can("presence-foobar", Join|Presence|Send) || g.Can("presence-foobar", EditAny) {
		t.Errorf("presence: %+v, %v", g, err)
	}
	g, err = SignIn{App: "3", Socket: socket, Auth: docKey + ":" + signin, Data: user}.Verify(ring(t))
	if err != nil || g.Kind() != User || g.Data() != user || g.Rights("private-foobar") != 0 || g.Key() != docKey {
		t.Errorf("sign-in: %+v, %v", g, err)
	}
}

func TestAuthStringForms(t *testing.T) {
	const data = `{"user_id":"u1"}`
	plain := func(channel string) string { return "second:" + sign(socket+":"+channel, "second-secret") }
	with := func(channel, data string) string {
		return "second:" + sign(socket+":"+channel+":"+data, "second-secret")
	}
	for _, c := range []struct {
		why, channel, auth, data, proven string
	}{
		{"private", "private-a", plain("private-a"), "", ""},
		{"private, data not signed", "private-a", plain("private-a"), data, ""},
		{"private, data signed", "private-a", with("private-a", data), data, data},
		{"encrypted", "private-encrypted-a", plain("private-encrypted-a"), "", ""},
		{"private cache", "private-cache-a", plain("private-cache-a"), "", ""},
		{"presence", "presence-a", with("presence-a", data), data, data},
		{"presence, blanks before the data", "presence-a", with("presence-a", " \n"+data), " \n" + data, " \n" + data},
		{"presence of a signed-in user", "presence-a", plain("presence-a"), "", ""},
		{"upper-case hex", "private-a", "second:" + strings.ToUpper(strings.TrimPrefix(plain("private-a"), "second:")), "", ""},
	} {
		g, err := Subscription{App: "3", Socket: socket, Name: name(t, c.channel), Auth: c.auth, Data: c.data}.Verify(ring(t))
		if err != nil || g.Data() != c.proven || !g.Can(c.channel, Join) {
			t.Errorf("%s: %+v, %v", c.why, g, err)
		}
		if g.Can(c.channel, Send) == strings.Contains(c.channel, "encrypted") {
			t.Errorf("%s: rights %v", c.why, g.Rights(c.channel))
		}
	}
	for _, c := range []struct{ why, channel, auth, data, says string }{
		{"no auth", "private-a", "", "", `private channel "private-a" requires authentication`},
		{"no colon", "private-a", "second", "", "malformed"},
		{"no key", "private-a", ":" + strings.Repeat("0", 64), "", "malformed"},
		{"short", "private-a", plain("private-a")[:60], "", "malformed"},
		{"not hex", "private-a", "second:" + strings.Repeat("z", 64), "", "signature is wrong"},
		{"unknown key", "private-a", "nobody:" + strings.Repeat("0", 64), "", "not known"},
		{"disabled key", "private-a", "old:" + sign(socket+":private-a", "old-secret"), "", "disabled"},
		{"key of another app", "private-a", "other:" + sign(socket+":private-a", "other-secret"), "", "belongs to another app"},
		{"another channel", "private-b", plain("private-a"), "", `of "1234.1234:private-b"`},
		{"another secret", "private-a", docKey + strings.TrimPrefix(plain("private-a"), "second"), "", "signature is wrong"},
		{"presence data not signed", "presence-a", plain("presence-a"), data, "signature is wrong"},
		{"other presence data", "presence-a", with("presence-a", data), `{"user_id":"u2"}`, "signature is wrong"},
		{"presence data no object", "presence-a", with("presence-a", `"u1"`), `"u1"`, "not a JSON object"},
		// A ':' may stand in a name: what was signed for one channel must not be read as another's channel and data.
		{"data that continues a name", "private-a", plain("private-a:b"), "b", "signature is wrong"},
		{"data that continues a name, and more", "private-a", with("private-a:b", data), "b:" + data, "signature is wrong"},
		{"presence data that continues a name", "presence-a", with("presence-a:b", data), "b:" + data, "not a JSON object"},
		{"data after a name that ends in a colon", "private-a", with("private-a:", data), ":" + data, "signature is wrong"},
	} {
		g, err := Subscription{App: "3", Socket: socket, Name: name(t, c.channel), Auth: c.auth, Data: c.data}.Verify(ring(t))
		t.Run(c.why, func(t *testing.T) { refused(t, g, err, fault.AuthFailed, c.says) })
	}
	g, err := Subscription{App: "3", Socket: socket, Name: name(t, "news")}.Verify(ring(t))
	refused(t, g, err, fault.Internal, "takes no auth string")
	g, err = Subscription{App: "3", Socket: "9.9", Name: name(t, "private-a"), Auth: plain("private-a")}.Verify(ring(t))
	refused(t, g, err, fault.AuthFailed, "9.9:private-a")
}

func TestSignInRefusals(t *testing.T) {
	const user = `{"id":"u1"}`
	good := "second:" + sign(socket+"::user::"+user, "second-secret")
	for _, c := range []struct{ why, socket, auth, data, says string }{
		{"no auth", socket, "", user, "the sign-in requires authentication"},
		{"no data", socket, "second:" + sign(socket+"::user::", "second-secret"), "", "not a JSON object"},
		{"other data", socket, good, `{"id":"u2"}`, "signature is wrong"},
		{"another connection", "9.9", good, user, "signature is wrong"},
		{"a subscription's", socket, "second:" + sign(socket+":private-a", "second-secret"), user, "signature is wrong"},
		{"unknown key", socket, "nobody" + strings.TrimPrefix(good, "second"), user, "not known"},
	} {
		g, err := SignIn{App: "3", Socket: c.socket, Auth: c.auth, Data: c.data}.Verify(ring(t))
		t.Run(c.why, func(t *testing.T) { refused(t, g, err, fault.AuthFailed, c.says) })
	}
}

func TestSignRefuses(t *testing.T) {
	k := ring(t)(docKey)
	for _, c := range []struct{ socket, channel, data string }{
		{"1", "private-a", ""},
		{"1.2:x", "private-a", ""},
		{"", "private-a", ""},
		{"1.2", "news", ""},
		{"1.2", "", ""},
		{"1.2", ":user::x", ""},
		{"1.2", "#server-to-user-1", ""},
		{"1.2", "private-a b", ""},
		{"1.2", "private-a", "b"},
	} {
		if s, err := k.SignChannel(c.socket, c.channel, c.data); s != "" || fault.KindOf(err) != fault.Invalid {
			t.Errorf("SignChannel(%q) = %q, %v", c, s, err)
		}
	}
	for _, c := range [][2]string{{"1", "{}"}, {"1.2", ""}, {"1.2", "u1"}} {
		if s, err := k.SignUser(c[0], c[1]); s != "" || fault.KindOf(err) != fault.Invalid {
			t.Errorf("SignUser(%q) = %q, %v", c, s, err)
		}
	}
}

func TestValidSocket(t *testing.T) {
	for s, want := range map[string]bool{
		"1.2": true, "4821.99317": true, "0.0": true,
		"": false, ".": false, "1.": false, ".2": false, "1": false, "1.2.3": false, "-1.2": false, "1.2 ": false, "a.b": false, "١.٢": false,
		strings.Repeat("1", 40) + "." + strings.Repeat("1", 40): false,
	} {
		if ValidSocket(s) != want {
			t.Errorf("ValidSocket(%q) = %v", s, !want)
		}
	}
}

func TestSharedSecret(t *testing.T) {
	master := []byte("01234567890123456789012345678901")
	s := SharedSecret("private-encrypted-a", master)
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(raw) != 32 || s == SharedSecret("private-encrypted-b", master) {
		t.Errorf("%q, %v", s, err)
	}
	if string(master) != "01234567890123456789012345678901" {
		t.Error("the master key was written to")
	}
}

// FuzzVerify: whatever channel and data a client sends, an auth string made for another channel never opens it.
func FuzzVerify(f *testing.F) {
	f.Add("private-a:b", "", "private-a", "b")
	f.Add("presence-a:b", `{"x":1}`, "presence-a", `b:{"x":1}`)
	f.Add("private-a", `{"x":1}`, "private-a", "")
	keys := ring(f)
	f.Fuzz(func(t *testing.T, signed, signedData, wanted, data string) {
		auth, err := keys("second").SignChannel(socket, signed, signedData)
		if err != nil || len(wanted) == 0 {
			return
		}
		n, err := parseName(wanted)
		if err != nil || !n.NeedsAuth() {
			return
		}
		g, err := Subscription{App: "3", Socket: socket, Name: n, Auth: auth, Data: data}.Verify(keys)
		if err != nil {
			if signed == wanted && signedData == data {
				t.Fatalf("its own auth string is refused: %v", err)
			}
			return
		}
		if signed != wanted || (g.Data() != "" && g.Data() != signedData) {
			t.Fatalf("signed for %q %q, opened %q with %q", signed, signedData, wanted, g.Data())
		}
		if _, err := (SignIn{App: "3", Socket: socket, Auth: auth, Data: data}).Verify(keys); err == nil {
			t.Fatalf("the auth string for %q signs in %q", signed, data)
		}
	})
}
