// Package rooms is the server's side of the rooms protocol: JSON frames with a kind, one machine for each connection.
//
//	Opened ──► server.hello
//	client.hello ──► server.hello with the session that holds
//	client.join ──► [Enter, List] ──► Follow ──► room.joined ──► Release
//	                                     │ resumed or rewound: entries up to the attach serial
//	                        ReplayEnded ◄┘ ──► room.resumed ──► Release ──► live
//	chat.send, message.* ──► Publish ──► chat.accepted, message.accepted; everybody, the sender too, gets the entry
//
// An error of one request is a server.error and never ends the connection. Close codes concern the connection alone.
package rooms
