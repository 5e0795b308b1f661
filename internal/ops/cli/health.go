package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// healthCommand asks a running server whether it is ready; it is what a container's health check calls.
type healthCommand struct {
	URL  string `name:"url" default:"http://127.0.0.1:6001" env:"CONTINUO_URL" help:"Address of the server."`
	JSON bool   `name:"json" help:"Print a JSON object."`
}

// Run fails unless the server answers that it is ready.
func (c *healthCommand) Run(env *Env) error {
	ctx, cancel := context.WithTimeout(env.Context, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(c.URL, "/")+"/ready", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return hint(err, c.URL)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, 200))
	ready := res.StatusCode == http.StatusOK
	if c.JSON {
		if err := printJSON(env, map[string]any{"ready": ready, "status": string(text)}); err != nil {
			return err
		}
	}
	if !ready {
		return fmt.Errorf("the server at %s is not ready: %s", c.URL, text)
	}
	if !c.JSON {
		_, err = fmt.Fprintln(env.Stdout, "ready")
	}
	return err
}
