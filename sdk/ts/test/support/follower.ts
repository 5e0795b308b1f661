// A process of its own that follows a room with a cursor file, and prints each event before it counts as handled.
// Usage: follower.js URL ROOM STREAM FILE
import { Client } from "@continuo-rt/client";
import { fileStore } from "@continuo-rt/client/node";
import { writeSync } from "node:fs";
import WebSocket from "ws";

const [url, room, stream_id, file] = process.argv.slice(2) as [string, string, string, string];
const cursors = fileStore(file);
const client = new Client(url, { WebSocket, cursors });
void client.connect();
const events = client.room(room).events();
void client.room(room).join({ cursor: (await cursors.load(room)) ?? { stream_id, event_id: 0 } });
for await (const event of events) if (event.kind === "chat.message") writeSync(1, `${event.event_id}\n`);
