import type { ChatMessage, HistoryPage, Json, MessageChange, RoomEvent } from "./types.js";

/** A message as it is now. */
export interface Message {
  message_id: string;
  event_id: number;
  sender?: string;
  ts: number;
  text?: string;
  payload?: Json;
  event?: string;
  key?: string;
  version: number;
  edited_ts?: number;
  counts?: Record<string, number>;
  /** A part of the text was missed: it is not known until the message comes whole. */
  incomplete?: boolean;
}

const kept = ["message_id", "event_id", "sender", "ts", "text", "payload", "event", "key", "version", "edited_ts", "counts"] as const;

/** Folds events, snapshots and pages of history into the current list of messages. */
export class MessageList {
  readonly #messages = new Map<string, Message>();
  #sorted: Message[] | undefined = [];

  /** The messages in order of `message_id`. A message that changes is a new object, so that pages can compare. */
  get messages(): Message[] {
    return (this.#sorted ??= [...this.#messages.values()].sort((a, b) => Number(a.message_id) - Number(b.message_id)));
  }

  /** Applies an event; other kinds of events change nothing. */
  apply(event: RoomEvent | HistoryPage): void {
    switch (event.kind) {
      case "chat.message":
        return this.#enter(event);
      case "message.update":
        return this.#update(event);
      case "message.append":
        return this.#append(event);
      case "message.delete":
        if (this.#messages.delete(event.message_id)) this.#sorted = undefined;
        return;
      case "message.reactions":
        return this.#change(event.message_id, { counts: event.counts });
      case "room.snapshot":
        this.#messages.clear();
        this.#sorted = undefined;
        return event.items?.forEach((m) => this.#enter(m));
      case "room.history":
        for (const item of event.items) if (item.kind === "chat.message") this.#enter(item);
    }
  }

  #enter(message: ChatMessage): void {
    const { message_id: id, version = 1 } = message;
    if (id === undefined) return;
    const old = this.#messages.get(id);
    if (old && old.version >= version && !(old.incomplete && old.version === version)) return;
    const entered: Record<string, unknown> = {};
    for (const name of kept) if (message[name] !== undefined && message[name] !== null) entered[name] = message[name];
    this.#set({ ...entered, version } as Message);
  }

  #update(change: MessageChange): void {
    const old = this.#messages.get(change.message_id);
    if (!old || change.version <= old.version) return;
    const { text: _t, payload: _p, incomplete: _i, ...rest } = old;
    const { text, payload, version } = change;
    this.#set({ ...rest, ...(text !== undefined && { text }), ...(payload !== undefined && { payload }), version, edited_ts: change.ts });
  }

  #append({ message_id, version, text, ts }: MessageChange): void {
    const old = this.#messages.get(message_id);
    if (!old || version <= old.version) return;
    if (version > old.version + 1 || old.incomplete) this.#change(message_id, { version, incomplete: true });
    else this.#change(message_id, { text: (old.text ?? "") + text, version, edited_ts: ts });
  }

  #change(id: string, changes: Partial<Message>): void {
    const old = this.#messages.get(id);
    if (old) this.#set({ ...old, ...changes });
  }

  #set(message: Message): void {
    this.#messages.set(message.message_id, message);
    this.#sorted = undefined;
  }
}
