// Package stream is the log of a channel: entries in serial order, the bounds within which they can be read, and the
// proof that a cursor can be continued.
//
// Everything here is a value or a pure function: time is an argument and effects are values. An engine keeps rows and
// asks this package what an append means (Meta.Decide); a hub asks whether a cursor can be replayed (Prove).
package stream
