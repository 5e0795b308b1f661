import type { Member, RoomEvent } from "./types.js";

/** Folds events into the list of a room's members. */
export class MemberList {
  /** How many members there are; in large rooms more than `members` has. */
  count = 0;
  readonly #members = new Map<string, Member>();

  /** The members in order of `user_id`. */
  get members(): Member[] {
    return [...this.#members.values()].sort((a, b) => (a.user_id < b.user_id ? -1 : 1));
  }

  /** Applies an event; other kinds of events change nothing. */
  apply(event: RoomEvent): void {
    switch (event.kind) {
      case "room.joined":
      case "room.presence":
        if (!event.members) return;
        this.#members.clear();
        for (const { user_id, info } of event.members) this.#set(user_id, info);
        this.count = event.member_count ?? this.#members.size;
        return;
      case "presence.joined":
      case "presence.updated":
        if (!this.#members.has(event.user_id) && event.kind === "presence.joined") this.count++;
        return this.#set(event.user_id, event.info);
      case "presence.left":
        if (this.count > this.#members.size || this.#members.has(event.user_id)) this.count--;
        this.#members.delete(event.user_id);
        return;
      case "presence.changed":
        this.count = event.count;
    }
  }

  #set(user_id: string, info: Member["info"]): void {
    this.#members.set(user_id, { user_id, info });
  }
}
