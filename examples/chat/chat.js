// The page: who one is, which rooms there are, and what the composer does. The library does the rest.
import { Client } from "./continuo.min.js";
import { $, face, h, keep } from "./dom.js";
import { Line } from "./line.js";
import { Panel } from "./panel.js";
import { Talk } from "./talk.js";
import { Tokens } from "./tokens.js";
import { View } from "./view.js";

const NAMES = ["Amy", "Barbara", "Clara", "Ethel", "Fanny", "Florence", "Germaine", "Hildegard", "Lili", "Louise", "Maria", "Nadia", "Rebecca", "Teresa"];
const ROOMS = ["lobby", "tea-room", "workshop"];
const TOKEN = 90; // seconds: short, so that its renewal can be watched

const me = (sessionStorage.name ??= NAMES[Math.floor(Math.random() * NAMES.length)]);
const line = new Line();
const tokens = new Tokens(me, TOKEN, line.fetch);
const client = new Client(new URL("..", location.href), { token: tokens.next, name: "chat example", WebSocket: line.WebSocket, fetch: line.fetch });
const panel = new Panel(client, line, tokens);
const view = new View(act);
const talks = new Map();
let talk = null; // the room that is shown
let changing = null; // the message that is being changed
let drawing = null;

/** draw draws everything at the next frame of the screen; a page that nobody looks at has none. */
function draw() {
  drawing ??= (document.hidden ? setTimeout : requestAnimationFrame)(() => {
    drawing = null;
    view.draw();
    panel.draw();
    drawRooms();
    drawMembers();
  });
}

// rooms

function open(name) {
  if (talk) talk.draft = $("text").value;
  if (changing) stopChanging();
  if (!talks.has(name)) talks.set(name, new Talk(client.room(name), me, changed));
  if (!rooms().includes(name)) sessionStorage.rooms = JSON.stringify([...rooms(), name]);
  talk = talks.get(name);
  talk.unread = 0;
  $("room-name").textContent = name;
  $("text").value = talk.draft;
  view.open(talk);
  panel.open(talk);
  draw();
}

function rooms() {
  return JSON.parse(sessionStorage.rooms ?? JSON.stringify(ROOMS));
}

function named() {
  try {
    return decodeURIComponent(location.hash.slice(1)) || ROOMS[0];
  } catch {
    return ROOMS[0];
  }
}

/** changed is told of everything that happens in a room. */
function changed(at, what, detail) {
  if (what === "said" && detail.sender !== me) {
    if (at === talk) $("say").textContent = `${detail.sender ?? "the server"}: ${detail.text ?? ""}`;
    if (at !== talk || document.hidden) at.unread++;
  }
  if (what === "refused" && detail.code !== "closed" && detail.code !== "left") complain(`#${at.name}: ${detail.message}`);
  if (at === talk && changing) {
    const now = talk.messages.messages.find((m) => m.message_id === changing.message_id);
    if (!now) stopChanging("The message that you were changing is gone.");
  }
  draw();
}

