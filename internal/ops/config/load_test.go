package config

import "testing"

func TestTen(t *testing.T) {
	_, ps := Load(Sources{File: "testdata/ten.yaml"})
	for _, p := range ps {
		t.Log(p)
	}
}
