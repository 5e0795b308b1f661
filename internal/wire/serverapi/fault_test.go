package serverapi

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
)

func TestEveryKindHasAStatus(t *testing.T) {
	for _, k := range fault.Kinds() {
		status, ok := statuses[k]
		if !ok || status < 400 || status > 503 {
			t.Errorf("%v: %d", k, status)
		}
		if k != fault.Internal && status == 500 {
			t.Errorf("%v is answered like an internal error", k)
		}
		retry := RetryAfter(fault.New(k, "x")) > 0
		if retry != (status == 503 || status == 429) {
			t.Errorf("%v: %d with retry %v", k, status, retry)
		}
	}
	if Status(fault.Kind(200)) != 500 {
		t.Error("an unknown kind is internal")
	}
	if d := RetryAfter(fault.New(fault.RateLimited, "x").After(3 * time.Second)); d != 3*time.Second {
		t.Error(d)
	}
}

func TestAppendError(t *testing.T) {
	tests := []struct {
		err  *fault.Error
		want string
	}{
		{fault.New(fault.Invalid, "bad \"x\"\xff").In("limit"), `{"error":"bad \"x\"�","code":"invalid_input","status":400,"field":"limit"}`},
		{fault.New(fault.Conflict, "c").With(7), `{"error":"c","code":"conflict","status":409,"current_version":7}`},
		{fault.New(fault.NotProvable, "n").With(7), `{"error":"n","code":"not_provable","status":422,"floor":7}`},
		{fault.New(fault.Invalid, "n").With(7), `{"error":"n","code":"invalid_input","status":400}`},
	}
	for _, tt := range tests {
		if got := string(AppendError(nil, tt.err)); got != tt.want || !json.Valid([]byte(got)) {
			t.Errorf("%s\nwant %s", got, tt.want)
		}
	}
	if got := string(AppendMethodError(nil, "PUT", "GET")); got != `{"error":"this path has no method PUT; it has GET","code":"method_not_allowed","status":405}` {
		t.Error(got)
	}
}
