package sdk

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"
)

// spell is v with the names that its members have on the wire; without zeros, members that say nothing are left out.
func spell(v any, zeros bool) any { return spellValue(reflect.ValueOf(v), zeros) }

func spellValue(v reflect.Value, zeros bool) any {
	switch v.Kind() {
	case reflect.Invalid:
		return nil
	case reflect.Pointer, reflect.Interface:
		return spellValue(v.Elem(), zeros)
	case reflect.Struct:
		object := map[string]any{}
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() && (zeros || !v.Field(i).IsZero()) {
				object[wireName(field.Name)] = spellValue(v.Field(i), zeros)
			}
		}
		return object
	case reflect.Slice:
		if raw, ok := v.Interface().(json.RawMessage); ok {
			if len(raw) == 0 {
				return nil
			}
			return plain(raw)
		}
		list := make([]any, v.Len())
		for i := range list {
			list[i] = spellValue(v.Index(i), zeros)
		}
		return list
	}
	return plain(v.Interface())
}

// wireName is MessageID as message_id, TS as ts, EditedTS as edited_ts.
func wireName(name string) string {
	var out strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		starts := unicode.IsUpper(r) && i > 0 && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if starts {
			out.WriteByte('_')
		}
		out.WriteRune(unicode.ToLower(r))
	}
	return out.String()
}

func TestWireName(t *testing.T) {
	for name, want := range map[string]string{"MessageID": "message_id", "TS": "ts", "EditedTS": "edited_ts", "RetryInMS": "retry_in_ms",
		"Kind": "kind", "HasMore": "has_more", "StreamID": "stream_id", "ID": "id"} {
		if got := wireName(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
