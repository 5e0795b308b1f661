// The client carries out what the session decides: it holds the connection, the one timer, the cursor store and the
// requests that wait for an answer.
import { decode } from "./codec.js";
import { ContinuoError } from "./error.js";
import { Room } from "./room.js";
import { type Effect, type Input, Session } from "./session.js";
import { memoryStore } from "./stores.js";
import { dial, httpBase, type Link, loadSnapshot } from "./transport.js";
import type { ClientOptions, ClientState, Clock, CursorStore, Frame, RoomState, SocketClass } from "./types.js";

/** What `Client.on` can listen to. */
export interface ClientEvents {
  /** The state changed. */
  state: (state: ClientState) => void;
  /** A room's state changed. */
  room: (room: Room, state: RoomState) => void;
  /** Something odd was survived. */
  warning: (message: string) => void;
  /** A handler threw, a store or a token function failed. Without a listener it goes to `console.error`. */
  error: (error: Error, room?: Room) => void;
  /** Every frame, for panels and logs. */
  frame: (direction: "in" | "out", frame: Frame) => void;
}

/** The library's version, as `client.hello` names it. */
export const version = "0.1.0";

const systemClock: Clock = {
  now: () => performance.now(),
  setTimer: (wake, ms) => setTimeout(wake, ms),
  clearTimer: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
};

/** A connection to a Continuo server that mends itself, and the rooms joined over it. */
export class Client {
  /** How the client does; `describe` puts it into words. */
  state: ClientState = { state: "idle" };
  /** @internal */
  readonly store: CursorStore;
  readonly #base: URL;
  readonly #options: ClientOptions;
  readonly #clock: Clock;
  readonly #session: Session;
  readonly #rooms = new Map<string, Room>();
  readonly #listeners: { [E in keyof ClientEvents]?: Set<ClientEvents[E]> } = {};
  readonly #requests = new Map<string, { done: (frame: Frame) => void; fail: (error: Error) => void }>();
  readonly #inputs: Input[] = [];
  readonly #idle: (() => void)[] = [];
  #busy = false;
  #requestCount = 0;
  #tokenAsked = 0;
  #token: string | null = null;
  #link: Link | undefined;
  #timer: { due: number; at: number; handle: unknown } | undefined;
  #unlisten: (() => void) | undefined;

  /** `url` is the server's base, http(s) or ws(s): `http://127.0.0.1:6001`. Nothing happens until `connect`. */
  constructor(url: string | URL, options: ClientOptions = {}) {
    this.#base = httpBase(url);
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.store = options.cursors ?? memoryStore();
    this.#session = new Session(options.name ?? `continuo-ts/${version}`, options.buffer);
  }

  /** Connects, and stays connected. Resolves when connected for the first time, rejects when the client stops or is closed before. */
  connect(): Promise<void> {
    this.#socketClass();
    this.#unlisten ??= listenToPlatform((what) => this.input({ do: what }));
    this.input({ do: "connect" });
    return quiet(
      new Promise((done, fail) => {
        const look = (s: ClientState) => {
          if (s.state === "connected") done();
          else if (s.state === "stopped") fail(new ContinuoError(s.reason, `the client stopped: ${s.reason} (${s.code})`));
          else if (s.state === "closed") fail(new ContinuoError("closed", "the client is closed"));
          else return;
          off();
        };
        const off = this.on("state", look);
        look(this.state);
      }),
    );
  }

