package lane

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// answer is the http.ResponseWriter of the loop: the whole answer is gathered and written at once.
type answer struct {
	header http.Header
	status int // 0: not said yet
	body   []byte
	fields bytes.Buffer // scratch
}

func (a *answer) reset() {
	clear(a.header)
	a.status = 0
	if a.body = a.body[:0]; cap(a.body) > mostBody {
		a.body = nil
	}
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter. What the header says is read when the handler has returned.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if a.bodiless() {
		return 0, http.ErrBodyNotAllowed
	}
	a.body = append(a.body, p...)
	return len(p), nil
}

func (a *answer) bodiless() bool {
	return a.status == http.StatusNoContent || a.status == http.StatusNotModified
}

// closes reports whether the handler wants the connection to end.
func (a *answer) closes() bool {
	for _, v := range a.header["Connection"] {
		if strings.EqualFold(v, "close") {
			return true
		}
	}
	return false
}

// append adds the whole answer to dst.
func (a *answer) append(dst []byte, now time.Time, last bool) []byte {
	a.WriteHeader(http.StatusOK)
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(a.status), 10)
	dst = append(dst, ' ')
	dst = append(dst, http.StatusText(a.status)...)
	dst = append(dst, "\r\nDate: "...)
	dst = now.UTC().AppendFormat(dst, http.TimeFormat)
	dst = append(dst, "\r\n"...)
	if len(a.body) > 0 && a.header["Content-Type"] == nil {
		a.header.Set("Content-Type", http.DetectContentType(a.body))
	}
	a.fields.Reset()
	_ = a.header.WriteSubset(&a.fields, ours)
	dst = append(dst, a.fields.Bytes()...)
	if !a.bodiless() {
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, int64(len(a.body)), 10)
		dst = append(dst, "\r\n"...)
	}
	if last {
		dst = append(dst, "Connection: close\r\n"...)
	}
	return append(append(dst, "\r\n"...), a.body...)
}

// ours are the fields that the loop writes itself.
var ours = map[string]bool{"Connection": true, "Content-Length": true, "Date": true, "Transfer-Encoding": true}
