package stream

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/continuo-rt/continuo/internal/core/fault"
)

// Subject names what the rows of one message are filed under: its key, or the serial of its create.
type Subject string

// KeySubject is the subject of a keyed message.
func KeySubject(key string) Subject { return Subject("k" + key) }

// MessageSubject is the subject of a message without a key, and the place where a keyed message's first serial says
// which key it belongs to (Header.Alias). Subjects sort by serial.
func MessageSubject(serial uint64) Subject {
	return Subject(binary.BigEndian.AppendUint64([]byte{'m'}, serial))
}

// Header is what the committer knows about one message without reading its entries: enough to decide every guard.
type Header struct {
	Alias   string // set on the MessageSubject of a keyed message: its key. All other fields are zero then
	Message uint64 // serial of the create, or of the first put
	Row     uint64 // serial of the history row: the create, or the last put
	Last    uint64 // newest entry of the subject, annotations included
	Version uint32
	Deleted bool
	Text    bool   // data is text, so it can be appended to
	Len     uint64 // bytes of data
	StateAt uint64 // serial of the newest kept state row, 0 none
	Since   uint32 // entries after StateAt
	LenAt   uint64 // Len at StateAt
	Creator string // user who began the message
	// What a put carries on of the versions that it supersedes, beside Message and Creator: see Ancestor.
	BegunAt   int64  // time of the entry that began the message, 0 when the row does not say
	BegunConn string // the session that published it
	Annotated bool   // an annotation was given or taken since
}

// Live reports whether the message is still there (if only as a tombstone), given the stream's floor: a message without
// a key ends when its create is trimmed, a keyed one when its last put is. Checkpoints keep a keyed message until its
// tombstone is trimmed.
func (h Header) Live(key bool, floor uint64, keepLatest bool) bool {
	return h.Row > floor || key && keepLatest && !(h.Deleted && h.Last <= floor)
}

// StateDue reports whether a state row should be kept now, so that reading the latest version costs the same at the
// 10th and at the 4,000th fragment: after 64 entries, or when the data has doubled since the last one (and is not tiny).
func (h Header) StateDue() bool {
	return h.Since >= 64 || h.Since >= 8 && h.Len >= 1024 && h.Len >= 2*h.LenAt
}

// HeaderOf is the header of a message that has only its create, which keeps none of its own.
func HeaderOf(e *Entry) Header {
	return Header{Message: e.Serial, Row: e.Serial, Last: e.Serial, Version: 1, Text: e.Data.Type == Text,
		Len: uint64(len(e.Data.Bytes)), Creator: e.User, BegunAt: e.Time, BegunConn: e.Conn, Since: 1}
}

// Ancestor gives an entry that stands for everything about a message before one of its puts: folded before the put, it
// gives the same state as all the entries that the put supersedes. A put that began the message
// needs none: serial 0. ok is false when no entry can stand for them: the message was annotated, or the header is of
// another message. It holds for the fold of the log Messages, where a put replaces all content; see Fold.
func (h *Header) Ancestor(put *Entry) (e Entry, ok bool) {
	switch {
	case put.Kind != Put:
		return e, false
	case put.Message == put.Serial:
		return e, true
	case put.Message != h.Message || h.Annotated || h.BegunAt == 0 || put.Version < 2:
		return e, false
	}
	return Entry{Serial: put.Message, Time: h.BegunAt, Kind: Put, Message: put.Message, Version: put.Version - 1,
		Key: put.Key, User: h.Creator, Conn: h.BegunConn}, true
}

// next decides whether e may be applied to the message with header h (ok: it exists) and gives the header after it.
// e's Serial must be set. It fills e.Message, e.Version and e.Key.
func (h Header) next(e *Entry, ok bool, g Guard) (Header, error) {
	if g.IfSerial > 0 && (!ok || h.Last != g.IfSerial) {
		return h, fault.New(fault.Conflict, "the newest entry of this subject is not serial %d", g.IfSerial).With(h.Last)
	}
	live := ok && !h.Deleted
	if e.Kind == Put {
		return h.put(e, ok, live, g)
	}
	switch {
	case !ok:
		return h, fault.New(fault.NotFound, "there is no such message: it never existed, or retention has removed it")
	case g.IfCreator != "" && g.IfCreator != h.Creator:
		return h, fault.New(fault.Forbidden, "the message was begun by someone else")
	case h.Deleted:
		return h, fault.New(fault.Conflict, "the message was deleted (version %d)", h.Version).With(uint64(h.Version))
	case g.IfVersion > 0 && g.IfVersion != h.Version:
		return h, fault.New(fault.Conflict, "the message is at version %d, not %d", h.Version, g.IfVersion).With(uint64(h.Version))
	case e.Kind.Mutation() && g.MaxVersion > 0 && h.Version >= g.MaxVersion:
		return h, fault.New(fault.LimitExceeded, "the message has the %d versions that its policy allows", g.MaxVersion)
	case e.Kind == Append && !h.Text:
		return h, fault.New(fault.Invalid, "the message's data is not a text, so nothing can be appended to it").In("data")
	}
	return h.apply(e, g)
}

