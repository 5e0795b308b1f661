import type { Ground } from "./machine.js";
import type { Frame, JoinOptions, Position } from "./types.js";

type Options = { [O in keyof JoinOptions]?: JoinOptions[O] | undefined };

/** One room of the session: what it is joined as, how far it got, and what the application has not handled yet. */
export type RoomSession = ReturnType<typeof roomSession>;

export function roomSession(ground: Ground, id: string) {
  /** The application wants to be in the room, and the server has not refused. */
  let wanted = false;
  let options: Options = {};
  let state = "left";
  /** Of this connection: nothing was sent, a join is under way, we are in. */
  let phase: "out" | "asked" | "in" = "out";
  /** The id of the join that is under way; everything else of the room is of another time. */
  let asking = "";
  let joinedAt = 0;
  let failures = 0;
  /** The last error of the room that answered nothing. */
  let error: Frame | undefined;

  let stream = "";
  /** The highest event that was delivered or passed; undefined without a position. */
  let seen: number | undefined;
  let cursor: Position | undefined;
  /** The event ids that were delivered and not handled; undefined for those that move no cursor. */
  let unhandled: (number | undefined)[] = [];
  let behind = false;

  /** The join named a position. */
  let proved = false;
  /** It was answered by nothing that proves the position: the server will ask for a snapshot. */
  let unproven = false;
  let resuming = false;
  let resumed = false;
  let missed = 0;

  let snapshot: { reason: string; url: string | undefined; stream_id: string; event_id: number } | undefined;
  let snapshotFailures = 0;
  /** What came after the position of the snapshot that is loaded. */
  let held: Frame[] = [];

  function become(now: string, more?: object): void {
    if (now === state && now === "joining") return;
    state = now;
    ground.out.push({ do: "room", room: id, state, ...more });
  }

  /** Sends the join, from the position that there is. */
  function ask(): void {
    if (!ground.up || !wanted) return;
    const { presence, presence_data, events, rewind } = options;
    phase = "asked";
    error = undefined;
    proved = seen !== undefined;
    const from = proved ? { resume_from: seen, stream_id: stream } : { rewind };
    asking = ground.nextId();
    ground.send({ kind: "client.join", room_id: id, correlation_id: asking, ...from, presence, presence_data, events });
  }

  function sendLeave(): void {
    ground.send({ kind: "client.leave", room_id: id, correlation_id: ground.nextId() });
  }

  /** Not joined any more, on this connection. */
  function out(): void {
    if (phase === "in" && ground.now - joinedAt >= 10_000) failures = 0;
    phase = "out";
    reset();
  }

  function reset(): void {
    behind = resuming = unproven = false;
    snapshot = undefined;
    held = [];
    ground.forget(ask);
  }

  /** Leaves and joins from the position that there is. */
  function rejoin(): void {
    out();
    become("joining");
    sendLeave();
    ask();
  }

  /** Joins again after a delay, if that can help. */
  function retry({ retryable, code, message = "", retry_after_ms }: Frame): void {
    out();
    if (retryable) {
      become("joining");
      ground.wake(ask, ground.delay(failures++, retry_after_ms), ask);
    } else {
      wanted = false;
      become("refused", { code, message });
      ground.flush();
    }
  }

  /** The join was answered: we are in. */
  function entered(frame: Frame): void {
    phase = "in";
    joinedAt = ground.now;
    missed = 0;
    resumed = !!frame.resumed;
    if (resumed && proved && frame.stream_id !== stream) needSnapshot({ ...frame, reason: "stream_reset" });
    else {
      if (!proved) stream = frame.stream_id!;
      resuming = !!(resumed || frame.replaying || proved);
      unproven = proved && !resumed;
      if (resuming) become("resuming", { replaying: frame.replaying ?? 0 });
      else become("live", { resumed, missed });
    }
    if (frame.members) deliver(frame);
    ground.flush();
    if (state === "live") pass(frame.event_id!);
  }

  /** An event, or what moves the position. */
  function take(frame: Frame): void {
    if (frame.kind === "room.resumed") {
      if (!resuming) return;
      resuming = false;
      become("live", { resumed, missed });
      pass(frame.event_id!);
    } else if (frame.kind === "room.position") pass(frame.event_id!);
    else deliver(frame);
  }

  function deliver(frame: Frame): void {
    const event_id = frame.kind === "room.joined" ? undefined : frame.event_id;
    if (event_id !== undefined && seen !== undefined && event_id <= seen) return;
    if (unhandled.length >= ground.buffer) {
      behind = true;
      return become("behind");
    }
    if (event_id !== undefined) {
      seen = event_id;
      if (resuming) missed++;
    }
    unhandled.push(event_id);
    ground.out.push({ do: "deliver", room: id, frame });
  }

  /** The log is at this position, with nothing for us up to it. */
  function pass(event_id: number): void {
    if (seen !== undefined && event_id <= seen) return;
    seen = event_id;
    if (!unhandled.length) moveCursor(seen);
  }

  function moveCursor(event_id: number): void {
    if (cursor?.stream_id === stream && cursor.event_id === event_id) return;
    cursor = { stream_id: stream, event_id };
    ground.out.push({ do: "cursor", room: id, ...cursor });
  }

  function needSnapshot({ reason, snapshot_url: url, stream_id, event_id }: Frame): void {
    reset();
    snapshot = { reason, url, stream_id: stream_id!, event_id: event_id! };
    become("snapshot", { reason });
    if (snapshotFailures) fetchLater();
    else fetch();
  }

  function fetch(): void {
    ground.out.push({ do: "fetch_snapshot", room: id, ...snapshot! });
  }

  function fetchLater(): void {
    ground.wake(ask, ground.delay(snapshotFailures - 1), fetch);
  }

  function hold(frame: Frame): void {
    if (frame.event_id! <= snapshot!.event_id || held.push(frame) <= ground.buffer) return;
    behind = true;
    become("behind");
  }

  return {
    get wanted() {
      return wanted;
    },
    /** Requests of the room can be sent. */
    get joined() {
      return phase === "in";
    },
    /** The id is that of a join that is under way. */
    asks: (correlation: string) => phase === "asked" && correlation === asking,
    ask,

    join(input: Options): void {
      options = input;
      if (wanted) return;
      wanted = true;
      failures = 0;
      if (seen === undefined && input.cursor) {
        cursor = input.cursor;
        stream = cursor.stream_id;
        seen = cursor.event_id;
      }
      become("joining");
      ask();
    },

    /** The room is not wanted any more, and will be forgotten. */
    leave(): void {
      wanted = false;
      become("left");
      if (phase !== "out") sendLeave();
      out();
    },

    /** The connection is gone. */
    lost(): void {
      out();
      if (wanted) become("joining");
    },

    frame(frame: Frame): void {
      const { kind } = frame;
      const logged = frame.event_id !== undefined;
      if (phase === "asked") {
        // While a join is under way nothing but its answer counts.
        if (kind === "room.joined") entered(frame);
        else if (kind === "server.error" && frame.correlation_id) retry(frame);
      } else if (phase === "out" || kind === "room.joined") return;
      else if (kind === "server.error") error = frame;
      else if (kind === "room.left") retry(error ?? { kind, retryable: true });
      else if (kind === "room.snapshot_required") {
        // One that comes while behind is left to the join that will follow.
        if (!behind || snapshot) needSnapshot(frame);
      } else if (behind || (logged && unproven)) return;
      else if (logged && snapshot) hold(frame);
      else take(frame);
    },

    handled(): void {
      if (!unhandled.length) return;
      const first = unhandled.shift();
      const to = unhandled.length ? first : seen;
      if (to !== undefined) moveCursor(to);
      if (behind && unhandled.length <= ground.buffer >> 1) rejoin();
    },

    /** A snapshot was handed over: it is the position now. */
    snapshot({ stream_id, event_id }: Position): void {
      if (!snapshot) return;
      const after = held;
      const fits = stream_id === snapshot.stream_id && event_id >= snapshot.event_id;
      unhandled = unhandled.map(() => undefined);
      stream = stream_id;
      seen = event_id;
      moveCursor(event_id);
      snapshotFailures = fits ? 0 : snapshotFailures + 1;
      if (!fits || behind) return rejoin();
      reset();
      become("live", { resumed: false, missed: 0 });
      for (const frame of after) if (!behind) take(frame);
    },

    snapshotFailed(): void {
      if (!snapshot) return;
      snapshotFailures++;
      fetchLater();
    },
  };
}
