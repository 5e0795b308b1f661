package httpapi_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/wire/serverapi"
)

// TestErrorsAreDocumented: every code has its line in the table and its section, with the status that is sent.
func TestErrorsAreDocumented(t *testing.T) {
	b, err := os.ReadFile("../../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	codes := map[string]int{serverapi.MethodNotAllowed: 405}
	for _, k := range fault.Kinds() {
		codes[k.String()] = serverapi.Status(k)
	}
	for code, status := range codes {
		if !strings.Contains(text, fmt.Sprintf("| [`%s`](#%s) | %d |", code, code, status)) {
			t.Errorf("%s (%d) is not in the table", code, status)
		}
		_, section, ok := strings.Cut(text, "\n### "+code+"\n")
		section, _, _ = strings.Cut(section, "\n#")
		if !ok || !strings.Contains(section, "**Cause.**") || !strings.Contains(section, "**Cure.**") {
			t.Errorf("%s has no section with a cause and a cure", code)
		}
	}
	if n := strings.Count(text, "\n### "); n != len(codes) {
		t.Errorf("there are %d sections for %d codes", n, len(codes))
	}
}
