// The server part: signed calls that are repeated until their outcome is known.
import { Client } from "@continuo-rt/client";
import { allRights, ContinuoError, type HistoryPage, type Mutated, type Op, type PresencePage, type PresenceSnapshot, type Published, Server, type ServerOptions, type SnapshotPage } from "@continuo-rt/client/server";
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, describe, test } from "node:test";
import WebSocket from "ws";
import { ServerProcess } from "./support/process.js";

/** A server part whose requests are answered from a list. */
function scripted(answers: (() => Response | Promise<Response>)[], options: ServerOptions = {}) {
  const calls: { method: string | undefined; url: URL; body: any }[] = [];
  const slept: number[] = [];
  const server = new Server("http://rt.example", "app", "key", "secret", {
    fetch: async (url, init) => {
      calls.push({ method: init?.method, url: new URL(String(url)), body: init?.body && JSON.parse(String(init.body)) });
      return answers.shift()!();
    },
    sleep: async (ms) => void slept.push(ms),
    random: () => 0.5,
    now: () => 1_700_000_000_000,
    ...options,
  });
  return { server, calls, slept };
}
const position: Published = { stream_id: "A", serial: 1, entry_id: "1-1", message_serial: "1", version: 1 };

describe("what a call sends", () => {
  const published = { channels: { "a b": position } };
  const changed = { message_serial: "1", version: 2, status: "applied" };
  const at = "/apps/app/channels/a%20b";
  const cases: { [name: string]: { call: (server: Server) => Promise<unknown>; answer: object; gives?: unknown; sends: [method: string, path: string, query: object, body?: object] } } = {
    "publish, with all options": {
      call: (s) => s.publish("a b", "e", { x: 1 }, { key: "k", socket_id: "1.2", idempotency_key: "mine" }),
      answer: published,
      gives: position,
      sends: ["POST", "/apps/app/events", {}, { name: "e", channel: "a b", data: { x: 1 }, info: "position", key: "k", socket_id: "1.2", idempotency_key: "mine" }],
    },
    "publish, ephemeral": {
      call: (s) => s.publish("a b", "e", null, { ephemeral: true }),
      answer: { channels: { "a b": {} } },
      gives: {},
      sends: ["POST", "/apps/app/events", {}, { name: "e", channel: "a b", data: null, info: "position", ephemeral: true }],
    },
    put: {
      call: (s) => s.put("a b", "k", "e", 1, { socket_id: "1.2", idempotency_key: "mine" }),
      answer: published,
      gives: position,
      sends: ["POST", "/apps/app/events", {}, { name: "e", channel: "a b", data: 1, info: "position", key: "k", socket_id: "1.2", idempotency_key: "mine" }],
    },
    publishBatch: {
      call: (s) => s.publishBatch([{ room: "a", event: "e", data: 1, key: "k", idempotency_key: "1" }, { room: "b", event: "f", data: "x", socket_id: "1.2", idempotency_key: "2" }]),
      answer: { batch: [position, { ...position, serial: 2 }] },
      gives: [position, { ...position, serial: 2 }],
      sends: ["POST", "/apps/app/batch_events", {}, { batch: [{ name: "e", channel: "a", data: 1, info: "position", key: "k", idempotency_key: "1" }, { name: "f", channel: "b", data: "x", info: "position", socket_id: "1.2", idempotency_key: "2" }] }],
    },
    "mutate: update": {
      call: (s) => s.mutate("a b", "1", "update", { x: 2 }, { if_version: 1, op_id: "o" }),
      answer: changed,
      gives: changed,
      sends: ["POST", `${at}/messages/1/update`, {}, { data: { x: 2 }, if_version: 1, op_id: "o" }],
    },
    "mutate: append": { call: (s) => s.mutate("a b", "1", "append", "x", { op_id: "o" }), answer: changed, sends: ["POST", `${at}/messages/1/append`, {}, { data: "x", op_id: "o" }] },
    "mutate: delete": { call: (s) => s.mutate("a b", "1/2", "delete", undefined, { op_id: "o" }), answer: changed, sends: ["POST", `${at}/messages/1%2F2/delete`, {}, { op_id: "o" }] },
    deleteKey: { call: (s) => s.deleteKey("a b", "k/1", { if_version: 3, op_id: "o" }), answer: changed, gives: changed, sends: ["DELETE", `${at}/keys/k%2F1`, { if_version: "3", op_id: "o" }] },
    history: { call: (s) => s.history("a b"), answer: { items: [] }, gives: { items: [] }, sends: ["GET", `${at}/history`, { data: "value" }] },
    "history, with all options": {
      call: (s) => s.history("a b", { limit: 2, direction: "oldest_first", cursor: "c+/=", start_serial: 0, end_serial: 9, start_time_ms: 1, end_time_ms: 2 }),
      answer: { items: [] },
      sends: ["GET", `${at}/history`, { data: "value", limit: "2", direction: "oldest_first", cursor: "c+/=", start_serial: "0", end_serial: "9", start_time_ms: "1", end_time_ms: "2" }],
    },
    "snapshot, of a serial": { call: (s) => s.snapshot("a b", { limit: 2, prefix: "k&", at_serial: 0 }), answer: { items: [] }, sends: ["GET", `${at}/snapshot`, { data: "value", limit: "2", prefix: "k&", at_serial: "0" }] },
    "snapshot, of a time": { call: (s) => s.snapshot("a b", { cursor: null, at_time_ms: 5 }), answer: { items: [] }, sends: ["GET", `${at}/snapshot`, { data: "value", at_time_ms: "5" }] },
    presence: { call: (s) => s.presence("a b"), answer: { users: [{ id: "ann" }, { id: "bob" }] }, gives: ["ann", "bob"], sends: ["GET", `${at}/users`, {}] },
    "presenceAt, now": { call: (s) => s.presenceAt("a b"), answer: { members: [] }, gives: { members: [] }, sends: ["GET", `${at}/presence/history/snapshot`, {}] },
    "presenceAt, before the first entry": { call: (s) => s.presenceAt("a b", { at_serial: 0 }), answer: { members: [] }, sends: ["GET", `${at}/presence/history/snapshot`, { at_serial: "0" }] },
    "presenceAt, a time": { call: (s) => s.presenceAt("a b", { at_time_ms: 7 }), answer: { members: [] }, sends: ["GET", `${at}/presence/history/snapshot`, { at_time_ms: "7" }] },
    presenceHistory: { call: (s) => s.presenceHistory("a b", { limit: 1, start_serial: 3 }), answer: { items: [] }, gives: { items: [] }, sends: ["GET", `${at}/presence/history`, { limit: "1", start_serial: "3" }] },
  };
  for (const [name, { call, answer, gives, sends }] of Object.entries(cases)) {
    test(name, async () => {
      const { server, calls } = scripted([() => Response.json(answer)]);
      const given = await call(server);
      if (gives !== undefined) assert.deepEqual(given, gives);
      const [{ method, url, body }] = calls as [(typeof calls)[0]];
      const query = Object.fromEntries([...url.searchParams].filter(([name]) => !/^(auth_|body_md5)/.test(name)));
      assert.deepEqual([method, url.pathname, query, body ?? undefined], [sends[0], sends[1], sends[2], sends[3]]);
    });
  }

  test("an op that is none is refused before it is sent", async () => {
    const { server, calls } = scripted([]);
    for (const op of ["replace", "Update", "", "../delete", undefined, "toString"]) {
      await assert.rejects(server.mutate("a", "1", op as Op, "x"), { name: "ContinuoError", code: "invalid_input", retryable: false, message: /update, append, delete/ });
    }
    // @ts-expect-error There are three.
    await assert.rejects(server.mutate("a", "1", "replace", "x"), { code: "invalid_input" });
    assert.equal(calls.length, 0);
  });
});

