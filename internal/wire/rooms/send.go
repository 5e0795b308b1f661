package rooms

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/session"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// target is the joined room that a request is about, for somebody who has one of the rights; the others of several are
// tried in order. It counts the request against the rate.
func (m *Machine) target(r *Request, rights ...auth.Right) (*room, auth.Right, error) {
	name, err := r.name(m.opts.App.Limits.ChannelNameLength)
	if err != nil {
		return nil, 0, err
	}
	s := m.rooms.find(name.String())
	if s == nil {
		m.send(errorFrame(fault.New(fault.Invalid, "join the room %s first", channel.Quote(name.String())), codeNotJoined, r.room, r.Correlation))
		return nil, 0, nil
	}
	var right auth.Right
	for _, right = range rights {
		if err = m.can(name, right); err == nil {
			break
		}
	}
	if err != nil {
		return nil, 0, err
	}
	if ok, retry := m.rate.Allow(m.opts.App.Limits.ClientEventsPerSecond, time.Second, m.clock()); !ok {
		return nil, 0, fault.New(fault.RateLimited, "%d messages per second are allowed", m.opts.App.Limits.ClientEventsPerSecond).After(retry)
	}
	return s, right, nil
}

// chat sends a message to a room.
func (m *Machine) chat(r *Request) error {
	s, _, err := m.target(r, auth.Send)
	if err != nil || s == nil {
		return err
	}
	e, err := m.message(r)
	if err != nil {
		return err
	}
	ephemeral, err := r.flag("ephemeral")
	switch {
	case err != nil:
		return err
	case ephemeral && (e.Key != "" || r.value.Get("idempotency_key").Given()):
		return fault.New(fault.Invalid, "an ephemeral message is not kept: it has neither key nor idempotency_key").In("ephemeral")
	case ephemeral && !s.policy.ClientsPublish():
		return fault.New(fault.Forbidden, "clients may not publish in the room %s", channel.Quote(s.name.String()))
	case ephemeral:
		e.Time = m.now
		f := roomFrame(nil, "chat.accepted", s.name.String())
		m.send(f.answer(r.Correlation))
		m.do(session.Ephemeral{Ref: s.ref(m), Entry: e})
		return nil
	}
	return m.publish(r, s, stream.Op{Entry: e})
}

// message reads what chat.send sends.
func (m *Machine) message(r *Request) (e stream.Entry, err error) {
	l := &m.opts.App.Limits
	e = stream.Entry{Kind: stream.Create, Event: plainEvent, User: m.who.user(), Conn: m.who.session}
	if e.Data, err = r.data(l.PayloadBytes); err != nil {
		return e, err
	}
	event, err := r.text("event", 4<<10)
	if err != nil {
		return e, err
	}
	if event != "" {
		if err := channel.CheckPublish(event, l.EventNameLength); err != nil {
			return e, fault.Of(err).In("event")
		}
		e.Event = event
	}
	if e.Key, err = r.text("key", maxKey); err == nil && e.Key != "" {
		e.Kind = stream.Put
	}
	return e, err
}

// publish appends on behalf of the client.
func (m *Machine) publish(r *Request, s *room, op stream.Op) error {
	key, err := r.text("idempotency_key", maxIdempotency)
	if err != nil {
		return err
	}
	op.Ref = s.ref(m)
	if key != "" {
		op.Receipt = m.receipt(key, r.Kind, &op)
	}
	m.do(session.Publish{Tag: m.asked.add(r), Ops: []stream.Op{op}})
	return nil
}

// receipt makes an append idempotent. Keys are each user's own: nobody gets the answer to another's message.
func (m *Machine) receipt(key, kind string, op *stream.Op) *stream.Receipt {
	name := sha256.New()
	part := func(b []byte) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		name.Write(n[:])
		name.Write(b)
	}
	part([]byte(m.who.user()))
	part([]byte(key))
	r := &stream.Receipt{Key: "rooms:" + hex.EncodeToString(name.Sum(nil)[:16]), TTL: m.opts.App.Idempotency}
	name.Reset()
	e := &op.Entry
	for _, s := range []string{kind, e.Event, e.Key} {
		part([]byte(s))
	}
	part(binary.BigEndian.AppendUint64([]byte{byte(e.Data.Type)}, e.Message))
	part(binary.BigEndian.AppendUint32(nil, op.Guard.IfVersion))
	part(e.Data.Bytes)
	if e.Annot != nil {
		part([]byte(e.Annot.Name))
	}
	copy(r.Fingerprint[:], name.Sum(nil))
	return r
}

