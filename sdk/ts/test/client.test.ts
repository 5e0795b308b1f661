// The client on a platform that the test plays: its clock, its sockets, its HTTP.
import { Client, type ClientState, ContinuoError, type CursorStore, localStorageStore, memoryStore, type RoomEvent } from "@continuo-rt/client";
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FakePlatform, settle } from "./support/fake.js";

const ids = (events: RoomEvent[]) => events.map((e) => (e as { event_id?: number }).event_id);

describe("connecting", () => {
  test("the token and the query go where they belong", async () => {
    const platform = new FakePlatform();
    void platform.client({ token: "abc" }).connect();
    await settle();
    assert.equal(platform.socket.url, "wss://rt.example/rooms");
    assert.deepEqual(platform.socket.protocols, ["continuo.rooms.v1", "continuo.token.abc"]);
    const sockets: string[] = [];
    void platform.client({ WebSocket: class { constructor(url: string) { sockets.push(url); } } as never }).connect();
    const other = new Client("ws://127.0.0.1:1/prefix/?app=one", { clock: platform.clock, WebSocket: class { constructor(url: string) { sockets.push(url); } } as never });
    void other.connect();
    await settle();
    assert.deepEqual(sockets, ["wss://rt.example/rooms", "ws://127.0.0.1:1/prefix/rooms?app=one"]);
  });

  test("an address that is none, a platform without WebSocket", () => {
    assert.throws(() => new Client("ftp://x"), { code: "invalid_url" });
    const had = Object.getOwnPropertyDescriptor(globalThis, "WebSocket");
    Object.defineProperty(globalThis, "WebSocket", { value: undefined, configurable: true });
    try {
      assert.throws(() => new Client("http://x").connect(), { code: "no_websocket", message: /pass one/ });
    } finally {
      if (had) Object.defineProperty(globalThis, "WebSocket", had);
    }
  });

  test("a token that no handshake can say stops the client", async () => {
    const platform = new FakePlatform();
    const client = platform.client({ WebSocket: class { constructor() { throw new SyntaxError("invalid subprotocol"); } } as never });
    await assert.rejects(client.connect(), { code: "rejected" });
  });

  test("the status of a refused handshake is asked for, with the token in the header", async () => {
    const platform = new FakePlatform();
    let tokens = 0;
    const client = platform.client({ token: () => `t${++tokens}` });
    const states: ClientState[] = [];
    client.on("state", (s) => states.push(s));
    void client.connect();
    await settle();
    platform.answer = () => new Response("<html>", { status: 503, headers: { "Retry-After": "7" } });
    platform.socket.end(1006);
    await settle();
    assert.deepEqual(platform.fetched, [{ url: "https://rt.example/rooms", authorization: "Bearer t1" }]);
    assert.deepEqual(states.at(-1), { state: "waiting", retry_in_ms: 7000, attempt: 2, code: 503 });
    await platform.clock.advance(7000);
    platform.answer = () => new Response("", { status: 401 });
    platform.socket.end(1006);
    await settle();
    assert.equal(platform.socket.protocols[1], "continuo.token.t3", "a token that differs is tried at once");
    platform.socket.end(1006);
    await settle();
    assert.deepEqual(client.state, { state: "stopped", reason: "unauthorized", code: 401 });
    await client.close();
  });

  test("426, or no answer at all, is no status", async () => {
    const platform = new FakePlatform();
    const client = platform.client();
    void client.connect();
    await settle();
    platform.socket.end(1006);
    await settle();
    assert.deepEqual(client.state, { state: "waiting", retry_in_ms: 250, attempt: 2, code: 0 });
    platform.answer = () => Promise.reject(new TypeError("network"));
    await platform.clock.advance(250);
    platform.socket.end(1006);
    await settle();
    assert.deepEqual(client.state, { state: "waiting", retry_in_ms: 500, attempt: 3, code: 0 });
  });

  test("a token function that throws is reported, and asked again", async () => {
    const platform = new FakePlatform();
    let asked = 0;
    const client = platform.client({ token: async () => { if (!asked++) throw new Error("no token today"); return "t"; } });
    const errors: unknown[] = [];
    client.on("error", (e) => errors.push(e));
    void client.connect();
    await settle();
    assert.equal((errors[0] as Error).message, "no token today");
    await platform.clock.advance(250);
    assert.equal(platform.socket.protocols[1], "continuo.token.t");
  });

  test("what a socket says after it was given up means nothing", async () => {
    const platform = new FakePlatform();
    const { client } = await platform.joined();
    const first = platform.socket;
    first.end(1006);
    await platform.clock.advance(250);
    first.say({ kind: "server.reconnect" });
    first.say({ kind: "server.hello", protocol_version: 9, session_id: "s" });
    assert.equal(client.state.state, "connecting");
    platform.socket.greet();
    assert.equal(client.state.state, "connected");
  });

  test("a dial that takes too long is given up, without asking why", async () => {
    const platform = new FakePlatform();
    const client = platform.client();
    void client.connect();
    await platform.clock.advance(10_000);
    assert.equal(platform.socket.closedWith, 4000);
    assert.equal(platform.socket.onclose, null);
    assert.deepEqual(client.state, { state: "waiting", retry_in_ms: 250, attempt: 2, code: 0 });
    assert.deepEqual(platform.fetched, []);
  });

  test("half-open: a ping, and a new connection", async () => {
    const platform = new FakePlatform();
    const { client } = await platform.joined();
    await platform.clock.advance(25_000);
    assert.ok(platform.socket.last("client.ping"));
    await platform.clock.advance(10_000);
    assert.equal(platform.sockets[0]!.closedWith, 4000);
    assert.equal(client.state.state, "waiting");
  });
});

