package proxy

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sign gives the query of a call with its signature: HMAC-SHA256 over the method, the path as it is sent, and the
// parameters in order of their lower-case names.
func (c *call) sign(key, secret string, now time.Time) string {
	all := append(slices.Clone(c.query), [2]string{"auth_key", key}, [2]string{"auth_version", "1.0"},
		[2]string{"auth_timestamp", strconv.FormatInt(now.Unix(), 10)})
	if len(c.body) > 0 {
		sum := md5.Sum(c.body)
		all = append(all, [2]string{"body_md5", hex.EncodeToString(sum[:])})
	}
	slices.SortFunc(all, func(a, b [2]string) int { return strings.Compare(strings.ToLower(a[0]), strings.ToLower(b[0])) })
	signed, sent := make([]string, len(all)), make([]string, len(all))
	for i, p := range all {
		signed[i] = strings.ToLower(p[0]) + "=" + p[1]
		sent[i] = url.QueryEscape(p[0]) + "=" + url.QueryEscape(p[1])
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(c.method + "\n" + c.path + "\n" + strings.Join(signed, "&")))
	return strings.Join(sent, "&") + "&auth_signature=" + hex.EncodeToString(mac.Sum(nil))
}

// escape makes one part of a path.
func escape(part string) string { return url.PathEscape(part) }

// refuse answers with an error of the proxy itself, in the form of the server's.
func refuse(w http.ResponseWriter, status int, code, message string) {
	body, _ := json.Marshal(struct {
		Error  string `json:"error"`
		Code   string `json:"code"`
		Status int    `json:"status"`
	}{message, code, status}) // plain fields cannot fail
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
