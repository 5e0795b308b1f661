import type { Ground } from "./machine.js";
import type { Frame } from "./types.js";

interface Request {
  id: string;
  frame: Frame;
  again: boolean;
  sent: boolean;
  /** How often it was sent again, and when it may be sent next. */
  tries: number;
  at: number;
}

const mostWaiting = 256;
const mostTries = 5;

/** Requests that wait to be sent or for their answer. */
export class Requests {
  readonly #ground: Ground;
  /** Whether there is somebody to send it to. */
  readonly #ready: (frame: Frame) => boolean;
  readonly #open = new Map<string, Request>();

  constructor(ground: Ground, ready: (frame: Frame) => boolean) {
    this.#ground = ground;
    this.#ready = ready;
    ground.flush = () => this.flush();
  }

  add(id: string, frame: Frame, again: boolean): void {
    const request = { id, frame: { ...frame, correlation_id: id }, again, sent: false, tries: 0, at: 0 };
    if (!this.#ground.connected || !this.#ready(frame)) {
      if (frame.ephemeral) return this.#fail(request, "not_connected", "an ephemeral message does not wait for its room to be joined", true);
      let waiting = 0;
      for (const other of this.#open.values()) if (!other.sent) waiting++;
      if (waiting >= mostWaiting) return this.#fail(request, "queue_full", `${mostWaiting} requests wait already`, true);
    }
    this.#open.set(id, request);
    this.flush();
  }

  cancel(id: string): void {
    this.#ground.forget(this.#open.get(id));
    this.#open.delete(id);
  }

  /** Sends, in their order, those that can be sent now. */
  flush(): void {
    if (!this.#ground.connected) return;
    for (const request of this.#open.values()) {
      const wait = request.at - this.#ground.now;
      if (request.sent) continue;
      if (wait > 0) this.#ground.wake(request, wait, () => this.flush());
      else if (this.#ready(request.frame)) {
        request.sent = true;
        this.#ground.send(request.frame);
      }
    }
  }

  /** A frame that may be the answer to one of them; tells whether it was. */
  answer(frame: Frame): boolean {
    const request = this.#open.get(frame.correlation_id!);
    if (!request?.sent) return false;
    if (frame.kind !== "server.error") {
      this.#open.delete(request.id);
      this.#ground.out.push({ do: "answer", id: request.id, frame });
    } else if (frame.retryable && request.again && request.tries < mostTries) {
      request.sent = false;
      request.at = this.#ground.now + this.#ground.delay(request.tries++, frame.retry_after_ms ?? 0);
      this.flush();
    } else {
      this.#open.delete(request.id);
      this.#fail(request, frame.code ?? "unknown", frame.message ?? "", !!frame.retryable, frame.version);
    }
    return true;
  }

  /** The connection is gone: what may not be sent twice has failed, the rest waits. */
  lost(): void {
    for (const request of [...this.#open.values()]) {
      this.#ground.forget(request);
      if (!request.sent) continue;
      request.sent = false;
      if (request.again) continue;
      this.#open.delete(request.id);
      this.#fail(request, "outcome_unknown", "the connection was lost before the answer", false);
    }
  }

  /** Nothing will be sent any more. */
  end(): void {
    for (const request of this.#open.values()) {
      this.#ground.forget(request);
      this.#fail(request, "closed", "the client does not go on", false);
    }
    this.#open.clear();
  }

  #fail({ id }: Request, code: string, message: string, retryable: boolean, version?: number): void {
    this.#ground.out.push({ do: "failed", id, code, message, retryable, version });
  }
}
