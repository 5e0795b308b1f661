package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// api is the application's side: it publishes over HTTP.
type api struct{ url, app, key, secret string }

// publish begins a message and gives its serial.
func (a *api) publish(channel, event, text string) (serial string, err error) {
	var answer struct {
		Channels map[string]struct {
			Message string `json:"message_serial"`
		} `json:"channels"`
	}
	err = a.post("/events", map[string]any{"name": event, "channel": channel, "data": text, "info": "position"}, &answer)
	return answer.Channels[channel].Message, err
}

// append adds a fragment to a message.
func (a *api) append(channel, serial, fragment string) error {
	return a.post("/channels/"+url.PathEscape(channel)+"/messages/"+serial+"/append", map[string]any{"data": fragment}, nil)
}

func (a *api) post(path string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequest(http.MethodPost, a.url+"/apps/"+a.app+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+a.key+":"+a.secret)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("%w; is a server running there? Start one with: continuo serve", err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("POST %s: %s %s", path, res.Status, got)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(got, answer)
}
