// Package sim makes whole worlds of production code from a seed: a node with its hub, connections and faces over a
// memory store that can lose what was not stable, clients on a network that stalls and cuts, publishers that retry, and
// an operator who trims, purges, resets and kills at bad moments. An oracle that knows nothing of the implementation
// judges what publishers were told and what clients saw.
//
// Two channels have judges of their own, which fold every entry that became visible in the plainest way: a ledger for the
// one whose messages change, and a hall for the one that has members, who come, drop and come back on three faces.
//
// A world lives in a testing/synctest bubble, so that its minutes take milliseconds.
//
//	publishers ─► node ─► route ─► memory (sync, failures, crash) ─► hub ─► conn ─► link (cuts, stalls) ─► clients
//	     │                                                                                                   │
//	     └────────── attempts, answers ──────────────────► Oracle ◄────────── frames, positions ─────────────┘
package sim
