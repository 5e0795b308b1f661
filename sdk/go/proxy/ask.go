package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Ask is what a client SDK asks for.
type Ask struct {
	// Action is history, snapshot, channel_history, get_message, get_message_versions, create, update, append, delete,
	// publish_annotation, delete_annotation or list_annotations.
	Action  string
	Channel string
	// Message is the serial of the message that the action is about, Annotation that of the annotation.
	Message    string
	Annotation string
	// ClientID is recorded as who makes a change: what the client says, unless Authorize sets it.
	ClientID string
	// SocketID is the connection that the client acts as.
	SocketID string

	params map[string]json.RawMessage
	fields map[string]json.RawMessage // what a change says
}

// Writes reports whether the action changes anything.
func (a *Ask) Writes() bool {
	switch a.Action {
	case "create", "update", "append", "delete", "publish_annotation", "delete_annotation":
		return true
	}
	return false
}

// envelope is the body of a request, in all its forms.
type envelope struct {
	Action           string                     `json:"action"`
	Channel          string                     `json:"channel"`
	Params           map[string]json.RawMessage `json:"params"`
	MessageSerial    string                     `json:"messageSerial"`
	AnnotationSerial string                     `json:"annotationSerial"`
	SocketID         string                     `json:"socketId"`
	Annotation       map[string]json.RawMessage `json:"annotation"`
}

// parse reads a request.
func parse(body []byte) (*Ask, error) {
	var e envelope
	d := json.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(&e); err != nil {
		return nil, fmt.Errorf("the request is not the JSON that client SDKs send: %w", err)
	}
	if d.More() {
		return nil, errors.New("the request is more than one JSON value")
	}
	a := &Ask{Action: e.Action, Channel: e.Channel, Message: e.MessageSerial, Annotation: e.AnnotationSerial, SocketID: e.SocketID, params: e.Params}
	switch a.Action {
	case "create", "update", "append", "delete":
		a.params, a.fields = nil, e.Params
		a.Message = text(e.Params["message_id"])
		a.ClientID, a.SocketID = first(e.Params, "client_id", "clientId"), first(e.Params, "socket_id", "socketId")
	case "publish_annotation":
		a.fields = e.Annotation
		a.ClientID, a.SocketID = first(e.Annotation, "clientId", "client_id"), first(e.Annotation, "socketId", "socket_id")
	}
	return a, a.check()
}

func (a *Ask) check() error {
	switch {
	case !slices.Contains([]string{"history", "snapshot", "channel_history", "get_message", "get_message_versions", "create", "update", "append",
		"delete", "publish_annotation", "delete_annotation", "list_annotations"}, a.Action):
		return fmt.Errorf("the action %q is not known", a.Action)
	case a.Channel == "":
		return errors.New("the request names no channel")
	case dots(a.Channel) || dots(a.Message) || dots(a.Annotation):
		return errors.New("a channel or serial of dots alone would be another path")
	case a.Message == "" && !slices.Contains([]string{"history", "snapshot", "channel_history", "create"}, a.Action):
		return fmt.Errorf("the action %s needs the serial of a message", a.Action)
	case a.Action == "delete_annotation" && a.Annotation == "":
		return errors.New("the action delete_annotation needs the serial of an annotation")
	}
	return nil
}

// dots reports whether a part of a path would mean another one.
func dots(part string) bool { return part == "." || part == ".." }

// text is a JSON string, or a number as it is written.
func text(v json.RawMessage) string {
	var s string
	if json.Unmarshal(v, &s) == nil {
		return s
	}
	var n json.Number
	if json.Unmarshal(v, &n) == nil {
		return n.String()
	}
	return ""
}

func first(m map[string]json.RawMessage, names ...string) string {
	for _, name := range names {
		if s := text(m[name]); s != "" {
			return s
		}
	}
	return ""
}

// call is a request to the HTTP API: method, escaped path, query in pairs, body.
type call struct {
	method string
	path   string
	query  [][2]string
	body   []byte
}