  /** Ends the connection, after the requests under way were answered and positions stored, or after `graceMs`. */
  async close(graceMs = 5000): Promise<void> {
    const settled = (async () => {
      if (this.#requests.size) await new Promise<void>((done) => this.#idle.push(done));
      await Promise.all([...this.#rooms.values()].map((room) => room.saved()));
    })();
    const connected = this.state.state === "connected";
    let timer: unknown;
    const late = new Promise<void>((done) => (timer = this.#clock.setTimer(done, connected ? graceMs : 0)));
    await Promise.race([settled, late]);
    this.#clock.clearTimer(timer);
    this.#unlisten?.();
    this.#unlisten = undefined;
    this.input({ do: "close" });
    for (const room of this.#rooms.values()) room.end();
  }

  /** The room of this name; always the same object. */
  room(id: string): Room {
    let room = this.#rooms.get(id);
    if (!room) this.#rooms.set(id, (room = new Room(this, id)));
    return room;
  }

  /** Calls `listener` from now on; the function that it returns ends that. */
  on<E extends keyof ClientEvents>(event: E, listener: ClientEvents[E]): () => void {
    const all = ((this.#listeners[event] as Set<ClientEvents[E]> | undefined) ??= new Set() as never) as Set<ClientEvents[E]>;
    all.add(listener);
    return () => void all.delete(listener);
  }

  /** Sends a frame and resolves with its answer. `again`: it may be sent twice. @internal */
  request(frame: Frame, again: boolean, signal?: AbortSignal): Promise<Frame> {
    const id = `c${++this.#requestCount}`;
    return new Promise<Frame>((done, fail) => {
      if (signal?.aborted) return fail(signal.reason);
      const abort = () => {
        this.input({ do: "cancel", id });
        this.#settle(id)?.fail(signal!.reason);
      };
      signal?.addEventListener("abort", abort, { once: true });
      const end = () => signal?.removeEventListener("abort", abort);
      this.#requests.set(id, { done: (f) => (end(), done(f)), fail: (e) => (end(), fail(e)) });
      this.input({ do: "request", id, frame, again });
    });
  }

  /** @internal */
  emit<E extends keyof ClientEvents>(event: E, ...args: Parameters<ClientEvents[E]>): void {
    const all = this.#listeners[event];
    if (event === "error" && !all?.size) console.error("continuo:", args[0]);
    if (!all) return;
    for (const listener of [...all]) {
      try {
        (listener as (...a: unknown[]) => void)(...args);
      } catch (e) {
        // A listener for errors that throws has nobody left to tell.
        if (event === "error") console.error("continuo:", e);
        else this.emit("error", toError(e));
      }
    }
  }

  /** Feeds the session. Inputs that arise while effects are carried out wait for their turn. @internal */
  input(input: Input): void {
    this.#inputs.push(input);
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (let next; (next = this.#inputs.shift()); ) {
        for (const effect of this.#session.step(next, this.#clock.now(), (this.#options.random ?? Math.random)())) this.#carryOut(effect);
      }
    } finally {
      this.#busy = false;
    }
  }

  #carryOut(effect: Effect): void {
    switch (effect.do) {
      case "deliver":
        return this.room(effect.room).deliver(effect.frame as never);
      case "cursor":
        return this.room(effect.room).moved({ stream_id: effect.stream_id, event_id: effect.event_id });
      case "timer":
        return this.#arm(effect.in_ms);
      case "send":
        this.emit("frame", "out", effect.frame);
        return this.#link?.send(JSON.stringify(effect.frame));
      case "answer":
        return this.#settle(effect.id)?.done(effect.frame);
      case "failed":
        return this.#settle(effect.id)?.fail(new ContinuoError(effect.code, effect.message, effect.retryable, effect.version));
      case "want_token":
        return void this.#askToken();
      case "dial":
        return this.#dial(effect.token);
      case "hang_up":
        this.#link?.close(effect.code);
        this.#link = undefined;
        return;
      case "fetch_snapshot":
        return void this.#fetchSnapshot(effect);
      case "state": {
        const { do: _, ...state } = effect;
        return this.emit("state", (this.state = state as ClientState));
      }
      case "room": {
        const { do: _, room: id, ...state } = effect;
        const room = this.room(id);
        room.changed(state as RoomState);
        return this.emit("room", room, room.state);
      }
      case "warn":
        return this.emit("warning", effect.message);
    }
  }

  #settle(id: string) {
    const request = this.#requests.get(id);
    this.#requests.delete(id);
    if (!this.#requests.size) for (const done of this.#idle.splice(0)) done();
    return request;
  }

  async #askToken(): Promise<void> {
    const asked = ++this.#tokenAsked;
    const { token } = this.#options;
    if (typeof token !== "function") return this.input({ do: "token", token: token ?? null });
    try {
      const given = (await token()) ?? null;
      if (asked === this.#tokenAsked) this.input({ do: "token", token: given });
    } catch (e) {
      const error = toError(e);
      this.emit("error", error);
      if (asked === this.#tokenAsked) this.input({ do: "token_failed", message: error.message });
    }
  }

  #dial(token: string | null): void {
    this.#link?.close(1000);
    this.#token = token;
    const link = dial(this.#base, token, this.#socketClass(), this.#fetch(), {
      opened: () => current() && this.input({ do: "opened" }),
      text: (text) => current() && this.#read(text),
      closed: (code) => current() && this.input({ do: "closed", code }),
      refused: (status, retry_after_ms) => current() && this.input({ do: "refused", status, retry_after_ms }),
    });
    const current = () => this.#link === link;
    this.#link = link;
  }

  #read(text: unknown): void {
    const decoded = decode(text);
    if ("frame" in decoded) {
      this.emit("frame", "in", decoded.frame);
      this.input({ do: "frame", frame: decoded.frame });
    } else if ("malformed" in decoded) this.input({ do: "malformed", message: decoded.malformed });
  }

  /** One platform timer: a later time only moves its due time, so that not every frame sets a new one. */
  #arm(in_ms: number | null): void {
    if (in_ms === null) {
      if (this.#timer) this.#clock.clearTimer(this.#timer.handle);
      this.#timer = undefined;
      return;
    }
    const due = this.#clock.now() + in_ms;
    if (this.#timer && this.#timer.at <= due) {
      this.#timer.due = due;
      return;
    }
    if (this.#timer) this.#clock.clearTimer(this.#timer.handle);
    this.#timer = { due, at: due, handle: this.#clock.setTimer(() => this.#wake(), in_ms) };
  }

  #wake(): void {
    const left = this.#timer!.due - this.#clock.now();
    this.#timer = undefined;
    if (left > 0) this.#arm(Math.ceil(left));
    else this.input({ do: "timer" });
  }

  async #fetchSnapshot(effect: Effect & { do: "fetch_snapshot" }): Promise<void> {
    const room = this.room(effect.room);
    const { reason, stream_id, event_id } = effect;
    const wanted = room.wantSnapshot();
    try {
      const required = { room_id: effect.room, reason, stream_id, event_id, url: new URL(effect.url ?? `${this.#base.pathname.replace(/\/$/, "")}/rooms/${encodeURIComponent(effect.room)}/snapshot`, this.#base).href };
      const loaded = this.#options.snapshot
        ? await this.#options.snapshot(required)
        : await loadSnapshot(required.url, this.#base, this.#token, this.#fetch(), wanted.signal);
      if (!wanted.signal.aborted) room.handOver({ ...loaded, kind: "room.snapshot", room_id: effect.room, reason } as never, wanted);
    } catch (e) {
      if (wanted.signal.aborted) return;
      this.emit("error", toError(e), room);
      this.input({ do: "snapshot_failed", room: effect.room });
    }
  }

  #socketClass(): SocketClass {
    const found = this.#options.WebSocket ?? (globalThis as { WebSocket?: SocketClass }).WebSocket;
    if (!found) throw new ContinuoError("no_websocket", "this platform has no WebSocket: pass one, e.g. that of the package ws, as the option WebSocket");
    return found;
  }

  #fetch(): typeof fetch {
    return this.#options.fetch ?? ((...args) => fetch(...args));
  }
}

/** The platform's news, where there is a window: its network and its visibility. */
function listenToPlatform(tell: (what: "online" | "offline" | "visible") => void): () => void {
  const { document: page, window: win } = globalThis as { document?: Document; window?: Window };
  if (!page?.addEventListener || !win?.addEventListener) return () => {};
  const online = () => tell("online");
  const offline = () => tell("offline");
  const visible = () => page.visibilityState === "visible" && tell("visible");
  win.addEventListener("online", online);
  win.addEventListener("offline", offline);
  page.addEventListener("visibilitychange", visible);
  return () => {
    win.removeEventListener("online", online);
    win.removeEventListener("offline", offline);
    page.removeEventListener("visibilitychange", visible);
  };
}

/** A promise that may be left alone: whoever does not wait for it is not told of its failure. @internal */
export function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** @internal */
export function toError(e: unknown): Error {
  return e instanceof Error ? e : new Error(String(e));
}
