package cli

import (
	"github.com/continuo-rt/continuo/internal/ops/client"
)

// defaultURL is where a server without configuration listens.
const defaultURL = "http://127.0.0.1:6001"

// remote are the flags that name a running server and who calls. The defaults are those of development mode.
type remote struct {
	URL    string `name:"url" default:"http://127.0.0.1:6001" env:"CONTINUO_URL" help:"Address of the server."`
	App    string `name:"app" default:"app-id" env:"CONTINUO_APP_ID" help:"Id of the app."`
	Key    string `name:"key" default:"app-key" env:"CONTINUO_APP_KEY" help:"Key of the app."`
	Secret string `name:"secret" default:"app-secret" env:"CONTINUO_APP_SECRET" help:"Its secret."`
}

func (r *remote) server() client.Server {
	return client.Server{URL: r.URL, App: r.App, Key: r.Key, Secret: r.Secret}
}