// call finds the request that answers what was asked.
func (h *Handler) call(a *Ask) (call, error) {
	app, channel := "/apps/"+escape(h.o.App), "/channels/"+escape(a.Channel)
	messages := app + channel + "/messages/" + escape(a.Message)
	switch a.Action {
	case "history":
		_, attached := a.params["attach_serial"]
		_, until := a.params["until_attach"]
		if strings.HasPrefix(a.Channel, "presence-") && !h.o.Messages && !attached && !until {
			return a.read(app + channel + "/presence/history")
		}
		return a.read(app + channel + "/history")
	case "snapshot":
		return a.read(app + channel + "/presence/history/snapshot")
	case "channel_history":
		return a.read(app + channel + "/history")
	case "get_message":
		return a.read(messages)
	case "get_message_versions":
		return a.read(messages + "/versions")
	case "list_annotations":
		return a.read(messages + "/annotations")
	case "create":
		return a.create(app + "/events")
	case "publish_annotation":
		return a.annotate(messages + "/annotations")
	case "delete_annotation":
		c := call{method: http.MethodDelete, path: messages + "/annotations/" + escape(a.Annotation)}
		if a.SocketID != "" {
			c.query = append(c.query, [2]string{"socket_id", a.SocketID})
		}
		return c, nil
	}
	return a.change(messages + "/" + a.Action)
}

// read makes a GET with the parameters as the client gave them; the server refuses what it does not know.
func (a *Ask) read(path string) (call, error) {
	c := call{method: http.MethodGet, path: path}
	for name, v := range a.params {
		value, given, err := plain(v)
		switch {
		case err != nil:
			return c, fmt.Errorf("the parameter %s is neither text nor a number", name)
		case !given || name == "until_attach":
			continue
		case name == "attach_serial":
			name = "end_serial"
		}
		c.query = append(c.query, [2]string{name, value})
	}
	if a.SocketID != "" && a.Action == "list_annotations" && a.params["socketId"] == nil && a.params["socket_id"] == nil {
		c.query = append(c.query, [2]string{"socket_id", a.SocketID})
	}
	return c, nil
}

// plain is a parameter as a query carries it; null is none.
func plain(v json.RawMessage) (value string, given bool, err error) {
	var any any
	d := json.NewDecoder(bytes.NewReader(v))
	d.UseNumber()
	if err := d.Decode(&any); err != nil {
		return "", false, err
	}
	switch v := any.(type) {
	case nil:
		return "", false, nil
	case string:
		return v, true, nil
	case json.Number:
		return v.String(), true, nil
	case bool:
		return strconv.FormatBool(v), true, nil
	}
	return "", false, errors.New("not plain")
}

// create publishes: what SDKs call event is the name of an event.
func (a *Ask) create(path string) (call, error) {
	m := a.take("data", "extras", "tags", "key", "idempotency_key", "message_id", "ephemeral")
	m["channel"] = quoted(a.Channel)
	if m["name"] = a.fields["event"]; m["name"] == nil {
		m["name"] = a.fields["name"]
	}
	if m["name"] == nil {
		return call{}, errors.New("the action create needs an event")
	}
	if a.SocketID != "" {
		m["socket_id"] = quoted(a.SocketID)
	}
	m["info"] = quoted("position")
	return post(path, m)
}

// change updates, appends to or deletes a message.
func (a *Ask) change(path string) (call, error) {
	m := a.take("data", "extras", "clear_fields", "description", "metadata", "op_id", "if_version")
	if event := a.fields["event"]; event != nil && a.Action == "update" {
		m["name"] = event
	}
	if reason := a.fields["reason"]; reason != nil && m["description"] == nil {
		m["description"] = reason
	}
	a.as(m, "client_id", "socket_id")
	return post(path, m)
}

func (a *Ask) annotate(path string) (call, error) {
	m := a.take("type", "name", "count", "data", "encoding")
	a.as(m, "clientId", "socketId")
	return post(path, m)
}

// as says who makes a change.
func (a *Ask) as(m map[string]json.RawMessage, client, socket string) {
	if a.ClientID != "" {
		m[client] = quoted(a.ClientID)
	}
	if a.SocketID != "" {
		m[socket] = quoted(a.SocketID)
	}
}

// take copies the members that a request may say; null is not said.
func (a *Ask) take(names ...string) map[string]json.RawMessage {
	m := map[string]json.RawMessage{}
	for _, name := range names {
		if v := a.fields[name]; v != nil && string(v) != "null" {
			m[name] = v
		}
	}
	return m
}

func quoted(s string) json.RawMessage {
	b, _ := json.Marshal(s) // a string cannot fail
	return b
}

func post(path string, m map[string]json.RawMessage) (call, error) {
	body, err := json.Marshal(m)
	return call{method: http.MethodPost, path: path, body: body}, err
}
