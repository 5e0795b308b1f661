package httpapi

import (
	"net/http"
	"strconv"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/node"
	"github.com/continuo-rt/continuo/internal/wire/serverapi"
)

var messageRoutes = []route{
	{[]string{"channels", ":channel", "messages", ":subject", "append"}, []endpoint{{method: http.MethodPost, do: (*call).appendTo}}},
	{[]string{"channels", ":channel", "messages", ":subject", "update"}, []endpoint{{method: http.MethodPost, do: (*call).update}}},
	{[]string{"channels", ":channel", "messages", ":subject", "delete"}, []endpoint{{method: http.MethodPost, do: (*call).remove}}},
	{[]string{"channels", ":channel", "messages", ":subject"}, []endpoint{
		{method: http.MethodGet, params: []string{"data"}, read: true, do: (*call).message}}},
	{[]string{"channels", ":channel", "messages", ":subject", "versions"}, []endpoint{
		{method: http.MethodGet, params: serverapi.VersionParams, read: true, do: (*call).versions}}},
	{[]string{"channels", ":channel", "keys", ":subject"}, []endpoint{
		{method: http.MethodGet, params: []string{"data"}, read: true, do: (*call).key},
		{method: http.MethodDelete, params: []string{"op_id", "if_version", "client_id", "socket_id"}, do: (*call).removeKey}}},
}

func (c *call) appendTo() error { return c.mutate(stream.Append) }
func (c *call) update() error   { return c.mutate(stream.Update) }
func (c *call) remove() error   { return c.mutate(stream.Delete) }

// serial is the message serial of the path.
func (c *call) serial() (uint64, error) {
	n, err := serverapi.ParseSerial(c.match.subject, "message_serial")
	if err == nil && n == 0 {
		err = fault.New(fault.Invalid, "message_serial 0 is no message: serials begin at 1").In("message_serial")
	}
	return n, err
}

func (c *call) mutate(action stream.Kind) error {
	serial, err := c.serial()
	if err != nil {
		return err
	}
	m, err := serverapi.DecodeMutation(c.body, action, &c.app.Limits)
	if err != nil {
		return err
	}
	return c.apply(&m, serial, "")
}

// removeKey deletes the message of a key. What a body may say can stand in the query too, since many clients send no
// body with DELETE.
func (c *call) removeKey() error {
	key, err := serverapi.CheckKey(c.match.subject)
	if err != nil {
		return err
	}
	m, err := serverapi.DecodeMutation(c.body, stream.Delete, &c.app.Limits)
	if err != nil {
		return err
	}
	if err := m.Take(&c.params); err != nil {
		return err
	}
	return c.apply(&m, 0, key)
}

// apply appends a mutation of a message, named by its serial or by its key.
func (c *call) apply(m *serverapi.Mutation, serial uint64, key string) error {
	if err := c.api.limits.publish(c, 1); err != nil {
		return err
	}
	if err := c.attribute(m, serial, key); err != nil {
		return err
	}
	subject := "key:" + key
	if key == "" {
		subject = strconv.FormatUint(serial, 10)
	}
	once, print := m.Receipt(subject)
	p := node.Publish{Ref: c.ref(), Entry: m.Entry(serial, key), Key: once, Fingerprint: print,
		Guard: stream.Guard{IfVersion: m.IfVersion}, Position: true}
	results, err := c.append([]node.Publish{p})
	if err != nil {
		if f := fault.Of(err); f.Kind == fault.Mismatch {
			return fault.New(fault.Mismatch, "this op_id was used before with another payload").In("op_id")
		}
		return err
	}
	c.out = serverapi.AppendMutated(c.out, c.match.channel, m.Action, &results[0])
	return c.answer(http.StatusOK)
}

// Actor is what a session can tell about the rights of its client. Sessions that cannot tell have all of them.
type Actor interface {
	// Capable reports whether the client was given a capability on a channel, such as message_update_own.
	Capable(capability, channel string) bool
}

// attribute makes the connection of socket_id the author of a mutation: it must be there, be signed in as client_id if
// one is given, and be allowed to change its own messages or all.
func (c *call) attribute(m *serverapi.Mutation, serial uint64, key string) error {
	if m.Socket == "" {
		return nil
	}
	user, one, err := c.actor(m.Socket, m.ClientID)
	if err != nil {
		return err
	}
	m.ClientID = user
	a, ok := one.(Actor)
	capability := "message_" + m.Action.String()
	if !ok || a.Capable(capability+"_any", c.match.channel) {
		return nil
	}
	if user != "" && a.Capable(capability+"_own", c.match.channel) {
		s, _, err := c.api.opts.Node.Message(c.r.Context(), c.ref(), serial, key, 0)
		if err != nil || s.Begun.User == user {
			return err
		}
	}
	return fault.New(fault.MutableNotPermitted, "the connection %s may not %s this message: it has no capability %s_any, nor %s_own for one that its user began",
		m.Socket, m.Action, capability, capability).In("socket_id")
}

// actor is who acts through a connection.
func (c *call) actor(socket, client string) (user string, one node.Session, err error) {
	sessions := c.api.opts.Node.Sessions()
	one, ok := sessions.ByID(c.app.ID, socket)
	if !ok {
		return "", nil, fault.New(fault.AuthFailed, "no connection has the socket_id %s", channel.Quote(socket)).In("socket_id")
	}
	user = sessions.User(c.app.ID, socket)
	if client != "" && client != user {
		return "", nil, fault.New(fault.AuthFailed, "the connection %s is not signed in as the client_id %s", socket, channel.Quote(client)).In("client_id")
	}
	return user, one, nil
}

func (c *call) message() error {
	serial, err := c.serial()
	if err != nil {
		return err
	}
	return c.show(serial, "")
}

func (c *call) key() error {
	key, err := serverapi.CheckKey(c.match.subject)
	if err != nil {
		return err
	}
	return c.show(0, key)
}

// show answers with the newest version of a message. A deleted one is shown by its serial, but a key has none then.
func (c *call) show(serial uint64, key string) error {
	values, err := c.params.Values()
	if err != nil {
		return err
	}
	s, b, err := c.api.opts.Node.Message(c.r.Context(), c.ref(), serial, key, 0)
	if err != nil {
		return err
	}
	if key != "" && s.Deleted() {
		return fault.New(fault.NotFound, "the key %s was deleted", channel.Quote(key))
	}
	c.out = serverapi.AppendMessage(c.out, c.match.channel, b.Stream, &s, values)
	return c.answer(http.StatusOK)
}

func (c *call) versions() error {
	serial, err := c.serial()
	if err != nil {
		return err
	}
	asked, err := serverapi.ParseVersions(&c.params, c.match.channel, serial, c.app.Limits.HistoryPage)
	if err != nil {
		return err
	}
	q := node.VersionsQuery{Ref: c.ref(), Message: serial, Reverse: !asked.OldestFirst, Limit: asked.Limit, Bytes: pageBytes}
	switch {
	case asked.Cursor > 0 && asked.OldestFirst:
		q.From = asked.Cursor + 1
	case asked.Cursor == 1:
		return fault.New(fault.Invalid, "the cursor 1 has nothing before it").In("cursor")
	case asked.Cursor > 1:
		q.To = asked.Cursor - 1
	}
	v, err := c.api.opts.Node.Versions(c.r.Context(), q)
	if err != nil {
		return err
	}
	c.out = serverapi.AppendVersions(c.out, &asked, v.Bounds.Stream, v.List, v.More, v.Last)
	return c.answer(http.StatusOK)
}
