package serverapi

import (
	"slices"
	"strconv"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// aliases are the names that clients write in another style.
var aliases = map[string]string{
	"atSerial": "at_serial", "atTimeMs": "at_time_ms", "startSerial": "start_serial", "endSerial": "end_serial",
	"startTimeMs": "start_time_ms", "endTimeMs": "end_time_ms", "fromSerial": "from_serial", "socketId": "socket_id",
}

// Params are the query parameters of a request that are not about its credentials, by their proper names.
type Params struct{ list []auth.Param }

// ParseParams checks that the query holds nothing but the parameters that are known here. One that was not understood
// must not be passed over: the answer could be wider than what was asked for.
func ParseParams(q auth.Query, known ...string) (Params, error) {
	var p Params
	for _, one := range q {
		if auth.IsAuth(one.Name) {
			continue
		}
		given := one.Name
		if proper, ok := aliases[given]; ok {
			one.Name = proper
		}
		if !slices.Contains(known, one.Name) {
			return Params{}, unknownParam(given, known)
		}
		if _, twice := p.get(one.Name); twice {
			return Params{}, fault.New(fault.Invalid, "the query parameter %s is given twice", one.Name).In(one.Name)
		}
		p.list = append(p.list, one)
	}
	return p, nil
}

func unknownParam(name string, known []string) error {
	has := "there are none here"
	if len(known) > 0 {
		has = "there are " + strings.Join(known, ", ")
	}
	return fault.New(fault.Invalid, "the query parameter %s is not known: %s", channel.Quote(name), has).In(name)
}

func (p *Params) get(name string) (string, bool) {
	for i := range p.list {
		if p.list[i].Name == name {
			return p.list[i].Value, true
		}
	}
	return "", false
}

// Text is the value of a parameter, empty when it is not there.
func (p *Params) Text(name string) string {
	s, _ := p.get(name)
	return s
}

// Serial reads a serial; given is false when the parameter is not there.
func (p *Params) Serial(name string) (n uint64, given bool, err error) {
	s, ok := p.get(name)
	if !ok {
		return 0, false, nil
	}
	n, err = ParseSerial(s, name)
	return n, err == nil, err
}

// ParseSerial reads a serial in decimal, without sign or leading zeros and not above stream.MaxSerial.
func ParseSerial(s, field string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || s[0] == '+' || len(s) > 1 && s[0] == '0' {
		return 0, fault.New(fault.Invalid, "%s %s is not a serial: a whole number in decimal", field, channel.Quote(s)).In(field)
	}
	if n > stream.MaxSerial {
		return 0, fault.New(fault.Invalid, "%s %d is larger than every serial: the largest is %d", field, n, uint64(stream.MaxSerial)).In(field)
	}
	return n, nil
}

// Time reads unix milliseconds; given is false when the parameter is not there.
func (p *Params) Time(name string) (ms int64, given bool, err error) {
	s, ok := p.get(name)
	if !ok {
		return 0, false, nil
	}
	ms, err = strconv.ParseInt(s, 10, 64)
	if err != nil || ms < 0 || ms > stream.MaxSerial {
		return 0, false, fault.New(fault.Invalid, "%s %s is not a time in milliseconds since 1970", name, channel.Quote(s)).In(name)
	}
	return ms, true, nil
}

// Limit reads the parameter limit: most when it is not there or larger.
func (p *Params) Limit(most int) (int, error) {
	s, ok := p.get("limit")
	if !ok {
		return most, nil
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || n == 0 {
		return 0, fault.New(fault.Invalid, "limit %s is not a whole number of 1 or more", channel.Quote(s)).In("limit")
	}
	return int(min(n, uint64(most))), nil
}

// Values reads the parameter data: whether JSON data is shown as values instead of strings.
func (p *Params) Values() (bool, error) {
	switch s, ok := p.get("data"); {
	case !ok || s == "string":
		return false, nil
	case s == "value":
		return true, nil
	default:
		return false, fault.New(fault.Invalid, "data %s is not known: there are string and value", channel.Quote(s)).In("data")
	}
}
