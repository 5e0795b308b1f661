package pusher

import (
	"strconv"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/wire/envelope"
)

// parseRewind reads the forms of rewind: 10, "10", {"count":10}, {"seconds":30}, {"duration_seconds":30}.
func parseRewind(v envelope.Value) (rewind, error) {
	switch v.Kind() {
	case envelope.Absent, envelope.Null:
		return rewind{}, nil
	case envelope.Object:
		return rewindObject(v)
	}
	n, err := positive(v, "rewind")
	return rewind{count: n}, err
}

func rewindObject(v envelope.Value) (r rewind, err error) {
	for name, n := range v.Members() {
		switch string(name) {
		case "count":
			r.count, err = positive(n, "rewind.count")
		case "seconds", "duration_seconds":
			var seconds uint64
			seconds, err = positive(n, "rewind."+string(name))
			r.ms = int64(min(seconds, maxRewindSeconds)) * 1000
		default:
			err = fault.New(fault.Invalid, "rewind has no member %s: use count or seconds", quote(string(name)))
		}
		if err != nil {
			return rewind{}, err
		}
	}
	if r.wanted() == (r.count > 0 && r.ms > 0) {
		return rewind{}, fault.New(fault.Invalid, "rewind needs either count or seconds")
	}
	return r, nil
}

// maxRewindSeconds is longer than any log is kept: a hundred years.
const maxRewindSeconds = 100 * 366 * 24 * 3600

func positive(v envelope.Value, what string) (uint64, error) {
	n, ok := v.Uint()
	if s, text := v.Text(); text {
		n, ok = decimal(s)
	}
	if !ok || n == 0 {
		return 0, fault.New(fault.Invalid, "%s must be a whole number above 0", what)
	}
	return n, nil
}

// decimal reads a number of digits alone.
func decimal(s string) (uint64, bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}
