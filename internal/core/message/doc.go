// Package message is the fold of a stream's entries into visible messages: create, put, update, append, delete and
// annotate in, the latest version of each message out.
//
// The fold is the only place that knows what a mutation means for what a reader sees; stream.Meta.Decide has already
// decided that it may happen. It never judges: an entry that cannot follow the state it is given is a gap (ErrGap), a
// sign that somebody lost an entry or applied one twice, and never a wrong message.
//
// A put is a row of its own in history, at its own serial; update, append and delete fold into the row that they
// change. What began before the log's floor and has no checkpoint folds to nothing.
//
// How readers use it:
//
//   - latest version: stream.Query{State: true} and Continue; a zero State means that there is no such message.
//   - history and rewind at a serial: when the entries from the row on are at hand, AsOf for one row or Rows for a
//     whole range. Otherwise Query{State: true, At: at} and Continue; if the answer's Row.Serial is not the row's, the
//     row was superseded, and the state just before the next put of its key (Query{RowsOnly: true, Limit: 1}) is it.
//   - versions: Query for a page of the message's entries, Continue for the state before its first, then Versions.
//   - followers that take whole payloads: keep a State per message and Apply each entry to it.
package message
