package trace

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Serve lets h answer a request of the HTTP API, within a span if it may change something.
func (t *Tracer) Serve(h http.Handler, w http.ResponseWriter, r *http.Request, path string) {
	if t == nil || r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions {
		h.ServeHTTP(w, r)
		return
	}
	ctx, s := t.Begin(t.continued(r), r.Method+" "+call(path), Server)
	if s == nil { // what it does is not recorded either
		h.ServeHTTP(w, r.WithContext(ctx))
		return
	}
	s.Set("http.request.method", r.Method)
	s.Set("url.path", path)
	answer := &answer{ResponseWriter: w, status: http.StatusOK}
	h.ServeHTTP(answer, r.WithContext(ctx))
	s.Set("http.response.status_code", int64(answer.status))
	if answer.status >= http.StatusInternalServerError {
		s.Fail(errors.New(http.StatusText(answer.status)))
	}
	s.Finish()
}

// call names what a path asks for, without what varies.
func call(path string) string {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for i, name := range map[int]string{1: "{app}", 3: "{channel}", 5: "{message}"} {
		if i < len(parts) && !(i == 3 && parts[2] == "users") {
			parts[i] = name
		}
	}
	return "/" + strings.Join(parts, "/")
}

// continued is the request's context with the trace of its caller (W3C traceparent), if there is one.
func (t *Tracer) continued(r *http.Request) context.Context {
	ctx := r.Context()
	text := r.Header.Get("Traceparent")
	if len(text) < 55 || text[2] != '-' || text[35] != '-' || text[52] != '-' || text[:2] == "ff" || text[:2] == "00" && len(text) != 55 {
		return ctx
	}
	up := &Span{tracer: t}
	var flags [1]byte
	_, err1 := hex.Decode(up.Trace[:], []byte(text[3:35]))
	_, err2 := hex.Decode(up.ID[:], []byte(text[36:52]))
	_, err3 := hex.Decode(flags[:], []byte(text[53:55]))
	switch {
	case errors.Join(err1, err2, err3) != nil || up.Trace == [16]byte{} || up.ID == [8]byte{}:
		return ctx
	case flags[0]&1 == 0:
		up = off
	}
	return context.WithValue(ctx, spanKey{}, up)
}

// answer remembers the status.
type answer struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController find what it looks for.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Store traces the appends of a store.
func Store(s stream.Store, t *Tracer) stream.Store { return &store{s, t} }

type store struct {
	stream.Store
	tracer *Tracer
}

// Append implements stream.Store.
func (s *store) Append(ctx context.Context, ops []stream.Op) ([]stream.Result, error) {
	ctx, span := s.tracer.Begin(ctx, "append", Internal)
	results, err := s.Store.Append(ctx, ops)
	if span == nil {
		return results, err
	}
	span.Fail(err)
	span.Set("messaging.batch.message_count", int64(len(ops)))
	if len(ops) > 0 {
		span.Set("messaging.destination.name", ops[0].Ref.Channel)
		span.Set("continuo.app", ops[0].Ref.App)
		span.Set("continuo.kind", ops[0].Entry.Kind.String())
	}
	for i, r := range results {
		if i == 0 && r.Entry.Serial > 0 {
			span.Set("continuo.serial", int64(r.Entry.Serial))
		}
		if r.Outcome == stream.Unknown {
			span.Fail(r.Err)
		}
	}
	span.Finish()
	return results, err
}
