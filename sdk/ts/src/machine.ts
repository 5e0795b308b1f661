// What goes into the session and what comes out of it, and the ground that its parts share.
import type { Frame, JoinOptions, Position } from "./types.js";

/** What happened. */
export type Input =
  | { do: "connect" }
  | { do: "opened" }
  | { do: "timer" }
  | { do: "offline" }
  | { do: "online" }
  | { do: "visible" }
  | { do: "close" }
  | { do: "token"; token: string | null }
  | { do: "token_failed"; message: string }
  | { do: "malformed"; message: string }
  | { do: "frame"; frame: Frame }
  | { do: "refused"; status?: number | undefined; retry_after_ms?: number | undefined }
  | { do: "closed"; code: number }
  | ({ do: "join"; room: string } & { [O in keyof JoinOptions]?: JoinOptions[O] | undefined })
  | { do: "leave"; room: string }
  | { do: "handled"; room: string }
  | { do: "snapshot_failed"; room: string }
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
export type Ground = ReturnType<typeof newGround>;

export function newGround(buffer: number) {
  const due = new Map<unknown, { at: number; fire: () => void }>();
  let armed = Infinity;
  let changed = false;
  let ids = 0;

  const ground = {
    now: 0,
    random: 0,
    out: [] as Effect[],
    /** The server has greeted: frames may be sent. */
    up: false,
    /** It has greeted a second time: requests may be sent. */
    connected: false,
    base: 500,
    max: 30000,
    buffer,
    /** Sends the requests that can be sent now. */
    flush: (): void => {},

    send(frame: Frame): void {
      ground.out.push({ do: "send", frame });
    },

    /** The id of a frame of the session's own. */
    nextId: () => `s${++ids}`,

    /** Full jitter: the delay after n failures, but not less than `least`. */
    delay: (n: number, least = 0) => Math.max(Math.floor(ground.random * Math.min(ground.max, ground.base * 2 ** n)), least),

    /** Calls `fire` in so many milliseconds, instead of what was due for `key` before. */
    wake(key: unknown, in_ms: number, fire: () => void): void {
      due.set(key, { at: ground.now + in_ms, fire });
      changed = true;
    },

    forget(key: unknown): void {
      changed = due.delete(key) || changed;
    },

    forgetAll(): void {
      due.clear();
      changed = true;
    },

    /** The timer went off, so none is set; what is due is done. */
    fire(): void {
      armed = Infinity;
      changed = true;
      for (const [key, entry] of [...due]) {
        if (entry.at > ground.now || due.get(key) !== entry) continue;
        due.delete(key);
        entry.fire();
      }
    },

    /** Gives the timer effect, if the earliest time is another one than before. */
    arm(): void {
      if (!changed) return;
      changed = false;
      let next = Infinity;
      for (const { at } of due.values()) if (at < next) next = at;
      if (next === armed) return;
      armed = next;
      ground.out.push({ do: "timer", in_ms: next === Infinity ? null : Math.max(0, next - ground.now) });
    },
  };
  return ground;
}
