package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/channel"
	"github.com/continuo-rt/continuo/internal/core/fault"
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
	"github.com/continuo-rt/continuo/internal/run/node"
)

// Failure is the last line of an export that could not be finished.
type Failure struct {
	Error string `json:"error"`
}

// exportPage bounds what is read at a time.
const (
	exportPage  = 500
	exportBytes = 4 << 20
)

// export sends the entries of a channel, oldest first, up to the head at the time of the request.
func (s *Server) export(w http.ResponseWriter, r *http.Request) {
	a, err := s.app(r)
	if err != nil {
		s.fail(w, err)
		return
	}
	ref := stream.Ref{App: a.ID, Channel: r.URL.Query().Get("channel")}
	if _, err := channel.Parse(ref.Channel, a.Limits.ChannelNameLength); err != nil {
		s.fail(w, err)
		return
	}
	first, err := s.opts.Node.Store().Read(r.Context(), stream.Query{Ref: ref})
	if err != nil {
		s.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := bufio.NewWriterSize(w, 64<<10)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	err = s.exportFolded(r.Context(), ref, first.Bounds, enc)
	if err == nil {
		err = s.exportLog(r.Context(), ref, first.Bounds, enc)
	}
	if err != nil {
		_ = enc.Encode(Failure{err.Error()})
	}
	_ = out.Flush()
}

// exportFolded sends what retention has kept of keys below the floor.
func (s *Server) exportFolded(ctx context.Context, ref stream.Ref, b stream.Bounds, enc *json.Encoder) error {
	for after := ""; b.Floor > 0 && b.Keys > 0; {
		page, err := s.opts.Node.Store().Keys(ctx, stream.KeysQuery{Ref: ref, At: b.Floor, After: after, Limit: exportPage})
		if err != nil {
			return err
		}
		for _, row := range page.Rows {
			state, err := message.Continue(row.State, nil)
			if err != nil {
				return fmt.Errorf("the state of key %q is damaged: %w", row.Key, err)
			}
			if err := enc.Encode(LineOfState(ref.Channel, &state)); err != nil {
				return err
			}
			after = row.Key
		}
		if !page.More {
			break
		}
	}
	return nil
}

func (s *Server) exportLog(ctx context.Context, ref stream.Ref, b stream.Bounds, enc *json.Encoder) error {
	for next := b.Floor + 1; next <= b.Head; {
		page, err := s.opts.Node.Store().Read(ctx, stream.Query{Ref: ref, From: next, To: b.Head, Limit: exportPage, Bytes: exportBytes})
		if err != nil {
			return err
		}
		if page.Bounds.Stream != b.Stream {
			return errors.New("the channel was reset while it was exported: start again")
		}
		if len(page.Entries) == 0 || page.Entries[0].Serial != next {
			return fmt.Errorf("retention removed serial %d while it was exported: start again", next)
		}
		for _, e := range page.Entries {
			if err := enc.Encode(LineOf(ref.Channel, e)); err != nil {
				return err
			}
			next = e.Serial + 1
		}
	}
	return nil
}

// Imported answers one line of an import.
type Imported struct {
	Serial    uint64 `json:"serial,omitempty"`
	Duplicate bool   `json:"duplicate,omitempty"` // it had been imported by this run before
	// Skipped says why a line was left out that has no effect any more: its message had ended.
	Skipped string `json:"skipped,omitempty"`
	Error   string `json:"error,omitempty"`
	Code    string `json:"code,omitempty"`
}

// MaxImport bounds one request of an import, in bytes and lines.
const (
	MaxImport      = 8 << 20
	MaxImportLines = 1000
)

// imports appends lines in order. It stops at the first line that fails, so that nothing is appended in another order
// than it was exported in; the answer has one Imported for each line that was looked at.
func (s *Server) imports(w http.ResponseWriter, r *http.Request) {
	a, err := s.app(r)
	if err != nil {
		s.fail(w, err)
		return
	}
	run := r.URL.Query().Get("run")
	if run == "" || len(run) > 100 {
		s.fail(w, fault.New(fault.Invalid, "run must have 1 to 100 bytes").In("run"))
		return
	}
	lines, err := readLines(http.MaxBytesReader(w, r.Body, MaxImport+1<<20))
	if err != nil {
		s.fail(w, err)
		return
	}
	ps, bad, err := publishes(a, run, lines)
	if err != nil {
		s.fail(w, err)
		return
	}
	var done []Imported
	if len(ps) > 0 {
		results, err := s.opts.Node.Publish(r.Context(), ps...)
		if err != nil {
			s.fail(w, err)
			return
		}
		done = outcomes(results)
	}
	if bad != nil && (len(done) == 0 || done[len(done)-1].Error == "") {
		done = append(done, *bad)
	}
	answer(w, struct {
		Lines []Imported `json:"lines"`
	}{done})
}

func readLines(body io.Reader) ([]Line, error) {
	var lines []Line
	for dec := json.NewDecoder(body); ; {
		var l Line
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			return lines, nil
		} else if err != nil {
			return nil, fault.New(fault.Invalid, "line %d: %w", len(lines)+1, err)
		}
		if lines = append(lines, l); len(lines) > MaxImportLines {
			return nil, fault.New(fault.TooLarge, "more than %d lines in one request", MaxImportLines)
		}
	}
}

// publishes turns lines into what the node is asked for, up to the first one that cannot be right.
func publishes(a *app.App, run string, lines []Line) (ps []node.Publish, bad *Imported, err error) {
	for i := range lines {
		l := &lines[i]
		e, err := l.Entry()
		if err == nil {
			_, err = channel.Parse(l.Channel, a.Limits.ChannelNameLength)
		}
		if err == nil && a.Policy(l.Channel).NoLog {
			err = fault.New(fault.Disabled, "channel %q keeps no log here", l.Channel)
		}
		if err != nil {
			f := fault.Of(err)
			return ps, &Imported{Error: f.Msg, Code: f.Kind.String()}, nil
		}
		print, err := json.Marshal(l)
		if err != nil {
			return nil, nil, err
		}
		ps = append(ps, node.Publish{Ref: stream.Ref{App: a.ID, Channel: l.Channel}, Entry: e, Position: true,
			Key: fmt.Sprintf("import:%s:%s:%d", run, l.Kind, l.Serial), Fingerprint: fingerprint(print)})
	}
	return ps, nil, nil
}

func outcomes(results []stream.Result) []Imported {
	done := make([]Imported, 0, len(results))
	for _, r := range results {
		one := Imported{Serial: r.Entry.Serial, Duplicate: r.Outcome == stream.Duplicate}
		if r.Err != nil {
			f := fault.Of(r.Err)
			one = Imported{Error: f.Msg, Code: f.Kind.String()}
			if f.Kind == fault.NotFound {
				one = Imported{Skipped: f.Msg}
			}
		}
		done = append(done, one)
	}
	return done
}
