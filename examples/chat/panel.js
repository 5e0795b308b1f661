// The panel that shows what the protocol does, and its switches.
import { describe } from "./continuo.min.js";
import { $, h, plural } from "./dom.js";

const KEPT = 150; // lines of the journal

export class Panel {
  #client; #line; #tokens;
  #talk = null;
  #since = 0; // when the state began
  #heartbeat = 25000;
  #expiring = 0; // 1: a short token was asked for, 2: it is in force
  #renewals = 0;
  #drawn = null;

  constructor(client, line, tokens) {
    this.#client = client;
    this.#line = line;
    this.#tokens = tokens;
    client.on("state", (state) => this.#changed(state));
    client.on("room", (room, state) => this.#room(room, state));
    client.on("frame", (direction, frame) => this.#frame(direction, frame));
    client.on("warning", (message) => this.#write("·", message, "note"));
    client.on("error", (error) => this.#write("·", error.message, "note"));
    $("cut").addEventListener("click", () => this.#cut());
    $("stall").addEventListener("click", () => this.#stall());
    $("expire").addEventListener("click", () => this.#expire());
    setInterval(() => this.tick(), 250);
  }

  open(talk) {
    this.#talk = talk;
    this.draw();
  }

  // switches

  #cut() {
    if (this.#client.state.state === "stopped") return void this.#client.connect();
    if (this.#line.isCut) {
      this.#write("·", "You mended the line.", "note");
      this.#line.mend();
    } else {
      this.#write("·", "You cut the line.", "note");
      this.#line.cut();
    }
    this.draw();
  }

  #stall() {
    this.#write("·", "The line went silent: still open, and nothing comes through.", "note");
    this.#line.stall();
    this.draw();
  }

  #expire() {
    this.#write("·", "The next token lasts 4 s, and the warning before its end is withheld.", "note");
    this.#expiring = 1;
    this.#tokens.nextTTL = 4;
    this.#line.withholdWarnings();
    this.draw();
  }

  // what happens

  #changed(state) {
    this.#since = performance.now();
    document.documentElement.dataset.is = state.state;
    if (state.state === "connected" && this.#expiring && ++this.#expiring > 2) {
      this.#expiring = 0;
      this.#line.warn();
      this.#write("·", "The token had ended. A new one, and on from where it was.", "note");
    }
    if (state.state === "waiting") this.#write("·", `Lost (${state.code || "no answer"}). Attempt ${state.attempt} in ${(state.retry_in_ms / 1000).toFixed(1)} s.`, "note");
    if (state.state === "stopped") this.#write("·", `${describe(state)} (${state.code}).`, "note");
    $("say-state").textContent = state.state === "waiting" ? "The connection is lost." : `${describe(state)}.`;
    this.draw();
  }

  #room(room, state) {
    if (state.state === "live" && state.resumed) this.#write("·", `#${room.id}: ${describe(state)}.`, "note");
    if (state.state === "snapshot" || state.state === "refused" || state.state === "behind") this.#write("·", `#${room.id}: ${describe(state)}.`, "note");
    if (room.id === this.#talk?.name && state.state === "live" && state.resumed) $("say-state").textContent = `${describe(state)}.`;
    this.draw();
  }

  #frame(direction, frame) {
    if (frame.kind === "server.hello") this.#heartbeat = frame.heartbeat_ms;
    if (frame.kind === "server.auth_ok") this.#renewals++;
    this.#write(direction === "in" ? "←" : "→", summary(frame));
  }

  #write(direction, text, kind) {
    const list = $("journal"), top = list.scrollTop, last = list.querySelector("li")?.lastChild.textContent;
    if (kind && last && (text.endsWith(last) || last.endsWith(text))) list.firstChild.remove(); // the same again, or with its reason
    list.prepend(h("li", { class: kind }, h("span", { class: "dir" }, direction), h("span", {}, text)));
    while (list.children.length > KEPT) list.lastChild.remove();
    if (top > 0) list.scrollTop = top + list.firstChild.offsetHeight; // what one reads stays
  }

  // drawing

  /** Draws everything at the next frame of the screen. */
  draw() {
    this.#drawn ??= requestAnimationFrame(() => {
      this.#drawn = null;
      this.tick();
      this.#facts();
      this.#ribbon();
    });
  }

  /** Draws what changes with time alone. */
  tick() {
    const { state } = this.#client, talk = this.#talk;
    const left = state.state === "waiting" ? Math.max(0, state.retry_in_ms - (performance.now() - this.#since)) : 0;
    const silent = performance.now() - this.#line.heard;
    const stalled = this.#line.isStalled && state.state === "connected";
    const words = describe(state.state === "waiting" ? { ...state, retry_in_ms: left } : state);
    set("state", stalled ? `silent for ${Math.floor(silent / 1000)} s` : words);
    for (const short of document.querySelectorAll(".state-short")) if (short.textContent !== words) short.textContent = words;
    const part = stalled ? Math.min(1, silent / (this.#heartbeat + 10000)) : state.state === "waiting" && state.retry_in_ms ? left / state.retry_in_ms : 0;
    $("wait").style.setProperty("--part", part.toFixed(3));
    $("wait").classList.toggle("on", part > 0);
    const [outcome, told] = this.#outcome(state, talk, stalled);
    set("outcome", outcome);
    $("outcome").classList.toggle("told", told);
    set("room-state", talk && talk.state.state !== "live" && state.state !== "waiting" ? describe(talk.state) : "");
    set("cut", state.state === "stopped" ? "Connect again" : this.#line.isCut ? "Come back" : "Cut the connection");
    $("stall").disabled = state.state !== "connected" || stalled;
    $("expire").disabled = state.state !== "connected" || stalled || this.#expiring > 0;
    set("f-heard", this.#line.heard ? `${Math.floor(silent / 1000)} s ago` : "–");
    const ends = Math.floor((this.#tokens.expires - Date.now()) / 1000);
    set("f-token", !this.#tokens.made ? "–" : ends < 0 ? "ended" : `ends in ${ends} s${this.#renewals ? `, renewed ${this.#renewals}×` : ""}`);
  }

  /** What to tell beside the state, and whether it is an outcome. */
  #outcome(state, talk, stalled) {
    if (stalled) return [`After ${this.#heartbeat / 1000} s of silence the client asks; 10 s later it gives the connection up.`, false];
    if (this.#line.isCut) return ["You cut the line. What you write waits here, and what others say waits in the room.", false];
    if (this.#expiring) return ["The token ends in a moment, and nobody renews it.", false];
    if (state.state === "waiting") return [`Attempt ${state.attempt} is next. What you write waits here.`, false];
    if (state.state === "stopped") return ["The server wants no further attempts.", true];
    const outcome = talk?.outcome;
    if (!outcome) return ["Finding the room.", false];
    if (outcome.state === "snapshot") return [`${describe(outcome)}. The list was fetched anew.`, true];
    if (outcome.resumed) return [`${describe(outcome)}. Nothing lost, nothing twice.`, true];
    return ["Here, and up to date. Now make some trouble:", false];
  }

  #facts() {
    const at = this.#talk?.room.position, { state } = this.#client;
    set("f-cursor", at ? String(at.event_id) : "–");
    set("f-stream", at ? at.stream_id : "–");
    if (state.state === "connected") set("f-session", state.session_id.slice(0, 12));
  }

  #ribbon() {
    const talk = this.#talk;
    if (!talk) return;
    const list = $("ribbon"), have = list.children.length && list.dataset.room === talk.name ? Number(list.dataset.last) : -1;
    if (have === -1 || have > talk.counted) list.replaceChildren();
    list.dataset.room = talk.name;
    for (const { how } of talk.ribbon.slice(have === -1 || have > talk.counted ? 0 : Math.max(0, talk.ribbon.length - (talk.counted - have)))) list.append(h("i", { class: how }));
    while (list.children.length > talk.ribbon.length) list.firstChild.remove();
    list.dataset.last = talk.counted;
    set("ribbon-room", `#${talk.name}`);
    set("ribbon-text", talk.counted ? `${plural(talk.counted, "event")}${talk.replayed ? `, ${talk.replayed} of them replayed` : ""}: ${talk.gaps || "none"} missing, ${talk.twice || "none"} twice.` : "Nothing yet.");
  }
}

function set(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

/** A frame in a line, without its secrets. */
function summary(frame) {
  const { kind, room_id, event_id } = frame, room = room_id ? ` #${room_id}` : "";
  switch (kind) {
    case "server.hello": return `${kind} session ${frame.session_id.slice(0, 8)}`;
    case "client.hello": return frame.session_id ? `${kind} again session ${frame.session_id.slice(0, 8)}` : kind;
    case "client.join": return `${kind}${room}${frame.resume_from !== undefined ? ` resume from ${frame.resume_from}` : frame.rewind ? ` rewind ${frame.rewind.count}` : ""}`;
    case "room.joined": return `${kind}${room} at ${event_id}${frame.resumed ? ", resumed" : ""}${frame.replaying ? `, ${frame.replaying} to come` : ""}`;
    case "room.resumed": return `${kind}${room} up to ${event_id}`;
    case "room.snapshot_required": return `${kind}${room} ${frame.reason}`;
    case "room.history": return `${kind}${room} ${plural(frame.items.length, "item")}`;
    case "server.error": return `${kind}${room} ${frame.code}: ${frame.message}`;
    case "chat.message": return `${kind}${room} ${event_id ?? "ephemeral"} ${frame.event ?? ""} ${frame.sender ?? ""}`;
    default: return `${kind}${room}${event_id === undefined ? "" : ` ${event_id}`}${frame.user_id ? ` ${frame.user_id}` : ""}`;
  }
}
