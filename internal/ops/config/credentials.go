package config

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/continuo-rt/continuo/internal/core/app"
)

// Credentials are what a backend needs to use an app.
type Credentials struct {
	ID     string `json:"id"`
	Key    string `json:"key"`
	Secret string `json:"secret"`
}

// developmentSecret is known to everyone: outside development mode it is refused.
const developmentSecret = "app-secret"

// DevelopmentApp is the app of development mode.
func DevelopmentApp() Credentials { return Credentials{"app-id", "app-key", developmentSecret} }

// RandomApp makes credentials that nobody can guess.
func RandomApp() Credentials {
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	word := func(n int) string {
		b := make([]byte, n)
		rand.Read(b) // never fails
		for i := range b {
			b[i] = alphabet[b[i]%32]
		}
		return string(b)
	}
	return Credentials{"app-" + word(8), word(20), word(40)}
}

// keptFile is where KeptApp keeps credentials.
const keptFile = "app.json"

// KeptApp gives the credentials that are kept in the data folder, and makes random ones the first time (made is true
// then: show them, once).
func KeptApp(data string) (k Credentials, made bool, err error) {
	path := filepath.Join(data, keptFile)
	raw, err := os.ReadFile(path)
	if err == nil {
		if err := json.Unmarshal(raw, &k); err != nil || k.ID == "" || k.Key == "" || k.Secret == "" {
			return k, false, fmt.Errorf("%s does not hold the credentials of an app: correct it, or remove it to get new ones", path)
		}
		return k, false, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return k, false, err
	}
	k = RandomApp()
	raw, err = json.MarshalIndent(k, "", "  ")
	if err != nil {
		return k, false, err
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return k, false, err
	}
	return k, true, writeNew(path, append(raw, '\n'))
}

// writeNew writes a file that is whole or not there at all, readable by its owner alone.
func writeNew(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when all went well
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// AddApp adds an app with the defaults of the mode to a loaded configuration.
func (c *Config) AddApp(k Credentials) error {
	added := c.newApp(k, "")
	made, err := app.New(c.build(&added))
	if err != nil {
		return err
	}
	all := []*app.App{}
	for a := range c.registry.All() {
		all = append(all, a)
	}
	registry, faults := app.NewRegistry(append(all, made)...)
	if len(faults) > 0 {
		return faults[0]
	}
	c.Apps, c.registry = append(c.Apps, added), registry
	return nil
}
