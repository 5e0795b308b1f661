package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/channel"
)

// check judges one value by the tags of its field: the words allowed, the range, the form.
func (d *decoder) check(v reflect.Value, f field, key string) bool {
	if v.Kind() == reflect.Slice {
		ok := true
		for i := range v.Len() {
			at := fmt.Sprintf("%s[%d]", key, i)
			if _, known := d.places[at]; !known {
				at = key // a variable or a flag has one place for the whole list
			}
			ok = d.checkText(v.Index(i).String(), f, at) && ok
		}
		return ok
	}
	if v.Kind() == reflect.String {
		return d.checkText(v.String(), f, key)
	}
	return d.checkRange(v, f, key)
}

func (d *decoder) checkRange(v reflect.Value, f field, key string) bool {
	low, high := f.tag("min"), f.tag("max")
	if low != "" && less(v, bound(v.Type(), low)) || high != "" && less(bound(v.Type(), high), v) {
		switch {
		case high == "":
			d.wrong(key, "%s is out of range: at least %s", textOf(v), low)
		case low == "":
			d.wrong(key, "%s is out of range: at most %s", textOf(v), high)
		default:
			d.wrong(key, "%s is out of range: %s to %s", textOf(v), low, high)
		}
		return false
	}
	return true
}

func bound(t reflect.Type, text string) reflect.Value {
	v := reflect.New(t).Elem()
	if err := setText(v, text); err != nil {
		panic("config: a bound in a tag: " + err.Error())
	}
	return v
}

func less(a, b reflect.Value) bool {
	switch {
	case a.CanInt():
		return a.Int() < b.Int()
	case a.CanFloat():
		return a.Float() < b.Float()
	}
	return false
}

func (d *decoder) checkText(s string, f field, key string) bool {
	if words := f.words(); words != nil && !slices.Contains(words, s) {
		hint := ""
		if near := nearest(s, words); near != "" && len(words) > 1 {
			hint = fmt.Sprintf("did you mean %s?", near)
		}
		d.report(key, false, hint, "%q is not one of %s", s, strings.Join(words, ", "))
		return false
	}
	if s == "" {
		return true
	}
	if err := checkForm(s, f.tag("form")); err != nil {
		d.wrong(key, "%s", err.Error())
		return false
	}
	return true
}

func checkForm(s, form string) error {
	switch form {
	case "hostport":
		return checkHostPort(s)
	case "path":
		if !strings.HasPrefix(s, "/") || strings.ContainsAny(s, "?#% ") || strings.Contains(s, "//") {
			return fmt.Errorf("%q is not a path: write it like / or /realtime", s)
		}
	case "cidr":
		_, err := parseNetwork(s)
		return err
	case "url":
		if u, err := url.Parse(s); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("%q is not an http or https URL", s)
		}
	case "origin":
		return app.CheckOrigin(s)
	case "pattern":
		_, err := channel.ParsePattern(s)
		return err
	}
	return nil
}

func checkHostPort(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q is not an address: write it like 127.0.0.1:6001 or :6001", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q has the port %q: a port is a number from 0 to 65535", s, port)
	} else if n == 0 && strings.ContainsAny(host, " /") {
		return fmt.Errorf("%q is not an address", s)
	}
	return nil
}

// parseNetwork reads "10.0.0.0/8" or a single address.
func parseNetwork(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a network: write it like 10.0.0.7 or 10.0.0.0/8", s)
}

// Proxies are the networks of trusted_proxies.
func (c *Config) Proxies() []netip.Prefix {
	all := make([]netip.Prefix, 0, len(c.TrustedProxies))
	for _, s := range c.TrustedProxies {
		if p, err := parseNetwork(s); err == nil {
			all = append(all, p)
		}
	}
	return all
}

// Loopback reports whether only this machine can reach the public listener.
func (c *Config) Loopback() bool { return loopback(c.Listen) }

func loopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}
