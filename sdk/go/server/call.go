package server

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxDelay  = 10 * time.Second
	maxAsked  = time.Minute // of what the server asks to wait
	maxAnswer = 64 << 20
)

// request is a call of the API, below /apps/{app}.
type request struct {
	method string
	path   string // escaped
	query  url.Values
	body   any  // nil: none
	once   bool // it must not be repeated when its outcome is unknown
}

// call makes a request, and makes it again while that may help.
func (s *Server) call(ctx context.Context, r request, answer any) error {
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return fmt.Errorf("continuo: what is no JSON cannot be sent: %w", err)
		}
	}
	r.path = "/apps/" + url.PathEscape(s.app) + r.path
	var unknown *Error // the newest try of which nobody knows what became
	for n := 0; ; n++ {
		after, err := s.try(ctx, r, body, answer)
		if err == nil {
			return nil
		}
		if err.Code == "outcome_unknown" {
			unknown = err
		} else if err.Retryable && unknown != nil {
			err = unknown // that this one was not carried out says nothing of that one
		}
		if ctx.Err() != nil || !err.Retryable || r.once || n+1 >= s.o.Tries {
			return err
		}
		limit := min(maxDelay, s.o.RetryBase<<min(n, 20))
		if err := pause(ctx, max(after, time.Duration(s.o.Random()*float64(limit)))); err != nil {
			return fmt.Errorf("%w, after %w", err, s.unknown(r, err))
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// try makes a request once. after is what the server asks to wait.
func (s *Server) try(ctx context.Context, r request, body []byte, answer any) (after time.Duration, failure *Error) {
	call, err := http.NewRequestWithContext(ctx, r.method, s.base+r.path+"?"+s.sign(r, body), bytes.NewReader(body))
	if err != nil {
		return 0, &Error{Code: "invalid_input", Message: err.Error()}
	}
	if len(body) > 0 {
		call.Header.Set("Content-Type", "application/json")
	}
	response, err := s.o.HTTP.Do(call)
	if err != nil {
		return 0, s.unknown(r, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return 0, s.unknown(r, err)
	}
	status := response.StatusCode
	if status/100 == 2 {
		if err := json.Unmarshal(text, answer); err != nil {
			return 0, s.unknown(r, fmt.Errorf("HTTP %d with an answer that is not Continuo's: %w", status, err))
		}
		return 0, nil
	}
	seconds, _ := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 16)
	var e struct {
		Error          string
		Code           string
		CurrentVersion int64 `json:"current_version"`
	}
	if json.Unmarshal(text, &e) != nil || e.Code == "" {
		e.Code, e.Error = "http_"+strconv.Itoa(status), r.method+" "+r.path+": "+response.Status
		if status >= 500 { // of something in between: the server may have done it
			e.Code = "outcome_unknown"
		}
	}
	return min(maxAsked, time.Duration(seconds)*time.Second),
		&Error{Code: e.Code, Message: e.Error, Retryable: status >= 500 || status == http.StatusTooManyRequests, Version: e.CurrentVersion}
}

func (s *Server) unknown(r request, err error) *Error {
	return &Error{Code: "outcome_unknown", Message: fmt.Sprintf("%s %s: %v", r.method, r.path, err), Retryable: true}
}

// sign gives the query of a call with its signature: HMAC-SHA256 over the method, the path as it is sent, and the
// parameters in order of their lower-case names.
func (s *Server) sign(r request, body []byte) string {
	all := [][2]string{{"auth_key", s.key}, {"auth_version", "1.0"}, {"auth_timestamp", strconv.FormatInt(s.o.Now().Unix(), 10)}}
	if len(body) > 0 {
		sum := md5.Sum(body)
		all = append(all, [2]string{"body_md5", hex.EncodeToString(sum[:])})
	}
	for name, values := range r.query {
		for _, value := range values {
			all = append(all, [2]string{name, value})
		}
	}
	slices.SortFunc(all, func(a, b [2]string) int { return strings.Compare(strings.ToLower(a[0]), strings.ToLower(b[0])) })
	signed, sent := make([]string, len(all)), make([]string, len(all))
	for i, p := range all {
		signed[i] = strings.ToLower(p[0]) + "=" + p[1]
		sent[i] = url.QueryEscape(p[0]) + "=" + url.QueryEscape(p[1])
	}
	mac := hmac.New(sha256.New, []byte(s.secret))
	mac.Write([]byte(r.method + "\n" + r.path + "\n" + strings.Join(signed, "&")))
	return strings.Join(sent, "&") + "&auth_signature=" + hex.EncodeToString(mac.Sum(nil))
}

// newKey makes a key of 128 random bits.
func newKey() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}