describe("repetitions", () => {
  const ok = () => Response.json({ channels: { a: position } });
  const refuse = (status: number, code: string, more: ResponseInit = {}) => () => Response.json({ error: "it said", code, status, current_version: 4 }, { status, ...more });
  const broken = () => Promise.reject(Object.assign(new TypeError("fetch failed"), { cause: new Error("ECONNRESET") }));

  test("network errors, 5xx, 429, HTML and outcome_unknown are settled with the same key", async () => {
    const { server, calls, slept } = scripted([broken, refuse(503, "outcome_unknown"), () => new Response("<html>", { status: 502 }), () => new Response("<html>"), refuse(429, "rate_limited", { headers: { "Retry-After": "3" } }), ok]);
    assert.deepEqual(await server.publish("a", "e", 1), position);
    assert.deepEqual(slept, [100, 200, 400, 800, 3000]);
    assert.match(calls[0]!.body.idempotency_key, /^[0-9a-f]{32}$/);
    assert.equal(new Set(calls.map((c) => c.body.idempotency_key)).size, 1);
  });

  test("JSON that is not the answer to the call has an unknown outcome", async () => {
    for (const [other, call] of [
      [{ ok: true }, (s) => s.publish("a", "e", 1)],
      [{ channels: { b: position } }, (s) => s.publish("a", "e", 1)],
      [{ batch: [position] }, (s) => s.publishBatch([{ room: "a", event: "e", data: 1 }, { room: "a", event: "e", data: 2 }])],
      [{ code: "gateway" }, (s) => s.mutate("a", "1", "delete")],
      [[], (s) => s.deleteKey("a", "k")],
      [{ items: 5 }, (s) => s.history("a")],
      [{}, (s) => s.snapshot("a")],
      [{ users: null }, (s) => s.presence("presence-a")],
      [{ items: [] }, (s) => s.presenceAt("presence-a")],
      [{}, (s) => s.presenceHistory("presence-a")],
    ] as [object, (s: Server) => Promise<unknown>][]) {
      const { server, calls } = scripted([() => Response.json(other), () => Response.json(other)], { tries: 2 });
      await assert.rejects(call(server), { code: "outcome_unknown", retryable: true, message: /without an answer of a Continuo server/ });
      assert.equal(calls.length, 2);
    }
  });

  test("5xx without a code is an unknown outcome, and Retry-After is obeyed up to a minute", async () => {
    const late = (after: string) => () => new Response("<html>", { status: 502, headers: { "Retry-After": after } });
    const { server, slept } = scripted([late("61"), late("Sun, 22 Nov 2026 02:00:00 GMT"), late("-1"), late("0")], { tries: 4 });
    await assert.rejects(server.history("a"), { code: "outcome_unknown", retryable: true });
    assert.deepEqual(slept, [60_000, 200, 400]);
  });

  test("a redirection is an error, and is not followed", async () => {
    const { server, calls } = scripted([() => new Response(null, { status: 307, headers: { Location: "http://elsewhere.example/" } })]);
    await assert.rejects(server.publish("a", "e", 1), { code: "http_307", retryable: false });
    assert.equal(calls.length, 1);
  });

  test("a refusal for now says nothing of a try before it whose outcome is not known; one for good does", async () => {
    const busy = scripted([broken, refuse(429, "rate_limited"), refuse(429, "rate_limited")], { tries: 3 });
    await assert.rejects(busy.server.mutate("a", "1", "delete"), { code: "outcome_unknown", message: /ECONNRESET/ });
    const lost = scripted([broken, refuse(429, "rate_limited"), refuse(409, "conflict")], { tries: 3 });
    await assert.rejects(lost.server.mutate("a", "1", "delete"), { code: "conflict" });
  });

  test("tries are bounded, and what cannot help is not tried", async () => {
    const never = scripted([broken, broken, broken], { tries: 3 });
    await assert.rejects(never.server.publish("a", "e", 1), { code: "outcome_unknown", retryable: true, message: /ECONNRESET/ });
    assert.equal(never.calls.length, 3);
    const conflict = scripted([refuse(409, "conflict")]);
    const error = await conflict.server.mutate("a", "1", "update", "x", { if_version: 1 }).catch((e) => e);
    assert.ok(error instanceof ContinuoError);
    assert.deepEqual([error.code, error.message, error.retryable, error.version], ["conflict", "it said", false, 4]);
    const html = scripted([() => new Response("<html>", { status: 404 })]);
    await assert.rejects(html.server.history("a"), { code: "http_404", message: /without an answer of a Continuo server/ });
    const ephemeral = scripted([broken]);
    await assert.rejects(ephemeral.server.publish("a", "e", 1, { ephemeral: true }), { code: "outcome_unknown" });
    assert.equal(ephemeral.calls[0]!.body.idempotency_key, undefined);
  });

  test("each item of a batch has a key, and a mutation an op_id, of its own", async () => {
    const { server, calls } = scripted([() => Response.json({ batch: [position, position] }), () => Response.json({ version: 2 }), () => Response.json({ version: 2 })]);
    assert.equal((await server.publishBatch([{ room: "a", event: "e", data: 1 }, { room: "b", event: "e", data: 2, idempotency_key: "mine" }])).length, 2);
    assert.notEqual(calls[0]!.body.batch[0].idempotency_key, undefined);
    assert.equal(calls[0]!.body.batch[1].idempotency_key, "mine");
    await server.mutate("a", "1", "append", "x");
    assert.match(calls[1]!.body.op_id, /^[0-9a-f]{32}$/);
    await server.deleteKey("a", "k");
    assert.match(calls[2]!.url.searchParams.get("op_id")!, /^[0-9a-f]{32}$/);
    assert.notEqual(calls[2]!.url.searchParams.get("op_id"), calls[1]!.body.op_id);
  });

  test("the secret does not travel", async () => {
    const { server, calls } = scripted([ok]);
    await server.publish("a", "e", "secret sauce");
    assert.ok(!calls[0]!.url.search.includes("secret"));
    assert.match(calls[0]!.url.search, /auth_key=key&auth_timestamp=1700000000&auth_version=1.0&body_md5=[0-9a-f]{32}&auth_signature=[0-9a-f]{64}$/);
  });

  test("a token", () => {
    const { server } = scripted([]);
    const [head, claims, signature] = server.mintToken("ann", { ttl: 60, rooms: [{ pattern: "a*", can: ["join"] }], info: { name: "Ann" } }).split(".") as [string, string, string];
    const json = (part: string) => JSON.parse(Buffer.from(part, "base64url").toString());
    assert.deepEqual(json(head), { alg: "HS256", typ: "JWT", kid: "key" });
    assert.deepEqual(json(claims), { app: "app", sub: "ann", iat: 1_700_000_000, exp: 1_700_000_060, rooms: [{ pattern: "a*", can: ["join"] }], info: { name: "Ann" } });
    assert.deepEqual(json(server.mintToken("bob").split(".")[1]!), { app: "app", sub: "bob", iat: 1_700_000_000, exp: 1_700_003_600 });
    assert.equal(signature, createHmac("sha256", "secret").update(`${head}.${claims}`).digest("base64url"));
  });
});

