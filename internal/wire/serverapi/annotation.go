package serverapi

import (
	"strings"

	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Reactions is the one type of annotations that is counted: each user gives each name once.
const Reactions = "reactions:distinct.v1"

// maxAnnotationType and maxAnnotationName bound the words of an annotation, in bytes.
const (
	maxAnnotationType = 256
	maxAnnotationName = 128
)

// Annotation is a request to annotate a message.
type Annotation struct {
	Type, Name       string
	ClientID, Socket string
	Count            uint32
}

// DecodeAnnotation reads the body of POST …/annotations. Check says what is still wrong with it once it is known who
// acts.
func DecodeAnnotation(body []byte) (Annotation, error) {
	v, err := parseBody(body, false)
	if err != nil {
		return Annotation{}, err
	}
	a := Annotation{Count: 1}
	for name, m := range v.Members() {
		switch string(name) {
		case "type":
			a.Type, err = shortMember(m, "type", maxAnnotationType)
		case "name":
			a.Name, err = shortMember(m, "name", maxAnnotationName)
		case "clientId", "client_id":
			a.ClientID, err = shortMember(m, "clientId", maxClientID)
		case "socketId", "socket_id":
			a.Socket, err = socketMember(m)
		case "count":
			n, ok := m.Uint()
			if m.Given() && (!ok || n == 0 || n > 1<<32-1) {
				err = fault.New(fault.Invalid, "count must be a whole number of 1 or more").In("count")
			} else if m.Given() {
				a.Count = uint32(n)
			}
		case "data", "encoding":
			if m.Given() {
				err = fault.New(fault.Disabled, "annotations carry no %s yet", name).In(string(name))
			}
		default:
			err = unknownMember(name)
		}
		if err != nil {
			return Annotation{}, err
		}
	}
	return a, checkType(a.Type)
}

// checkType checks the form NAMESPACE:SUMMARIZER.v1, and that the type is one that is counted.
func checkType(s string) error {
	namespace, rest, ok := strings.Cut(s, ":")
	summarizer, version, dot := strings.Cut(rest, ".")
	known := false
	for _, one := range []string{"total", "flag", "distinct", "unique", "multiple"} {
		known = known || one == summarizer
	}
	switch {
	case !ok || !dot || namespace == "" || !known || version != "v1" || strings.ContainsAny(s, " \t\r\n"):
		return fault.New(fault.Invalid, "type %s is not of the form NAMESPACE:SUMMARIZER.v1, as %s is", channel.Quote(s), Reactions).In("type")
	case s != Reactions:
		return fault.New(fault.Disabled, "annotations of the type %s are not counted yet; %s is", channel.Quote(s), Reactions).In("type")
	}
	return nil
}

// Check finds what is missing.
func (a *Annotation) Check() error {
	switch {
	case a.Name == "":
		return fault.New(fault.Invalid, "an annotation of the type %s needs a name", a.Type).In("name")
	case a.ClientID == "":
		return fault.New(fault.Invalid, "an annotation of the type %s needs a clientId", a.Type).In("clientId")
	}
	return nil
}

// Entry is the entry that adds the annotation to a message.
func (a *Annotation) Entry(message uint64) stream.Entry {
	return stream.Entry{Kind: stream.Annotate, Message: message, User: a.ClientID, Conn: a.Socket,
		Annot: &stream.Annotation{Type: a.Type, Name: a.Name, Count: a.Count}}
}

// AppendAnnotated appends the answer to a new annotation, or with deleted to one that was taken back.
func AppendAnnotated(dst []byte, serial, deleted uint64) []byte {
	dst = appendQuoted(dst, `{"annotationSerial":`, serial)
	if deleted > 0 {
		dst = appendQuoted(dst, `,"deletedAnnotationSerial":`, deleted)
	}
	return append(dst, '}')
}

// AnnotationParams are the query parameters of a list of annotations.
var AnnotationParams = []string{"type", "limit", "from_serial", "socket_id"}

// Annotations is what a request for the annotations of a message asks for.
type Annotations struct {
	Type  string
	Limit int
	From  uint64
}

// ParseAnnotations reads the parameters of a request for annotations.
func ParseAnnotations(p *Params, most int) (a Annotations, err error) {
	if a.Limit, err = p.Limit(most); err != nil {
		return a, err
	}
	if a.From, _, err = p.Serial("from_serial"); err != nil {
		return a, err
	}
	if kind, ok := p.get("type"); ok {
		a.Type = kind
		err = checkType(kind)
	}
	return a, err
}

// AppendAnnotations appends a page of annotations: those among the entries of a message. It may have fewer items than
// the limit and go on.
func AppendAnnotations(dst []byte, name string, message uint64, asked *Annotations, entries []*stream.Entry, more bool) []byte {
	dst = appendText(dst, `{"channel":`, name)
	dst = appendQuoted(dst, `,"messageSerial":`, message)
	dst = appendNumber(dst, `,"limit":`, asked.Limit)
	dst = appendBool(dst, `,"hasMore":`, more)
	if more && len(entries) > 0 {
		dst = appendQuoted(dst, `,"nextCursor":`, entries[len(entries)-1].Serial+1)
	} else {
		dst = append(dst, `,"nextCursor":null`...)
	}
	dst = append(dst, `,"items":[`...)
	first := true
	for _, e := range entries {
		if e.Annot == nil || asked.Type != "" && e.Annot.Type != asked.Type {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendAnnotation(dst, e)
	}
	return append(dst, ']', '}')
}

func appendAnnotation(dst []byte, e *stream.Entry) []byte {
	action := `{"action":"annotation.create"`
	if e.Kind == stream.Unannotate {
		action = `{"action":"annotation.delete"`
	}
	dst = appendQuoted(append(dst, action...), `,"serial":`, e.Serial)
	dst = appendQuoted(dst, `,"messageSerial":`, e.Message)
	dst = appendText(dst, `,"type":`, e.Annot.Type)
	if e.Annot.Name != "" {
		dst = appendText(dst, `,"name":`, e.Annot.Name)
	}
	if e.User != "" {
		dst = appendText(dst, `,"clientId":`, e.User)
	}
	dst = appendNumber(dst, `,"count":`, e.Annot.Count)
	return append(appendNumber(dst, `,"timestamp":`, e.Time), '}')
}