describe("delays", () => {
  test("are spread evenly below the bound, which doubles up to 30 s", async () => {
    // The linear congruential generator of Numerical Recipes: the same numbers every time.
    let seed = 4711;
    const random = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32;
    const drawn: number[][] = Array.from({ length: 8 }, () => []);
    for (let i = 0; i < 300; i++) {
      const platform = new FakePlatform();
      const client = platform.client({ random, WebSocket: class { constructor() { queueMicrotask(() => (this as any).onclose({ code: 1006 })); } close() {} } as never });
      let failed = 0;
      client.on("state", (state) => {
        if (state.state === "waiting" && failed < drawn.length) drawn[failed++]!.push(state.retry_in_ms);
        // A dial comes exactly when it was said.
        if (state.state === "waiting") queueMicrotask(() => assert.equal(platform.clock.next, state.retry_in_ms));
      });
      void client.connect();
      await settle();
      while (failed < drawn.length) await platform.clock.advance(platform.clock.next);
    }
    drawn.forEach((delays, n) => {
      const bound = Math.min(30_000, 500 * 2 ** n);
      assert.deepEqual(delays.filter((d) => !Number.isInteger(d) || d < 0 || d >= bound), [], `all below ${bound}`);
      const mean = delays.reduce((a, b) => a + b) / delays.length;
      assert.ok(Math.abs(mean / bound - 0.5) < 0.06, `the mean of the delays below ${bound} is ${mean}`);
      const quarters = [0, 1, 2, 3].map((q) => delays.filter((d) => Math.floor((4 * d) / bound) === q).length / delays.length);
      assert.ok(quarters.every((share) => Math.abs(share - 0.25) < 0.1), `the quarters below ${bound} have ${quarters}`);
    });
  });
});

describe("the platform", () => {
  test("offline, online and visible reach the session, until close", async () => {
    const window = new EventTarget();
    const document = Object.assign(new EventTarget(), { visibilityState: "hidden" });
    Object.assign(globalThis, { window, document });
    try {
      const platform = new FakePlatform();
      const client = platform.client();
      const state = () => client.state.state as string;
      void client.connect();
      await settle();
      platform.socket.end(1006);
      await settle();
      window.dispatchEvent(new Event("offline"));
      assert.equal(state(), "offline");
      assert.equal(platform.clock.timers, 0);
      window.dispatchEvent(new Event("online"));
      assert.equal(state(), "waiting");
      await platform.clock.advance(250);
      platform.socket.greet();
      document.dispatchEvent(new Event("visibilitychange"));
      assert.equal(platform.socket.last("client.ping"), undefined);
      document.visibilityState = "visible";
      document.dispatchEvent(new Event("visibilitychange"));
      assert.ok(platform.socket.last("client.ping"));
      await client.close();
      window.dispatchEvent(new Event("offline"));
      assert.equal(state(), "closed");
    } finally {
      delete (globalThis as any).window;
      delete (globalThis as any).document;
    }
  });
});

