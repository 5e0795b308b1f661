// The session: what the library does, without a socket, a clock or randomness. Everything that happens goes in through
// `step`, everything to be done comes out of it. spec/client.md is its specification.
import { type Effect, Ground, type Input } from "./machine.js";
import { Requests } from "./requests.js";
import { RoomSession } from "./roomsession.js";
import type { Frame } from "./types.js";

export type { Effect, Input } from "./machine.js";

const patience = 10_000;

/** What a close code or HTTP status says, where it is not to back off. */
const stops: Record<number, string> = {
  1000: "rejected", 1002: "rejected", 1003: "rejected", 1007: "rejected", 1008: "rejected", 1009: "too_large", 4413: "too_large",
  4403: "forbidden", 403: "forbidden", 4406: "protocol_mismatch", 4409: "replaced",
};
const tokenCodes = [4401, 401];
const longerCodes = [1013, 4301, 4302, 429, 503];

export class Session {
  readonly #ground: Ground;
  readonly #requests: Requests;
  readonly #rooms = new Map<string, RoomSession>();
  readonly #client: string;
  /** `asking`: for a token; `dialing`: until the first hello; `greeted`: until the second. */
  #phase: "idle" | "asking" | "dialing" | "greeted" | "connected" | "waiting" | "offline" | "stopped" | "closed" = "idle";
  #attempt = 0;
  #failures = 0;
  #greetedAt: number | undefined;
  #readAt = 0;
  /** A ping was sent not long ago. */
  #pinging = false;
  /** Something was read since. */
  #heard = false;
  #heartbeat = 25_000;
  /** A token was asked for, to renew the session in place. */
  #renewing = false;
  #token: string | null = null;
  /** The code that the last token was refused with. */
  #tokenRefused = 0;
  #reconnectAfter: number | undefined;
  /** It came back at once already, and was not stable since. */
  #hurried = false;
  #code = 0;
  #retryAt = 0;
  #offline = false;
  #old: { session_id?: string | undefined; session_secret?: string | undefined } = {};

  constructor(client: string, buffer = 1024) {
    this.#client = client;
    this.#ground = new Ground(buffer);
    this.#requests = new Requests(this.#ground, (frame) => this.#ready(frame));
  }

