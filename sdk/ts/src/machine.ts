// What goes into the session and what comes out of it, and the ground that its parts share.
import type { Frame, JoinOptions, Position } from "./types.js";

/** What happened. */
export type Input =
  | { do: "connect" | "opened" | "timer" | "offline" | "online" | "visible" | "close" }
  | { do: "token"; token: string | null }
  | { do: "token_failed" | "malformed"; message: string }
  | { do: "frame"; frame: Frame }
  | { do: "refused"; status?: number | undefined; retry_after_ms?: number | undefined }
  | { do: "closed"; code: number }
  | ({ do: "join"; room: string } & { [O in keyof JoinOptions]?: JoinOptions[O] | undefined })
  | { do: "leave" | "handled" | "snapshot_failed"; room: string }
  | { do: "request"; id: string; frame: Frame; again: boolean }
  | { do: "cancel"; id: string }
  | ({ do: "snapshot"; room: string } & Position);

/** What to do about it. */
export type Effect =
  | { do: "want_token" }
  | { do: "dial"; token: string | null }
  | { do: "send"; frame: Frame }
  | { do: "hang_up"; code: number }
  | { do: "timer"; in_ms: number | null }
  | { do: "deliver"; room: string; frame: Frame }
  | ({ do: "cursor"; room: string } & Position)
  | ({ do: "fetch_snapshot"; room: string; reason: string; url?: string | undefined } & Position)
  | { do: "answer"; id: string; frame: Frame }
  | { do: "failed"; id: string; code: string; message: string; retryable: boolean; version?: number | undefined }
  | { do: "state"; state: string; [more: string]: unknown }
  | { do: "room"; room: string; state: string; [more: string]: unknown }
  | { do: "warn"; message: string };

/** What the parts of the session share while one input is worked on, and the times that something is due. */
export class Ground {
  now = 0;
  random = 0;
  out: Effect[] = [];
  /** The server has greeted: frames may be sent. */
  up = false;
  /** It has greeted a second time: requests may be sent. */
  connected = false;
  base = 500;
  max = 30000;
  readonly buffer: number;
  /** Sends the requests that can be sent now. */
  flush = (): void => {};
  readonly #due = new Map<unknown, { at: number; fire: () => void }>();
  #armed: number | undefined;
  #ids = 0;

  constructor(buffer: number) {
    this.buffer = buffer;
  }

  send(frame: Frame): void {
    this.out.push({ do: "send", frame });
  }

  /** The id of a frame of the session's own. */
  nextId(): string {
    return `s${++this.#ids}`;
  }

  /** Full jitter: the delay after n failures, but not less than `least`. */
  delay(n: number, least = 0): number {
    return Math.max(Math.floor(this.random * Math.min(this.max, this.base * 2 ** n)), least);
  }

  /** Calls `fire` in so many milliseconds, instead of what was due for `key` before. */
  wake(key: unknown, in_ms: number, fire: () => void): void {
    this.#due.set(key, { at: this.now + in_ms, fire });
  }

  forget(...keys: unknown[]): void {
    for (const key of keys) this.#due.delete(key);
  }

  forgetAll(): void {
    this.#due.clear();
  }

  /** The timer went off, so none is set; what is due is done. */
  fire(): void {
    this.#armed = undefined;
    for (const [key, { at, fire }] of [...this.#due]) {
      if (at > this.now || this.#due.get(key)?.fire !== fire) continue;
      this.#due.delete(key);
      fire();
    }
  }

  /** Gives the timer effect, if the earliest time is another one than before. */
  arm(): void {
    let next: number | undefined;
    for (const { at } of this.#due.values()) if (next === undefined || at < next) next = at;
    if (next === this.#armed) return;
    this.#armed = next;
    this.out.push({ do: "timer", in_ms: next === undefined ? null : Math.max(0, next - this.now) });
  }
}
