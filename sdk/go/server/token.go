package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Claims say who a client is, and what it may do.
type Claims struct {
	Subject string        // who: 1–160 bytes
	TTL     time.Duration // how long the token is good; 0: an hour
	Rooms   []Grant       // none: nothing but what anonymous clients may
	Info    any           // what is shown of the member; nil: nothing
}

// Grant is what may be done in the rooms that a pattern matches; * in it stands for any run of characters.
type Grant struct {
	Pattern string   `json:"pattern"`
	Can     []string `json:"can"`
}

// Rights lists all that a Grant can allow.
func Rights() []string {
	return []string{"join", "send", "history", "presence", "edit_own", "edit_any", "delete_own", "delete_any", "react"}
}

// MintToken makes a token for a client: a JSON Web Token, signed with the app's secret.
func (s *Server) MintToken(c Claims) (string, error) {
	if c.Subject == "" {
		return "", errors.New("continuo: a token needs a subject")
	}
	if c.TTL == 0 {
		c.TTL = time.Hour
	}
	now := s.o.Now()
	claims := struct {
		App   string  `json:"app"`
		Sub   string  `json:"sub"`
		Iat   int64   `json:"iat"`
		Exp   int64   `json:"exp"`
		Rooms []Grant `json:"rooms,omitempty"`
		Info  any     `json:"info,omitempty"`
	}{s.app, c.Subject, now.Unix(), now.Add(c.TTL).Unix(), c.Rooms, c.Info}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("continuo: info that is no JSON: %w", err)
	}
	head, err := json.Marshal(map[string]string{"alg": "HS256", "typ": "JWT", "kid": s.key})
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode(head) + "." + encode(payload)
	mac := hmac.New(sha256.New, []byte(s.secret))
	mac.Write([]byte(signed))
	return signed + "." + encode(mac.Sum(nil)), nil
}
