// Package proxy answers the requests that browser SDKs send to their application's backend because they hold no secret:
// presence history and snapshots, channel history, reads, versions, mutations and annotations of messages. It signs each
// one, forwards it to the server's HTTP API and gives back the answer as it came.
//
//	http.Handle("/realtime", proxy.New(proxy.Options{
//		URL: "http://127.0.0.1:6001", App: "app-id", Key: "app-key", Secret: "app-secret", Authorize: mayRead,
//	}))
//
// The client is then configured with that path as its presenceHistory.endpoint and versionedMessages.endpoint (Python:
// the endpoint of its history, presence history or versioned messages).
package proxy

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// Options of a Handler. URL, App, Key, Secret and Authorize are required.
type Options struct {
	URL    string // of the server, with its path prefix if it has one
	App    string // the app's id
	Key    string
	Secret string
	// Authorize says who may do what: nil lets it happen, an error refuses it with 403 and the error's text. The request
	// is the client's own, with its cookies and headers, its body read. Authorize may change what is forwarded: set
	// Ask.ClientID to the user that the request was authenticated as. Without Authorize everything is refused.
	Authorize func(r *http.Request, ask *Ask) error
	// Messages makes the action "history" mean the messages of a presence channel too. Without it, history of a channel
	// that begins with presence- is that of its members, unless the request names an attach serial.
	Messages bool
	// Client makes the requests; nil: one with a time limit of 30 s.
	Client *http.Client
	// Now is the time for signatures; nil: time.Now.
	Now func() time.Time
}

// Everyone is an Authorize that refuses nothing: every visitor reads and changes what the application's secret can. It
// is for development.
func Everyone(*http.Request, *Ask) error { return nil }

// Handler forwards what client SDKs ask. It may serve many requests at once.
type Handler struct{ o Options }

// New makes a Handler.
func New(o Options) *Handler {
	o.URL = strings.TrimRight(o.URL, "/")
	if o.Client == nil {
		o.Client = &http.Client{Timeout: 30 * time.Second}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Handler{o}
}

// maxBody is the largest request.
const maxBody = 1 << 20

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, http.StatusMethodNotAllowed, "method_not_allowed", "requests of client SDKs are POST, not "+r.Method)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		refuse(w, http.StatusRequestEntityTooLarge, "payload_too_large", "the request is larger than 1 MiB")
		return
	case err != nil:
		refuse(w, http.StatusBadRequest, "invalid_input", "the request was cut off")
		return
	}
	ask, err := parse(body)
	if err != nil {
		refuse(w, http.StatusBadRequest, "invalid_input", err.Error())
		return
	}
	if err := h.authorize(r, ask); err != nil {
		refuse(w, http.StatusForbidden, "forbidden", err.Error())
		return
	}
	call, err := h.call(ask)
	if err != nil {
		refuse(w, http.StatusBadRequest, "invalid_input", err.Error())
		return
	}
	h.forward(w, r, call)
}

func (h *Handler) authorize(r *http.Request, ask *Ask) error {
	if h.o.Authorize == nil {
		return errors.New("the proxy has no Authorize, so nobody may do anything: say who may in proxy.Options")
	}
	return h.o.Authorize(r, ask)
}

// forward makes the call and gives back its answer as it came.
func (h *Handler) forward(w http.ResponseWriter, r *http.Request, c call) {
	query := c.sign(h.o.Key, h.o.Secret, h.o.Now())
	var body io.Reader
	if len(c.body) > 0 {
		body = strings.NewReader(string(c.body))
	}
	req, err := http.NewRequestWithContext(r.Context(), c.method, h.o.URL+c.path+"?"+query, body)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "internal_error", "the URL of the server is not usable")
		return
	}
	if len(c.body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := h.o.Client.Do(req)
	if err != nil {
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusBadGateway, "service_unavailable", "the realtime server cannot be reached now")
		return
	}
	defer func() { _ = res.Body.Close() }()
	for _, name := range []string{"Content-Type", "Content-Length", "Retry-After"} {
		if v := res.Header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	w.WriteHeader(res.StatusCode)
	_, _ = io.Copy(w, res.Body) // the client has gone, or sees that the answer is cut
}
