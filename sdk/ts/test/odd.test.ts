// What an application or a server may do that nobody should, and what is survived all the same.
import { type Client, type ClientState, ContinuoError, type RoomEvent } from "@continuo-rt/client";
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FakePlatform, settle } from "./support/fake.js";

const circular: { self?: unknown } = {};
circular.self = circular;

describe("what is no JSON", () => {
  for (const [name, payload] of [["a big integer", 1n], ["a circle", circular]] as const) {
    test(`${name} fails its call, and nothing else`, async () => {
      const platform = new FakePlatform();
      const { client, room } = await platform.joined();
      await assert.rejects(room.send({ payload: payload as never }), TypeError);
      await assert.rejects(client.room("other").join({ presence_data: payload as never }), TypeError);
      const send = room.send("after it");
      const { correlation_id } = platform.socket.last("chat.send")!;
      platform.socket.say({ kind: "chat.accepted", room_id: "lobby", correlation_id, event_id: 1, message_id: "1", version: 1 });
      assert.equal((await send).event_id, 1);
      await client.close();
    });
  }

  test("what is changed after a call is not what is sent again", async () => {
    const platform = new FakePlatform();
    const { client, room } = await platform.joined();
    const payload = { n: 1 };
    void room.send({ payload }).catch(() => {});
    payload.n = 2;
    platform.socket.end(1006);
    await settle();
    await platform.clock.advance(1000);
    platform.socket.greet();
    platform.admit();
    assert.deepEqual(platform.socket.last("chat.send")!.payload, { n: 1 });
    void client.close();
  });
});

describe("tokens", () => {
  for (const token of ["a b", "a,b", "Bearer\r\nX: y", "é", "a="]) {
    test(`${JSON.stringify(token)} is none: backed off, and asked for again`, async () => {
      const platform = new FakePlatform();
      const errors: unknown[] = [];
      let asked = 0;
      const client = platform.client({ token: () => (asked++ ? "good" : token) });
      client.on("error", (e) => errors.push(e));
      void client.connect();
      await settle();
      assert.equal(client.state.state, "waiting");
      assert.equal(platform.sockets.length, 0);
      assert.equal(errors.length, 1);
      await platform.clock.advance(1000);
      assert.deepEqual(platform.socket.protocols, ["continuo.rooms.v1", "continuo.token.good"]);
      await client.close();
    });
  }

  test("an empty one is none at all", async () => {
    const platform = new FakePlatform();
    const client = platform.client({ token: "" });
    void client.connect();
    await settle();
    assert.deepEqual(platform.socket.protocols, ["continuo.rooms.v1"]);
    await client.close();
  });
});

test("a wait that is longer than a timer of the platform", async () => {
  const platform = new FakePlatform();
  const client = platform.client();
  void client.connect();
  await settle();
  platform.answer = () => new Response("", { status: 503, headers: { "Retry-After": "2592000" } });
  platform.socket.end(1006);
  await settle();
  assert.equal((client.state as ClientState & { state: "waiting" }).retry_in_ms, 2_592_000_000);
  assert.equal(platform.clock.next, 2 ** 31 - 1);
  await platform.clock.advance(2_592_000_000 - 1);
  assert.equal(platform.sockets.length, 1);
  await platform.clock.advance(1);
  assert.equal(platform.sockets.length, 2);
  await client.close();
});

describe("iterators", () => {
  const take = async (events: AsyncIterable<RoomEvent>) => {
    for await (const event of events) return (event as { event_id: number }).event_id;
  };

  test("the event that a loop ends with is handled, too", async () => {
    const platform = new FakePlatform();
    const { client, room } = await platform.joined({ buffer: 2 });
    for (let n = 1; n <= 5; n++) {
      platform.message(n);
      assert.equal(await take(room.events()), n);
      assert.equal(room.position?.event_id, n);
    }
    assert.equal(room.state.state, "live");
    await client.close();
  });

  test("there is one at a time", async () => {
    const { client, room } = await new FakePlatform().joined();
    const first = room.events().next();
    await assert.rejects(room.events().next(), { code: "busy" });
    assert.throws(() => room.onEvent(() => {}), { code: "busy" });
    await client.close();
    assert.equal((await first).done, true);
  });
});

describe("closing", () => {
  const sendAndLose = async (): Promise<[FakePlatform, Client, Promise<unknown>]> => {
    const platform = new FakePlatform();
    const { client, room } = await platform.joined();
    const send = room.send("hello").catch((e: unknown) => e);
    platform.socket.end(1006);
    await settle();
    return [platform, client, send];
  };

  test("while it comes back: what was sent is answered first", async () => {
    const [platform, client, send] = await sendAndLose();
    const closing = client.close(5000);
    await platform.clock.advance(1000);
    platform.socket.greet();
    platform.admit();
    const { correlation_id } = platform.socket.last("chat.send")!;
    platform.socket.say({ kind: "chat.accepted", room_id: "lobby", correlation_id, event_id: 1, message_id: "1", version: 1 });
    await closing;
    assert.deepEqual([(await send as { event_id: number }).event_id, client.state.state], [1, "closed"]);
  });

  test("but no longer than it may take", async () => {
    const [platform, client, send] = await sendAndLose();
    const closing = client.close(5000);
    await platform.clock.advance(5000);
    await closing;
    assert.equal((await send as ContinuoError).code, "closed");
  });
});

describe("snapshots that have no end, or are of several moments", () => {
  const page = (more: object) => () => new Response(JSON.stringify({ stream_id: "A", event_id: 8, messages: [], ...more }));
  const required = { kind: "room.snapshot_required", room_id: "lobby", reason: "window_exceeded", stream_id: "A", event_id: 8 };

  for (const [name, answer] of [
    ["no end", page({ has_more: true, next_cursor: "again" })],
    ["another log", ((n = 0) => () => page({ has_more: true, next_cursor: "x", stream_id: n++ ? "B" : "A" })())()],
  ] as const) {
    test(name, async () => {
      const platform = new FakePlatform();
      const { client } = await platform.joined();
      const errors: unknown[] = [];
      const failed = new Promise<void>((done) => client.on("error", (e) => (errors.push(e), done())));
      platform.answer = answer;
      platform.socket.say(required);
      await failed;
      assert.equal((errors[0] as ContinuoError).code, "snapshot_failed");
      assert.ok(platform.fetched.length <= 1001);
      await client.close();
    });
  }
});
