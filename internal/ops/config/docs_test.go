package config

import (
	"bytes"
	"os"
	"testing"
)

func TestReferenceIsGenerated(t *testing.T) {
	got, err := os.ReadFile("../../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, Reference()) {
		t.Fatal("docs/configuration.md is not what the tags say; write it again: go run ./cmd/continuo config docs > docs/configuration.md")
	}
}