  /** `now` in milliseconds of a clock that does not go back; `random` in [0, 1). */
  step(input: Input, now: number, random: number): Effect[] {
    const ground = this.#ground;
    ground.now = now;
    ground.random = random;
    const out: Effect[] = (ground.out = []);
    if (this.#phase !== "closed" || input.do === "request") this.#take(input);
    ground.arm();
    return out;
  }

  #take(input: Input): void {
    switch (input.do) {
      case "connect":
        return this.#connect();
      case "token":
        return this.#tokenGiven(input.token);
      case "token_failed":
        return this.#noToken(input.message);
      case "opened":
        return;
      case "frame":
        return this.#hasLink() ? this.#frame(input.frame) : undefined;
      case "malformed":
        if (!this.#hasLink()) return;
        this.#heard = true;
        this.#readAt = this.#ground.now;
        this.#warn(`malformed frame: ${input.message}`);
        return;
      case "refused":
        return this.#phase === "dialing" ? this.#lose(input.status ?? 0, input.retry_after_ms) : undefined;
      case "closed":
        return this.#hasLink() ? this.#lose(input.code) : undefined;
      case "timer":
        return this.#ground.fire();
      case "offline":
      case "online":
      case "visible":
        return this.#platform(input.do);
      case "join":
        return this.#join(input);
      case "leave":
        this.#rooms.get(input.room)?.leave();
        this.#rooms.delete(input.room);
        return this.#requests.flush();
      case "request":
        if (this.#phase === "stopped" || this.#phase === "closed") {
          this.#ground.out.push({ do: "failed", id: input.id, code: "closed", message: "the client does not go on", retryable: false });
        } else this.#requests.add(input.id, input.frame, input.again);
        return;
      case "cancel":
        return this.#requests.cancel(input.id);
      case "handled":
        return this.#rooms.get(input.room)?.handled();
      case "snapshot":
        this.#rooms.get(input.room)?.snapshot(input);
        return;
      case "snapshot_failed":
        return this.#rooms.get(input.room)?.snapshotFailed();
      case "close":
        return this.#close();
    }
  }

  #connect(): void {
    if (this.#phase === "idle" || this.#phase === "stopped") this.#attempt = this.#failures = this.#tokenRefused = 0;
    else if (this.#phase !== "waiting" && this.#phase !== "offline") return;
    this.#attemptNow();
  }

  #attemptNow(): void {
    this.#phase = "asking";
    this.#ground.forget("retry");
    this.#state("connecting", { attempt: ++this.#attempt });
    this.#roomsLost();
    this.#ground.out.push({ do: "want_token" });
  }

  #tokenGiven(token: string | null): void {
    if (this.#renewing) {
      this.#renewing = false;
      if (token === null) return;
      this.#token = token;
      return this.#ground.send({ kind: "client.auth", correlation_id: this.#ground.nextId(), token });
    }
    if (this.#phase !== "asking") return;
    if (this.#tokenRefused && (token === null || token === this.#token)) return this.#stop("unauthorized", this.#tokenRefused);
    this.#token = token;
    this.#phase = "dialing";
    this.#ground.wake("hello", patience, () => this.#hangUp());
    this.#ground.out.push({ do: "dial", token });
  }

  #noToken(message: string): void {
    if (!this.#renewing && this.#phase !== "asking") return;
    this.#warn(`no token: ${message}`);
    if (this.#renewing) this.#renewing = false;
    else this.#lose(0);
  }

  #frame(frame: Frame): void {
    if (frame.kind === "server.hello") return this.#hello(frame);
    if (frame.kind === "server.error" && frame.correlation_id === undefined) this.#complain(frame);
    if (!this.#ground.up) return;
    this.#heard = true;
    this.#readAt = this.#ground.now;
    switch (frame.kind) {
      case "server.token_expiring":
        if (this.#renewing) return;
        this.#renewing = true;
        this.#ground.out.push({ do: "want_token" });
        return;
      case "server.reconnect":
        this.#reconnectAfter = frame.after_ms ?? 0;
        return;
    }
    if (this.#requests.answer(frame)) return;
    const room = this.#rooms.get(frame.room_id!);
    const { kind, correlation_id: id } = frame;
    if (kind === "server.error" && id !== undefined && !room?.asks(id)) this.#complain(frame);
    // What answers a request that nobody waits for any more is nothing for a room.
    else if ((id === undefined || room?.asks(id)) && !/accepted|history/.test(kind)) room?.frame(frame);
  }

  #hello(frame: Frame): void {
    this.#heard = true;
    this.#readAt = this.#ground.now;
    if (this.#phase === "dialing") return this.#firstHello(frame);
    if (this.#phase !== "greeted") return;
    this.#phase = "connected";
    this.#ground.connected = true;
    this.#tokenRefused = 0;
    this.#old = { session_id: frame.session_id, session_secret: frame.session_secret };
    this.#state("connected", { session_id: frame.session_id, user_id: frame.user_id });
    this.#requests.flush();
  }

  #firstHello(frame: Frame): void {
    const ground = this.#ground;
    ground.forget("hello");
    const { protocol_version, protocol_min = protocol_version, protocol_max = protocol_version } = frame;
    if (protocol_min > 1 || protocol_max < 1) {
      ground.out.push({ do: "hang_up", code: 1000 });
      return this.#stop("protocol_mismatch", 0);
    }
    const { base_ms, max_ms } = frame.retry ?? {};
    ground.base = Math.max(base_ms || 500, 100);
    ground.max = Math.max(max_ms || 30_000, ground.base);
    this.#heartbeat = Math.max(frame.heartbeat_ms || 25_000, 1000);
    this.#phase = "greeted";
    this.#greetedAt = ground.now;
    ground.up = true;
    this.#pinging = false;
    ground.wake("beat", this.#heartbeat, () => this.#beat());
    ground.send({ kind: "client.hello", protocol_version: 1, client: this.#client || undefined, ...this.#old });
    for (const room of this.#rooms.values()) room.ask();
  }

  /** Looks whether the connection lives, when its time has come. */
  #beat(): void {
    const left = this.#readAt + this.#heartbeat - this.#ground.now;
    if (this.#pinging && !this.#heard) return this.#hangUp();
    this.#pinging = false;
    if (left > 0) this.#ground.wake("beat", left, () => this.#beat());
    else this.#ping();
  }

  #ping(): void {
    if (this.#pinging) return;
    this.#pinging = true;
    this.#heard = false;
    this.#ground.send({ kind: "client.ping" });
    this.#ground.wake("beat", patience, () => this.#beat());
  }

  #hangUp(): void {
    this.#ground.out.push({ do: "hang_up", code: 4000 });
    this.#lose(0);
  }

  /** The connection, or the attempt to have one, has ended with this close code or HTTP status, 0 if neither. */
  #lose(code: number, least = 0): void {
    const { now } = this.#ground;
    if (this.#greetedAt !== undefined && now - this.#greetedAt >= patience) {
      this.#failures = this.#attempt = 0;
      this.#hurried = false;
    }
    this.#code = code;
    const reconnectAfter = this.#reconnectAfter;
    this.#linkGone();
    const stop = stops[code];
    if (stop) return this.#stop(stop, code);
    if (tokenCodes.includes(code)) {
      if (this.#tokenRefused) return this.#stop("unauthorized", code);
      this.#tokenRefused = code;
      return this.#attemptNow();
    }
    this.#tokenRefused = 0;
    const longer = longerCodes.includes(code);
    if (longer) this.#failures = Math.max(this.#failures, 4);
    if (code === 4200 && reconnectAfter !== undefined && !this.#hurried) {
      this.#hurried = true;
      this.#wait(reconnectAfter);
    } else this.#wait(this.#ground.delay(this.#failures++, longer ? least : 0));
    this.#roomsLost();
  }

  #wait(retry_in_ms: number): void {
    if (this.#offline) return this.#rest();
    this.#phase = "waiting";
    this.#retryAt = this.#ground.now + retry_in_ms;
    this.#state("waiting", { retry_in_ms, attempt: this.#attempt + 1, code: this.#code });
    this.#ground.wake("retry", retry_in_ms, () => this.#attemptNow());
  }

  #rest(): void {
    this.#phase = "offline";
    this.#ground.forget("retry");
    this.#state("offline");
  }

  #platform(what: "offline" | "online" | "visible"): void {
    if (what !== "visible") this.#offline = what === "offline";
    if (what === "offline") {
      if (this.#phase === "waiting") this.#rest();
    } else if (this.#phase === "connected") this.#ping();
    else if (this.#phase === "waiting" || (this.#phase === "offline" && what === "online")) {
      const delay = this.#ground.delay(0);
      if (this.#phase === "offline" || this.#ground.now + delay < this.#retryAt) this.#wait(delay);
    }
  }

  #join(input: Input & { do: "join" }): void {
    let room = this.#rooms.get(input.room);
    if (!room) this.#rooms.set(input.room, (room = new RoomSession(this.#ground, input.room)));
    const { presence, presence_data, events, rewind, cursor } = input;
    room.join({ presence, presence_data, events, rewind, cursor });
  }

  /** Whether a request can be sent now. */
  #ready(frame: Frame): boolean {
    const room = frame.room_id === undefined ? undefined : this.#rooms.get(frame.room_id);
    if (frame.ephemeral) return !!room?.joined;
    return !room?.wanted || room.joined;
  }

  #hasLink(): boolean {
    return this.#phase === "dialing" || this.#phase === "greeted" || this.#phase === "connected";
  }

  #linkGone(): void {
    this.#ground.up = this.#ground.connected = this.#renewing = false;
    this.#greetedAt = this.#reconnectAfter = undefined;
    this.#ground.forget("hello", "beat", "retry");
  }

  #roomsLost(): void {
    for (const room of this.#rooms.values()) room.lost();
    this.#requests.lost();
  }

  #stop(reason: string, code: number): void {
    this.#linkGone();
    this.#phase = "stopped";
    this.#state("stopped", { reason, code });
    this.#roomsLost();
    this.#requests.end();
  }

  #close(): void {
    if (this.#hasLink()) this.#ground.out.push({ do: "hang_up", code: 1000 });
    this.#phase = "closed";
    this.#state("closed");
    this.#requests.end();
    this.#ground.forgetAll();
  }

  #complain({ code, message }: Frame): void {
    this.#warn(`${code}: ${message}`);
  }

  #warn(message: string): void {
    this.#ground.out.push({ do: "warn", message });
  }

  #state(state: string, more: object = {}): void {
    this.#ground.out.push({ do: "state", state, ...more });
  }
}
