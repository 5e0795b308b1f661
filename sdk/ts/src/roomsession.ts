import type { Ground } from "./machine.js";
import type { Frame, JoinOptions, Position } from "./types.js";

type Options = { [O in keyof JoinOptions]?: JoinOptions[O] | undefined };

/** One room of the session: what it is joined as, how far it got, and what the application has not handled yet. */
export class RoomSession {
  /** The application wants to be in the room, and the server has not refused. */
  wanted = false;
  readonly id: string;
  readonly #ground: Ground;
  #options: Options = {};
  #state = "left";
  /** Of this connection: nothing was sent, a join is under way, we are in. */
  #phase: "out" | "asked" | "in" = "out";
  /** The id of the join that is under way; everything else of the room is of another time. */
  #asking = "";
  #stream = "";
  /** The highest event that was delivered or passed; undefined without a position. */
  #seen: number | undefined;
  #cursor: Position | undefined;
  /** The event ids that were delivered and not handled; undefined for those that move no cursor. */
  #unhandled: (number | undefined)[] = [];
  #head = 0;
  #behind = false;
  #proved = false;
  /** The join was answered by nothing that proves the position: the server will ask for a snapshot. */
  #unproven = false;
  #joinedAt = 0;
  #resuming = false;
  #resumed = false;
  #missed = 0;
  #snapshot: { reason: string; url: string | undefined; stream_id: string; event_id: number } | undefined;
  #held: Frame[] = [];
  #failures = 0;
  #snapshotFailures = 0;
  #error: Frame | undefined;

  constructor(ground: Ground, id: string) {
    this.#ground = ground;
    this.id = id;
  }

  /** Requests of the room can be sent. */
  get joined(): boolean {
    return this.#phase === "in";
  }

  /** The id is that of a join that is under way. */
  asks(id: string): boolean {
    return this.#phase === "asked" && id === this.#asking;
  }

  join(options: Options): void {
    this.#options = options;
    if (this.wanted) return;
    this.wanted = true;
    this.#failures = 0;
    if (this.#seen === undefined && options.cursor) {
      this.#cursor = options.cursor;
      this.#stream = options.cursor.stream_id;
      this.#seen = options.cursor.event_id;
    }
    this.#become("joining");
    this.ask();
  }

  /** Sends the join, from the position that there is. */
  ask(): void {
    if (!this.#ground.up || !this.wanted) return;
    const { presence, presence_data, events, rewind } = this.#options;
    this.#phase = "asked";
    this.#error = undefined;
    this.#proved = this.#seen !== undefined;
    const from = this.#proved ? { resume_from: this.#seen, stream_id: this.#stream } : { rewind };
    this.#asking = this.#ground.nextId();
    this.#ground.send({ kind: "client.join", room_id: this.id, correlation_id: this.#asking, ...from, presence, presence_data, events });
  }

  /** The room is not wanted any more, and will be forgotten. */
  leave(): void {
    this.wanted = false;
    this.#become("left");
    if (this.#phase !== "out") this.#sendLeave();
    this.#out();
  }

  /** The connection is gone. */
  lost(): void {
    this.#out();
    if (this.wanted) this.#become("joining");
  }

  #out(): void {
    if (this.#phase === "in" && this.#ground.now - this.#joinedAt >= 10_000) this.#failures = 0;
    this.#phase = "out";
    this.#reset();
  }

  #reset(): void {
    this.#behind = this.#resuming = this.#unproven = false;
    this.#snapshot = undefined;
    this.#held = [];
    this.#ground.forget(this);
  }

  #sendLeave(): void {
    this.#ground.send({ kind: "client.leave", room_id: this.id, correlation_id: this.#ground.nextId() });
  }

