package serverapi

import (
	"github.com/continuo-rt/continuo/internal/core/message"
	"github.com/continuo-rt/continuo/internal/core/stream"
)

// Row is one row of a history: a create or a put, and the visible version of what it began.
type Row struct {
	Entry *stream.Entry
	State *message.State
}

// HistoryPage is a page of a history.
type HistoryPage struct {
	Asked   *History
	Bounds  stream.Bounds
	Oldest  stream.EntryID // of the oldest entry that is retained
	Rows    []Row
	More    bool
	Next    string // the cursor of the next page, if there is more
	Mutable bool   // the channel's messages may change, so that rows show their versions
	Source  string // the name of the store
}

// AppendHistory appends a page of a history. scratch is for its own use.
func AppendHistory(dst, scratch []byte, p *HistoryPage) []byte {
	dst = append(dst, `{"items":[`...)
	for i := range p.Rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst, scratch = p.row(dst, scratch[:0], &p.Rows[i])
	}
	dst = p.Asked.append(append(dst, ']'), p.More, p.Next)
	dst = append(dst, `,"continuity":{`...)
	truncated := p.Asked.truncated(p.Bounds)
	dst = appendRetained(dst, p.Bounds, p.Oldest, "messages")
	dst = appendBool(dst, `,"complete":`, !p.More && !truncated)
	dst = appendBool(dst, `,"truncated_by_retention":`, truncated)
	dst = append(dst, '}')
	dst = appendState(append(dst, `,"stream_state":`...), p.Bounds.Stream, p.Source)
	return append(dst, '}')
}

// append appends what was asked for, and how it goes on.
func (h *History) append(dst []byte, more bool, next string) []byte {
	direction := "newest_first"
	if h.OldestFirst {
		direction = "oldest_first"
	}
	dst = append(append(dst, `,"direction":"`...), direction...)
	dst = appendNumber(dst, `","limit":`, h.Limit)
	dst = appendBool(dst, `,"has_more":`, more)
	dst = appendNext(dst, next)
	dst = append(dst, `,"bounds":{`...)
	dst = appendEnd(dst, `"start_serial":`, h.Serials.Start, h.Serials.HasStart)
	dst = appendEnd(dst, `,"end_serial":`, h.Serials.End, h.Serials.HasEnd)
	dst = appendEnd(dst, `,"start_time_ms":`, h.Times.Start, h.Times.HasStart)
	dst = appendEnd(dst, `,"end_time_ms":`, h.Times.End, h.Times.HasEnd)
	return append(dst, '}')
}

// truncated reports whether retention has removed entries that the request asked for.
func (h *History) truncated(b stream.Bounds) bool {
	switch {
	case !b.Truncated():
		return false
	case h.Serials.HasStart && h.Serials.Start > b.Floor:
		return false
	case h.Times.HasStart && int64(h.Times.Start) > b.FloorTime:
		return false
	}
	return true
}

// row appends one row. A row that nothing has changed is an ordinary event under its own name; a changed one shows its
// newest version.
func (p *HistoryPage) row(dst, scratch []byte, r *Row) ([]byte, []byte) {
	changed := r.State.Edit.Serial != r.Entry.Serial
	it := Item{Channel: p.Asked.Channel, Stream: p.Bounds.Stream, State: r.State, Data: r.State.Data, Values: p.Asked.Values,
		Versioned: p.Mutable || changed || r.Entry.Key != "", Plain: !changed}
	scratch = AppendItem(scratch, &it)
	dst = appendText(dst, `{"stream_id":`, p.Bounds.Stream)
	dst = appendNumber(dst, `,"serial":`, r.Entry.Serial)
	dst = appendNumber(dst, `,"published_at_ms":`, r.Entry.Time)
	dst = appendFrameID(dst, r.State, p.Bounds.Stream)
	if changed {
		action := Action(r.State)
		dst = append(append(dst, `,"event_name":"sockudo:message.`...), action...)
		dst = append(append(dst, `","operation_kind":"message.`...), action...)
		dst = append(dst, '"')
	} else {
		dst = appendText(dst, `,"event_name":`, r.State.Event)
		dst = append(dst, `,"operation_kind":"append"`...)
	}
	dst = appendNumber(dst, `,"payload_size_bytes":`, len(scratch))
	dst = append(append(dst, `,"message":`...), scratch...)
	return append(dst, '}'), scratch
}

func appendNext(dst []byte, cursor string) []byte {
	if cursor == "" {
		return append(dst, `,"next_cursor":null`...)
	}
	return appendText(dst, `,"next_cursor":`, cursor)
}

func appendEnd(dst []byte, before string, n uint64, given bool) []byte {
	if !given {
		return append(append(dst, before...), "null"...)
	}
	return appendNumber(dst, before, n)
}

// appendRetained appends the members that say what of a stream can be read; noun says what its entries are.
func appendRetained(dst []byte, b stream.Bounds, oldest stream.EntryID, noun string) []byte {
	dst = appendText(dst, `"stream_id":`, b.Stream)
	if b.Retained() == 0 {
		dst = append(dst, `,"oldest_available_serial":null,"newest_available_serial":null`+
			`,"oldest_available_published_at_ms":null,"newest_available_published_at_ms":null`...)
	} else {
		dst = appendNumber(dst, `,"oldest_available_serial":`, b.Floor+1)
		dst = appendNumber(dst, `,"newest_available_serial":`, b.Head)
		dst = appendNumber(dst, `,"oldest_available_published_at_ms":`, oldest.Time)
		dst = appendNumber(dst, `,"newest_available_published_at_ms":`, b.HeadTime)
	}
	dst = append(append(dst, `,"retained_`...), noun...)
	dst = appendNumber(dst, `":`, b.Retained())
	return appendNumber(dst, `,"retained_bytes":`, b.RetainedBytes())
}

// appendState appends what the API says about a stream that works: one that does not is answered with an error.
func appendState(dst []byte, id stream.ID, source string) []byte {
	dst = appendText(dst, `{"stream_id":`, id)
	dst = append(dst, `,"durable_state":"healthy","recovery_allowed":true,"reset_required":false,"reason":null,"node_id":null`+
		`,"last_transition_at_ms":null`...)
	dst = appendText(dst, `,"authoritative_source":`, source)
	dst = appendText(dst, `,"observed_source":`, source)
	return append(dst, '}')
}

// AppendStream appends the description of a stream: what it retains and how it is.
func AppendStream(dst []byte, b stream.Bounds, oldest stream.EntryID, source string) []byte {
	dst = appendText(dst, `{"stream_id":`, b.Stream)
	dst = appendNumber(dst, `,"next_serial":`, b.Head+1)
	dst = appendRetained(append(dst, `,"retained":{`...), b, oldest, "messages")
	dst = appendState(append(dst, `},"state":`...), b.Stream, source)
	return append(dst, '}')
}

// AppendHistoryState appends the answer to GET …/history/state.
func AppendHistoryState(dst []byte, name string, b stream.Bounds, oldest stream.EntryID, source string) []byte {
	dst = appendText(dst, `{"channel":`, name)
	dst = AppendStream(append(dst, `,"stream":`...), b, oldest, source)
	return append(dst, '}')
}
