package rooms

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
)

// documented are the codes that the protocol has.
var documented = []string{codeInvalid, codeUnsupported, codeForbidden, codeNotJoined, codeRate, codeTooLarge, codeConflict, codeMismatch,
	codeNotFound, codeProtocol, codeDisabled, codeUnknown, codeUnavailable}

func TestEveryFaultHasACode(t *testing.T) {
	for _, k := range fault.Kinds() {
		if !slices.Contains(documented, codes[k]) {
			t.Errorf("%v has the code %q, which the protocol does not know", k, codes[k])
		}
	}
	if len(codes) != len(fault.Kinds()) {
		t.Errorf("%d codes for %d kinds of faults", len(codes), len(fault.Kinds()))
	}
}

// TestEveryCauseHasAClose ranges over the causes until there is no further one.
func TestEveryCauseHasAClose(t *testing.T) {
	for c := session.ByApp; c <= session.ServerError; c++ {
		if closes[c] == 0 {
			t.Errorf("cause %d has no close code", c)
		}
	}
}

func TestInternalErrorsAreNotShown(t *testing.T) {
	got := string(errorFrame(errors.New("disk /var/lib/x: bad block"), "", "room", "1"))
	if strings.Contains(got, "disk") || !strings.Contains(got, `"code":"unavailable"`) {
		t.Errorf("an internal error is shown as %s", got)
	}
}

func TestRetryAdvice(t *testing.T) {
	for _, test := range []struct {
		err   error
		again bool
		after int64
	}{
		{fault.New(fault.RateLimited, "x").After(1500 * time.Millisecond), true, 1500},
		{fault.New(fault.RateLimited, "x").After(time.Microsecond), true, 1},
		{fault.New(fault.Unavailable, "x"), true, 1000},
		{fault.New(fault.Unknown, "x"), true, 1000},
		{fault.New(fault.Conflict, "x").With(3), false, 0},
		{fault.New(fault.Invalid, "x"), false, 0},
	} {
		var v struct {
			Retryable bool
			After     int64 `json:"retry_after_ms"`
		}
		if err := json.Unmarshal(errorFrame(test.err, "", "", ""), &v); err != nil {
			t.Fatal(err)
		}
		if v.Retryable != test.again || v.After != test.after {
			t.Errorf("%v: retryable %v after %d ms, want %v after %d", fault.KindOf(test.err), v.Retryable, v.After, test.again, test.after)
		}
	}
}

func TestCheckUser(t *testing.T) {
	for user, ok := range map[string]bool{"ann": true, strings.Repeat("x", MaxUser): true, strings.Repeat("x", MaxUser+1): false, "a\x00b": false} {
		if err := CheckUser(user); (err == nil) != ok {
			t.Errorf("user of %d bytes: %v", len(user), err)
		}
	}
}

// TestReadsAreBounded asks for members faster than they can be told.
func TestReadsAreBounded(t *testing.T) {
	m, err := machineFor("user=ann", nil)
	if err != nil {
		t.Fatal(err)
	}
	m.Step(began, session.Opened{ID: "s"}, nil)
	ask := session.Frame{Data: []byte(`{"kind":"client.presence","room_id":"room"}`)}
	for i := range maxReads + 1 {
		out := m.Step(began, ask, nil)
		if _, asked := out[0].(session.List); asked != (i < maxReads) {
			t.Fatalf("request %d: %+v", i, out)
		}
	}
	m.Step(began, session.Listed{Tag: ledgerTags | 1}, nil)
	if out := m.Step(began, ask, nil); len(out) != 1 {
		t.Fatalf("after an answer: %+v", out)
	}
}
