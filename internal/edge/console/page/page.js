// The page of development mode: one channel, its positions, and a connection that can be cut. Plain WebSocket, the
// second Pusher protocol, no library.
"use strict";
const app = JSON.parse(document.getElementById("app").textContent);
const $ = (id) => document.getElementById(id);
const base = new URL(".", location.href);
let socket, channel = $("channel").value, position = null, missed = 0, replaying = false, away = false, retry = 0, timer;

function add(list, number, text, kind) {
  const li = document.createElement("li");
  if (kind) li.className = kind;
  for (const [name, value] of [["n", number], ["t", text]]) {
    const span = document.createElement("span");
    span.className = name;
    span.textContent = value;
    li.append(span);
  }
  $(list).prepend(li);
  while ($(list).children.length > 200) $(list).lastChild.remove();
}

function state(is) {
  $("state").dataset.is = is;
  $("state").textContent = is;
  $("cut").disabled = is !== "connected";
  $("back").disabled = is === "connected";
}

function show(p) {
  position = p;
  $("stream").textContent = p ? p.stream_id : "–";
  $("serial").textContent = p ? p.serial : "–";
}

function say(text, bad) {
  $("verdict").textContent = text;
  $("verdict").classList.toggle("bad", !!bad);
}

function send(event, data) {
  const text = JSON.stringify({ event, data });
  add("frames", "sent", text);
  socket.send(text);
}

function connect() {
  clearTimeout(timer);
  away = false;
  state("connecting");
  const url = new URL(`app/${encodeURIComponent(app.key)}?protocol=2&client=page`, base);
  url.protocol = url.protocol.replace("http", "ws");
  const mine = socket = new WebSocket(url);
  mine.onmessage = (m) => mine === socket && receive(m.data);
  mine.onclose = () => {
    if (mine !== socket) return;
    state(away ? "cut" : "disconnected");
    if (!away) timer = setTimeout(connect, Math.random() * Math.min(10000, 300 * 2 ** retry++));
  };
}

function receive(text) {
  const frame = JSON.parse(text);
  add("frames", "got", text);
  const { event } = frame;
  if (event === "sockudo:connection_established") return follow();
  if (event === "sockudo_internal:subscription_succeeded") {
    retry = 0;
    state("connected");
    return show({ stream_id: frame.stream_id, serial: frame.serial });
  }
  if (event === "sockudo:resume_success") {
    const { recovered } = JSON.parse(frame.data);
    replaying = false;
    if (recovered.length) say(`Resumed: ${missed} missed message${missed === 1 ? "" : "s"} replayed, nothing lost, nothing twice.`);
    return;
  }
  if (event === "sockudo:resume_failed") {
    const why = JSON.parse(frame.data);
    replaying = false;
    show({ stream_id: why.current_stream_id, serial: why.newest_available_serial });
    return say(`This cannot be resumed (${why.code}: ${why.reason}). An application would fetch a snapshot now; the page goes on live.`, true);
  }
  if (event.startsWith("sockudo_internal:") || (event.startsWith("sockudo:") && !event.startsWith("sockudo:message."))) return;
  if (replaying) missed++;
  add("messages", frame.serial ?? "live", `${frame.event} ${typeof frame.data === "string" ? frame.data : JSON.stringify(frame.data)}`, replaying ? "replayed" : "");
  if (frame.serial) show({ stream_id: frame.stream_id, serial: frame.serial });
}

// follow presents the last position, if there is one, then subscribes: the server holds the position until then, so
// nothing depends on how fast the frames come.
function follow() {
  if (position) {
    missed = 0;
    replaying = true;
    send("sockudo:resume", { channel_positions: { [channel]: position } });
  }
  send("sockudo:subscribe", position ? { channel } : { channel, rewind: 10 });
}

async function publish(name, data) {
  let value = data;
  try { value = JSON.parse(data); } catch { /* any other text is sent as text */ }
  const answer = await fetch(new URL(`apps/${encodeURIComponent(app.id)}/events`, base), {
    method: "POST",
    headers: { Authorization: `Bearer ${app.key}:${app.secret}`, "Content-Type": "application/json" },
    body: JSON.stringify({ name, channel, data: value, info: "position", idempotency_key: [...crypto.getRandomValues(new Uint8Array(12))].join("-") }),
  });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error);
  return body.channels[channel];
}

function switchTo(name) {
  if (name === channel) return;
  channel = name;
  show(null);
  $("following").textContent = name;
  $("messages").replaceChildren();
  socket?.close();
  connect();
}

function curl() {
  const body = JSON.stringify({ name: $("event").value, channel: $("channel").value, data: $("data").value });
  $("curl").textContent = `curl -H 'Authorization: Bearer ${app.key}:${app.secret}' -d '${body}' ${new URL(`apps/${app.id}/events`, base)}`;
}

$("publish").addEventListener("submit", async (e) => {
  e.preventDefault();
  switchTo($("channel").value);
  try {
    const at = await publish($("event").value, $("data").value);
    $("published").textContent = `Durable at serial ${at.serial} (${at.entry_id}).`;
  } catch (err) {
    $("published").textContent = `Refused: ${err.message}`;
  }
});
$("publish").addEventListener("input", curl);
$("cut").addEventListener("click", () => {
  away = true;
  say("Away. Publish something, then come back.");
  socket.close();
  $("back").disabled = false;
  $("back").focus();
});
$("five").addEventListener("click", async () => {
  try {
    for (let n = 1; n <= 5; n++) await publish("while-away", JSON.stringify({ n }));
    $("published").textContent = "Five messages are durable.";
  } catch (err) {
    $("published").textContent = `Refused: ${err.message}`;
  }
});
$("back").addEventListener("click", connect);
curl();
connect();
