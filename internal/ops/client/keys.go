package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// FeedKey is an API key of the feed face.
type FeedKey struct {
	ID          string              `json:"id,omitempty"`
	APIKey      string              `json:"api_key,omitempty"` // told once, by Create
	Label       string              `json:"label,omitempty"`
	Channels    []string            `json:"channels"`
	Filters     map[string][]string `json:"filters,omitempty"`
	Connections int                 `json:"connections,omitempty"`
	Access      map[string]bool     `json:"access,omitempty"`
	CreatedAt   int64               `json:"created_at_ms,omitempty"`
	ExpiresAt   int64               `json:"expires_at_ms,omitempty"`
	Revoked     bool                `json:"revoked,omitempty"`
	RevokedAt   int64               `json:"revoked_at_ms,omitempty"`
	Configured  bool                `json:"configured,omitempty"`
}

// FeedKeys makes, lists and revokes API keys of an app.
type FeedKeys struct {
	Server Server
	HTTP   *http.Client // nil: http.DefaultClient
}

// Create makes a key. It is not retried: a key that was made twice would have two secrets.
func (f *FeedKeys) Create(ctx context.Context, k FeedKey) (made FeedKey, err error) {
	body, err := json.Marshal(k)
	if err != nil {
		return made, err
	}
	return made, f.call(ctx, http.MethodPost, "feed_keys", body, &made)
}

// List gives the keys of the app.
func (f *FeedKeys) List(ctx context.Context) ([]FeedKey, error) {
	var answer struct{ Keys []FeedKey }
	return answer.Keys, f.call(ctx, http.MethodGet, "feed_keys", nil, &answer)
}

// Revoke ends a key.
func (f *FeedKeys) Revoke(ctx context.Context, id string) (k FeedKey, err error) {
	return k, f.call(ctx, http.MethodDelete, "feed_keys/"+url.PathEscape(id), nil, &k)
}

func (f *FeedKeys) call(ctx context.Context, method, path string, body []byte, answer any) error {
	p := Publisher{Server: f.Server, HTTP: f.HTTP}
	return p.call(ctx, method, path, body, answer)
}
