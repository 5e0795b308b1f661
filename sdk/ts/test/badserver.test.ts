// Servers that are not what they should be, played over real sockets.
import { Client, type ClientState, type RoomEvent } from "@continuo-rt/client";
import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, test } from "node:test";
import WebSocket, { type WebSocket as Connection, WebSocketServer } from "ws";
import { Bell } from "./support/wait.js";

const hello = { kind: "server.hello", protocol_version: 1, protocol_min: 1, protocol_max: 1, session_id: "s", session_secret: "x", user_id: "ann", retry: { base_ms: 100, max_ms: 100 } };

describe("bad servers", () => {
  const ends: (() => void)[] = [];
  afterEach(() => ends.splice(0).forEach((end) => end()));

  /** A server; `talk` says what it does with a connection, `page` with an ordinary request. */
  async function listen(talk: (c: Connection, say: (f: unknown) => void) => void, page = (_: IncomingMessage, r: ServerResponse) => void r.writeHead(426).end(), upgrade = true): Promise<string> {
    const server: Server = createServer(page);
    if (upgrade) {
      new WebSocketServer({ server, handleProtocols: () => "continuo.rooms.v1" }).on("connection", (c) => talk(c, (f) => c.send(typeof f === "string" ? f : JSON.stringify(f))));
    } else server.on("upgrade", (request, socket) => page(request, { writeHead: (s: number, h = {}) => ({ end: (body = "") => socket.end(`HTTP/1.1 ${s} No\r\n${Object.entries(h).map(([n, v]) => `${n}: ${v}\r\n`).join("")}Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`) }) } as never));
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    ends.push(() => { server.close(); server.closeAllConnections(); });
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  function follow(url: string, token: () => string | null = () => null) {
    const bell = new Bell();
    const client = new Client(url, { WebSocket, token });
    const states: ClientState[] = [];
    const warnings: string[] = [];
    const seen: RoomEvent[] = [];
    client.on("state", (s) => { states.push(s); bell.ring(); });
    client.on("warning", (w) => { warnings.push(w); bell.ring(); });
    client.on("room", bell.ring);
    client.on("error", bell.ring);
    client.room("a").onEvent((e) => { seen.push(e); bell.ring(); });
    void client.connect();
    void client.room("a").join();
    ends.push(() => void client.close(0));
    const state = (wanted: object) => bell.until(() => states.some((s) => Object.entries(wanted).every(([n, v]) => (s as any)[n] === v)), () => `${JSON.stringify(wanted)}; there were ${JSON.stringify(states)}`);
    return { client, bell, states, warnings, seen, state };
  }

  /** What a good server would do, until a room is joined; then `then`. */
  const good = (then: (say: (f: unknown) => void, c: Connection) => void, joined: object = {}) => (c: Connection, say: (f: unknown) => void) => {
    say(hello);
    c.on("message", (data) => {
      const frame = JSON.parse(String(data));
      if (frame.kind === "client.hello") say(hello);
      if (frame.kind !== "client.join") return;
      say({ kind: "room.joined", room_id: "a", correlation_id: frame.correlation_id, stream_id: "A", event_id: 0, resumed: false, replaying: 0, ...joined, ...(frame.resume_from !== undefined && { resumed: true }) });
      then(say, c);
    });
  };
  const message = (event_id: number, more: object = {}) => ({ kind: "chat.message", room_id: "a", event_id, message_id: String(event_id), ts: 1, text: "x", ...more });

  test("unknown kinds, wrong types, garbage, binary frames, duplicates, events out of order, rooms that nobody joined", async () => {
    const url = await listen(good((say, c) => {
      for (const bad of ["", "null", "[]", "{", '"x"', "<html>", "[".repeat(5000), '{"kind":7}', '{"kind":"chat.message"}', message(1, { ts: "soon" }), message(1, { text: 7 }), message(1, { event_id: -1 }), message(1, { event_id: 1.5 }), { kind: "presence.joined", room_id: "a", user_id: 7 }]) say(bad);
      c.send(Buffer.from([0, 1, 2]));
      for (const odd of [{ kind: "room.dance", room_id: "a", event_id: 99 }, { kind: "server.hello", session_id: "s", protocol_version: 1 }, message(1, { room_id: "b" }), { kind: "chat.accepted", correlation_id: "c99" }, { kind: "room.resumed", room_id: "a", event_id: 99 }, { kind: "room.joined", room_id: "a", stream_id: "Z", event_id: 99 }]) say(odd);
      for (const id of [1, 2, 2, 1, 4, 3, 4, 5]) say(message(id));
    }));
    const { seen, warnings, bell, client } = follow(url);
    await bell.until(() => seen.length >= 4, () => `4 events; ${JSON.stringify(seen)}`);
    assert.deepEqual(seen.map((e) => (e as any).event_id), [1, 2, 4, 5]);
    assert.equal(warnings.length, 15);
    assert.equal(client.state.state, "connected");
  });

  test("a foreign stream that says resumed: a snapshot, not a gap", async () => {
    let joins = 0;
    const url = await listen(
      good((say, c) => { if (++joins === 1) { say(message(1)); c.close(1012); } else say(message(9)); }, { get stream_id() { return joins ? "B" : "A"; } }),
      (_, r) => void r.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify({ stream_id: "B", event_id: 8, messages: [], has_more: false })),
    );
    const { seen, bell } = follow(url);
    await bell.until(() => seen.length >= 2, () => `2 events; ${JSON.stringify(seen)}`);
    assert.deepEqual(seen.slice(0, 2).map((e) => [e.kind, (e as any).event_id]), [["chat.message", 1], ["room.snapshot", 8]]);
  });

  test("another version", async () => {
    const { state } = follow(await listen((_, say) => say({ ...hello, protocol_min: 2, protocol_max: 3 })));
    await state({ state: "stopped", reason: "protocol_mismatch" });
  });

  test("HTTP 401: the token is asked for once more, then the client stops", async () => {
    let asked = 0;
    const url = await listen(() => {}, (_, r) => void r.writeHead(401, { "Content-Type": "application/json" }).end('{"code":"auth_failed"}'), false);
    const { state } = follow(url, () => `t${++asked}`);
    await state({ state: "stopped", reason: "unauthorized", code: 401 });
    assert.equal(asked, 2);
  });

  for (const [status, code] of [[403, 403], [429, 429], [500, 500], [200, 200], [302, 0]] as const) {
    test(`HTTP ${status}, with HTML`, async () => {
      const url = await listen(() => {}, (_, r) => void r.writeHead(status, { "Retry-After": "3", ...(status === 302 && { Location: "http://127.0.0.1:1/" }) }).end("<html>"), false);
      const { state, states } = follow(url);
      await state(status === 403 ? { state: "stopped", reason: "forbidden", code } : { state: "waiting", code });
      const waiting = states.find((s) => s.state === "waiting");
      if (status === 429) assert.ok(waiting!.state === "waiting" && waiting!.retry_in_ms >= 3000);
    });
  }

  test("nobody listens", async () => {
    await follow("http://127.0.0.1:1").state({ state: "waiting", code: 0 });
  });
});
