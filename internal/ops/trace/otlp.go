package trace

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// deliver sends spans in one request.
func (t *Tracer) deliver(ctx context.Context, spans []*Span) error {
	body, err := json.Marshal(t.message(spans))
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.target, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := t.opts.HTTP.Do(req)
	if err != nil {
		return fmt.Errorf("%d spans: %w", len(spans), err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10)) // what cannot be read is not shown
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%d spans: %w: %s %.200s", len(spans), errRefused, res.Status, text)
	}
	return nil
}

// The message, as opentelemetry-proto's JSON mapping writes it: ids in hexadecimal, 64-bit numbers as strings.
type (
	otlpMessage struct {
		ResourceSpans []otlpResourceSpans `json:"resourceSpans"`
	}
	otlpResourceSpans struct {
		Resource   otlpResource     `json:"resource"`
		ScopeSpans []otlpScopeSpans `json:"scopeSpans"`
	}
	otlpResource struct {
		Attributes []otlpAttribute `json:"attributes"`
	}
	otlpScopeSpans struct {
		Scope otlpScope  `json:"scope"`
		Spans []otlpSpan `json:"spans"`
	}
	otlpScope struct {
		Name    string `json:"name"`
		Version string `json:"version,omitempty"`
	}
	otlpSpan struct {
		TraceID    string          `json:"traceId"`
		SpanID     string          `json:"spanId"`
		Parent     string          `json:"parentSpanId,omitempty"`
		Name       string          `json:"name"`
		Kind       int             `json:"kind"`
		Start      string          `json:"startTimeUnixNano"`
		End        string          `json:"endTimeUnixNano"`
		Attributes []otlpAttribute `json:"attributes,omitempty"`
		Status     otlpStatus      `json:"status"`
	}
	otlpStatus struct {
		Code    int    `json:"code,omitempty"` // 2: error
		Message string `json:"message,omitempty"`
	}
	otlpAttribute struct {
		Key   string    `json:"key"`
		Value otlpValue `json:"value"`
	}
	otlpValue struct {
		String *string `json:"stringValue,omitempty"`
		Int    *string `json:"intValue,omitempty"`
		Bool   *bool   `json:"boolValue,omitempty"`
	}
)

const scopeName = "github.com/continuo-rt/continuo"

func (t *Tracer) message(spans []*Span) otlpMessage {
	list := make([]otlpSpan, len(spans))
	for i, s := range spans {
		o := otlpSpan{TraceID: hex.EncodeToString(s.Trace[:]), SpanID: hex.EncodeToString(s.ID[:]), Name: s.Name, Kind: s.Kind,
			Start: nanos(s.Start), End: nanos(s.End), Attributes: attributes(s.Attributes)}
		if s.Parent != [8]byte{} {
			o.Parent = hex.EncodeToString(s.Parent[:])
		}
		if s.Failure != "" {
			o.Status = otlpStatus{2, s.Failure}
		}
		list[i] = o
	}
	about := attributes([]Attribute{{"service.name", "continuo"}, {"service.version", t.opts.Version}})
	return otlpMessage{[]otlpResourceSpans{{Resource: otlpResource{about},
		ScopeSpans: []otlpScopeSpans{{Scope: otlpScope{Name: scopeName, Version: t.opts.Version}, Spans: list}}}}}
}

func nanos(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

func attributes(all []Attribute) []otlpAttribute {
	out := make([]otlpAttribute, len(all))
	for i, a := range all {
		out[i].Key = a.Key
		switch v := a.Value.(type) {
		case int64:
			text := strconv.FormatInt(v, 10)
			out[i].Value.Int = &text
		case bool:
			out[i].Value.Bool = &v
		default:
			text := fmt.Sprint(v)
			out[i].Value.String = &text
		}
	}
	return out
}