describe("events", () => {
  test("a handler that throws is reported, and the position moves", async () => {
    const platform = new FakePlatform();
    const { client, room } = await platform.joined();
    const errors: unknown[] = [];
    client.on("error", (e, where) => errors.push([(e as Error).message, where]));
    room.onEvent((e) => { if ((e as any).event_id === 1) throw new Error("oops"); });
    room.onEvent(async (e) => { if ((e as any).event_id === 2) throw new Error("later"); });
    platform.message(1);
    platform.message(2);
    platform.message(3);
    await settle();
    assert.deepEqual(errors, [["oops", room], ["later", room]]);
    assert.deepEqual(room.position, { stream_id: "A", event_id: 3 });
  });

  test("listeners that throw break nothing, not even one for errors", async (t) => {
    const told = t.mock.method(console, "error", () => {});
    const platform = new FakePlatform();
    const client = platform.client();
    client.on("state", () => { throw new Error("a listener"); });
    void client.connect();
    await settle();
    assert.ok(told.mock.callCount() > 0, "without a listener it goes to the console");
    client.on("error", () => { throw new Error("another"); });
    platform.socket.greet();
    assert.equal(client.state.state, "connected");
  });

  test("the position moves when the promise of a handler is kept, not before", async () => {
    const platform = new FakePlatform();
    const cursors = memoryStore();
    const { room } = await platform.joined({ cursors });
    let go!: () => void;
    room.onEvent(() => new Promise<void>((done) => (go = done)));
    platform.message(1);
    platform.message(2);
    await settle();
    assert.equal((await cursors.load("lobby"))!.event_id, 0);
    go();
    await settle();
    assert.equal((await cursors.load("lobby"))!.event_id, 1);
  });

  test("an iterator takes one at a time, and ends with the room", async () => {
    const platform = new FakePlatform();
    const { room } = await platform.joined();
    const seen: RoomEvent[] = [];
    const taking = (async () => { for await (const event of room.events()) seen.push(event); })();
    assert.throws(() => room.onEvent(() => {}), { code: "busy" });
    await assert.rejects(room.events().next(), { code: "busy" });
    platform.message(1);
    platform.message(1);
    platform.message(2);
    await settle();
    assert.deepEqual(ids(seen), [1, 2]);
    assert.equal(room.position!.event_id, 2);
    room.leave();
    await taking;
    platform.message(3);
    assert.deepEqual(ids(seen), [1, 2]);
  });

  test("an iterator that is begun before the join waits for it", async () => {
    const platform = new FakePlatform();
    const client = platform.client();
    const next = client.room("lobby").events().next();
    void client.connect();
    void client.room("lobby").join();
    await settle();
    platform.socket.greet();
    platform.admit();
    platform.message(1);
    assert.equal(((await next).value as any).event_id, 1);
  });

  test("an event that is handled after its room was left and joined again moves nothing", async () => {
    const platform = new FakePlatform();
    const { room } = await platform.joined();
    let go!: () => void;
    room.onEvent((e) => ((e as any).event_id === 1 ? new Promise<void>((done) => (go = done)) : new Promise(() => {})));
    platform.message(1);
    room.leave();
    void room.join();
    await settle();
    platform.admit("lobby", { resumed: true, replaying: 2, event_id: 2 });
    platform.message(1);
    platform.message(2);
    go();
    await settle();
    assert.deepEqual(room.position, { stream_id: "A", event_id: 0 });
  });

  test("nobody takes events: the room is behind, and catches up", async () => {
    const platform = new FakePlatform();
    const { room } = await platform.joined({ buffer: 4 });
    for (let i = 1; i <= 6; i++) platform.message(i);
    assert.equal(room.state.state, "behind");
    const seen: RoomEvent[] = [];
    room.onEvent((e) => void seen.push(e));
    await settle();
    assert.equal(platform.socket.last("client.join")!.resume_from, 4);
    platform.admit("lobby", { resumed: true, replaying: 2, event_id: 6 });
    platform.message(5);
    platform.message(6);
    platform.socket.say({ kind: "room.resumed", room_id: "lobby", event_id: 6, count: 2 });
    await settle();
    assert.deepEqual(ids(seen), [1, 2, 3, 4, 5, 6]);
    assert.deepEqual(room.state, { state: "live", resumed: true, missed: 2 });
  });
});

