// The server part: signed calls that are repeated until their outcome is known.
import { ContinuoError, Server, type ServerOptions } from "@continuo-rt/client/server";
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { ServerProcess } from "./support/process.js";

describe("repetitions", () => {
  function scripted(answers: (() => Response | Promise<Response>)[], options: ServerOptions = {}) {
    const calls: { url: URL; body: any }[] = [];
    const slept: number[] = [];
    const server = new Server("http://rt.example", "app", "key", "secret", {
      fetch: async (url, init) => {
        calls.push({ url: new URL(String(url)), body: init?.body && JSON.parse(String(init.body)) });
        return answers.shift()!();
      },
      sleep: async (ms) => void slept.push(ms),
      random: () => 0.5,
      now: () => 1_700_000_000_000,
      ...options,
    });
    return { server, calls, slept };
  }
  const position = { stream_id: "A", serial: 1, entry_id: "1-1", message_serial: "1", version: 1 };
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

  test("a redirection is an error, and is not followed", async () => {
    const { server, calls } = scripted([() => new Response(null, { status: 307, headers: { Location: "http://elsewhere.example/" } })]);
    await assert.rejects(server.publish("a", "e", 1), { code: "http_307", retryable: false });
    assert.equal(calls.length, 1);
  });

  test("tries are bounded, and what cannot help is not tried", async () => {
    const never = scripted([broken, broken, broken], { tries: 3 });
    await assert.rejects(never.server.publish("a", "e", 1), { code: "outcome_unknown", retryable: true, message: /ECONNRESET/ });
    assert.equal(never.calls.length, 3);
    const conflict = scripted([refuse(409, "conflict")]);
    const error = await conflict.server.mutate("a", "1", { op: "update", data: "x", if_version: 1 }).catch((e) => e);
    assert.ok(error instanceof ContinuoError);
    assert.deepEqual([error.code, error.message, error.retryable, error.version], ["conflict", "it said", false, 4]);
    const html = scripted([() => new Response("<html>", { status: 404 })]);
    await assert.rejects(html.server.history("a"), { code: "http_404", message: /without an answer of a Continuo server/ });
    const ephemeral = scripted([broken]);
    await assert.rejects(ephemeral.server.publish("a", "e", 1, { ephemeral: true }), { code: "outcome_unknown" });
    assert.equal(ephemeral.calls[0]!.body.idempotency_key, undefined);
  });

  test("each item of a batch has a key, and a mutation an op_id, of its own", async () => {
    const { server, calls } = scripted([() => Response.json({ batch: [position, position] }), () => Response.json({ version: 2 })]);
    assert.equal((await server.publishBatch([{ room: "a", event: "e", data: 1 }, { room: "b", event: "e", data: 2, idempotency_key: "mine" }])).length, 2);
    assert.notEqual(calls[0]!.body.batch[0].idempotency_key, undefined);
    assert.equal(calls[0]!.body.batch[1].idempotency_key, "mine");
    await server.mutate("a", "1", { op: "append", data: "x" });
    assert.match(calls[1]!.body.op_id, /^[0-9a-f]{32}$/);
    assert.equal(calls[1]!.url.pathname, "/apps/app/channels/a/messages/1/append");
  });

  test("the secret does not travel", async () => {
    const { server, calls } = scripted([ok]);
    await server.publish("a", "e", "secret sauce");
    assert.ok(!calls[0]!.url.search.includes("secret"));
    assert.match(calls[0]!.url.search, /auth_key=key&auth_timestamp=1700000000&auth_version=1.0&body_md5=[0-9a-f]{32}&auth_signature=[0-9a-f]{64}$/);
  });

  test("a token", () => {
    const { server } = scripted([]);
    const [head, claims, signature] = server.mintToken({ sub: "ann", ttl: 60, rooms: [{ pattern: "a*", can: ["join"] }], info: { name: "Ann" } }).split(".") as [string, string, string];
    const json = (part: string) => JSON.parse(Buffer.from(part, "base64url").toString());
    assert.deepEqual(json(head), { alg: "HS256", typ: "JWT", kid: "key" });
    assert.deepEqual(json(claims), { app: "app", sub: "ann", iat: 1_700_000_000, exp: 1_700_000_060, rooms: [{ pattern: "a*", can: ["join"] }], info: { name: "Ann" } });
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
    assert.equal((await server.mutate(room, first.message_serial, { op: "update", data: "x" })).version, 2);
    assert.equal((await server.publishBatch([{ room, event: "e", data: 1 }, { room, event: "e", data: 2 }])).length, 2);
    assert.equal((await server.history(room, { limit: 2, direction: "oldest_first" })).items.length, 2);
    assert.equal((await server.snapshot(room)).items.length, 4);
    assert.deepEqual(await server.members(room), { users: [] });
    assert.equal((await server.presenceHistory(room)).items.length, 0);
    await assert.rejects(server.history(room, { nonsense: 1 }), { code: "invalid_input" });
  });
});