// mutation begins a change of a message by its id: of one's own, or of anybody's.
func (m *Machine) mutation(r *Request, kind stream.Kind, own, any auth.Right) (s *room, op stream.Op, err error) {
	s, right, err := m.target(r, any, own)
	if err != nil || s == nil {
		return nil, op, err
	}
	op.Entry = stream.Entry{Kind: kind, User: m.who.user(), Conn: m.who.session}
	if op.Entry.Message, err = r.message(); err != nil {
		return nil, op, err
	}
	if right == own {
		op.Guard.IfCreator = m.who.user()
	}
	v, given, err := r.number("if_version")
	if err == nil && given && (v == 0 || v > 1<<32-1) {
		err = fault.New(fault.Invalid, "if_version must be a version of the message, from 1").In("if_version")
	}
	op.Guard.IfVersion = uint32(v)
	return s, op, err
}

func (m *Machine) update(r *Request) error {
	s, op, err := m.mutation(r, stream.Update, auth.EditOwn, auth.EditAny)
	if err != nil || s == nil {
		return err
	}
	if op.Entry.Data, err = r.data(m.opts.App.Limits.PayloadBytes); err != nil {
		return err
	}
	if op.Entry.Data.Type == stream.NoData {
		return fault.New(fault.Invalid, "message.update needs text or payload")
	}
	op.Entry.Set = stream.FieldData
	return m.publish(r, s, op)
}

func (m *Machine) appendText(r *Request) error {
	s, op, err := m.mutation(r, stream.Append, auth.EditOwn, auth.EditAny)
	if err != nil || s == nil {
		return err
	}
	if op.Entry.Data, err = r.data(m.opts.App.Limits.PayloadBytes); err != nil {
		return err
	}
	if op.Entry.Data.Type != stream.Text || len(op.Entry.Data.Bytes) == 0 {
		return fault.New(fault.Invalid, "message.append needs a text that is not empty").In("text")
	}
	return m.publish(r, s, op)
}

func (m *Machine) remove(r *Request) error {
	s, op, err := m.mutation(r, stream.Delete, auth.DeleteOwn, auth.DeleteAny)
	if err != nil || s == nil {
		return err
	}
	op.Entry.Clear = stream.FieldData | stream.FieldExtras
	return m.publish(r, s, op)
}

// react adds a reaction to a message, or takes it back.
func (m *Machine) react(r *Request) error {
	s, _, err := m.target(r, auth.React)
	if err != nil || s == nil {
		return err
	}
	e := stream.Entry{Kind: stream.Annotate, User: m.who.user(), Conn: m.who.session}
	if r.Kind == "message.unreact" {
		e.Kind = stream.Unannotate
	}
	if e.Message, err = r.message(); err != nil {
		return err
	}
	name, err := r.text("name", maxReaction)
	if err == nil && name == "" {
		err = fault.New(fault.Invalid, "a reaction needs a name").In("name")
	}
	if err != nil {
		return err
	}
	e.Annot = &stream.Annotation{Type: Reactions, Name: name, Count: 1}
	return m.publish(r, s, stream.Op{Entry: e})
}

// published answers a send or a mutation.
func (m *Machine) published(in session.Published) {
	a, ok := m.asked.take(in.Tag)
	if !ok {
		return
	}
	err := in.Err
	var res stream.Result
	if err == nil && len(in.Results) > 0 {
		res = in.Results[0]
		err = res.Err
	}
	if err != nil {
		m.send(errorFrame(err, "", a.room, a.correlation))
		return
	}
	kind := "message.accepted"
	if a.kind == "chat.send" {
		kind = "chat.accepted"
	}
	f := roomFrame(make([]byte, 0, 160), kind, a.room)
	if res.Entry.Serial > 0 {
		f.uint("event_id", res.Entry.Serial)
		f.serial("message_id", res.Message)
		f.uint("version", uint64(res.Version))
	}
	m.send(f.answer(a.correlation))
}
