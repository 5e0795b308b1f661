package fault

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"testing"
	"time"
)

func TestSlugs(t *testing.T) {
	slug := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	seen := map[string]Kind{}
	for _, k := range Kinds() {
		if !slug.MatchString(k.String()) {
			t.Errorf("kind %d has the slug %q", uint8(k), k)
		}
		if other, ok := seen[k.String()]; ok {
			t.Errorf("kinds %d and %d share the slug %q", uint8(other), uint8(k), k)
		}
		seen[k.String()] = k
	}
	if got := Kind(200).String(); got != "kind(200)" {
		t.Errorf("an unknown kind is called %q", got)
	}
}

// TestSlugsStay pins what goes over the wire: kinds are append-only and no slug may change.
func TestSlugsStay(t *testing.T) {
	want := []string{
		"internal_error", "invalid_input", "missing_channel_info", "limit_exceeded", "payload_too_large", "auth_failed",
		"forbidden", "insecure_transport", "app_not_found", "app_disabled", "not_found", "mutable_not_permitted",
		"feature_disabled", "rate_limited", "conflict", "idempotency_mismatch", "outcome_unknown", "store_full",
		"backpressure", "service_unavailable", "not_provable", "snapshot_expired", "not_implemented",
	}
	all := Kinds()
	if len(all) < len(want) {
		t.Fatalf("%d kinds, fewer than %d", len(all), len(want))
	}
	for i, s := range want {
		if all[i].String() != s {
			t.Errorf("kind %d is %q, was %q", i, all[i], s)
		}
	}
}

func TestNew(t *testing.T) {
	err := New(Conflict, "version is %d: %w", 7, io.EOF).In("if_version").With(7).After(time.Second)
	if err.Error() != "version is 7: EOF" || err.Field != "if_version" || err.Detail != 7 || err.Retry != time.Second {
		t.Errorf("%+v", err)
	}
	if !errors.Is(err, io.EOF) {
		t.Error("the cause is lost")
	}
	if New(Invalid, "no cause").Unwrap() != nil {
		t.Error("a cause from nowhere")
	}
}

func TestIs(t *testing.T) {
	err := fmt.Errorf("publishing: %w", New(NotFound, "no such key"))
	if !errors.Is(err, &Error{Kind: NotFound}) {
		t.Error("not its own kind")
	}
	if errors.Is(err, &Error{Kind: Invalid}) {
		t.Error("another kind")
	}
	if errors.Is(err, &Error{Kind: NotFound, Msg: "no such key"}) {
		t.Error("text must not decide")
	}
	if errors.Is(err, io.EOF) {
		t.Error("a foreign error")
	}
}

func TestKindOf(t *testing.T) {
	inner := New(Full, "no room")
	for _, c := range []struct {
		err  error
		want Kind
	}{
		{inner, Full},
		{fmt.Errorf("a: %w", fmt.Errorf("b: %w", inner)), Full},
		{New(Unavailable, "cannot: %w", inner), Unavailable},
		{errors.Join(io.EOF, inner), Full},
		{io.EOF, Internal},
	} {
		if got := KindOf(c.err); got != c.want {
			t.Errorf("KindOf(%v) = %v, want %v", c.err, got, c.want)
		}
	}
}

func TestOf(t *testing.T) {
	f := New(Full, "no room")
	if Of(fmt.Errorf("a: %w", f)) != f {
		t.Error("the fault in the chain is not the one given back")
	}
	secret := errors.New("pq: password authentication failed for user admin")
	got := Of(secret)
	if got.Kind != Internal || got.Msg == secret.Error() || !errors.Is(got, secret) {
		t.Errorf("%+v", got)
	}
}
