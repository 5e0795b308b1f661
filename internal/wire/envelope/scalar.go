package envelope

// text walks over a string with its quotes.
func (p *parser) text() bool {
	p.i++
	for p.i < len(p.b) {
		switch c := p.b[p.i]; {
		case c == '"':
			p.i++
			return true
		case c < 0x20:
			return p.fail("the control character 0x%02x in a string", c)
		case c == '\\':
			if !p.escape() {
				return false
			}
		default:
			p.i++
		}
	}
	return p.fail("the JSON ends within a string")
}

func (p *parser) escape() bool {
	p.i++
	switch p.next() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		p.i++
		return true
	case 'u':
		at := p.i - 1
		high, ok := p.unit()
		if !ok {
			return false
		}
		if high < 0xd800 || high > 0xdfff {
			return true
		}
		if high < 0xdc00 && p.i+1 < len(p.b) && p.b[p.i] == '\\' && p.b[p.i+1] == 'u' {
			p.i++
			low, ok := p.unit()
			if !ok {
				return false
			}
			if 0xdc00 <= low && low <= 0xdfff {
				return true
			}
		}
		p.i = at
		return p.fail("half a surrogate pair")
	}
	return p.unexpected("an escape")
}

// unit reads the hexadecimal digits of a \u escape; p.i is at the u.
func (p *parser) unit() (v rune, ok bool) {
	p.i++
	for range 4 {
		d := hex(p.next())
		if d < 0 {
			return 0, p.unexpected("a hexadecimal digit")
		}
		v = v<<4 | rune(d)
		p.i++
	}
	return v, true
}

func hex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func (p *parser) number() bool {
	if p.next() == '-' {
		p.i++
	}
	if p.next() == '0' {
		p.i++
		if c := p.next(); '0' <= c && c <= '9' {
			return p.fail("a number with a leading zero")
		}
	} else if !p.digits() {
		return false
	}
	if p.next() == '.' {
		p.i++
		if !p.digits() {
			return false
		}
	}
	if c := p.next(); c == 'e' || c == 'E' {
		p.i++
		if c := p.next(); c == '+' || c == '-' {
			p.i++
		}
		return p.digits()
	}
	return true
}

func (p *parser) digits() bool {
	from := p.i
	for c := p.next(); '0' <= c && c <= '9'; c = p.next() {
		p.i++
	}
	return p.i > from || p.unexpected("a digit")
}
