// What goes over the wire and what an application sees of it. Members of frames keep their wire names.

/** Any JSON value. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** A place in a room's log: everything up to `event_id` of the log `stream_id`. */
export interface Position {
  stream_id: string;
  event_id: number;
}

/** A frame of the protocol; what else it has depends on its `kind`. */
export interface Frame {
  kind: string;
  room_id?: string;
  event_id?: number;
  correlation_id?: string;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  [name: string]: any;
}

/** A message, live or from the log. */
export interface ChatMessage {
  kind: "chat.message";
  room_id: string;
  /** Absent on ephemeral messages, like `message_id`. */
  event_id?: number;
  message_id?: string;
  /** Absent when a backend published. */
  sender?: string;
  ts: number;
  text?: string;
  payload?: Json;
  /** The published name; absent for a plain message. */
  event?: string;
  key?: string;
  version?: number;
  edited_ts?: number;
  counts?: Record<string, number>;
}

/** A change of a message. An update has it whole, an append the fragment alone. */
export interface MessageChange {
  kind: "message.update" | "message.append" | "message.delete";
  room_id: string;
  event_id: number;
  message_id: string;
  version: number;
  sender?: string;
  ts: number;
  text?: string;
  payload?: Json;
  event?: string;
}

/** How many users gave each reaction to a message. */
export interface MessageReactions {
  kind: "message.reactions";
  room_id: string;
  event_id: number;
  message_id: string;
  counts: Record<string, number>;
  sender?: string;
  ts: number;
}

/** Somebody came, changed or went. */
export interface PresenceEvent {
  kind: "presence.joined" | "presence.updated" | "presence.left";
  room_id: string;
  presence_id?: number;
  user_id: string;
  info?: Json;
  cause?: string;
  ts?: number;
}

/** In rooms with many members: how many there are now. */
export interface PresenceChanged {
  kind: "presence.changed";
  room_id: string;
  presence_id?: number;
  count: number;
  ts?: number;
}

export interface Member {
  user_id: string;
  info?: Json | undefined;
}

/** The members of a room: the answer to `Room.presence`, and an event when the list is given anew. */
export interface PresenceList {
  kind: "room.presence" | "room.joined";
  room_id: string;
  members?: Member[];
  member_count?: number;
  members_truncated?: boolean;
  presence_id?: number;
}

/** The state of a room at a position, all pages as one. It replaces whatever was known before. */
export interface Snapshot {
  kind: "room.snapshot";
  room_id: string;
  stream_id: string;
  event_id: number;
  /** Why it was taken, e.g. `window_exceeded`. */
  reason?: string;
  /** The messages as they are now; absent if the application's own snapshot function gave something else. */
  items?: ChatMessage[];
  members?: Member[];
  member_count?: number;
  presence_id?: number;
}

/** What `Room.events` and `Room.onEvent` give, in order. */
export type RoomEvent = ChatMessage | MessageChange | MessageReactions | PresenceEvent | PresenceChanged | PresenceList | Snapshot;

/** The answer to a send, an edit, a delete or a reaction: it is on stable storage. */
export interface Accepted {
  event_id: number;
  message_id: string;
  version: number;
}

/** A page of `Room.history`. */
export interface HistoryPage {
  kind: "room.history";
  room_id: string;
  items: (ChatMessage | MessageChange)[];
  has_more: boolean;
  next_cursor?: string | null;
  truncated?: boolean;
}

/** The state of a client. */
export type ClientState =
  | { state: "idle" }
  | { state: "connecting"; attempt: number }
  | { state: "connected"; session_id: string; user_id: string }
  | { state: "waiting"; retry_in_ms: number; attempt: number; code: number }
  | { state: "offline" }
  | { state: "stopped"; reason: StopReason; code: number }
  | { state: "closed" };

/** Why a client stopped; only `connect` goes on. */
export type StopReason = "unauthorized" | "forbidden" | "protocol_mismatch" | "replaced" | "too_large" | "rejected";

/** The state of a room. */
export type RoomState =
  | { state: "joining" }
  | { state: "resuming"; replaying: number }
  | { state: "live"; resumed: boolean; missed: number }
  | { state: "snapshot"; reason: string }
  | { state: "behind" }
  | { state: "refused"; code: string; message: string }
  | { state: "left" };

/** How to join a room. */
export interface JoinOptions {
  /** `enter` makes you a member, `watch` only tells you of members. */
  presence?: "enter" | "watch";
  presence_data?: Json;
  /** Only messages with these event names. */
  events?: string[];
  /** Without a position: the newest messages first. */
  rewind?: { count: number } | { seconds: number };
  /** Where to go on from; else the client's cursor store is asked. */
  cursor?: Position;
}

/** What to send: `text` or `payload`. */
export interface Send {
  text?: string;
  payload?: Json;
  event?: string;
  key?: string;
  /** 128 random bits, if you give none. */
  idempotency_key?: string;
  /** To whoever is there now; it is not kept. */
  ephemeral?: boolean;
}

export interface Edit {
  text?: string;
  payload?: Json;
  if_version?: number;
  idempotency_key?: string;
}

export interface HistoryOptions {
  limit?: number;
  before?: number;
  after?: number;
  cursor?: string;
}

export interface PresenceOptions {
  at_presence_id?: number;
  at_ms?: number;
}

/** Keeps the position of each room. All methods may be asynchronous; one that fails is reported, and delivery goes on. */
export interface CursorStore {
  load(room: string): Position | null | undefined | Promise<Position | null | undefined>;
  save(room: string, position: Position): void | Promise<void>;
  delete(room: string): void | Promise<void>;
}

/** What a snapshot is needed for. */
export interface SnapshotRequired {
  room_id: string;
  reason: string;
  /** A snapshot below this position does not do. */
  stream_id: string;
  event_id: number;
  /** Absolute. */
  url: string;
}

/** The clock that a client lives by. `now` is in milliseconds and does not go back. */
export interface Clock {
  now(): number;
  setTimer(wake: () => void, ms: number): unknown;
  clearTimer(timer: unknown): void;
}

/** The part of a WebSocket that the client uses. */
export interface Socket {
  send(text: string): void;
  close(code?: number): void;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
}

/** A WebSocket class: the platform's, or that of the package ws. */
export type SocketClass = new (url: string, protocols: string[]) => Socket;

export interface ClientOptions {
  /** A token, or a function that gives one; it is asked on every attempt. null is an anonymous session. */
  token?: string | null | (() => string | null | Promise<string | null>);
  /** Where positions are kept; in memory by default. */
  cursors?: CursorStore;
  /** The name that `client.hello` gives. */
  name?: string;
  /** Loads the state of a room, instead of the pages at `url`. What it returns becomes an event, in order. */
  snapshot?: (required: SnapshotRequired) => SnapshotLike | Promise<SnapshotLike>;
  /** Events delivered and not handled before the room is `behind`; 1024 by default. */
  buffer?: number;
  /** The WebSocket class; the platform's by default. */
  WebSocket?: SocketClass;
  /** The fetch function; the platform's by default. */
  fetch?: typeof fetch;
  clock?: Clock;
  /** A number in [0, 1). */
  random?: () => number;
}

/** What a snapshot function has to return: a position, and whatever the application wants in its event. */
export type SnapshotLike = Position & { [name: string]: any };
