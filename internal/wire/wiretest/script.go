package wiretest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// A script is a text file of what a client (C) and the server (S) say to each other, one frame a line, with what happens
// meanwhile. A letter may be followed by the name of a connection; without one it is the connection called "".
//
//	@ key value        a setting of the app, before the first O
//	= name text        a variable
//	O: protocol=2      a connection with this query; its id becomes ${socket}, or ${name.socket}
//	C: {…}             the client sends a frame
//	S: {…}             the server's next frame is this; ${name} binds a string that is not known yet; at the end of the
//	                   line … stands for any rest
//	X: 4200            the server closed with this code
//	N:                 the server has pinged the transport once more
//	D: clean           the client is gone; with the word clean after a close frame
//	I: 120000          the client was silent for so many milliseconds
//	T: 25              so many milliseconds pass
//	P: {…}             the backend publishes: channel, name, data, key, kind, message, frame, tags, extras
//	R: room            the log of a channel is reset
//	F: room 5          … is trimmed up to a serial
//	K: stall | go      the connection's socket takes nothing | takes again
//	B: break | mend    no log can be read | all can again
//	W: drain 500 | terminate N | online u1
//
// Every frame that the server sends must be named by an S line before the next line of another kind.
// ${sign:text} is an auth string over a text, with the key app-key and the secret app-secret; ${json:name} is a
// variable escaped for a JSON string.

// Factory makes the machine of a connection from its query and the settings of a script.
type Factory func(query string, settings map[string]string) (session.Machine, error)

// Run runs every script of a folder as a subtest.
func Run(t *testing.T, dir string, factory Factory) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in %s (%v)", dir, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for i, scene := range strings.Split("\n"+string(text), "\n---") {
				name, body, _ := strings.Cut(scene, "\n")
				if i == 0 {
					name = "head"
				}
				t.Run(strings.TrimSpace(name), func(t *testing.T) { play(t, factory, body) })
			}
		})
	}
}

// Clients gives the frames that the clients of all scripts of a folder send: seeds for fuzzing.
func Clients(dir string) []string {
	var all []string
	files, _ := filepath.Glob(filepath.Join(dir, "*.txt"))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for line := range strings.Lines(string(text)) {
			if head, rest, ok := strings.Cut(line, ":"); ok && strings.HasPrefix(head, "C") {
				all = append(all, strings.TrimSpace(rest))
			}
		}
	}
	return all
}

type player struct {
	t        *testing.T
	world    *World
	factory  Factory
	settings map[string]string
	vars     map[string]string
	conns    map[string]*Conn
	pings    map[string]int
	line     int
}

func play(t *testing.T, factory Factory, script string) {
	p := &player{t: t, world: NewWorld(), factory: factory, settings: map[string]string{}, vars: map[string]string{},
		conns: map[string]*Conn{}, pings: map[string]int{}}
	for line := range strings.Lines(script) {
		p.line++
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			p.run(line)
		}
	}
	p.quiet()
}

func (p *player) fatalf(format string, args ...any) {
	p.t.Helper()
	p.t.Fatalf("line %d: "+format, append([]any{p.line}, args...)...)
}

// quiet demands that no frame is left unread.
func (p *player) quiet() {
	p.t.Helper()
	for name, c := range p.conns {
		if len(c.Inbox) > 0 {
			p.fatalf("connection %q was sent, unexpectedly:\n%s", name, strings.Join(c.Inbox, "\n"))
		}
	}
}

func (p *player) run(line string) {
	p.t.Helper()
	switch line[0] {
	case '@':
		key, value, _ := strings.Cut(strings.TrimSpace(line[1:]), " ")
		p.settings[key] = value
		return
	case '=':
		name, value, _ := strings.Cut(strings.TrimSpace(line[1:]), " ")
		p.vars[name] = p.expand(value)
		return
	}
	head, rest, ok := strings.Cut(line, ":")
	if !ok {
		p.fatalf("%q is no line of a script", line)
	}
	verb, name, _ := strings.Cut(strings.TrimSpace(head), " ")
	rest = strings.TrimSpace(rest)
	if verb != "S" && verb != "X" && verb != "N" {
		p.quiet()
	}
	if strings.Contains("CSXNDIK", verb) && p.conns[name] == nil {
		p.fatalf("there is no connection %q", name)
	}
	if !p.act(verb, name, rest) {
		p.happen(verb, strings.Fields(rest), rest)
	}
}