describe("against the real server", () => {
  const process = new ServerProcess(undefined);
  let server: Server;
  before(async () => {
    await process.start();
    server = new Server(process.url, "app-id", "app-key", "app-secret");
  });
  after(() => process.remove());

  test("publish, put, mutate, delete, read", async () => {
    const room = "presence-desk;1";
    const first = await server.publish(room, "news", { a: "ä &=+" });
    assert.deepEqual(await server.publish(room, "news", 1, { idempotency_key: "k" }), await server.publish(room, "news", 1, { idempotency_key: "k" }));
    await assert.rejects(server.publish(room, "news", 2, { idempotency_key: "k" }), { code: "idempotency_mismatch" });
    assert.equal((await server.put(room, "B:T C/%", "price", 1)).version, 1);
    assert.equal((await server.put(room, "B:T C/%", "price", 2)).version, 2);
    assert.equal((await server.deleteKey(room, "B:T C/%")).version, 3);
    const op_id = "once";
    const changed: Mutated = await server.mutate(room, first.message_serial, "update", "x", { op_id });
    assert.deepEqual(changed, { channel: room, message_serial: "1", action: "update", accepted: true, version_serial: "6", history_serial: 1, delivery_serial: 6, version: 2, status: "applied" });
    assert.deepEqual(await server.mutate(room, first.message_serial, "update", "x", { op_id }), { ...changed, status: "duplicate" });
    await assert.rejects(server.mutate(room, first.message_serial, "delete", undefined, { if_version: 1 }), { code: "conflict", version: 2 });
    assert.equal((await server.publishBatch([{ room, event: "e", data: { n: 1 } }, { room, event: "e", data: 2, key: "K" }])).length, 2);
    assert.deepEqual(await server.publish(room, "e", 1, { ephemeral: true }), {});

    const page: HistoryPage = await server.history(room, { limit: 2, direction: "oldest_first" });
    assert.deepEqual(page.items.map(({ serial, message }) => [serial, message.data, message.version?.number]), [[1, "x", 2], [2, 1, 1]]);
    assert.deepEqual([page.direction, page.limit, page.has_more, page.bounds.end_serial, page.continuity.newest_available_serial], ["oldest_first", 2, true, null, 8]);
    const serials: number[] = [];
    for (let cursor = page.next_cursor; cursor; ) {
      const next = await server.history(room, { cursor });
      serials.push(...next.items.map((item) => item.serial));
      cursor = next.next_cursor;
    }
    assert.deepEqual(serials, [3, 4, 7, 8]);

    const state: SnapshotPage = await server.snapshot(room);
    assert.deepEqual([state.serial, state.complete, state.next_cursor], [8, true, null]);
    assert.deepEqual(state.items.map(({ key, message_serial, data }) => [key, message_serial, data]), [["K", "8", 2], [undefined, "1", "x"], [undefined, "2", 1], [undefined, "7", { n: 1 }]]);
    assert.deepEqual((await server.snapshot(room, { at_serial: 1 })).items.map(({ data }) => data), [{ a: "ä &=+" }]);
    // @ts-expect-error A misspelt bound is one for the compiler, and for the server.
    await assert.rejects(server.history(room, { limits: 1 }), { code: "invalid_input" });
  });

  test("who is there, and who was", async () => {
    const room = "presence-hall";
    assert.deepEqual(await server.presence(room), []);
    const token = server.mintToken("ann", { rooms: [{ pattern: "presence-*", can: allRights }], info: { name: "Ann" } });
    const client = new Client(process.url, { WebSocket, token });
    try {
      await client.connect();
      await client.room(room).join({ presence: "enter" });
      assert.deepEqual(await server.presence(room), ["ann"]);
      const now: PresenceSnapshot = await server.presenceAt(room);
      assert.deepEqual([now.channel, now.member_count, now.snapshot_serial, now.continuity.degraded], [room, 1, 1, false]);
      const [{ last_event_at_ms, ...ann }] = now.members as [PresenceSnapshot["members"][0]];
      assert.deepEqual(ann, { user_id: "ann", user_info: { name: "Ann" }, last_event: "member_added", last_event_serial: 1 });
      assert.deepEqual((await server.presenceAt(room, { at_time_ms: last_event_at_ms })).members, now.members);
      const before = await server.presenceAt(room, { at_serial: 0 });
      assert.deepEqual([before.members, before.snapshot_serial, before.snapshot_time_ms], [[], null, null]);
      const page: PresencePage = await server.presenceHistory(room, { limit: 1, direction: "oldest_first" });
      const [{ event, cause, user_id, presence_event }] = page.items as [PresencePage["items"][0]];
      assert.deepEqual([event, cause, user_id, presence_event.user_info, page.has_more, page.stream_state.continuity_proven], ["member_added", "join", "ann", { name: "Ann" }, false, true]);
    } finally {
      await client.close(0);
    }
    await assert.rejects(server.presence("hall"), { code: "invalid_input" });
    await assert.rejects(server.presenceAt("hall"), { code: "invalid_input" });
  });
});
