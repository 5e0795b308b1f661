package fault

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Control is the proxy's interface for tests in other languages: POST /cut, /cut-mid-frame, /refuse, /accept, /stall,
// /stall?way=up|down, /resume-stalled, /close?code=, /heal, /faults?on=true|false, /delay?ms=, /target?to=HOST:PORT, and
// GET /stats. A POST is answered with 204 when it is done.
func (p *Proxy) Control() http.Handler {
	mux := http.NewServeMux()
	do := func(path string, act func()) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, _ *http.Request) {
			act()
			w.WriteHeader(http.StatusNoContent)
		})
	}
	do("/cut", p.Cut)
	do("/cut-mid-frame", p.CutMidFrame)
	do("/refuse", func() { p.Refuse(true) })
	do("/accept", func() { p.Refuse(false) })
	do("/resume-stalled", p.ResumeStalled)
	do("/heal", p.Heal)
	with := func(path, name string, act func(value string) bool) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			if value := r.URL.Query().Get(name); !act(value) {
				http.Error(w, "bad or missing "+name, http.StatusBadRequest)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		})
	}
	with("/stall", "way", func(v string) bool {
		if v != "" && v != "up" && v != "down" {
			return false
		}
		p.Stall(v != "down", v != "up")
		return true
	})
	with("/close", "code", func(v string) bool {
		code, err := strconv.ParseUint(v, 10, 16)
		if err == nil {
			p.Say(uint16(code))
		}
		return err == nil
	})
	with("/faults", "on", func(v string) bool {
		on, err := strconv.ParseBool(v)
		if err == nil {
			p.Faults(on)
		}
		return err == nil
	})
	with("/delay", "ms", func(v string) bool {
		ms, err := strconv.Atoi(v)
		if err == nil {
			p.Delay(time.Duration(ms) * time.Millisecond)
		}
		return err == nil
	})
	with("/target", "to", func(v string) bool {
		if v != "" {
			p.Target(v)
		}
		return v != ""
	})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(p.Stats())
	})
	return mux
}