// act is what concerns one connection.
func (p *player) act(verb, name, rest string) bool {
	p.t.Helper()
	c := p.conns[name]
	switch verb {
	case "O":
		p.open(name, rest)
	case "C":
		c.Send(p.expand(rest))
	case "S":
		p.expect(c, rest)
	case "X":
		if c.Closed == nil || strconv.Itoa(int(c.Closed.Code)) != rest {
			p.fatalf("closed with %v, want %s", c.Closed, rest)
		}
	case "N":
		if p.pings[name]++; c.Pings != p.pings[name] {
			p.fatalf("%d pings, want %d", c.Pings, p.pings[name])
		}
	case "D":
		c.Drop(rest == "clean")
	case "I":
		c.Step(session.Idle{For: p.number(rest)})
	case "K":
		c.Stalled = rest == "stall"
		c.Pump()
	default:
		return false
	}
	return true
}

// happen is what concerns the world.
func (p *player) happen(verb string, args []string, rest string) {
	p.t.Helper()
	switch verb {
	case "T":
		p.world.Advance(p.number(rest))
	case "P":
		p.publish(p.expand(rest))
	case "R":
		p.world.Reset(p.ref(args[0]))
	case "F":
		p.world.Log(p.ref(args[0])).Trim(uint64(p.number(args[1])))
	case "B":
		p.world.Broken = rest == "break"
	case "W":
		switch args[0] {
		case "online":
			p.world.Online[args[1]] = true
		case "drain":
			for _, c := range p.conns {
				c.Step(session.Draining{AfterMS: p.number(args[1])})
			}
		case "terminate":
			for _, c := range p.conns {
				c.Step(session.Terminate{Cause: session.Cause(p.number(args[1]))})
			}
		}
	default:
		p.fatalf("%q is no verb of a script", verb)
	}
}

func (p *player) number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		p.fatalf("%v", err)
	}
	return n
}

func (p *player) ref(channel string) stream.Ref { return stream.Ref{App: "app-id", Channel: channel} }

func (p *player) open(name, query string) {
	p.t.Helper()
	m, err := p.factory(query, p.settings)
	if err != nil {
		p.fatalf("%v", err)
	}
	id := fmt.Sprintf("%d.%d", 100+len(p.vars), 7+p.line)
	key := "socket"
	if name != "" {
		key = name + ".socket"
	}
	p.vars[key] = id
	for channel := range strings.FieldsSeq(p.settings["no_log"]) {
		p.world.NoLog[channel] = true
	}
	c := p.world.Open(id, m)
	if n, ok := p.settings["max_members"]; ok {
		c.MaxMembers = int(p.number(n))
	}
	if n, ok := p.settings["list_limit"]; ok {
		c.ListLimit = int(p.number(n))
	}
	if n, ok := p.settings["broadcast_limit"]; ok {
		c.BroadcastLimit = int(p.number(n))
	}
	p.conns[name] = c
	p.pings[name] = 0
}

type publication struct {
	Channel, Name, Key, Kind, Frame, User string
	Data, Tags, Extras                    json.RawMessage
	Message                               uint64
	Set, Clear                            stream.Fields
	Socket, Reaction                      string
}

