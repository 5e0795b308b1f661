package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/client"
	"github.com/continuo-rt/continuo/internal/ops/control"
)

// dataFlag names the data folder of a server.
type dataFlag struct {
	Data string `name:"data" placeholder:"DIR" default:"./continuo-data" env:"CONTINUO_DATA" help:"Data folder of the server (${default})."`
}

// reach are the flags of commands on a running server: through the control socket in its data folder, else over HTTP.
type reach struct {
	dataFlag `embed:""`
	URL      string `name:"url" placeholder:"URL" env:"CONTINUO_URL" help:"Ask the server at this address over HTTP, instead of the one that uses the data folder."`
	App      string `name:"app" env:"CONTINUO_APP_ID" help:"Id of the app; not needed where there is only one."`
	Key      string `name:"key" default:"app-key" env:"CONTINUO_APP_KEY" help:"With --url: key of the app."`
	Secret   string `name:"secret" default:"app-secret" env:"CONTINUO_APP_SECRET" help:"With --url: its secret."`
}

// api is a running server that can be asked.
type api struct {
	http  *http.Client
	base  string
	auth  string // empty: over the control socket
	where string // for messages
}

// local reports whether the server is asked over its control socket.
func (a *api) local() bool { return a.auth == "" }

// open finds the server.
func (r *reach) open(ctx context.Context) (*api, error) {
	if r.URL != "" {
		return r.remote(r.URL), nil
	}
	a, err := r.local()
	if !errors.Is(err, control.ErrNoServer) {
		return a, err
	}
	probe, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if a := r.remote(defaultURL); a.get(probe, "/live", nil, nil) == nil {
		return a, nil
	}
	return nil, fmt.Errorf("no server uses the data folder %s, and none answers at %s. Start one with: continuo serve. "+
		"Or name the folder of a running one with --data, or its address with --url", r.Data, defaultURL)
}

// local finds the server that uses the data folder.
func (r *dataFlag) local() (*api, error) {
	c, err := control.Dial(r.Data)
	switch {
	case errors.Is(err, control.ErrNoServer):
		return nil, fmt.Errorf("no server uses the data folder %s (%w). Start one with: continuo serve --data %s. Or name the folder of a running one with --data",
			r.Data, control.ErrNoServer, r.Data)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("the control socket in %s is not yours to open: run this as the user that the server runs as", r.Data)
	case err != nil:
		return nil, err
	}
	return &api{http: c, base: control.Base, where: "the server with the data folder " + r.Data}, nil
}

func (r *reach) remote(base string) *api {
	return &api{http: &http.Client{}, base: strings.TrimRight(base, "/"), auth: "Bearer " + r.Key + ":" + r.Secret, where: base}
}

// app is the id of the app to ask about: the one that was named, or the only one.
func (r *reach) app(ctx context.Context, a *api) (string, error) {
	switch {
	case r.App != "":
		return r.App, nil
	case !a.local():
		return "app-id", nil
	}
	var st control.Status
	if err := a.get(ctx, "/control/status", nil, &st); err != nil {
		return "", err
	}
	if len(st.Apps) != 1 {
		return "", fmt.Errorf("the server has several apps: name one with --app: %s", strings.Join(st.Apps, ", "))
	}
	return st.Apps[0], nil
}

// get asks for a path and decodes the answer; into may be nil.
func (a *api) get(ctx context.Context, path string, q url.Values, into any) error {
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	return a.call(ctx, http.MethodGet, path, nil, into)
}

// call makes one request and decodes the answer; into may be nil.
func (a *api) call(ctx context.Context, method, path string, body []byte, into any) error {
	res, err := a.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		return fmt.Errorf("the answer of %s was not understood: %w", a.where, err)
	}
	return nil
}

// do makes one request whose answer the caller reads and closes. Anything but success is an error.
func (a *api) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if a.auth != "" {
		req.Header.Set("Authorization", a.auth)
	}
	res, err := a.http.Do(req)
	if err != nil {
		return nil, hint(err, a.where)
	}
	if res.StatusCode/100 == 2 {
		return res, nil
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	refused := &client.Error{Msg: strings.TrimSpace(string(text[:min(len(text), 200)]))}
	_ = json.Unmarshal(text, refused) // what is no JSON is shown as it is
	refused.Status = res.StatusCode
	return nil, hint(refused, a.where)
}