describe("snapshots", () => {
  const required = { kind: "room.snapshot_required", room_id: "lobby", reason: "window_exceeded", stream_id: "A", event_id: 10, snapshot_url: "/rooms/lobby/snapshot" };
  const page = (more: object) => Response.json({ room_id: "lobby", stream_id: "A", event_id: 10, messages: [{ message_id: "1" }], has_more: false, ...more });

  test("all pages come as one event, behind what was delivered before", async () => {
    const platform = new FakePlatform();
    const { room } = await platform.joined({ token: "t" });
    platform.message(1);
    const pages = [page({ has_more: true, next_cursor: "c 1" }), page({ messages: [{ message_id: "2" }] })];
    platform.answer = () => pages.shift()!;
    platform.socket.say(required);
    platform.message(11);
    await settle();
    await settle();
    const seen: any[] = [];
    room.onEvent((e) => void seen.push(e));
    await settle();
    assert.deepEqual(platform.fetched, [
      { url: "https://rt.example/rooms/lobby/snapshot", authorization: "Bearer t" },
      { url: "https://rt.example/rooms/lobby/snapshot?cursor=c+1", authorization: "Bearer t" },
    ]);
    assert.deepEqual(seen.map((e) => [e.kind, e.event_id]), [["chat.message", 1], ["room.snapshot", 10], ["chat.message", 11]]);
    assert.deepEqual(seen[1].items, [{ message_id: "1" }, { message_id: "2" }]);
    assert.equal(seen[1].reason, "window_exceeded");
    assert.equal(room.state.state, "live");
  });

  test("a url elsewhere is fetched without the token; HTML and errors are tried again", async () => {
    const platform = new FakePlatform();
    const { client, room } = await platform.joined({ token: "t" });
    const errors: unknown[] = [];
    client.on("error", (e) => errors.push(e));
    room.onEvent(() => {});
    const answers = [new Response("<html>"), new Response("{}", { status: 500 }), Response.json({ messages: 7 }), page({})];
    platform.answer = () => answers.shift()!;
    platform.socket.say({ ...required, snapshot_url: "https://app.example/state" });
    for (let i = 0; i < 4; i++) {
      await settle();
      await settle();
      await platform.clock.advance(4000);
    }
    assert.equal(errors.length, 3);
    assert.equal(platform.fetched.length, 4);
    assert.deepEqual(platform.fetched[0], { url: "https://app.example/state", authorization: undefined });
    assert.equal(room.state.state, "live");
  });

  test("the application's own, handed over before what came meanwhile", async () => {
    const platform = new FakePlatform();
    const { room } = await platform.joined({ snapshot: async ({ room_id, url }) => ({ stream_id: "A", event_id: 12, total: `${room_id} ${url}` }) });
    const seen: any[] = [];
    room.onEvent((e) => void seen.push(e));
    platform.socket.say(required);
    platform.message(11);
    platform.message(13);
    await settle();
    assert.deepEqual(seen.map((e) => e.event_id), [12, 13]);
    assert.equal(seen[0].total, "lobby https://rt.example/rooms/lobby/snapshot");
  });

  test("one that a new connection has overtaken is not handed over", async () => {
    const platform = new FakePlatform();
    const { room } = await platform.joined();
    const seen: any[] = [];
    room.onEvent((e) => void seen.push(e));
    let give!: (r: Response) => void;
    platform.answer = () => new Promise((done) => (give = done));
    platform.socket.say(required);
    await settle();
    platform.socket.end(1006);
    give(page({}));
    await settle();
    assert.deepEqual(seen, []);
    assert.equal(room.state.state, "joining");
  });
});