func (h Header) put(e *Entry, ok, live bool, g Guard) (Header, error) {
	if g.IfAbsent && live {
		return h, fault.New(fault.Conflict, "the key exists at version %d", h.Version).With(uint64(h.Version))
	}
	if g.IfVersion > 0 && (!live || g.IfVersion != h.Version) {
		return h, fault.New(fault.Conflict, "the key is at version %d, not %d", h.Version, g.IfVersion).With(uint64(h.Version))
	}
	if live && g.MaxVersion > 0 && h.Version >= g.MaxVersion {
		return h, fault.New(fault.LimitExceeded, "the key has the %d versions that its policy allows", g.MaxVersion)
	}
	n := HeaderOf(e)
	if ok { // entries of the key since its last state row count on, so that a thousand puts are as cheap to fold as one
		n.StateAt, n.Since, n.LenAt = h.StateAt, h.Since+1, h.LenAt
	}
	if live {
		n.Message, n.Version, n.Creator = h.Message, h.Version+1, h.Creator
		n.BegunAt, n.BegunConn, n.Annotated = h.BegunAt, h.BegunConn, h.Annotated
	}
	e.Message, e.Version = n.Message, n.Version
	return n, nil
}

func (h Header) apply(e *Entry, g Guard) (Header, error) {
	size := h.Len
	switch e.Kind {
	case Append:
		size += uint64(len(e.Data.Bytes))
	case Update, Delete:
		if e.Set&FieldData != 0 {
			size, h.Text = uint64(len(e.Data.Bytes)), e.Data.Type == Text
		}
		if e.Clear&FieldData != 0 {
			size, h.Text = 0, false
		}
		h.Deleted = e.Kind == Delete
	}
	if g.MaxBytes > 0 && size > g.MaxBytes && size > h.Len {
		return h, fault.New(fault.TooLarge, "the message would grow to %d bytes; %d are allowed", size, g.MaxBytes).In("data")
	}
	if e.Kind.Mutation() {
		h.Version++
	}
	h.Annotated = h.Annotated || e.Kind == Annotate || e.Kind == Unannotate
	h.Len, h.Last = size, e.Serial
	h.Since++
	e.Message, e.Version = h.Message, h.Version
	return h, nil
}

// check refuses ops that can never be right, before anything is allotted.
func (op *Op) check() error {
	e := &op.Entry
	switch {
	case e.Kind < Create || e.Kind > Unannotate:
		return fault.New(fault.Invalid, "entry kind %d is not known", e.Kind)
	case e.Kind == Put && e.Key == "", e.Kind == Create && e.Key != "":
		return fault.New(fault.Invalid, "a put needs a key and a create has none").In("key")
	case len(e.Key) > 200:
		return fault.New(fault.Invalid, "the key has %d bytes; 200 are allowed", len(e.Key)).In("key")
	case !e.Kind.Row() && e.Message == 0 && e.Key == "":
		return fault.New(fault.Invalid, "a mutation needs a message serial or a key").In("message_serial")
	case e.Kind == Append && (e.Data.Type != Text || len(e.Data.Bytes) == 0):
		return fault.New(fault.Invalid, "an append needs a fragment of text").In("data")
	case e.Kind == Update && e.Set|e.Clear == 0:
		return fault.New(fault.Invalid, "an update must set or clear at least one of name, data, extras")
	case e.Set&e.Clear != 0:
		return fault.New(fault.Invalid, "a field cannot be set and cleared at once").In("clear_fields")
	case e.Data.Type == Text && !utf8.Valid(e.Data.Bytes):
		return fault.New(fault.Invalid, "data is not valid UTF-8").In("data")
	case op.Receipt != nil && (op.Receipt.Key == "" || len(op.Receipt.Key) > 400):
		return fault.New(fault.Invalid, "an idempotency key has 1 to 400 bytes").In("idempotency_key")
	}
	return nil
}
