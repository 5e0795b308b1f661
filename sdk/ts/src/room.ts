import type { Client } from "./client.js";
import { ContinuoError } from "./error.js";
import type {
  Accepted, Edit, Frame, HistoryOptions, HistoryPage, JoinOptions, Position, PresenceList, PresenceOptions, RoomEvent, RoomState, Send,
} from "./types.js";

/** A room: joined once, it stays joined over connections. Get one from `Client.room`. */
export class Room {
  /** How the room does; `describe` puts it into words. */
  state: RoomState = { state: "left" };
  /** Everything up to here was handled. */
  position: Position | null = null;
  readonly id: string;
  /** The snapshot that is wanted, or in line: an effect, then an event. @internal */
  awaited: unknown;
  /** Resolves when the position is stored. @internal */
  saving: Promise<void> | undefined;
  readonly #client: Client;
  readonly #handlers = new Set<(event: RoomEvent) => unknown>();
  #queue: RoomEvent[] = [];
  #pumping = false;
  #iterator: { wake?: () => void; over?: true } | undefined;
  #joins = 0;
  #leaves = 0;
  #unsaved: Position | undefined;

  /** @internal */
  constructor(client: Client, id: string) {
    this.#client = client;
    this.id = id;
  }

  /**
   * Joins, and stays joined until `leave`. Resolves with the room's state when the server has let us in, rejects when
   * it has refused, or when the client stops. Joining again only changes the options for the next connection.
   */
  join(options: JoinOptions = {}): Promise<RoomState> {
    const promise = this.#join(options);
    promise.catch(() => {});
    return promise;
  }

  async #join(options: JoinOptions): Promise<RoomState> {
    const join = ++this.#joins;
    options = JSON.parse(JSON.stringify(options)); // what is no JSON fails here
    const left = () => new ContinuoError("left", "the room was left");
    try {
      this.position = options.cursor ?? this.position ?? (await this.#client.store.load(this.id)) ?? null;
    } catch (e) {
      this.#client.report(e, this);
    }
    if (join !== this.#joins) throw left();
    this.#client.input({ do: "join", room: this.id, ...options, ...(this.position && { cursor: this.position }) });
    return this.#client.until(() => {
      const { state } = this;
      if (state.state === "refused") throw new ContinuoError(state.code, state.message);
      if (join !== this.#joins) throw left();
      return state.state === "joining" ? undefined : state;
    }, this);
  }

  /** Leaves. What was delivered and not yet handled is dropped. */
  leave(): void {
    this.#joins++;
    this.#leaves++;
    this.#queue = [];
    this.end();
    this.#client.input({ do: "leave", room: this.id });
  }

