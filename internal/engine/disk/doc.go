// Package disk keeps logs and small records durably in one folder, on the embedded store pebble.
//
// Streams are spread over a few shards. A shard's workers take what has gathered, let stream.Meta.Decide decide every
// op in the order of the batch, apply one pebble batch that holds all rows of it, and wait for the log's sync; only
// then the new heads become visible, watchers are told and callers are answered. While one batch is made stable the
// next one gathers, so that many publishers share one fsync.
//
// A life is one opening of pebble. A failed write or sync ends it: everything in memory is thrown away with it, the
// file system under it is fenced off, and the next life reads the truth from the rows.
package disk
