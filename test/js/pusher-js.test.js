// pusher-js and Pusher's node server library, unchanged, against the real server in development mode.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import Pusher from "pusher-js";
import PusherServer from "pusher";
import { Server } from "./support/server.js";
import { collect, connected, next, within } from "./support/wait.js";

const server = new Server();
let backend;
const clients = [];

function client(user, extra = {}) {
  const params = user ? { user_id: user, user_info: JSON.stringify({ name: user.toUpperCase() }) } : {};
  const one = new Pusher("app-key", {
    wsHost: "127.0.0.1", wsPort: server.port, forceTLS: false, enabledTransports: ["ws"], disableStats: true, cluster: "",
    channelAuthorization: { endpoint: `${server.url}/pusher/auth`, transport: "ajax", params },
    userAuthentication: { endpoint: `${server.url}/pusher/user-auth`, transport: "ajax", params },
    ...extra,
  });
  clients.push(one);
  return one;
}

before(async () => {
  await server.start();
  backend = new PusherServer({ appId: "app-id", key: "app-key", secret: "app-secret", host: "127.0.0.1", port: String(server.port), useTLS: false,
    encryptionMasterKeyBase64: Buffer.alloc(32, 7).toString("base64") });
});
after(async () => {
  for (const c of clients) c.disconnect();
  await server.remove();
});

test("a public channel: subscribe, publish, exclude the sender", async () => {
  const a = client(), b = client();
  await Promise.all([connected(a), connected(b)]);
  const ca = a.subscribe("news"), cb = b.subscribe("news");
  await Promise.all([next(ca, "pusher:subscription_succeeded"), next(cb, "pusher:subscription_succeeded")]);
  const gotA = collect(ca, "hello"), gotB = collect(cb, "hello");
  const res = await backend.trigger("news", "hello", { n: 1 });
  assert.equal(res.status, 200);
  assert.deepEqual(await res.json(), {});
  await Promise.all([gotA.reach(1), gotB.reach(1)]);
  assert.deepEqual(gotA[0], { n: 1 });
  await backend.trigger("news", "hello", { n: 2 }, { socket_id: a.connection.socket_id });
  await backend.trigger("news", "hello", { n: 3 });
  await Promise.all([gotA.reach(2), gotB.reach(3)]);
  assert.deepEqual(gotA.map((d) => d.n), [1, 3]);
  assert.deepEqual(gotB.map((d) => d.n), [1, 2, 3]);
});

test("a private channel and client events", async () => {
  const a = client(), b = client();
  const ca = a.subscribe("private-room"), cb = b.subscribe("private-room");
  await Promise.all([next(ca, "pusher:subscription_succeeded"), next(cb, "pusher:subscription_succeeded")]);
  const gotA = collect(ca, "client-typing"), gotB = collect(cb, "client-typing");
  assert.ok(ca.trigger("client-typing", { on: true }));
  await gotB.reach(1);
  assert.deepEqual(gotB[0], { on: true });
  assert.ok(cb.trigger("client-typing", { on: false }));
  await gotA.reach(1);
  assert.deepEqual(gotA.map((d) => d.on), [false], "the sender does not hear itself");
});

test("a wrong signature is refused and the connection lives on", async () => {
  const a = client(null, { channelAuthorization: { customHandler: (_, done) => done(null, { auth: "app-key:00" }) } });
  await connected(a);
  const refused = next(a.connection, "error");
  a.subscribe("private-secret");
  const e = await refused;
  assert.equal((e.error?.data ?? e.data).code, 4009);
  const ok = a.subscribe("open");
  await next(ok, "pusher:subscription_succeeded");
});

test("presence: several members, two tabs of one user", async () => {
  const anna = client("anna");
  const ca = anna.subscribe("presence-desk");
  const first = await next(ca, "pusher:subscription_succeeded");
  assert.equal(first.count, 1);
  assert.equal(first.me.id, "anna");
  assert.deepEqual(first.me.info, { name: "ANNA" });
  const added = collect(ca, "pusher:member_added"), removed = collect(ca, "pusher:member_removed");
  const ben = client("ben");
  const cb = ben.subscribe("presence-desk");
  const seen = await next(cb, "pusher:subscription_succeeded");
  assert.deepEqual(Object.keys(seen.members).sort(), ["anna", "ben"]);
  await added.reach(1);
  assert.equal(added[0].id, "ben");
  const tab = client("ben");
  const ct = tab.subscribe("presence-desk");
  assert.equal((await next(ct, "pusher:subscription_succeeded")).count, 2);
  const users = await (await backend.get({ path: "/channels/presence-desk/users" })).json();
  assert.deepEqual(users.users.map((u) => u.id).sort(), ["anna", "ben"]);
  ben.disconnect();
  const carl = client("carl");
  await next(carl.subscribe("presence-desk"), "pusher:subscription_succeeded");
  await added.reach(2);
  assert.deepEqual(removed.length, 0, "ben's other tab is still there");
  tab.unsubscribe("presence-desk");
  await removed.reach(1);
  assert.equal(removed[0].id, "ben");
});

