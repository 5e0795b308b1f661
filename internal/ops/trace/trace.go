// Package trace sends spans of publishes to an OpenTelemetry collector, in the JSON form of OTLP over HTTP.
//
// A request that continues a trace (traceparent) is recorded when its caller recorded it; other publishes by the
// configured share. A span costs nothing more than a place in a bounded queue: when the collector is slow or away,
// spans are dropped, never publishes delayed.
package trace

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// Options of a Tracer.
type Options struct {
	// Endpoint is the base URL of an OTLP/HTTP receiver, such as http://127.0.0.1:4318. A path of its own is kept as it
	// is; without one it is /v1/traces. Empty: New gives nil.
	Endpoint string
	// Sample is the share of publishes that begin a trace.
	Sample float64
	// Version of the service.
	Version string
	// Failed is told when spans could not be delivered, at most once a minute.
	Failed func(error)
	// HTTP delivers; nil: a client with a timeout of its own.
	HTTP *http.Client
}

// Tracer records spans. A nil Tracer records nothing. Its methods may be called concurrently.
type Tracer struct {
	opts    Options
	target  string
	queue   chan *Span
	dropped atomic.Int64
}

// queued spans wait for the collector; batch is how many are sent at once, after at most every.
const (
	queued = 4096
	batch  = 512
	every  = 2 * time.Second
)

// New makes a Tracer, nil without an endpoint. Run delivers what it records.
func New(o Options) (*Tracer, error) {
	if o.Endpoint == "" {
		return nil, nil
	}
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("trace.endpoint %q is no URL", o.Endpoint)
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/v1/traces"
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{Timeout: 10 * time.Second}
	}
	return &Tracer{opts: o, target: u.String(), queue: make(chan *Span, queued)}, nil
}

// Span is one piece of work. A nil Span is not recorded; its methods do nothing.
type Span struct {
	tracer     *Tracer
	Trace      [16]byte
	ID, Parent [8]byte // Parent zero: the first of its trace
	Name       string
	Kind       int // as OTLP numbers them
	Start, End time.Time
	Attributes []Attribute
	Failure    string // empty: it went well
}

// The kinds of spans.
const (
	Internal = 1
	Server   = 2
)

// Attribute is a fact about a span. Value is a string, an int64 or a bool.
type Attribute struct {
	Key   string
	Value any
}

type spanKey struct{}

// off marks a context whose trace is not recorded.
var off = &Span{}

// Begin starts a span below the one in ctx, or a new trace if it is one of those to be recorded. The context it returns
// carries it.
func (t *Tracer) Begin(ctx context.Context, name string, kind int) (context.Context, *Span) {
	if t == nil {
		return ctx, nil
	}
	up, ok := ctx.Value(spanKey{}).(*Span)
	switch {
	case ok && up == off:
		return ctx, nil
	case ok:
		return t.start(ctx, up.Trace, up.ID, name, kind)
	}
	var id [16]byte
	rand.Read(id[:])
	if float64(binary.BigEndian.Uint64(id[8:])>>11)/(1<<53) >= t.opts.Sample {
		return context.WithValue(ctx, spanKey{}, off), nil
	}
	return t.start(ctx, id, [8]byte{}, name, kind)
}

func (t *Tracer) start(ctx context.Context, trace [16]byte, parent [8]byte, name string, kind int) (context.Context, *Span) {
	s := &Span{tracer: t, Trace: trace, Parent: parent, Name: name, Kind: kind, Start: time.Now()}
	rand.Read(s.ID[:])
	return context.WithValue(ctx, spanKey{}, s), s
}

// Set adds a fact.
func (s *Span) Set(key string, value any) {
	if s != nil {
		s.Attributes = append(s.Attributes, Attribute{key, value})
	}
}

// Fail says why the work failed; nil says nothing.
func (s *Span) Fail(err error) {
	if s != nil && err != nil {
		s.Failure = err.Error()
	}
}

// Finish ends the span and hands it over.
func (s *Span) Finish() {
	if s == nil {
		return
	}
	s.End = time.Now()
	select {
	case s.tracer.queue <- s:
	default:
		s.tracer.dropped.Add(1)
	}
}

// Dropped is how many spans found no room.
func (t *Tracer) Dropped() int64 { return t.dropped.Load() }

// errRefused is the collector's answer.
var errRefused = errors.New("the collector refused them")

// Run delivers spans until ctx ends, and then those that wait.
func (t *Tracer) Run(ctx context.Context) error {
	if t == nil {
		return nil
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var waiting []*Span
	var told time.Time
	flush := func(ctx context.Context) {
		if len(waiting) == 0 {
			return
		}
		err := t.deliver(ctx, waiting)
		waiting = waiting[:0]
		if err != nil && t.opts.Failed != nil && time.Since(told) > time.Minute {
			told = time.Now()
			t.opts.Failed(err)
		}
	}
	for {
		select {
		case s := <-t.queue:
			if waiting = append(waiting, s); len(waiting) >= batch {
				flush(ctx)
			}
		case <-tick.C:
			flush(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), every)
			defer cancel()
			for len(t.queue) > 0 {
				waiting = append(waiting, <-t.queue)
			}
			flush(last)
			return ctx.Err()
		}
	}
}