  /** No further event will come: the iterator ends behind what is queued. @internal */
  end(): void {
    if (!this.#iterator) return;
    this.#iterator.over = true;
    this.#iterator.wake?.();
  }

  /** Sends a message; resolves when it is on stable storage (an ephemeral one: when the server has it). */
  send(message: string | Send): Promise<Accepted> {
    return this.#write("chat.send", asObject(message));
  }

  /** Replaces a message's text or payload. */
  edit(message_id: string, change: string | Edit): Promise<Accepted> {
    return this.#write("message.update", { ...asObject(change), message_id });
  }

  /** Adds to a message's text. */
  append(message_id: string, text: string): Promise<Accepted> {
    return this.#write("message.append", { message_id, text });
  }

  delete(message_id: string, options: { if_version?: number } = {}): Promise<Accepted> {
    return this.#write("message.delete", { message_id, ...options });
  }

  react(message_id: string, name: string): Promise<Accepted> {
    return this.#write("message.react", { message_id, name });
  }

  unreact(message_id: string, name: string): Promise<Accepted> {
    return this.#write("message.unreact", { message_id, name });
  }

  /** A page of what was said: newest first, with `after` oldest first. */
  history(options: HistoryOptions = {}): Promise<HistoryPage> {
    return this.#ask("client.history", options);
  }

  /** Who is there, or was. */
  presence(options: PresenceOptions = {}): Promise<PresenceList> {
    return this.#ask("client.presence", options);
  }

  /**
   * Calls `handler` for every event, in order, and waits for the promise that it may return; then the event counts as
   * handled and the position moves. The function that it returns ends that.
   */
  onEvent(handler: (event: RoomEvent) => unknown): () => void {
    this.#free(this.#iterator);
    this.#handlers.add(handler);
    void this.#pump();
    return () => void this.#handlers.delete(handler);
  }

  /** Calls `listener` on every change of state. */
  onState(listener: (state: RoomState) => void): () => void {
    return this.#client.listen(this, listener);
  }

  /**
   * The events as an iterator; an event counts as handled when the next one is asked for, or the loop ends. What is not
   * asked for waits, here and then at the server. There may be one at a time, and no handler beside it.
   */
  async *events(): AsyncGenerator<RoomEvent, void, void> {
    this.#free(this.#iterator || this.#handlers.size);
    const iterator: { wake?: () => void; over?: true } = (this.#iterator = {});
    try {
      for (;;) {
        const event = this.#queue.shift();
        if (event) {
          const leaves = this.#leaves;
          try {
            yield event;
          } finally {
            this.#handled(event, leaves);
          }
        } else if (iterator.over) return;
        else await new Promise<void>((wake) => (iterator.wake = wake));
      }
    } finally {
      this.#iterator = undefined;
    }
  }

  /** Events go to handlers or to one iterator. */
  #free(taken: unknown): void {
    if (taken) throw new ContinuoError("busy", "the room's events are taken already");
  }

  #write(kind: string, message: Send & { message_id?: string; name?: string }): Promise<Accepted> {
    return this.#ask(kind, message.ephemeral ? message : { idempotency_key: randomKey(), ...message }, !message.ephemeral);
  }

  /** `again`: it may be sent twice. */
  #ask(kind: string, members: object, again = true): Promise<any> {
    return this.#client.request({ ...members, kind, room_id: this.id }, again);
  }

  /** Puts an event in line. @internal */
  deliver(event: Frame): void {
    this.#queue.push(event as RoomEvent);
    this.#iterator?.wake?.();
    void this.#pump();
  }

  /** What was handled after its room was left concerns nobody any more. */
  #handled(event: RoomEvent, leaves: number): void {
    const { id: room } = this;
    if (leaves !== this.#leaves) return;
    if (event.kind !== "room.snapshot") this.#client.input({ do: "handled", room });
    else if (event === this.awaited) this.#client.input({ do: "snapshot", room, stream_id: event.stream_id, event_id: event.event_id });
  }

  /** @internal */
  changed(state: RoomState): void {
    this.state = state;
    if (!["joining", "refused", "left"].includes(state.state)) return;
    // A snapshot that a new connection has overtaken is not handed over: what it is a snapshot of will be asked for anew.
    this.#queue = this.#queue.filter((event) => event !== this.awaited);
    this.awaited = undefined;
  }

  /** The position moved: it is stored, one write at a time, the newest last. @internal */
  moved({ stream_id, event_id }: Position): void {
    this.position = this.#unsaved = { stream_id, event_id };
    this.saving ??= this.#save();
  }

  async #save(): Promise<void> {
    for (let position; (position = this.#unsaved); ) {
      this.#unsaved = undefined;
      try {
        await this.#client.store.save(this.id, position);
      } catch (e) {
        this.#client.report(e, this);
      }
    }
    this.saving = undefined;
  }

  async #pump(): Promise<void> {
    if (this.#pumping) return;
    this.#pumping = true;
    for (let event; this.#handlers.size && (event = this.#queue.shift()); ) {
      const leaves = this.#leaves;
      for (const handler of [...this.#handlers]) {
        try {
          const result = handler(event);
          if (result instanceof Promise) await result;
        } catch (e) {
          this.#client.report(e, this);
        }
      }
      this.#handled(event, leaves);
    }
    this.#pumping = false;
  }
}

const asObject = <T extends object>(message: string | T): T => (typeof message === "string" ? ({ text: message } as never) : message);

/** 128 random bits. */
const randomKey = () => crypto.getRandomValues(new Uint32Array(4)).join("-");
