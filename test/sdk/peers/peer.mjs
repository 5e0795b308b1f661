// A peer of the test of three languages: it writes into a room, and says what it has seen of it. See peers_test.go.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { Client, MessageList } from "../../../sdk/ts/dist/index.js";

const WebSocket = createRequire(new URL("../../../sdk/ts/package.json", import.meta.url))("ws");
const { PEER_URL: url, PEER_TOKEN: token, PEER_NAME: name, PEER_ROOM } = process.env;
const sends = Number(process.env.PEER_SENDS);
const say = (value) => console.log(JSON.stringify(value));

const client = new Client(url, { token, WebSocket });
const list = new MessageList();
const ids = [];
let connections = 0;
let snapshots = 0;
let position = 0;
let seen = () => {};
client.on("state", (s) => (connections += s.state === "connected"));
client.on("error", (e) => console.error(name, e.message));

const room = client.room(PEER_ROOM);
room.onEvent((event) => {
  list.apply(event);
  if (event.kind === "room.snapshot") snapshots++;
  else if (event.event_id !== undefined) ids.push(event.event_id);
  position = event.event_id ?? position;
  seen();
});

async function write() {
  let mine;
  for (let i = 0; i < sends; i++) {
    if (i % 5 === 0) mine = (await room.send(`${name} ${i}`)).message_id;
    else if (i % 5 === 1) await room.append(mine, ` and ${i}`);
    else if (i % 5 === 2) await room.react(mine, "like");
    else if (i % 5 === 3) await room.edit(mine, `${name} ${i}, edited`);
    else if (i % 10 === 9) await room.delete(mine);
    else await room.append(mine, "!");
  }
}

const commands = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const next = async () => JSON.parse((await commands.next()).value);

await client.connect();
await room.join();
say({ joined: true });
await next();
await write();
say({ wrote: sends });
const { last } = await next();
await new Promise((done) => {
  seen = () => position >= last && done();
  seen();
});
say({ ids, connections, snapshots, list: list.messages.map((m) => [m.message_id, m.text, m.version, m.sender, m.counts ?? {}, !!m.incomplete]) });
await client.close();
process.exit(0);
