import { type Client, quiet, toError } from "./client.js";
import { ContinuoError } from "./error.js";
import type {
  Accepted, Edit, Frame, HistoryOptions, HistoryPage, JoinOptions, Position, PresenceList, PresenceOptions, RoomEvent, RoomState, Send,
} from "./types.js";

/** What waits for the application: an event, and what to do once it was handled. */
interface Item {
  event: RoomEvent;
  handled: () => void;
}

/** A room: joined once, it stays joined over connections. Get one from `Client.room`. */
export class Room {
  /** How the room does; `describe` puts it into words. */
  state: RoomState = { state: "left" };
  /** Everything up to here was handled. */
  position: Position | null = null;
  readonly id: string;
  readonly #client: Client;
  readonly #handlers = new Set<(event: RoomEvent) => unknown>();
  readonly #listeners = new Set<(state: RoomState) => void>();
  #queue: Item[] = [];
  #head = 0;
  #pumping = false;
  #iterator: { wake?: () => void; over?: true } | undefined;
  #snapshot: AbortController | undefined;
  #joins = 0;
  #saving: Promise<void> | undefined;
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
    return quiet(this.#join(options));
  }

  async #join(options: JoinOptions): Promise<RoomState> {
    const join = ++this.#joins;
    let cursor = options.cursor ?? this.position;
    if (!cursor) {
      try {
        cursor = (await this.#client.store.load(this.id)) ?? null;
      } catch (e) {
        this.#client.emit("error", toError(e), this);
      }
      if (join !== this.#joins) throw new ContinuoError("left", "the room was left, or joined again");
    }
    this.position = cursor;
    const { presence, presence_data, events, rewind } = options;
    this.#client.input({ do: "join", room: this.id, presence, presence_data, events, rewind, cursor: cursor ?? undefined });
    return new Promise((done, fail) => {
      const look = () => {
        const client = this.#client.state;
        if (this.state.state === "refused") fail(new ContinuoError(this.state.code, this.state.message));
        else if (this.state.state === "left") fail(new ContinuoError("left", "the room was left"));
        else if (client.state === "stopped" || client.state === "closed") fail(new ContinuoError("closed", `the client is ${client.state}`));
        else if (this.state.state !== "joining") done(this.state);
        else return;
        for (const off of offs) off();
      };
      const offs = [this.onState(look), this.#client.on("state", look)];
      look();
    });
  }

  /** Leaves. What was delivered and not yet handled is dropped. */
  leave(): void {
    this.#joins++;
    this.#queue = [];
    this.#head = 0;
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
  async send(message: string | Send, signal?: AbortSignal): Promise<Accepted> {
    const send = typeof message === "string" ? { text: message } : message;
    return this.#write("chat.send", send, signal);
  }

  /** Replaces a message's text or payload. */
  async edit(message_id: string, change: string | Edit, signal?: AbortSignal): Promise<Accepted> {
    return this.#write("message.update", { message_id, ...(typeof change === "string" ? { text: change } : change) }, signal);
  }

  /** Adds to a message's text. */
  async append(message_id: string, text: string, signal?: AbortSignal): Promise<Accepted> {
    return this.#write("message.append", { message_id, text }, signal);
  }

  async delete(message_id: string, options: { if_version?: number } = {}, signal?: AbortSignal): Promise<Accepted> {
    return this.#write("message.delete", { message_id, ...options }, signal);
  }

  async react(message_id: string, name: string, signal?: AbortSignal): Promise<Accepted> {
    return this.#write("message.react", { message_id, name }, signal);
  }

  async unreact(message_id: string, name: string, signal?: AbortSignal): Promise<Accepted> {
    return this.#write("message.unreact", { message_id, name }, signal);
  }

  /** A page of what was said: newest first, with `after` oldest first. */
  async history(options: HistoryOptions = {}, signal?: AbortSignal): Promise<HistoryPage> {
    return (await this.#ask("client.history", options, true, signal)) as HistoryPage;
  }

  /** Who is there, or was. */
  async presence(options: PresenceOptions = {}, signal?: AbortSignal): Promise<PresenceList> {
    return (await this.#ask("client.presence", options, true, signal)) as PresenceList;
  }

  /**
   * Calls `handler` for every event, in order, and waits for the promise that it may return; then the event counts as
   * handled and the position moves. The function that it returns ends that.
   */
  onEvent(handler: (event: RoomEvent) => unknown): () => void {
    if (this.#iterator) throw new Error(`the events of room ${this.id} go to an iterator`);
    this.#handlers.add(handler);
    void this.#pump();
    return () => void this.#handlers.delete(handler);
  }

  /** Calls `listener` on every change of state. */
  onState(listener: (state: RoomState) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * The events as an iterator; an event counts as handled when the next one is asked for. What is not asked for waits,
   * here and then at the server. There may be one at a time, and no handler beside it.
   */
  async *events(): AsyncGenerator<RoomEvent, void, void> {
    if (this.#iterator || this.#handlers.size) throw new Error(`the events of room ${this.id} are taken already`);
    const iterator: { wake?: () => void; over?: true } = (this.#iterator = {});
    try {
      for (;;) {
        const item = this.#take();
        if (item) {
          yield item.event;
          item.handled();
        } else if (iterator.over) return;
        else await new Promise<void>((wake) => (iterator.wake = wake));
      }
    } finally {
      this.#iterator = undefined;
    }
  }

  async #write(kind: string, members: Send & { message_id?: string; name?: string }, signal?: AbortSignal): Promise<Accepted> {
    const key = members.ephemeral ? undefined : (members.idempotency_key ?? randomKey());
    const frame = key === undefined ? members : { ...members, idempotency_key: key };
    const { event_id, message_id, version } = await this.#ask(kind, frame, key !== undefined, signal);
    return { event_id: event_id!, message_id, version };
  }

  #ask(kind: string, members: object, again: boolean, signal?: AbortSignal): Promise<Frame> {
    return this.#client.request({ kind, room_id: this.id, ...members }, again, signal);
  }

  /** @internal */
  deliver(event: RoomEvent): void {
    this.#enqueue({ event, handled: this.#eventHandled });
  }

  readonly #eventHandled = () => this.#client.input({ do: "handled", room: this.id });

  /** A snapshot is wanted; one that was wanted before is not any more. @internal */
  wantSnapshot(): AbortController {
    this.#snapshot?.abort();
    return (this.#snapshot = new AbortController());
  }

  /** Puts a snapshot in line, behind the events that came before it. @internal */
  handOver(event: RoomEvent & { kind: "room.snapshot" }, wanted: AbortController): void {
    const { stream_id, event_id } = event;
    this.#enqueue({
      event,
      handled: () => {
        if (!wanted.signal.aborted) this.#client.input({ do: "snapshot", room: this.id, stream_id, event_id });
      },
    });
  }

  /** @internal */
  changed(state: RoomState): void {
    this.state = state;
    if (["joining", "refused", "left"].includes(state.state)) this.#forgetSnapshot();
    for (const listener of [...this.#listeners]) {
      try {
        listener(state);
      } catch (e) {
        this.#client.emit("error", toError(e), this);
      }
    }
  }

  /** A snapshot that was overtaken by a new connection must not be handed over: events after it may be queued before it. */
  #forgetSnapshot(): void {
    if (!this.#snapshot) return;
    this.#snapshot.abort();
    this.#snapshot = undefined;
    this.#queue = this.#queue.slice(this.#head).filter((item) => item.event.kind !== "room.snapshot");
    this.#head = 0;
  }

  /** The position moved: it is stored, one write at a time, the newest last. @internal */
  moved(position: Position): void {
    this.position = position;
    this.#unsaved = position;
    if (this.#saving) return;
    const saving = this.#save();
    if (saving) this.#saving = saving.finally(() => (this.#saving = undefined));
  }

  /** Stores until nothing is left; a promise only if the store gave one. */
  #save(): Promise<void> | undefined {
    const position = this.#unsaved;
    if (!position) return;
    this.#unsaved = undefined;
    try {
      const saved = this.#client.store.save(this.id, position);
      if (!saved) return;
      return saved.catch((e) => this.#client.emit("error", toError(e), this)).then(() => this.#save());
    } catch (e) {
      this.#client.emit("error", toError(e), this);
    }
  }

  /** Resolves when the position is stored. @internal */
  async saved(): Promise<void> {
    await this.#saving;
  }

  #enqueue(item: Item): void {
    this.#queue.push(item);
    this.#iterator?.wake?.();
    void this.#pump();
  }

  #take(): Item | undefined {
    const item = this.#queue[this.#head];
    if (!item) return;
    this.#queue[this.#head++] = undefined as never;
    if (this.#head === this.#queue.length || this.#head > 1024) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  async #pump(): Promise<void> {
    if (this.#pumping) return;
    this.#pumping = true;
    for (let item; this.#handlers.size && (item = this.#take()); ) {
      for (const handler of [...this.#handlers]) {
        try {
          const result = handler(item.event);
          if (result instanceof Promise) await result;
        } catch (e) {
          this.#client.emit("error", toError(e), this);
        }
      }
      item.handled();
    }
    this.#pumping = false;
  }
}

/** 128 random bits. */
function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
