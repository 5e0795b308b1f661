// Messages per second through the client part on one core: encoded frames go in at the socket, events come out at a
// handler, a fold and an iterator. No network, no server.
import { Client, MessageList } from "@continuo-rt/client";

const count = Number(process.argv[2] ?? 200_000);

class Socket {
  static last;
  constructor() {
    Socket.last = this;
  }
  send(text) {
    const frame = JSON.parse(text);
    if (frame.kind === "client.join") {
      this.say({ kind: "room.joined", room_id: "bench", correlation_id: frame.correlation_id, stream_id: "A", event_id: 0, resumed: false, replaying: 0 });
    }
  }
  close() {}
  say(frame) {
    this.onmessage({ data: JSON.stringify(frame) });
  }
}

async function run(name, take) {
  const client = new Client("http://bench", { WebSocket: Socket });
  client.connect();
  await new Promise(setImmediate);
  const hello = { kind: "server.hello", protocol_version: 1, session_id: "s", session_secret: "x", user_id: "ann" };
  Socket.last.onopen();
  Socket.last.say(hello);
  Socket.last.say(hello);
  const room = client.room("bench");
  const done = take(room);
  await room.join();
  const frames = Array.from({ length: count }, (_, i) =>
    JSON.stringify({ kind: "chat.message", room_id: "bench", event_id: i + 1, message_id: String(i + 1), sender: "ann", ts: 1787000000000 + i, text: "a message of some length, as people write them" }),
  );
  const began = performance.now();
  const cpu = process.cpuUsage();
  for (let i = 0; i < count; i += 500) {
    for (const data of frames.slice(i, i + 500)) Socket.last.onmessage({ data });
    await new Promise(setImmediate);
  }
  await done;
  const seconds = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  console.log(`${name}: ${Math.round(count / seconds)} messages/s (${Math.round((count * 1e6) / (user + system))} per second of CPU time)`);
  await client.close(0);
}

const until = (room, each) => new Promise((done) => room.onEvent((event) => (each(event), event.event_id === count && done())));

await run("warm-up ", (room) => until(room, () => {}));
await run("handler ", (room) => until(room, () => {}));
await run("list    ", (room) => {
  const list = new MessageList();
  return until(room, (event) => list.apply(event));
});
await run("iterator", async (room) => {
  for await (const event of room.events()) if (event.event_id === count) return;
});
