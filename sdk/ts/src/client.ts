// The client carries out what the session decides: it holds the connection, the one timer, the cursor store and the
// requests that wait for an answer.
import { ContinuoError } from "./error.js";
import type { Effect, Input } from "./machine.js";
import { Room } from "./room.js";
import { newSession } from "./session.js";
import { memoryStore } from "./stores.js";
import { below, dial, httpBase, loadSnapshot } from "./transport.js";
import type { ClientOptions, ClientState, Clock, CursorStore, Frame, RoomState, Socket, SocketClass } from "./types.js";

/** What `Client.on` can listen to. */
export interface ClientEvents {
  /** The state changed. */
  state: (state: ClientState) => void;
  /** A room's state changed. */
  room: (room: Room, state: RoomState) => void;
  /** Something odd was survived. */
  warning: (message: string) => void;
  /** A handler threw, a store or a token function failed. Without a listener it goes to `console.error`. */
  error: (error: unknown, room?: Room) => void;
  /** Every frame, for panels and logs. */
  frame: (direction: "in" | "out", frame: Frame) => void;
}

/** The library's version, as `client.hello` names it. */
export const version = "0.1.0";

const systemClock: Clock = {
  now: () => performance.now(),
  setTimer: (wake, ms) => setTimeout(wake, ms),
  clearTimer: (timer) => clearTimeout(timer as never),
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
  readonly #step: ReturnType<typeof newSession>;
  readonly #rooms = new Map<string, Room>();
  readonly #listeners = new Map<unknown, Set<(...args: any[]) => void>>();
  readonly #requests = new Map<string, { done: (frame: Frame) => void; fail: (error: Error) => void }>();
  readonly #inputs: Input[] = [];
  #busy = false;
  #requestCount = 0;
  #asked = 0;
  #token: string | null = null;
  #socket: Socket | undefined;
  #timer: unknown;
  #platform: AbortController | undefined;
  /** Called when no request waits any more. */
  #settled = () => {};

  /** `url` is the server's base, http(s) or ws(s): `http://127.0.0.1:6001`. Nothing happens until `connect`. */
  constructor(url: string | URL, options: ClientOptions = {}) {
    this.#base = httpBase(url);
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.store = options.cursors ?? memoryStore();
    this.#step = newSession(options.name ?? `continuo-ts/${version}`, options.buffer);
  }

  /** Connects, and stays connected. Resolves when connected for the first time, rejects when the client stops or is closed before. */
  connect(): Promise<void> {
    this.#socketClass();
    this.#platform ??= listenToPlatform((what) => this.input({ do: what }));
    this.input({ do: "connect" });
    return this.until(() => (this.state.state === "connected" || undefined) as void | undefined);
  }

  /** Ends the connection, after the requests under way were answered and positions stored, or after `graceMs`. Nothing connects again. */
  async close(graceMs = 5000): Promise<void> {
    let timer: unknown;
    await new Promise<void>((done) => {
      timer = this.#clock.setTimer(done, graceMs);
      this.#settled = () => void Promise.all([...this.#rooms.values()].map((room) => room.saving)).then(() => done());
      // Only who is connected, or tries to be, can still be answered.
      if (!this.#requests.size || !/^[cw]/.test(this.state.state)) this.#settled();
    });
    this.#clock.clearTimer(timer);
    this.#platform?.abort();
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
    return this.listen(event, listener);
  }

  /** The same, and for the states of one room by the room itself. @internal */
  listen(event: unknown, listener: (...args: any[]) => void): () => void {
    let all = this.#listeners.get(event);
    if (!all) this.#listeners.set(event, (all = new Set()));
    all.add(listener);
    return () => void all.delete(listener);
  }

  /** Resolves with what `look` finds, now or after a change of state, the room's too, and rejects when it throws or the client has ended. @internal */
  until<T>(look: () => T | undefined, room?: Room): Promise<T> {
    const promise = new Promise<T>((done, fail) => {
      const again = () => {
        const { state } = this;
        try {
          const found = look();
          if (state.state === "stopped" || state.state === "closed") throw new ContinuoError("reason" in state ? state.reason : "closed", `the client is ${state.state}`);
          if (found === undefined) return;
          done(found);
        } catch (e) {
          fail(e);
        }
        for (const off of offs) off();
      };
      const offs = [this.listen("state", again), this.listen(room, again)];
      again();
    });
    // Whoever does not wait for it is not told of its failure.
    promise.catch(() => {});
    return promise;
  }

  /** Sends a frame and resolves with its answer. `again`: it may be sent twice. @internal */
  request(frame: Frame, again: boolean): Promise<Frame> {
    const id = `c${++this.#requestCount}`;
    return new Promise((done, fail) => {
      frame = JSON.parse(JSON.stringify(frame)); // what is no JSON fails here
      this.#requests.set(id, { done, fail });
      this.input({ do: "request", id, frame, again });
    });
  }

  #emit(event: keyof ClientEvents | Room, ...args: unknown[]): void {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) {
      try {
        listener(...args);
      } catch (e) {
        if (event === "error") console.error(e);
        else this.report(e);
      }
    }
  }

  /** Tells of something that failed outside of this library. @internal */
  report(e: unknown, room?: Room): void {
    if (this.#listeners.get("error")?.size) this.#emit("error", e, room);
    else console.error(e);
  }

  /** Feeds the session. Inputs that arise while effects are carried out wait for their turn. @internal */
  input(input: Input): void {
    this.#inputs.push(input);
    if (this.#busy) return;
    this.#busy = true;
    for (let next; (next = this.#inputs.shift()); ) {
      if (next.do === "frame") this.#emit("frame", "in", next.frame);
      for (const effect of this.#step(next, this.#clock.now(), (this.#options.random ?? Math.random)())) this.#carryOut(effect);
    }
    this.#busy = false;
  }

  #carryOut(effect: Effect): void {
    const room = "room" in effect ? this.room(effect.room as string) : undefined;
    switch (effect.do) {
      case "deliver":
        return room!.deliver(effect.frame);
      case "cursor":
        return room!.moved(effect);
      case "timer":
        this.#clock.clearTimer(this.#timer);
        // Timers of platforms have 31 bits. The session does not mind one that comes early.
        if (effect.in_ms !== null) this.#timer = this.#clock.setTimer(() => this.input({ do: "timer" }), Math.min(effect.in_ms, 2 ** 31 - 1));
        return;
      case "send":
        this.#emit("frame", "out", effect.frame);
        return this.#socket?.send(JSON.stringify(effect.frame));
      case "answer":
        return this.#settle(effect.id)?.done(effect.frame);
      case "failed":
        return this.#settle(effect.id)?.fail(new ContinuoError(effect.code, effect.message, effect.retryable, effect.version));
      case "want_token":
        return void this.#askToken();
      case "dial":
        return this.#dial(effect.token);
      case "hang_up":
        return this.#hangUp(effect.code);
      case "fetch_snapshot":
        return void this.#fetchSnapshot(effect, room!);
      case "state": {
        const { do: _, ...state } = effect;
        this.state = state as ClientState;
        return this.#emit("state", state);
      }
      case "room": {
        const { do: _, room: _id, ...state } = effect;
        room!.changed(state as RoomState);
        this.#emit(room!, state);
        return this.#emit("room", room, state);
      }
      case "warn":
        return this.#emit("warning", effect.message);
    }
  }

  #settle(id: string) {
    const request = this.#requests.get(id);
    if (this.#requests.delete(id) && !this.#requests.size) this.#settled();
    return request;
  }

  async #askToken(): Promise<void> {
    const asked = ++this.#asked;
    const { token } = this.#options;
    let answer: Input;
    try {
      const given = (typeof token === "function" ? await token() : token) || null;
      if (given && !/^[\w.~-]+$/.test(given)) throw new TypeError("a token has a character that no token has");
      answer = { do: "token", token: given };
    } catch (e) {
      this.report(e);
      answer = { do: "token_failed", message: String(e) };
    }
    if (asked === this.#asked) this.input(answer);
  }

  #dial(token: string | null): void {
    this.#hangUp(1000);
    this.#token = token;
    const socket = dial(this.#base, token, this.#socketClass(), this.#fetch, (input) => this.#socket === socket && this.input(input));
    this.#socket = socket;
  }

  /** What the socket still says means nothing. */
  #hangUp(code: number): void {
    const socket = this.#socket;
    this.#socket = undefined;
    if (!socket) return;
    socket.onclose = null;
    socket.close(code);
  }

  async #fetchSnapshot(effect: Effect & { do: "fetch_snapshot" }, room: Room): Promise<void> {
    const { room: room_id, reason, stream_id, event_id, url: path } = effect;
    room.awaited = effect;
    try {
      const url = path === undefined ? below(this.#base, `/rooms/${encodeURIComponent(room_id)}/snapshot`) : new URL(path, this.#base);
      const loaded = this.#options.snapshot
        ? await this.#options.snapshot({ room_id, reason, stream_id, event_id, url: url.href })
        : await loadSnapshot(url, this.#base, this.#token, this.#fetch);
      if (room.awaited === effect) room.deliver((room.awaited = { ...loaded, kind: "room.snapshot", room_id, reason }));
    } catch (e) {
      if (room.awaited !== effect) return;
      this.report(e, room);
      this.input({ do: "snapshot_failed", room: room_id });
    }
  }

  #socketClass(): SocketClass {
    const found = this.#options.WebSocket ?? (globalThis as { WebSocket?: SocketClass }).WebSocket;
    if (!found) throw new ContinuoError("no_websocket", "no WebSocket here: pass one, e.g. of the package ws, as an option");
    return found;
  }

  get #fetch(): typeof fetch {
    return this.#options.fetch ?? globalThis.fetch;
  }
}

/** The platform's news, where there is a window: its network and its visibility. */
function listenToPlatform(tell: (what: "online" | "offline" | "visible") => void): AbortController {
  const { document: page, window: win } = globalThis as { document?: Document; window?: Window };
  const over = new AbortController();
  for (const what of ["online", "offline"] as const) win?.addEventListener(what, () => tell(what), over);
  page?.addEventListener("visibilitychange", () => page.visibilityState === "visible" && tell("visible"), over);
  return over;
}
