// Follows a room and sends what you type. From a checkout: npm ci && npm run build, then
//   node examples/follow.mjs [URL [ROOM [CURSOR-FILE]]]
import { Client, describe } from "@continuo-rt/client";
import { fileStore } from "@continuo-rt/client/node";
import { createInterface } from "node:readline";
import WebSocket from "ws";

const [url = "http://127.0.0.1:6001", id = "lobby", file] = process.argv.slice(2);
const client = new Client(url, { WebSocket, ...(file && { cursors: fileStore(file) }) });
client.on("state", (state) => console.log(`# ${describe(state)}`));
client.on("room", (room, state) => console.log(`# ${room.id}: ${describe(state)}`));

const room = client.room(id);
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => room.send(line).catch((error) => console.error(`# not sent: ${error.message}`)));
lines.on("close", () => client.close());

client.connect();
room.join({ rewind: { count: 10 } }).catch((error) => console.error(`# ${error.message}`));
for await (const event of room.events()) {
  if (event.kind === "chat.message") console.log(`${event.event_id ?? "-"} ${event.sender ?? "server"}: ${event.text ?? JSON.stringify(event.payload)}`);
}
