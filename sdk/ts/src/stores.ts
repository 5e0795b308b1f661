import type { CursorStore, Position } from "./types.js";

/** Keeps positions for as long as the process lives. */
export function memoryStore(): CursorStore {
  const positions = new Map<string, Position>();
  return {
    load: (room) => positions.get(room),
    save: (room, position) => void positions.set(room, position),
    delete: (room) => void positions.delete(room),
  };
}

/** The part of localStorage that is used. */
export interface TextStorage {
  getItem(key: string): string | null;
  setItem(key: string, text: string): void;
  removeItem(key: string): void;
}

/** Keeps positions in the browser's localStorage, under `prefix` + room. Give each user a prefix of their own. */
export function localStorageStore(prefix = "continuo:", storage: TextStorage = localStorage): CursorStore {
  return {
    load(room) {
      const text = storage.getItem(prefix + room);
      return text === null ? null : (asPosition(JSON.parse(text)) ?? null);
    },
    save: (room, position) => storage.setItem(prefix + room, JSON.stringify(position)),
    delete: (room) => storage.removeItem(prefix + room),
  };
}

/** The value as a position, if it is one. @internal */
export function asPosition(value: unknown): Position | undefined {
  const { stream_id, event_id } = (value ?? {}) as Partial<Position>;
  if (typeof stream_id === "string" && Number.isSafeInteger(event_id)) return { stream_id, event_id: event_id! };
}