  /** Leaves and joins from the position that there is. */
  #rejoin(): void {
    this.#out();
    this.#become("joining");
    this.#sendLeave();
    this.ask();
  }

  frame(frame: Frame): void {
    if (this.#phase === "asked") return this.#answered(frame);
    if (!this.joined) return;
    switch (frame.kind) {
      case "room.joined":
        return;
      case "server.error":
        this.#error = frame;
        return;
      case "room.left":
        this.#out();
        return this.#retry(this.#error ?? { kind: "server.error", retryable: true });
      case "room.snapshot_required":
        // One that comes while behind is left to the join that will follow.
        return this.#behind && !this.#snapshot ? undefined : this.#needSnapshot(frame);
    }
    const logged = frame.event_id !== undefined;
    if (this.#behind || (logged && this.#unproven)) return;
    if (logged && this.#snapshot) this.#hold(frame);
    else this.#take(frame);
  }

  /** While a join is under way nothing but its answer counts. */
  #answered(frame: Frame): void {
    if (frame.kind === "room.joined") this.#entered(frame);
    else if (frame.kind === "server.error" && frame.correlation_id) {
      this.#phase = "out";
      this.#retry(frame);
    }
  }

  #entered(frame: Frame): void {
    this.#phase = "in";
    this.#joinedAt = this.#ground.now;
    this.#missed = 0;
    this.#resumed = !!frame.resumed;
    if (frame.resumed && this.#proved && frame.stream_id !== this.#stream) this.#needSnapshot({ ...frame, reason: "stream_reset" });
    else {
      if (!this.#proved) this.#stream = frame.stream_id!;
      this.#resuming = !!(frame.resumed || frame.replaying || this.#proved);
      this.#unproven = this.#proved && !frame.resumed;
      if (this.#resuming) this.#become("resuming", { replaying: frame.replaying ?? 0 });
      else this.#become("live", { resumed: false, missed: 0 });
    }
    if (frame.members) this.#deliver(frame);
    this.#ground.flush();
    if (this.#state === "live") this.#pass(frame.event_id);
  }

  /** Joins again after a delay, if that can help. */
  #retry(error: Frame): void {
    if (!error.retryable) {
      this.wanted = false;
      this.#become("refused", { code: error.code, message: error.message ?? "" });
      return this.#ground.flush();
    }
    this.#become("joining");
    this.#ground.wake(this, this.#ground.delay(this.#failures++, error.retry_after_ms ?? 0), () => this.ask());
  }

  /** An event, or what moves the position. */
  #take(frame: Frame): void {
    if (frame.kind === "room.resumed") {
      if (!this.#resuming) return;
      this.#resuming = false;
      this.#become("live", { resumed: this.#resumed, missed: this.#missed });
      this.#pass(frame.event_id);
    } else if (frame.kind === "room.position") this.#pass(frame.event_id);
    else this.#deliver(frame);
  }

  #deliver(frame: Frame): void {
    const id = frame.kind === "room.joined" ? undefined : frame.event_id;
    if (id !== undefined && this.#seen !== undefined && id <= this.#seen) return;
    if (this.#unhandled.length - this.#head >= this.#ground.buffer) {
      this.#behind = true;
      return this.#become("behind");
    }
    if (id !== undefined) {
      this.#seen = id;
      if (this.#resuming) this.#missed++;
    }
    this.#unhandled.push(id);
    this.#ground.out.push({ do: "deliver", room: this.id, frame });
  }

  /** The log is at this position, with nothing for us up to it. */
  #pass(event_id: number | undefined): void {
    if (event_id === undefined || event_id <= (this.#seen ?? -1)) return;
    this.#seen = event_id;
    if (this.#head === this.#unhandled.length) this.#moveCursor(event_id);
  }

  #moveCursor(event_id: number): void {
    if (this.#cursor?.stream_id !== this.#stream || this.#cursor.event_id < event_id) this.#setCursor(event_id);
  }

  #setCursor(event_id: number): void {
    this.#cursor = { stream_id: this.#stream, event_id };
    this.#ground.out.push({ do: "cursor", room: this.id, ...this.#cursor });
  }

  handled(): void {
    if (this.#head === this.#unhandled.length) return;
    const id = this.#unhandled[this.#head++];
    const empty = this.#head === this.#unhandled.length;
    if (empty || this.#head > this.#ground.buffer) {
      this.#unhandled = this.#unhandled.slice(this.#head);
      this.#head = 0;
    }
    const to = empty ? this.#seen : id;
    if (to !== undefined) this.#moveCursor(to);
    if (this.#behind && this.#unhandled.length - this.#head <= this.#ground.buffer >> 1) this.#rejoin();
  }

  #needSnapshot({ reason, snapshot_url: url, stream_id, event_id }: Frame): void {
    this.#reset();
    this.#snapshot = { reason, url, stream_id: stream_id!, event_id: event_id! };
    this.#become("snapshot", { reason });
    if (this.#snapshotFailures) this.#fetchLater();
    else this.#fetch();
  }

  #fetch(): void {
    this.#ground.out.push({ do: "fetch_snapshot", room: this.id, ...this.#snapshot! });
  }

  #fetchLater(): void {
    this.#ground.wake(this, this.#ground.delay(this.#snapshotFailures - 1), () => this.#fetch());
  }

  #hold(frame: Frame): void {
    if (frame.event_id! <= this.#snapshot!.event_id || this.#held.push(frame) <= this.#ground.buffer) return;
    this.#behind = true;
    this.#become("behind");
  }

  /** A snapshot was handed over: it is the position now. */
  snapshot({ stream_id, event_id }: Position): void {
    const wanted = this.#snapshot;
    if (!wanted) return;
    const held = this.#held;
    const fits = stream_id === wanted.stream_id && event_id >= wanted.event_id;
    this.#unhandled.fill(undefined);
    this.#stream = stream_id;
    this.#seen = event_id;
    if (this.#cursor?.stream_id !== stream_id || this.#cursor.event_id !== event_id) this.#setCursor(event_id);
    this.#snapshotFailures = fits ? 0 : this.#snapshotFailures + 1;
    if (!fits || this.#behind) return this.#rejoin();
    this.#reset();
    this.#become("live", { resumed: false, missed: 0 });
    for (const frame of held) if (!this.#behind) this.#take(frame);
  }

  snapshotFailed(): void {
    if (!this.#snapshot) return;
    this.#snapshotFailures++;
    this.#fetchLater();
  }

  #become(state: string, more: object = {}): void {
    if (state === this.#state && state === "joining") return;
    this.#state = state;
    this.#ground.out.push({ do: "room", room: this.id, state, ...more });
  }
}
