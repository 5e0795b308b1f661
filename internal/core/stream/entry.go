package stream

import "strconv"

// Kind says what an entry does.
type Kind uint8

// The kinds of entries. Values are stored: append only.
const (
	Create     Kind = 1 // begins a message without a key
	Put        Kind = 2 // sets a key: begins its message, or supersedes the previous version
	Update     Kind = 3 // replaces or clears name, data or extras of a message
	Append     Kind = 4 // adds a fragment to a message whose data is text
	Delete     Kind = 5 // tombstone of a message
	Annotate   Kind = 6 // adds an annotation (a reaction) to a message
	Unannotate Kind = 7 // removes one
)

var kindNames = [...]string{Create: "create", Put: "put", Update: "update", Append: "append", Delete: "delete",
	Annotate: "annotate", Unannotate: "unannotate"}

func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// Row reports whether an entry of this kind is a row of its own in history; the others fold into the row they change.
func (k Kind) Row() bool { return k == Create || k == Put }

// Mutation reports whether the entry makes a new version of an existing message by its serial.
func (k Kind) Mutation() bool { return k == Update || k == Append || k == Delete }

// DataType says how Data is to be read. Data stays what it was published as.
type DataType uint8

// The data types. Values are stored: append only.
const (
	NoData DataType = 0 // absent
	Text   DataType = 1 // UTF-8 text
	JSON   DataType = 2 // one JSON value, valid UTF-8
	Bytes  DataType = 3
)

// Data is a payload. The bytes are shared and never changed.
type Data struct {
	Type  DataType
	Bytes []byte
}

// Fields is a set of the message fields that an update or delete touches.
type Fields uint8

// The fields of a message that an update or delete may replace or clear.
const (
	FieldName Fields = 1 << iota
	FieldData
	FieldExtras
)

// Entry is one record of a stream. An entry that was appended is shared and must not be changed.
type Entry struct {
	Serial uint64
	Time   int64  // unix ms, never below that of the entry before
	Cum    uint64 // bytes of all entries of this row's lifetime up to and including this one
	Kind   Kind

	// Message is the serial of the create (or first put) that began the message; equal to Serial there.
	Message uint64
	Version uint32 // 1 for the entry that began the message; annotations repeat the version they saw
	Key     string // the key of a keyed message, on every entry about it

	Frame string // caller's own frame id; empty: derived, see FrameID
	Event string // event name; of a mutation: the message's name if the entry sets it
	Data  Data
	Tags  []byte // JSON object of strings, keys sorted, or nil
	// Extras is a JSON object or nil.
	Extras []byte

	User string // who published: signed-in user, token subject or client_id; empty for a backend
	Conn string // the session that published (socket id), empty for a backend
	// NoEcho hides the entry from the session Conn, as HTTP socket_id and echo rules demand.
	NoEcho bool

	Set   Fields // Update, Delete: fields that are replaced
	Clear Fields // Update, Delete: fields that become absent

	Note   *Note
	Annot  *Annotation
	Member *Member
}

// Note is what an editor says about a version.
type Note struct {
	Description string
	Metadata    []byte // JSON value or nil
}

// Annotation is the subject of Annotate and Unannotate entries.
type Annotation struct {
	Type  string // e.g. "reactions:distinct.v1"
	Name  string // e.g. "like"
	Count uint32
}

// Member describes a transition in a presence log. There the entry's Key is the user, so that the committer itself
// decides who came first and who left last: a Put with Version 1 is a user who came (member_added), a Put with Update
// changes the user's data (member_updated), any other Put is a further or a closed connection of a user who is there
// (no transition), a Delete is a user who left (member_removed). The entry's Data holds the user's info and connections:
// see core/presence.
type Member struct {
	User  string
	Conn  string // the connection that came, changed or went
	Node  string
	Boot  string
	Cause string // join, disconnect, timeout, forced_disconnect, orphan_cleanup
	// Update is true for a Put that changes the data of a user who is already there.
	Update bool
}

// ID is the entry's id.
func (e *Entry) ID() EntryID { return EntryID{Time: e.Time, Serial: e.Serial} }

// FrameID is what V2 calls message_id: unique per entry, never per message. It is the caller's own id, or made from
// the stream id and the serial, so it is the same on every node and after every restart.
func (e *Entry) FrameID(id ID) string {
	if e.Frame != "" {
		return e.Frame
	}
	return string(id) + ":" + strconv.FormatUint(e.Serial, 10)
}
