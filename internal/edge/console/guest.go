// Package console is what development mode serves to a newcomer's browser: a login for guests, so that private and
// presence channels work in the first minute, and the page at /.
package console

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/channel"
)

// maxForm bounds what an auth request may send.
const maxForm = 16 << 10

// Guests answers the auth requests of Pusher and Sockudo clients for anybody: never serve it outside development mode.
// A client may choose who it is with the parameters user_id and user_info (JSON); otherwise it is a guest named after its
// connection.
type Guests struct {
	// App gives the app whose first key signs.
	App func() *app.App
}

// Paths are the auth endpoints that clients call by default.
func Paths() []string {
	return []string{"/pusher/auth", "/sockudo/auth", "/pusher/user-auth", "/sockudo/user-auth"}
}

// ServeHTTP answers one request of a path in Paths.
func (g *Guests) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Allow-Headers", "*")
	switch r.Method {
	case http.MethodOptions:
		w.WriteHeader(http.StatusNoContent)
		return
	case http.MethodPost:
	default:
		w.Header().Set("Allow", "POST, OPTIONS")
		http.Error(w, "send socket_id and channel_name by POST", http.StatusMethodNotAllowed)
		return
	}
	form, err := read(w, r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	key, err := g.key()
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	var answer map[string]string
	if strings.HasSuffix(r.URL.Path, "/user-auth") {
		answer, err = user(key, form)
	} else {
		answer, err = subscription(key, form)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// key is the key that signs.
func (g *Guests) key() (*auth.Key, error) {
	a := g.App()
	for _, k := range a.Keys {
		if k.Enabled {
			return auth.NewKey(a.ID, k.Key, k.Secret, true)
		}
	}
	return nil, a.Usable(app.Key{})
}

// read takes the parameters from a form or from a JSON object.
func read(w http.ResponseWriter, r *http.Request) (map[string]string, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		form := map[string]string{}
		return form, json.NewDecoder(r.Body).Decode(&form)
	}
	if r.Header.Get("Content-Type") == "" { // Sockudo's Python client sends a form without saying so
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	form := map[string]string{}
	for name := range r.PostForm {
		form[name] = r.PostForm.Get(name)
	}
	return form, nil
}

// guest is who a connection is: what it asks to be, or a name made from its socket id.
func guest(form map[string]string) (id string, info json.RawMessage) {
	id = form["user_id"]
	if id == "" {
		sum := sha256.Sum256([]byte(form["socket_id"]))
		id = "guest-" + hex.EncodeToString(sum[:3])
	}
	if given := form["user_info"]; given != "" && json.Valid([]byte(given)) {
		return id, json.RawMessage(given)
	}
	info, _ = json.Marshal(map[string]string{"name": id})
	return id, info
}

func user(key *auth.Key, form map[string]string) (map[string]string, error) {
	id, info := guest(form)
	data, err := json.Marshal(map[string]any{"id": id, "user_info": info})
	if err != nil {
		return nil, err
	}
	signed, err := key.SignUser(form["socket_id"], string(data))
	return map[string]string{"auth": signed, "user_data": string(data)}, err
}

func subscription(key *auth.Key, form map[string]string) (map[string]string, error) {
	name, err := channel.Parse(form["channel_name"], 0)
	if err != nil {
		return nil, err
	}
	answer := map[string]string{}
	data := ""
	if name.Presence() {
		id, info := guest(form)
		b, err := json.Marshal(map[string]any{"user_id": id, "user_info": info})
		if err != nil {
			return nil, err
		}
		data = string(b)
		answer["channel_data"] = data
	}
	if name.Encrypted() {
		master := sha256.Sum256([]byte("the development mode's master key of " + key.App()))
		answer["shared_secret"] = auth.SharedSecret(name.String(), master[:])
	}
	answer["auth"], err = key.SignChannel(form["socket_id"], name.String(), data)
	return answer, err
}
