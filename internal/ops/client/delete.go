package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"
)

// Delete deletes a key of a channel and retries until the outcome is known. A key that is not there is deleted.
func (p *Publisher) Delete(ctx context.Context, channel, key string) error {
	path := "channels/" + url.PathEscape(channel) + "/keys/" + url.PathEscape(key)
	err := p.again(ctx, func() error { return p.call(ctx, http.MethodDelete, path, nil, nil) })
	var gone *Error
	if errors.As(err, &gone) && (gone.Status == http.StatusNotFound || gone.Status == http.StatusConflict) {
		return nil
	}
	return err
}
