package main

import (
	"bytes"
	"regexp"
	"testing"

	"github.com/continuo-rt/continuo/test/local"
)

// TestDemo plays the demo against a server of its own.
func TestDemo(t *testing.T) {
	s := local.Serve(t, "mode: development\nlisten: 127.0.0.1:0\ndrain: 200ms\napp: {id: app, key: key, secret: secret-of-the-demo}\n")
	var out bytes.Buffer
	d := demo{api: api{url: "http://" + s.Addr().String(), app: "app", key: "key", secret: "secret-of-the-demo"}, channel: "answer-1", out: &out}
	if err := d.run(); err != nil {
		t.Fatalf("%v after\n%s", err, out.String())
	}
	for _, line := range []string{
		`from the start +has all of it: began with 0 bytes, then \d+ fragments, of which 0 were replayed`,
		`joins late +has all of it: began with [1-9]\d+ bytes, then \d+ fragments, of which 0 were replayed`,
		`loses its connection +has all of it: began with 0 bytes, then \d+ fragments, of which [1-9]\d* were replayed`,
		`wants it whole +has all of it: began with 0 bytes`,
	} {
		if !regexp.MustCompile(line).Match(out.Bytes()) {
			t.Errorf("no line %s in\n%s", line, out.String())
		}
	}
}
