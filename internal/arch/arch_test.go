package arch

import (
	"os"
	"testing"
)

// TestTree holds the repository to its rules.
func TestTree(t *testing.T) {
	tree, err := Load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range Rules() {
		t.Run(rule.Name, func(t *testing.T) {
			for _, violation := range Check(tree, rule) {
				t.Error(violation)
			}
		})
	}
}
