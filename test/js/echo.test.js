// Laravel Echo over pusher-js, unchanged, against the real server in development mode.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import Echo from "laravel-echo";
import Pusher from "pusher-js";
import PusherServer from "pusher";
import { Server } from "./support/server.js";
import { connected, next, within } from "./support/wait.js";

const server = new Server();
const echoes = [];
let backend;

// echo is what a page of a Laravel application makes. Laravel's auth endpoint is the development mode's here.
function echo(user) {
  const one = new Echo({
    broadcaster: "pusher", Pusher, key: "app-key", cluster: "", wsHost: "127.0.0.1", wsPort: server.port, forceTLS: false,
    enabledTransports: ["ws"], disableStats: true,
    channelAuthorization: {
      endpoint: `${server.url}/pusher/auth`, transport: "ajax",
      params: user ? { user_id: user, user_info: JSON.stringify({ name: user.toUpperCase() }) } : {},
    },
  });
  echoes.push(one);
  return one;
}

// once resolves with what the first call of a callback was given.
const once = (register, what) => within(new Promise((done) => register(done)), what);

// subscribed waits until the channel behind an Echo channel stands.
const subscribed = (channel) => (channel.subscription.subscribed ? Promise.resolve() : once((done) => channel.subscribed(done), "the subscription"));

before(async () => {
  await server.start();
  backend = new PusherServer({ appId: "app-id", key: "app-key", secret: "app-secret", host: "127.0.0.1", port: String(server.port), useTLS: false });
});
after(async () => {
  for (const e of echoes) e.disconnect();
  await server.remove();
});

test("a public channel: events by their class names", async () => {
  const channel = echo().channel("orders");
  await subscribed(channel);
  const shipped = once((done) => channel.listen("OrderShipped", done), "OrderShipped");
  const plain = once((done) => channel.listen(".order.paid", done), ".order.paid");
  await backend.trigger("orders", "App\\Events\\OrderShipped", { id: 1 });
  await backend.trigger("orders", "order.paid", { id: 2 });
  assert.deepEqual(await shipped, { id: 1 });
  assert.deepEqual(await plain, { id: 2 });
});

test("to others: the socket id that Echo gives to Laravel leaves its own page out", async () => {
  const one = echo(), two = echo();
  const a = one.channel("rooms"), b = two.channel("rooms");
  await Promise.all([subscribed(a), subscribed(b)]);
  const heard = [];
  a.listen("Said", (e) => heard.push(e.n));
  const other = once((done) => b.listen("Said", (e) => e.n === 2 && done(e)), "Said");
  assert.match(one.socketId(), /^\d+\.\d+$/);
  await backend.trigger("rooms", "App\\Events\\Said", { n: 1 }, { socket_id: one.socketId() });
  await backend.trigger("rooms", "App\\Events\\Said", { n: 2 });
  await other;
  await within(new Promise((done) => (heard.length ? done() : a.listen("Said", done))), "the second");
  assert.deepEqual(heard, [2]);
});

test("a private channel and whispers", async () => {
  const a = echo().private("desk.1"), b = echo().private("desk.1");
  await Promise.all([subscribed(a), subscribed(b)]);
  const typing = once((done) => b.listenForWhisper("typing", done), "the whisper");
  a.whisper("typing", { name: "anna" });
  assert.deepEqual(await typing, { name: "anna" });
  const got = once((done) => a.listen("Moved", done), "Moved");
  await backend.trigger("private-desk.1", "App\\Events\\Moved", { x: 1 });
  assert.deepEqual(await got, { x: 1 });
});

test("a private channel that is refused", async () => {
  const one = new Echo({
    broadcaster: "pusher", Pusher, key: "app-key", cluster: "", wsHost: "127.0.0.1", wsPort: server.port, forceTLS: false,
    enabledTransports: ["ws"], disableStats: true,
    channelAuthorization: { customHandler: (_, done) => done(null, { auth: "app-key:00" }) },
  });
  echoes.push(one);
  await connected(one.connector.pusher);
  const refused = next(one.connector.pusher.connection, "error");
  one.private("secret");
  const e = await refused;
  assert.equal((e.error?.data ?? e.data).code, 4009);
});

test("a presence channel: here, joining, leaving", async () => {
  const anna = echo("anna").join("hall.1");
  assert.deepEqual((await once((done) => anna.here(done), "here")).map((m) => m.name), ["ANNA"]);
  const joining = once((done) => anna.joining(done), "joining");
  const benEcho = echo("ben");
  const ben = benEcho.join("hall.1");
  const here = await once((done) => ben.here(done), "here");
  assert.deepEqual(here.map((m) => m.name).sort(), ["ANNA", "BEN"]);
  assert.deepEqual(await joining, { name: "BEN" });
  const leaving = once((done) => anna.leaving(done), "leaving");
  benEcho.leave("hall.1");
  assert.deepEqual(await leaving, { name: "BEN" });
});

test("notifications", async () => {
  const channel = echo().private("App.Models.User.7");
  await subscribed(channel);
  const got = once((done) => channel.notification(done), "the notification");
  await backend.trigger("private-App.Models.User.7", "Illuminate\\Notifications\\Events\\BroadcastNotificationCreated", { id: "n-1", type: "InvoicePaid", amount: 5 });
  assert.deepEqual(await got, { id: "n-1", type: "InvoicePaid", amount: 5 });
});

test("an encrypted channel", async () => {
  const frames = [];
  const one = echo();
  const channel = one.encryptedPrivate?.("vault.1");
  assert.ok(channel, "Echo knows encrypted channels");
  one.connector.pusher.connection.bind("message", (m) => frames.push(m));
  await next(one.connector.pusher.connection, "message", (m) => m.event === "pusher_internal:subscription_succeeded" && m.channel === "private-encrypted-vault.1");
  const got = next(one.connector.pusher.connection, "message", (m) => m.channel === "private-encrypted-vault.1" && m.event === "whisper");
  const sealed = new PusherServer({ appId: "app-id", key: "app-key", secret: "app-secret", host: "127.0.0.1", port: String(server.port), useTLS: false,
    encryptionMasterKeyBase64: Buffer.alloc(32, 7).toString("base64") });
  await sealed.trigger("private-encrypted-vault.1", "whisper", { secret: 1 });
  const frame = await got;
  const data = typeof frame.data === "string" ? JSON.parse(frame.data) : frame.data;
  assert.ok(data.nonce && data.ciphertext, "what the server cannot read is relayed as it is");
});

test("leaving a channel ends its events", async () => {
  const one = echo();
  const channel = one.channel("quits");
  await subscribed(channel);
  const heard = [];
  channel.listen("E", (e) => heard.push(e));
  one.leave("quits");
  const stays = one.channel("stays");
  await subscribed(stays);
  const got = once((done) => stays.listen("E", done), "E");
  await backend.trigger("quits", "App\\Events\\E", { n: 1 });
  await backend.trigger("stays", "App\\Events\\E", { n: 2 });
  assert.deepEqual(await got, { n: 2 });
  assert.deepEqual(heard, []);
});

test("a page comes back after a restart of the server", async () => {
  const one = echo();
  const channel = one.channel("lasting");
  await subscribed(channel);
  const again = once((done) => channel.subscribed(done), "the subscription after the restart");
  await server.stop("SIGKILL");
  await server.start();
  await again;
  const got = once((done) => channel.listen("Back", done), "Back");
  await backend.trigger("lasting", "App\\Events\\Back", { yes: true });
  assert.deepEqual(await got, { yes: true });
});