function drawRooms() {
  let unread = 0;
  keep($("rooms"), rooms(), (name) => name, (name, li) => {
    li ??= h("li", {}, h("a", { href: `#${encodeURIComponent(name)}` }, h("span", { class: "name" }, name), h("span", { class: "badge" })));
    const link = li.firstChild, badge = link.lastChild, n = talks.get(name)?.unread ?? 0;
    if (name === talk.name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    badge.hidden = !n;
    if (badge.textContent !== String(n)) badge.replaceChildren(String(n), h("span", { class: "sr" }, " unread"));
    unread += n;
    return li;
  });
  $("unread-all").hidden = !unread;
  $("unread-all").textContent = unread;
  document.title = `${unread ? `(${unread}) ` : ""}${talk.name} · Continuo chat`;
}

function drawMembers() {
  const { members, count } = talk.members, typing = [...talk.typing.keys()];
  $("here-count").textContent = count || "";
  keep($("members"), members, (m) => m.user_id, (m, li) => li ?? h("li", {}, face(m.user_id), h("span", { class: "who" }, m.user_id === me ? `${me} (you)` : m.user_id)));
  keep($("faces"), members.slice(0, 5), (m) => m.user_id, (m, f) => f ?? face(m.user_id));
  $("typing").textContent = typing.length > 2 ? "Several people are typing …" : typing.length ? `${typing.join(" and ")} ${typing.length > 1 ? "are" : "is"} typing …` : "";
}

// messages

/** act does what a message's buttons say. */
async function act(what, message, name) {
  try {
    if (what === "edit") startChanging(message);
    if (what === "delete") await talk.delete(message);
    if (what === "react") await talk.react(message, name);
    if (what === "earlier") await talk.earlier();
  } catch (err) {
    complain(err.message);
  }
}

function startChanging(message) {
  if (!changing) talk.draft = $("text").value;
  changing = message;
  $("editing").hidden = false;
  $("text").value = message.text ?? "";
  $("text").focus();
  view.mark(message.message_id);
}

function stopChanging(why) {
  changing = null;
  $("editing").hidden = true;
  $("text").value = talk.draft;
  talk.draft = "";
  view.mark(null);
  if (why) complain(why);
}

async function submit() {
  const text = $("text").value.trim();
  if (!text) return;
  if (!changing) {
    $("text").value = "";
    talk.say(text);
    view.toEnd();
    return;
  }
  const message = changing;
  stopChanging();
  if (text === message.text) return;
  try {
    await talk.edit(message, text);
  } catch (err) {
    complain(err.code === "conflict" ? "Somebody was faster: the message has changed meanwhile, and yours was not taken." : err.message);
  }
}

let quiet;
function complain(text) {
  $("toast").textContent = text;
  $("toast").hidden = false;
  clearTimeout(quiet);
  quiet = setTimeout(() => ($("toast").hidden = true), 6000);
}

// the sides, in small windows

function side(id, opens) {
  for (const other of ["rooms-side", "line-side"]) {
    const is = other === id && opens;
    $(other).classList.toggle("open", is);
    document.querySelector(`[aria-controls=${other}]`).setAttribute("aria-expanded", is);
  }
  $("scrim").hidden = !opens;
  $("conversation").inert = opens;
  document.querySelector(".top").inert = opens;
  if (opens) $(id).focus();
  else document.querySelector(`[aria-controls=${id}]`).focus();
}

const opened = () => document.querySelector(".side.open")?.id;

for (const button of document.querySelectorAll("[aria-controls]")) button.addEventListener("click", () => side(button.getAttribute("aria-controls"), true));
for (const button of document.querySelectorAll("[data-close]")) button.addEventListener("click", () => side(button.dataset.close, false));
$("scrim").addEventListener("click", () => side(opened(), false));
$("rooms").addEventListener("click", (e) => {
  if (!e.target.closest("a") || !opened()) return;
  side(opened(), false);
  $("text").focus();
});
matchMedia("(max-width: 66rem)").addEventListener("change", () => opened() && side(opened(), false));

/** grow makes the field as high as its text, in browsers that do not do so by themselves. */
function grow() {
  if (CSS.supports("field-sizing", "content")) return;
  $("text").style.height = "auto";
  $("text").style.height = `${$("text").scrollHeight}px`;
}

// what the page listens to

document.querySelector(".skip").addEventListener("click", (e) => {
  e.preventDefault(); // what follows the # is the room
  $("text").focus();
});
$("compose").addEventListener("submit", (e) => {
  e.preventDefault();
  submit();
});
$("text").addEventListener("input", () => {
  if (!changing && $("text").value) talk.types();
  grow();
});
$("text").addEventListener("keydown", (e) => {
  if (e.isComposing) return;
  if (e.key === "Enter" && !e.shiftKey) {
    e.preventDefault();
    submit();
  }
  if (e.key === "ArrowUp" && !$("text").value) {
    const last = talk.messages.messages.findLast((m) => m.sender === me && m.text !== undefined);
    if (!last) return;
    e.preventDefault();
    startChanging(last);
  }
});
document.addEventListener("keydown", (e) => {
  if (e.key !== "Escape") return;
  if (opened()) side(opened(), false);
  else if (changing) {
    stopChanging();
    $("text").focus();
  }
});
$("cancel-edit").addEventListener("click", () => {
  stopChanging();
  $("text").focus();
});
$("earlier").addEventListener("click", () => act("earlier"));
$("other-room").addEventListener("submit", (e) => {
  e.preventDefault();
  const name = $("other-name").value.trim();
  if (!name) return;
  $("other-name").value = "";
  location.hash = encodeURIComponent(name);
});
$("you").addEventListener("submit", (e) => {
  e.preventDefault();
  sessionStorage.name = $("your-name").value.trim() || me;
  location.reload();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  talk.unread = 0;
  drawing = null;
  draw();
});
window.addEventListener("hashchange", () => open(named()));
window.addEventListener("pagehide", () => client.close(0));
window.addEventListener("pageshow", (e) => e.persisted && location.reload());

$("your-name").value = me;
client.connect().catch(() => {}); // the panel tells why
open(named());