test("an encrypted channel is relayed as it is", async () => {
  const master = Buffer.alloc(32, 7);
  const { createHash } = await import("node:crypto");
  const a = client(null, {
    channelAuthorization: {
      customHandler: ({ socketId, channelName }, done) => {
        const signed = backend.authorizeChannel(socketId, channelName);
        assert.equal(signed.shared_secret, createHash("sha256").update(Buffer.concat([Buffer.from(channelName), master])).digest("base64"));
        done(null, signed);
      },
    },
  });
  // pusher-js in node has no nacl built in: the frame is looked at as it comes.
  const frames = [];
  a.connection.bind("message", (m) => frames.push(m));
  await connected(a);
  const got = next(a.connection, "message", (m) => m.event === "whisper");
  const { auth } = backend.authorizeChannel(a.connection.socket_id, "private-encrypted-x");
  a.connection.send_event("pusher:subscribe", { channel: "private-encrypted-x", auth });
  await next(a.connection, "message", (m) => m.event === "pusher_internal:subscription_succeeded");
  await backend.trigger("private-encrypted-x", "whisper", { secret: 1 });
  const frame = await got;
  const data = typeof frame.data === "string" ? JSON.parse(frame.data) : frame.data;
  assert.ok(data.nonce && data.ciphertext);
});

test("a cache channel gives the newest event, or a miss", async () => {
  const a = client();
  const missed = next(a.subscribe("cache-empty"), "pusher:cache_miss");
  await missed;
  await backend.trigger("cache-full", "price", { p: 1 });
  await backend.trigger("cache-full", "price", { p: 2 });
  const got = await next(a.subscribe("cache-full"), "price");
  assert.deepEqual(got, { p: 2 });
});

test("batches, channel queries and info", async () => {
  const a = client();
  const c1 = a.subscribe("batch-1"), c2 = a.subscribe("batch-2");
  await Promise.all([next(c1, "pusher:subscription_succeeded"), next(c2, "pusher:subscription_succeeded")]);
  const got1 = collect(c1, "e"), got2 = collect(c2, "e");
  const res = await backend.triggerBatch([{ channel: "batch-1", name: "e", data: "one" }, { channel: "batch-2", name: "e", data: { two: 2 } }]);
  assert.deepEqual(await res.json(), {});
  await Promise.all([got1.reach(1), got2.reach(1)]);
  assert.deepEqual([got1[0], got2[0]], ["one", { two: 2 }]);
  const all = await (await backend.get({ path: "/channels", params: { filter_by_prefix: "batch-", info: "subscription_count" } })).json();
  assert.deepEqual(all, { channels: { "batch-1": { subscription_count: 1 }, "batch-2": { subscription_count: 1 } } });
  const one = await (await backend.get({ path: "/channels/batch-1", params: { info: "subscription_count" } })).json();
  assert.equal(one.occupied, true);
  assert.equal(one.subscription_count, 1);
});

test("signin, messages to a user, terminate", async () => {
  const a = client("dora");
  await connected(a);
  const reached = next(a.connection, "message", (m) => m.event === "pusher_internal:subscription_succeeded" && m.channel === "#server-to-user-dora");
  const signed = next(a.connection, "message", (m) => m.event === "pusher:signin_success");
  a.signin();
  assert.equal(JSON.parse((await signed).data.user_data).id, "dora");
  await reached;
  const got = within(new Promise((done) => a.user.bind("note", done)), "a message to the user");
  await backend.sendToUser("dora", "note", { text: "hi" });
  assert.deepEqual(await got, { text: "hi" });
  const refused = next(a.connection, "error", (e) => (e.error?.data ?? e.data)?.code === 4009);
  const down = next(a.connection, "state_change", (s) => s.current !== "connected");
  const res = await backend.terminateUserConnections("dora");
  assert.equal(res.status, 200);
  await refused;
  assert.notEqual((await down).current, "connecting", "after 4009 a client does not come back");
});

test("clients come back after a restart of the server", async () => {
  const a = client();
  const c = a.subscribe("lasting");
  await next(c, "pusher:subscription_succeeded");
  const again = next(c, "pusher:subscription_succeeded");
  await server.stop("SIGKILL");
  await server.start();
  await within(again, "the subscription after the restart", 20000);
  const got = next(c, "back");
  await backend.trigger("lasting", "back", { yes: true });
  assert.deepEqual(await got, { yes: true });
});
