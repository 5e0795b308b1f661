package httpapi

import (
	"os"
	"strings"
	"testing"
)

// TestReference: the reference for users has every request of the API, and every query parameter that one knows.
func TestReference(t *testing.T) {
	b, err := os.ReadFile("../../../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	subjects := map[string]string{"messages": "{message_serial}", "keys": "{key}", "users": "{user}", "feed_keys": "{id}"}
	for _, r := range routes {
		path := ""
		for i, part := range r.parts {
			switch part {
			case ":channel":
				part = "{channel}"
			case ":subject":
				part = subjects[r.parts[i-1]]
			case ":second":
				part = "{annotation_serial}"
			}
			path += "/" + part
		}
		for _, e := range r.endpoints {
			request := "| `" + e.method + " " + path + "` |"
			if !strings.Contains(text, request) {
				t.Errorf("%s is missing", request)
			}
			for _, name := range e.params {
				switch name {
				case "start", "end", "at": // older names of start_time_ms, end_time_ms and at_time_ms
					continue
				}
				if !strings.Contains(text, "`"+name+"`") {
					t.Errorf("%s: the parameter %s is missing", request, name)
				}
			}
		}
	}
}