func (p *player) publish(text string) {
	p.t.Helper()
	var in publication
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		p.fatalf("%v", err)
	}
	e := stream.Entry{Kind: stream.Create, Event: in.Name, Key: in.Key, Frame: in.Frame, User: in.User, Tags: in.Tags,
		Extras: in.Extras, Message: in.Message, Set: in.Set, Clear: in.Clear, Conn: in.Socket, NoEcho: in.Socket != ""}
	kinds := map[string]stream.Kind{"update": stream.Update, "append": stream.Append, "delete": stream.Delete,
		"annotate": stream.Annotate, "unannotate": stream.Unannotate}
	if in.Reaction != "" {
		e.Annot = &stream.Annotation{Type: "reactions:distinct.v1", Name: in.Reaction, Count: 1}
	}
	if k, ok := kinds[in.Kind]; ok {
		e.Kind = k
	} else if in.Key != "" {
		e.Kind = stream.Put
	}
	if len(in.Data) > 0 {
		e.Data = stream.Data{Type: stream.JSON, Bytes: in.Data}
		var s string
		if json.Unmarshal(in.Data, &s) == nil {
			e.Data = stream.Data{Type: stream.Text, Bytes: []byte(s)}
		}
	}
	p.world.Append(p.ref(in.Channel), e)
}

var placeholder = regexp.MustCompile(`\$\{[^${}]*\}`)

// expand puts in what is known. What is put in is not looked at again, so it may hold braces.
func (p *player) expand(s string) string {
	text, _ := p.expandTo(s, false)
	return text
}

// expandTo expands up to the end, or up to the brace that closes a placeholder; rest is what comes after it.
func (p *player) expandTo(s string, inside bool) (text, rest string) {
	var out strings.Builder
	for s != "" {
		switch {
		case inside && s[0] == '}':
			return out.String(), s[1:]
		case strings.HasPrefix(s, "${"):
			name, after := p.expandTo(s[2:], true)
			if v, ok := p.value(name); ok {
				out.WriteString(v)
			} else {
				out.WriteString("${" + name + "}")
			}
			s = after
		default:
			out.WriteByte(s[0])
			s = s[1:]
		}
	}
	return out.String(), ""
}

func (p *player) value(name string) (string, bool) {
	if text, ok := strings.CutPrefix(name, "sign:"); ok {
		mac := hmac.New(sha256.New, []byte("app-secret"))
		mac.Write([]byte(text))
		return "app-key:" + hex.EncodeToString(mac.Sum(nil)), true
	}
	if inner, ok := strings.CutPrefix(name, "json:"); ok {
		quoted, _ := json.Marshal(p.vars[inner])
		return string(quoted[1 : len(quoted)-1]), true
	}
	v, ok := p.vars[name]
	return v, ok
}

// expect reads the next frame and compares it, binding what is not known yet.
func (p *player) expect(c *Conn, want string) {
	p.t.Helper()
	if len(c.Inbox) == 0 {
		p.fatalf("the server sent nothing more, want\n%s", want)
	}
	got := c.Inbox[0]
	c.Inbox = c.Inbox[1:]
	if !json.Valid([]byte(got)) {
		p.fatalf("not valid JSON: %s", got)
	}
	want, open := strings.CutSuffix(p.expand(want), "…")
	var pattern strings.Builder
	var names []string
	for rest := want; ; {
		at := placeholder.FindStringIndex(rest)
		if at == nil {
			pattern.WriteString(regexp.QuoteMeta(rest))
			break
		}
		pattern.WriteString(regexp.QuoteMeta(rest[:at[0]]) + `([^"\\]*)`)
		names = append(names, rest[at[0]+2:at[1]-1])
		rest = rest[at[1]:]
	}
	if open {
		pattern.WriteString(".*")
	}
	found := regexp.MustCompile("^" + pattern.String() + "$").FindStringSubmatch(got)
	if found == nil {
		p.fatalf("the server sent\n%s\nwant\n%s", got, want)
	}
	for i, name := range names {
		if name != "_" {
			if old, ok := p.vars[name]; ok && old != found[i+1] {
				p.fatalf("${%s} is %q and %q in\n%s", name, old, found[i+1], got)
			}
			p.vars[name] = found[i+1]
		}
	}
}
