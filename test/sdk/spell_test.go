package sdk

import (
	"reflect"
	"strings"
	"testing"
	"unicode"
)

// spell is a flat struct of the library as an object with the names that the scenario has for its members.
func spell(v any) any {
	object := map[string]any{}
	of := reflect.Indirect(reflect.ValueOf(v))
	for i := range of.NumField() {
		object[wireName(of.Type().Field(i).Name)] = plain(of.Field(i).Interface())
	}
	return object
}

// wireName is MessageID as message_id, RetryInMS as retry_in_ms.
func wireName(name string) string {
	var out strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			out.WriteByte('_')
		}
		out.WriteRune(unicode.ToLower(r))
	}
	return out.String()
}

func TestWireName(t *testing.T) {
	for name, want := range map[string]string{"SessionID": "session_id", "RetryInMS": "retry_in_ms", "Code": "code", "UserID": "user_id"} {
		if got := wireName(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
