package httpapi

import (
	"net/http"
	"strconv"

	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/node"
	"github.com/continuo-rt/continuo/internal/wire/serverapi"
)

var annotationRoutes = []route{
	{[]string{"channels", ":channel", "messages", ":subject", "annotations"}, []endpoint{
		{method: http.MethodGet, params: serverapi.AnnotationParams, read: true, do: (*call).annotations},
		{method: http.MethodPost, do: (*call).annotate}}},
	{[]string{"channels", ":channel", "messages", ":subject", "annotations", ":second"}, []endpoint{
		{method: http.MethodDelete, params: []string{"socket_id"}, do: (*call).unannotate}}},
}

func (c *call) annotate() error {
	serial, err := c.serial()
	if err != nil {
		return err
	}
	a, err := serverapi.DecodeAnnotation(c.body)
	if err != nil {
		return err
	}
	if a.Socket != "" {
		user, one, err := c.actor(a.Socket, a.ClientID)
		if err != nil {
			return err
		}
		if err := c.capable(one, "annotation-publish", a.Socket); err != nil {
			return err
		}
		a.ClientID = user
	}
	if err := a.Check(); err != nil {
		return err
	}
	r, err := c.note(node.Publish{Ref: c.ref(), Entry: a.Entry(serial), Position: true})
	if err != nil {
		return err
	}
	c.out = serverapi.AppendAnnotated(c.out, r.Entry.Serial, 0)
	return c.answer(http.StatusOK)
}

// capable checks a capability of a session that can tell what it has.
func (c *call) capable(one node.Session, capability, socket string) error {
	if a, ok := one.(Actor); ok && !a.Capable(capability, c.match.channel) {
		return fault.New(fault.MutableNotPermitted, "the connection %s has no capability %s", socket, capability).In("socket_id")
	}
	return nil
}

// note appends an annotation or takes one back.
func (c *call) note(p node.Publish) (stream.Result, error) {
	if err := c.api.limits.publish(c, 1); err != nil {
		return stream.Result{}, err
	}
	results, err := c.append([]node.Publish{p})
	if err != nil {
		return stream.Result{}, err
	}
	return results[0], nil
}

// unannotate takes an annotation back. To do so again gives the same answer for as long as idempotency keys are kept,
// and changes nothing afterwards.
func (c *call) unannotate() error {
	serial, err := c.serial()
	if err != nil {
		return err
	}
	target, err := serverapi.ParseSerial(c.match.second, "annotation_serial")
	if err != nil {
		return err
	}
	given, err := c.annotation(serial, target)
	if err != nil {
		return err
	}
	if socket := c.params.Text("socket_id"); socket != "" {
		user, one, err := c.actor(socket, "")
		if err != nil {
			return err
		}
		capability := "annotation-delete-any"
		if user != "" && user == given.User {
			capability = "annotation-delete-own"
		}
		if err := c.capable(one, capability, socket); err != nil {
			return err
		}
	}
	e := stream.Entry{Kind: stream.Unannotate, Message: serial, User: given.User, Annot: given.Annot}
	r, err := c.note(node.Publish{Ref: c.ref(), Entry: e, Key: "op:unannotate:" + strconv.FormatUint(target, 10), Position: true})
	if err != nil {
		return err
	}
	c.out = serverapi.AppendAnnotated(c.out, r.Entry.Serial, target)
	return c.answer(http.StatusOK)
}

// annotation finds the entry that added an annotation to a message.
func (c *call) annotation(message, serial uint64) (*stream.Entry, error) {
	if _, _, err := c.api.opts.Node.Message(c.r.Context(), c.ref(), message, "", 0); err != nil {
		return nil, err
	}
	page, err := c.api.opts.Node.Store().Read(c.r.Context(), stream.Query{Ref: c.ref(), From: serial, To: serial, Limit: 1})
	if err != nil {
		return nil, err
	}
	if serial == 0 || len(page.Entries) == 0 || page.Entries[0].Kind != stream.Annotate || page.Entries[0].Message != message {
		return nil, fault.New(fault.NotFound, "the message has no annotation %d: it never had, or retention has removed it", serial).In("annotation_serial")
	}
	return page.Entries[0], nil
}

// annotations lists what was added to a message and taken back, oldest first.
func (c *call) annotations() error {
	serial, err := c.serial()
	if err != nil {
		return err
	}
	asked, err := serverapi.ParseAnnotations(&c.params, c.app.Limits.HistoryPage)
	if err != nil {
		return err
	}
	if _, _, err := c.api.opts.Node.Message(c.r.Context(), c.ref(), serial, "", 0); err != nil {
		return err
	}
	page, err := c.api.opts.Node.Store().Read(c.r.Context(), stream.Query{Ref: c.ref(), Message: serial, From: asked.From, Limit: asked.Limit, Bytes: pageBytes})
	if err != nil {
		return err
	}
	c.out = serverapi.AppendAnnotations(c.out, c.match.channel, serial, &asked, page.Entries, page.More)
	return c.answer(http.StatusOK)
}
