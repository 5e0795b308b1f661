// What the page knows of one room: the library's lists, and what a chat adds to them (who is typing, what waits to be
// sent, what was missed). It draws nothing.
import { MemberList, MessageList } from "./continuo.min.js";

const FIRST = 40; // messages on joining, and per page of scroll-back
const TYPING = 5000; // ms for which somebody counts as typing
const RIBBON = 90; // events that the panel shows

export class Talk {
  messages = new MessageList();
  members = new MemberList();
  typing = new Map(); // user → timer
  pending = []; // {id, text, why?, failed?, message_id?}
  mine; // reactions given here, as "message_id name"
  ribbon = []; // {event_id, how}, the newest RIBBON of them
  counted = 0; // events
  replayed = 0;
  gaps = 0;
  twice = 0;
  unread = 0;
  more = true; // there may be earlier messages
  missed = null; // {after, ms, kinds, touched}: what happened while the connection was away
  draft = "";
  state = { state: "joining" };
  /** The last outcome of a join, for as long as nothing newer is known; null: the first has not come yet. */
  outcome = null;
  #seen = 0; // the highest event_id
  #gone = null; // {after, at, kinds, touched} since the connection went
  #typed = -TYPING; // when we last said that we type
  #loading = false;
  #count = 0;

  constructor(room, me, changed) {
    this.room = room;
    this.me = me;
    this.changed = changed; // (talk, what, detail)
    this.mine = new Set(JSON.parse(sessionStorage.getItem(`mine ${room.id}`) ?? "[]"));
    room.onEvent((event) => this.#apply(event));
    room.onState((state) => this.#moved(state));
    room.join({ presence: "enter", rewind: { count: FIRST } }).catch((err) => this.#tell("refused", err));
  }

  get name() { return this.room.id; }

  #tell(what, detail) { this.changed(this, what, detail); }

  #apply(event) {
    if (event.kind === "chat.message" && event.message_id === undefined) return this.#ephemeral(event);
    const { kind, event_id, sender } = event;
    if (this.state.state === "resuming" && this.outcome && this.#gone) {
      this.#gone.kinds[kind] = (this.#gone.kinds[kind] ?? 0) + 1;
      this.#gone.touched.add(event.message_id);
    }
    const fresh = kind === "chat.message" && this.state.state === "live";
    this.messages.apply(event);
    this.members.apply(event);
    if (kind === "room.snapshot") {
      this.#seen = event_id;
      this.more = false;
      this.#keep(event_id, "snapshot");
    } else if (kind !== "room.joined" && event_id !== undefined) {
      this.#keep(event_id, this.state.state !== "resuming" ? "live" : this.outcome ? "replayed" : "rewound");
      this.#seen = Math.max(this.#seen, event_id);
    }
    if (kind === "chat.message") {
      this.#quiet(sender);
      this.pending = this.pending.filter((p) => p.message_id !== event.message_id);
    }
    this.#tell(fresh ? "said" : "event", event);
  }

  /** Counts what came, as the panel shows it: a rewind shows messages as they are, so its numbers may have holes. */
  #keep(event_id, how) {
    const before = this.ribbon.at(-1);
    if (before && before.event_id >= event_id) this.twice++;
    if (before && (how === "live" || how === "replayed") && before.how !== "rewound") this.gaps += Math.max(0, event_id - before.event_id - 1);
    if (how === "replayed") this.replayed++;
    this.counted++;
    this.ribbon.push({ event_id, how });
    if (this.ribbon.length > RIBBON) this.ribbon.shift();
  }

  #moved(state) {
    const before = this.state;
    this.state = state;
    if (state.state === "joining") this.#gone ??= { after: this.#seen, at: performance.now(), kinds: {}, touched: new Set() };
    if (state.state === "live" && before.state !== "live") {
      if (!this.outcome) this.more = state.missed >= FIRST;
      this.missed = state.resumed && state.missed ? { ...this.#gone, ms: performance.now() - this.#gone.at } : null;
      if (before.state !== "snapshot") this.outcome = state;
      this.#gone = null;
    }
    if (state.state === "snapshot") this.outcome = state;
    this.#tell("state");
  }

  #ephemeral({ event, sender }) {
    if (event !== "typing" || sender === this.me) return;
    clearTimeout(this.typing.get(sender));
    this.typing.set(sender, setTimeout(() => this.#quiet(sender), TYPING));
    this.#tell("typing");
  }

  #quiet(user) {
    clearTimeout(this.typing.get(user));
    if (this.typing.delete(user)) this.#tell("typing");
  }

  /** Tells the others that we type, not more often than needed. It is not kept, so a failure is nobody's concern. */
  types() {
    const now = performance.now();
    if (this.state.state !== "live" || now - this.#typed < TYPING / 2) return;
    this.#typed = now;
    this.room.send({ event: "typing", payload: {}, ephemeral: true }).catch(() => {});
  }

  /** Sends: at once, or when the connection is back. Either way it is said once. */
  say(text) {
    const one = { id: `p${++this.#count}`, text };
    this.pending.push(one);
    this.#typed = -TYPING;
    this.#try(one);
  }

  async #try(one) {
    one.failed = false;
    this.#tell("pending");
    try {
      const { message_id } = await this.room.send({ text: one.text, idempotency_key: (one.key ??= crypto.randomUUID()) });
      if (this.messages.messages.some((m) => m.message_id === message_id)) this.drop(one);
      else one.message_id = message_id; // it leaves the list when the event comes
    } catch (err) {
      one.failed = true;
      one.why = err.message;
    }
    this.#tell("pending");
  }

  again(one) { this.#try(one); }

  drop(one) {
    this.pending = this.pending.filter((p) => p !== one);
    this.#tell("pending");
  }

  edit(message, text) { return this.room.edit(message.message_id, { text, if_version: message.version }); }

  delete(message) { return this.room.delete(message.message_id); }

  /** Gives a reaction, or takes it back. */
  async react(message, name) {
    const key = `${message.message_id} ${name}`;
    const had = this.mine.has(key);
    await (had ? this.room.unreact(message.message_id, name) : this.room.react(message.message_id, name));
    if (had) this.mine.delete(key);
    else this.mine.add(key);
    sessionStorage.setItem(`mine ${this.name}`, JSON.stringify([...this.mine]));
    this.#tell("event", {});
  }

  /** Scrolls back by a page. Resolves with how many messages came. */
  async earlier() {
    const first = this.messages.messages[0];
    if (this.#loading || !this.more || !first) return 0;
    this.#loading = true;
    try {
      const before = this.messages.messages.length;
      let page = { items: [first], has_more: true };
      for (let at = first.event_id; page.has_more && this.messages.messages.length === before; at = page.items.at(-1).event_id) {
        page = await this.room.history({ before: at, limit: FIRST });
        this.messages.apply(page);
        if (!page.items.length) break;
      }
      this.more = page.has_more;
      return this.messages.messages.length - before;
    } finally {
      this.#loading = false;
      this.#tell("earlier");
    }
  }
}
