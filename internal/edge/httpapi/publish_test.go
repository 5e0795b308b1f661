package httpapi_test

import (
	"testing"
)

func TestPublish(t *testing.T) {
	w := newWorld(t, setup{})
	w.do("POST", "events", `{"name":"hello","channel":"news","data":{"a": 1}}`).is(200, `{}`)
	w.signed("POST", "/apps/app-id/events", "", `{"name":"hello","channels":["news","other"],"data":"text"}`).is(200, `{}`)
	if got := w.entries("news"); len(got) != 2 || string(got[0].Data.Bytes) != `{"a":1}` {
		t.Fatal(got)
	}
}
