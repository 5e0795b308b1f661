// Package serverapi is the HTTP server API without HTTP: request bodies and query parameters in, operations on streams
// out, and results as JSON.
//
// It never reads a clock and never asks anybody: what depends on an app (limits) or on the moment (times, states,
// bounds) is an argument. Faults name the member or parameter that is wrong.
package serverapi
