// Package presence keeps the register of who is in which channel: it writes the presence logs on behalf of this node's
// sessions, waits out grace times, and closes what an earlier run of the node left open.
//
//	session.Enter, Exit ─► roll (one per channel) ─ gathers ─► one append per turn ─► Entered
//	                        ▲                                    │ entries
//	        grace timers ───┘                                    └─► followers of the presence log
//
// A membership is one key of the channel's presence log and every entry carries it whole, so a turn writes each user at
// most once, guarded by the newest entry that it knows of: whoever else wrote meanwhile is read, and the turn repeats.
package presence
