import type { Ground } from "./machine.js";
import type { Frame } from "./types.js";

const mostWaiting = 256;
const mostTries = 5;

/** Requests that wait to be sent or for their answer. `ready` tells whether there is somebody to send one to. */
export function newRequests(ground: Ground, ready: (frame: Frame) => boolean) {
  /** `tries`: how often it was sent again; `at`: when it may be sent next. */
  const open = new Map<string, { id: string; frame: Frame; again: boolean; sent: boolean; tries: number; at: number }>();

  function fail(id: string, code = "closed", message = "the client has ended", retryable = false, version?: number): void {
    cancel(id);
    ground.out.push({ do: "failed", id, code, message, retryable, version });
  }

  function cancel(id: string): void {
    ground.forget(open.get(id));
    open.delete(id);
  }

  /** Sends, in their order, those that can be sent now. */
  function flush(): void {
    if (!ground.connected) return;
    for (const request of open.values()) {
      const wait = request.at - ground.now;
      if (request.sent) continue;
      if (wait > 0) ground.wake(request, wait, flush);
      else if (ready(request.frame)) {
        request.sent = true;
        ground.send(request.frame);
      }
    }
  }

  return {
    fail,
    cancel,
    flush,

    add(id: string, frame: Frame, again: boolean): void {
      const sent = ground.connected && ready(frame);
      if (!sent) {
        if (frame.ephemeral) return fail(id, "not_connected", "an ephemeral message does not wait", true);
        if ([...open.values()].filter((other) => !other.sent).length >= mostWaiting) return fail(id, "queue_full", "too many requests wait", true);
      }
      frame = { ...frame, correlation_id: id };
      open.set(id, { id, frame, again, sent, tries: 0, at: 0 });
      if (sent) ground.send(frame);
    },

    /** A frame that may be the answer to one of them; tells whether it was. */
    answer(frame: Frame): boolean {
      const { kind, correlation_id: id, code, message = "", retryable = false, retry_after_ms, version } = frame;
      const request = open.get(id!);
      if (!request?.sent) return false;
      if (kind !== "server.error") {
        cancel(id!);
        ground.out.push({ do: "answer", id: id!, frame });
      } else if (retryable && request.again && request.tries < mostTries) {
        request.sent = false;
        request.at = ground.now + ground.delay(request.tries++, retry_after_ms);
        flush();
      } else fail(id!, code, message, retryable, version);
      return true;
    },

    /** The connection is gone: what may not be sent twice has failed, the rest waits. */
    lost(): void {
      for (const request of [...open.values()]) {
        ground.forget(request);
        if (request.sent && !request.again) fail(request.id, "outcome_unknown", "the connection was lost before the answer");
        request.sent = false;
      }
    },

    /** Nothing will be sent any more. */
    end(): void {
      for (const id of [...open.keys()]) fail(id);
    },
  };
}
