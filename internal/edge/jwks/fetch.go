package jwks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/MicahParks/jwkset"
)

// sameScheme refuses redirects that leave TLS, and long chains of them.
func sameScheme(r *http.Request, via []*http.Request) error {
	switch {
	case len(via) > 3:
		return errors.New("more than three redirects")
	case via[0].URL.Scheme == "https" && r.URL.Scheme != "https":
		return fmt.Errorf("a redirect from https to %s", r.URL.Scheme)
	}
	return nil
}

// fetch reads a source.
func (c *Cache) fetch(source string, file bool) ([]key, error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.opts.Timeout)
	defer cancel()
	body, err := open(ctx, c.opts.Client, source, file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(body, MaxBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the JWKS: %w", err)
	case len(raw) > MaxBytes:
		return nil, fmt.Errorf("the JWKS has more than the %d bytes allowed", MaxBytes)
	}
	return parse(raw)
}

func open(ctx context.Context, client *http.Client, source string, file bool) (io.ReadCloser, error) {
	if file {
		f, err := os.Open(source)
		if err != nil {
			return nil, err
		}
		return f, nil
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, source, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("the JWKS answers %s", resp.Status)
	}
	return resp.Body, nil
}

// parse takes the public signing keys out of a set. Keys of kinds that are not used here, symmetric ones and those that
// are meant for encryption are passed over; a set without any key that can be used is an error, since it would refuse
// every token.
func parse(raw []byte) ([]key, error) {
	var given struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(raw, &given); err != nil {
		return nil, fmt.Errorf("the JWKS is no JSON: %w", err)
	}
	if len(given.Keys) > MaxKeys {
		return nil, fmt.Errorf("the JWKS has %d keys, more than the %d allowed", len(given.Keys), MaxKeys)
	}
	var keys []key
	for _, one := range given.Keys {
		var m jwkset.JWKMarshal
		if json.Unmarshal(one, &m) != nil || m.USE != "" && m.USE != jwkset.UseSig {
			continue
		}
		m.X5U = "" // nothing is fetched on the word of a key
		k, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
		if err != nil || family(k.Key()) == "" {
			continue
		}
		keys = append(keys, key{id: m.KID, alg: m.ALG.String(), public: k.Key()})
	}
	if len(keys) == 0 {
		return nil, errors.New("the JWKS has no public key for RS256, ES256 or EdDSA")
	}
	return keys, nil
}
