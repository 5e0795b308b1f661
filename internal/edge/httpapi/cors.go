package httpapi

import (
	"log/slog"
	"net/http"
	"slices"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/fault"
)

const (
	corsMethods = "GET, POST, DELETE, OPTIONS"
	corsHeaders = "Authorization, Content-Type, If-None-Match, X-Idempotency-Key, X-Pusher-Library"
	corsExposed = "ETag, Retry-After, X-Entry-Id, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-Serial, X-Server-Epoch, X-Stream-Id"
)

// compileOrigins makes the patterns of Options.Origins answer questions, the way an app's own do.
func compileOrigins(patterns []string, log *slog.Logger) *app.App {
	if len(patterns) == 0 {
		return nil
	}
	a, err := app.New(app.App{ID: "cors", Enabled: true, Origins: patterns, Keys: []app.Key{{Key: "none", Secret: "none"}}})
	if err != nil {
		log.Error("the origins of the HTTP API cannot be used; no page may call it", "error", err)
		return &app.App{Origins: patterns}
	}
	return a
}

// cors lets the pages of allowed origins see the answer. It reports whether the request was a preflight, which it has
// then answered.
func (c *call) cors() bool {
	preflight := c.r.Method == http.MethodOptions && len(c.r.Header["Access-Control-Request-Method"]) > 0
	given := c.r.Header["Origin"]
	if len(given) == 0 {
		return false
	}
	rules := c.api.origins
	if rules == nil {
		rules = c.app
	}
	h := c.w.Header()
	if all := len(rules.Origins) == 0 || slices.Contains(rules.Origins, "*"); all {
		h.Set("Access-Control-Allow-Origin", "*")
	} else {
		h.Add("Vary", "Origin")
		if !rules.AllowsOrigin(given[0]) {
			if preflight {
				c.fail(fault.New(fault.Forbidden, "pages of this origin may not call the API of the app").In("Origin"))
			}
			return preflight
		}
		h.Set("Access-Control-Allow-Origin", given[0])
	}
	h.Set("Access-Control-Expose-Headers", corsExposed)
	if !preflight {
		return false
	}
	h.Set("Access-Control-Allow-Methods", corsMethods)
	h.Set("Access-Control-Allow-Headers", corsHeaders)
	h.Set("Access-Control-Max-Age", "86400")
	c.w.WriteHeader(http.StatusNoContent)
	return true
}