describe("cursor stores", () => {
  test("one that fails is reported, and delivery goes on", async () => {
    const platform = new FakePlatform();
    const failing: CursorStore = {
      load: () => Promise.reject(new Error("load")),
      save: () => { throw new Error("save"); },
      delete: () => {},
    };
    const errors: string[] = [];
    const client = platform.client({ cursors: failing });
    client.on("error", (e) => errors.push((e as Error).message));
    void client.connect();
    await settle();
    platform.socket.greet();
    const seen: RoomEvent[] = [];
    const room = client.room("lobby");
    room.onEvent((e) => void seen.push(e));
    void room.join();
    await settle();
    platform.admit();
    platform.message(1);
    platform.message(2);
    await settle();
    assert.deepEqual(ids(seen), [1, 2]);
    assert.equal(errors[0], "load");
    assert.equal(errors.at(-1), "save");
  });

  test("positions are saved one at a time, the newest last, before close is done", async () => {
    const platform = new FakePlatform();
    const saved: number[] = [];
    const waiting: (() => void)[] = [];
    const slow: CursorStore = { load: () => null, save: (_, p) => new Promise((done) => waiting.push(() => { saved.push(p.event_id); done(); })), delete: () => {} };
    const { client, room } = await platform.joined({ cursors: slow });
    room.onEvent(() => {});
    platform.message(1);
    platform.message(2);
    platform.message(3);
    await settle();
    assert.equal(waiting.length, 1);
    const closed = client.close();
    while (waiting.length) {
      waiting.shift()!();
      await settle();
    }
    await closed;
    assert.deepEqual(saved, [0, 3]);
  });

  test("localStorage: positions, garbage, and a page that may not", async () => {
    const items = new Map<string, string>();
    const store = localStorageStore("me:", { getItem: (k) => items.get(k) ?? null, setItem: (k, v) => void items.set(k, v), removeItem: (k) => void items.delete(k) });
    assert.equal(store.load("a"), null);
    store.save("a", { stream_id: "A", event_id: 7 });
    assert.deepEqual(store.load("a"), { stream_id: "A", event_id: 7 });
    assert.deepEqual([...items.keys()], ["me:a"]);
    store.delete("a");
    assert.equal(store.load("a"), null);
    items.set("me:a", '{"stream_id":7}');
    assert.equal(store.load("a"), null);
    items.set("me:a", "garbage");
    assert.throws(() => store.load("a"));
  });
});

describe("requests and the end", () => {
  test("a send has an idempotency key of 128 random bits, and its own if it brings one", async () => {
    const platform = new FakePlatform();
    const { room } = await platform.joined();
    void room.send("a").catch(() => {});
    void room.send("a").catch(() => {});
    void room.send({ text: "b", idempotency_key: "mine" }).catch(() => {});
    void room.send({ text: "typing", ephemeral: true }).catch(() => {});
    const sent = platform.socket.sent.filter((f) => f.kind === "chat.send");
    assert.match(sent[0]!.idempotency_key, /^\d+(-\d+){3}$/);
    assert.notEqual(sent[0]!.idempotency_key, sent[1]!.idempotency_key);
    assert.equal(sent[2]!.idempotency_key, "mine");
    assert.equal(sent[3]!.idempotency_key, undefined);
  });

  test("close waits for the answer, but not for ever", async () => {
    const platform = new FakePlatform();
    const { client, room } = await platform.joined();
    const sent = room.send("a");
    const closed = client.close(3000);
    await settle();
    assert.equal(client.state.state, "connected");
    const { correlation_id } = platform.socket.last("chat.send")!;
    platform.socket.say({ kind: "chat.accepted", room_id: "lobby", correlation_id, event_id: 1, message_id: "1", version: 1 });
    await closed;
    assert.equal((await sent).event_id, 1);
    assert.equal(platform.socket.closedWith, 1000);
    assert.equal(platform.clock.timers, 0);
    await assert.rejects(client.connect(), { code: "closed" });

    const other = new FakePlatform();
    const second = await other.joined();
    const lost = assert.rejects(second.room.send("a"), { code: "closed", retryable: false });
    const done = second.client.close(3000);
    await other.clock.advance(3000);
    await done;
    await lost;
  });

  test("an error is one type, with what the server said", async () => {
    const platform = new FakePlatform();
    const { room } = await platform.joined();
    const edit = room.edit("1", { text: "b", if_version: 1 });
    const { correlation_id } = platform.socket.last("message.update")!;
    platform.socket.say({ kind: "server.error", room_id: "lobby", correlation_id, code: "conflict", message: "it is at version 3", retryable: false, version: 3 });
    const error = await edit.catch((e) => e);
    assert.ok(error instanceof ContinuoError);
    assert.deepEqual({ ...error, message: error.message }, { name: "ContinuoError", code: "conflict", message: "it is at version 3", retryable: false, version: 3 });
  });

  test("a join that is refused rejects, one that is left rejects, and nobody has to listen", async () => {
    const platform = new FakePlatform();
    const { client } = await platform.joined();
    const refused = client.room("shut").join();
    void client.room("shut too").join();
    const left = client.room("left").join();
    await settle();
    for (const join of platform.socket.sent.filter((f) => f.kind === "client.join" && f.room_id!.startsWith("shut"))) {
      platform.socket.say({ kind: "server.error", room_id: join.room_id, correlation_id: join.correlation_id, code: "unauthorized", message: "no", retryable: false });
    }
    client.room("left").leave();
    await assert.rejects(refused, { code: "unauthorized", message: "no" });
    await assert.rejects(left, { code: "left" });
    await settle();
  });
});
