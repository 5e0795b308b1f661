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

/** Folds events, snapshots and pages of history into the current list of messages. */
export class MessageList {
  readonly #messages = new Map<string, Message>();
  /** The versions of messages that are not in the list and have changed: an older page may bring them. Infinity when deleted. */
  readonly #passed = new Map<string, number>();
  #sorted: Message[] | undefined;

  /** The messages in order of `message_id`. A message that changes is a new object, so that pages can compare. */
  get messages(): Message[] {
    return (this.#sorted ??= [...this.#messages.values()].sort((a, b) => Number(a.message_id) - Number(b.message_id)));
  }

  /** Applies an event; other kinds of events change nothing. */
  apply(event: RoomEvent | HistoryPage): void {
    this.#sorted = undefined;
    switch (event.kind) {
      case "chat.message":
        return this.#enter(event);
      case "message.update":
      case "message.append":
      case "message.delete":
        return this.#change(event);
      case "message.reactions": {
        const { message_id: id, counts } = event;
        const old = this.#messages.get(id);
        if (old) this.#set({ ...old, counts });
        return;
      }
      case "room.snapshot":
        this.#messages.clear();
        this.#passed.clear();
        break;
      case "room.history":
        break;
      default:
        return;
    }
    for (const item of event.items ?? []) if (item.kind === "chat.message") this.#enter(item);
  }

  #enter({ kind: _, room_id: _room, message_id: id, version = 1, ...message }: ChatMessage): void {
    const passed = this.#passed.get(id!) ?? 0;
    if (id === undefined || passed === Infinity) return;
    const old = this.#messages.get(id);
    if (old && (old.version > version || (old.version === version && !old.incomplete))) return;
    const missed = version < passed && { version: passed, incomplete: true };
    this.#set({ message_id: id, version, counts: old?.counts, ...message, ...missed } as Message);
  }

  #change({ kind, message_id: id, version, ts: edited_ts, text, payload, event }: MessageChange): void {
    const old = this.#messages.get(id);
    const gone = kind === "message.delete";
    if (gone) this.#messages.delete(id);
    if (gone || !old) this.#passed.set(id, Math.max(this.#passed.get(id) ?? 0, gone ? Infinity : version));
    else if (version > old.version) {
      if (kind === "message.append") {
        const follows = version === old.version + 1 && !old.incomplete;
        this.#set({ ...old, version, edited_ts, ...(follows ? { text: (old.text ?? "") + text } : { incomplete: true }) });
      } else this.#set({ ...old, version, edited_ts, text, payload, event: event ?? old.event, incomplete: undefined });
    }
  }

  #set(message: { [M in keyof Message]: Message[M] | undefined }): void {
    if (!Object.keys(message.counts ?? {}).length) delete message.counts;
    this.#messages.set(message.message_id!, message as Message);
  }
}
