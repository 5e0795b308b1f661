package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/filter"
	"github.com/continuo-rt/continuo/internal/run/keyring"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
	"github.com/continuo-rt/continuo/internal/wire/feed"
)

// FeedKeys proves, makes and revokes the API keys of the feed. Its methods may be called concurrently; errors are faults.
type FeedKeys interface {
	Resolve(apiKey string) (feed.Entitlement, error)
	// Create gives what the client presents, this once.
	Create(ctx context.Context, k keyring.Key) (apiKey string, made keyring.Key, err error)
	List(app string) []keyring.Key
	Revoke(ctx context.Context, app, id string) (keyring.Key, error)
}

var feedKeyRoutes = []route{
	{[]string{"feed_keys"}, []endpoint{
		{method: http.MethodGet, read: true, do: (*call).listFeedKeys},
		{method: http.MethodPost, do: (*call).createFeedKey}}},
	{[]string{"feed_keys", ":subject"}, []endpoint{{method: http.MethodDelete, do: (*call).revokeFeedKey}}},
}

func (c *call) feedKeys() (FeedKeys, error) {
	if c.api.opts.FeedKeys == nil {
		return nil, fault.New(fault.Disabled, "this server keeps no API keys of the feed")
	}
	return c.api.opts.FeedKeys, nil
}

// feedKeyRequest is the body that makes an API key.
type feedKeyRequest struct {
	ID          string                     `json:"id"`
	Label       string                     `json:"label"`
	Channels    []string                   `json:"channels"`
	Filters     map[string]json.RawMessage `json:"filters"`
	Connections int                        `json:"connections"`
	Access      map[string]bool            `json:"access"`
	ExpiresAt   int64                      `json:"expires_at_ms"`
}

// feedKeyAnswer shows an API key. APIKey is there only in the answer that made it.
type feedKeyAnswer struct {
	ID          string              `json:"id"`
	APIKey      string              `json:"api_key,omitempty"`
	Label       string              `json:"label"`
	Channels    []string            `json:"channels"`
	Filters     map[string][]string `json:"filters,omitempty"`
	Connections int                 `json:"connections"`
	Access      map[string]bool     `json:"access,omitempty"`
	CreatedAt   int64               `json:"created_at_ms,omitempty"`
	ExpiresAt   int64               `json:"expires_at_ms,omitempty"`
	Revoked     bool                `json:"revoked"`
	RevokedAt   int64               `json:"revoked_at_ms,omitempty"`
	Configured  bool                `json:"configured"` // it stands in the configuration
}

func showFeedKey(k *keyring.Key) feedKeyAnswer {
	a := feedKeyAnswer{ID: k.ID, Label: k.Label, Channels: k.Channels, Filters: k.Filters, Connections: k.Connections, Access: k.Access,
		CreatedAt: k.Created, ExpiresAt: k.Expires, Revoked: k.Revoked != 0, Configured: k.Configured}
	if k.Revoked > 1 { // 1: when is not known
		a.RevokedAt = k.Revoked
	}
	return a
}

func (c *call) answerJSON(status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	c.out = append(c.out, b...)
	return c.answer(status)
}

func (c *call) createFeedKey() error {
	ring, err := c.feedKeys()
	if err != nil {
		return err
	}
	if _, err := envelope.Parse(c.body); err != nil { // stricter than the decoder below
		return fault.New(fault.Invalid, "the body is not valid JSON: %v", err).In("body")
	}
	var asked feedKeyRequest
	d := json.NewDecoder(bytes.NewReader(c.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&asked); err != nil {
		return fault.New(fault.Invalid, "the body is no API key: %v", err).In("body")
	}
	k := keyring.Key{App: c.app.ID, ID: asked.ID, Label: asked.Label, Channels: asked.Channels, Connections: asked.Connections,
		Access: asked.Access, Expires: asked.ExpiresAt}
	for field, raw := range asked.Filters {
		values, err := filter.ParseValues(raw)
		if err != nil {
			return fault.New(fault.Invalid, "%s: %v", field, err).In("filters")
		}
		if k.Filters == nil {
			k.Filters = map[string][]string{}
		}
		k.Filters[field] = values
	}
	given, made, err := ring.Create(c.r.Context(), k)
	if err != nil {
		return err
	}
	c.w.Header().Set("Cache-Control", "no-store")
	shown := showFeedKey(&made)
	shown.APIKey = given
	return c.answerJSON(http.StatusCreated, shown)
}

func (c *call) listFeedKeys() error {
	ring, err := c.feedKeys()
	if err != nil {
		return err
	}
	answer := struct {
		Keys []feedKeyAnswer `json:"keys"`
	}{Keys: []feedKeyAnswer{}}
	for _, k := range ring.List(c.app.ID) {
		answer.Keys = append(answer.Keys, showFeedKey(&k))
	}
	return c.answerJSON(http.StatusOK, answer)
}

func (c *call) revokeFeedKey() error {
	ring, err := c.feedKeys()
	if err != nil {
		return err
	}
	k, err := ring.Revoke(c.r.Context(), c.app.ID, c.match.subject)
	if err != nil {
		return err
	}
	return c.answerJSON(http.StatusOK, showFeedKey(&k))
}
