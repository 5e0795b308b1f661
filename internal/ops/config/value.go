package config

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes. It is written as a number with an optional unit: 512, 10KiB, 64MiB, 1.5GiB, 1GB.
type Size int64

var units = []struct {
	name string
	size int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"kB", 1e3}, {"B", 1},
}

// ParseSize reads a size. Units are powers of 1024 (KiB, MiB, …) or of 1000 (KB, MB, …).
func ParseSize(s string) (Size, error) {
	number, unit := strings.TrimSpace(s), int64(1)
	for _, u := range units {
		if n := len(number) - len(u.name); n >= 0 && strings.EqualFold(number[n:], u.name) {
			number, unit = strings.TrimSpace(number[:n]), u.size
			break
		}
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil && n >= 0 && n <= math.MaxInt64/unit {
		return Size(n * unit), nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if bytes := f * float64(unit); err == nil && unit > 1 && f >= 0 && bytes < 1<<62 {
		return Size(bytes), nil
	}
	return 0, fmt.Errorf("%q is not a size: write it like 512, 10KiB or 64MiB", s)
}

// String writes the size in the largest unit that it is a whole number of.
func (s Size) String() string {
	for _, u := range units[:4] {
		if int64(s) >= u.size && int64(s)%u.size == 0 {
			return strconv.FormatInt(int64(s)/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

const day = 24 * time.Hour

// ParseDuration reads a duration as Go writes them, and with days in front: 500ms, 10s, 24h, 30d, 1d12h.
func ParseDuration(s string) (time.Duration, error) {
	bad := func() (time.Duration, error) {
		if _, err := strconv.ParseFloat(s, 64); err == nil {
			return 0, fmt.Errorf("%q has no unit: write it like %ss or %sms", s, s, s)
		}
		return 0, fmt.Errorf("%q is not a duration: write it like 500ms, 10s, 24h or 30d", s)
	}
	rest, days := s, time.Duration(0)
	if number, after, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseInt(number, 10, 32)
		if err != nil || n < 0 || n > 36_500 {
			return bad()
		}
		days, rest = time.Duration(n)*day, after
		if rest == "" {
			return days, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 {
		return bad()
	}
	return days + d, nil
}

// formatDuration writes a duration so that ParseDuration reads it, without the zero parts that Go adds.
func formatDuration(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	s := ""
	if days := d / day; days > 1 || d == day*days && days > 1 {
		s, d = strconv.FormatInt(int64(days), 10)+"d", d%day
		if d == 0 {
			return s
		}
	}
	s += d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Types that a key may have beside the basic ones.
var (
	durationType = reflect.TypeFor[time.Duration]()
	sizeType     = reflect.TypeFor[Size]()
	timeType     = reflect.TypeFor[time.Time]()
)

// isScalar reports whether one word can hold a value of the type: then it has a variable and a flag.
func isScalar(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Struct:
		return t == timeType
	case reflect.Slice:
		return t.Elem().Kind() == reflect.String
	case reflect.Map:
		return false
	}
	return true
}

// kindName is how the reference calls the type.
func kindName(t reflect.Type) string {
	switch t {
	case durationType:
		return "duration"
	case sizeType:
		return "size"
	case timeType:
		return "time"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "number"
	case reflect.Float64:
		return "fraction"
	case reflect.String:
		return "text"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.String {
			return "list of text"
		}
		return "list"
	case reflect.Map:
		return "map"
	}
	return "section"
}

// setText sets a scalar from its text. Lists are separated by commas.
func setText(v reflect.Value, s string) error {
	switch v.Type() {
	case durationType:
		if s == "0" {
			v.SetInt(0)
			return nil
		}
		d, err := ParseDuration(s)
		v.SetInt(int64(d))
		return err
	case sizeType:
		n, err := ParseSize(s)
		v.SetInt(int64(n))
		return err
	case timeType:
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return fmt.Errorf("%q is not a time: write it like 2030-01-31T00:00:00Z", s)
		}
		v.Set(reflect.ValueOf(at))
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Bool:
		switch strings.ToLower(s) {
		case "true", "yes", "on", "1":
			v.SetBool(true)
		case "false", "no", "off", "0":
			v.SetBool(false)
		default:
			return fmt.Errorf("%q is neither true nor false", s)
		}
	case reflect.Int:
		n, err := strconv.Atoi(strings.ReplaceAll(s, "_", ""))
		if err != nil {
			return fmt.Errorf("%q is not a whole number", s)
		}
		v.SetInt(int64(n))
	case reflect.Float64:
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("%q is not a number", s)
		}
		v.SetFloat(f)
	case reflect.Slice:
		list := []string{}
		for part := range strings.SplitSeq(s, ",") {
			if part = strings.TrimSpace(part); part != "" {
				list = append(list, part)
			}
		}
		v.Set(reflect.ValueOf(list))
	}
	return nil
}

// textOf is the inverse of setText.
func textOf(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return formatDuration(x)
	case Size:
		return x.String()
	case time.Time:
		if x.IsZero() {
			return ""
		}
		return x.Format(time.RFC3339)
	case []string:
		return strings.Join(x, ",")
	}
	return fmt.Sprint(v.Interface())
}
