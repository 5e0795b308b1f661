package gateway

import "net/http"

// httpHandler routes to the faces that are tested here.
func httpHandler(g *Gateway) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/feed", g.Feed)
	mux.HandleFunc("/app/", g.Pusher)
	mux.HandleFunc("/rooms", g.Rooms)
	mux.HandleFunc("/rooms/", g.RoomsSnapshot)
	return mux
}
