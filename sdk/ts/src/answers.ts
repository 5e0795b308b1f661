// What the HTTP API is asked for and answers, under the API's names. A newer server may answer with more members.
import type { Json } from "./types.js";

/** Where a message was put. What is ephemeral is put nowhere: the answer to it has none of these members. */
export interface Published {
  stream_id: string;
  serial: number;
  entry_id: string;
  /** The name of the message: what `mutate` takes as `message_id`. */
  message_serial: string;
  version: number;
}

/** A change that was made. */
export interface Mutated {
  channel: string;
  message_serial: string;
  action: "update" | "append" | "delete";
  accepted: true;
  version_serial: string;
  /** The serial of the message, in whose place it stays in the history. */
  history_serial: number;
  /** The serial of the change itself. */
  delivery_serial: number;
  /** The number of the version that it made. */
  version: number;
  /** `duplicate`: an earlier try with the same `op_id` had made it. */
  status: "applied" | "duplicate";
}

export type Direction = "newest_first" | "oldest_first";

/** What a history shows; bounds are inclusive. */
export interface HistoryQuery {
  limit?: number;
  /** `newest_first` by default. */
  direction?: Direction;
  /** `next_cursor` of the page before. */
  cursor?: string | null;
  start_serial?: number;
  end_serial?: number;
  start_time_ms?: number;
  end_time_ms?: number;
}

/** Which state a snapshot shows: that of now, or of one moment. */
export interface SnapshotQuery {
  limit?: number;
  /** `next_cursor` of the page before. */
  cursor?: string | null;
  /** Only messages whose key begins with it. */
  prefix?: string;
  at_serial?: number;
  at_time_ms?: number;
}

/** A moment of a presence log: a serial (0 is before the first entry), or a time. */
export interface Moment {
  at_serial?: number;
  at_time_ms?: number;
}

interface Page<Item> {
  items: Item[];
  direction: Direction;
  limit: number;
  has_more: boolean;
  next_cursor: string | null;
  /** The bounds that were asked for. */
  bounds: { start_serial: number | null; end_serial: number | null; start_time_ms: number | null; end_time_ms: number | null };
}

/** What of a stream can be read, and whether the page has all that was asked for. */
export interface Continuity {
  stream_id: string;
  /** These four are null while nothing is retained. */
  oldest_available_serial: number | null;
  newest_available_serial: number | null;
  oldest_available_published_at_ms: number | null;
  newest_available_published_at_ms: number | null;
  retained_bytes: number;
  complete: boolean;
  truncated_by_retention: boolean;
}

export interface PresenceContinuity extends Continuity {
  retained_events: number;
  /** The log could not be written for a while: transitions are missing. */
  degraded: boolean;
}

/** How a stream is. */
export interface StreamState {
  stream_id: string;
  durable_state: string;
  reset_required: boolean;
  reason: string | null;
  node_id: string | null;
  last_transition_at_ms: number | null;
  authoritative_source: string;
  observed_source: string;
}

/** A page of what was published: an item for each message and put, in its newest version. */
export interface HistoryPage extends Page<HistoryItem> {
  continuity: Continuity & { retained_messages: number };
  stream_state: StreamState & { recovery_allowed: boolean };
}

export interface HistoryItem {
  stream_id: string;
  /** The serial of the message; as a string it is what `mutate` takes as `message_id`. */
  serial: number;
  published_at_ms: number;
  /** What Pusher's clients tell repetitions by; `mutate` does not take it. */
  message_id?: string;
  event_name: string;
  /** `append` as it was published; `message.update`, `message.append` or `message.delete` when that was the last change. */
  operation_kind: string;
  payload_size_bytes: number;
  message: HistoryMessage;
}

/** A message as it is now. From `action` on the members are there when it may change, was changed, or has a key. */
export interface HistoryMessage {
  /** The published name; after a change `sockudo:message.` and the action, and the name is in `name`. */
  event: string;
  channel: string;
  /** JSON as the value that it is (text that is an object or array, too), other text as a string; absent when it was cleared. */
  data?: Json;
  name?: string;
  user_id?: string;
  tags?: { [name: string]: Json };
  extras?: { [name: string]: Json };
  message_id?: string;
  stream_id: string;
  /** The serial of the newest version. */
  serial: number;
  action?: string;
  key?: string;
  message_serial?: string;
  history_serial?: number;
  delivery_serial?: number;
  version?: MessageVersion;
  annotations?: Annotations;
}

export interface MessageVersion {
  serial: string;
  /** What `if_version` is compared with. */
  number: number;
  timestamp_ms: number;
  client_id?: string;
  description?: string;
  metadata?: Json;
}

/** The reactions to a message, by type and name. */
export interface Annotations {
  summary: { [type: string]: { [name: string]: { total: number; clientIds: string[]; clipped: boolean } } };
}

/** A page of a room's state at one serial: an item for each key, and for each message without one. */
export interface SnapshotPage {
  channel: string;
  stream_id: string;
  serial: number;
  entry_id: string;
  epoch: string;
  /** False when retention has removed messages that it should show. */
  complete: boolean;
  items: SnapshotItem[];
  has_more: boolean;
  next_cursor: string | null;
}

export interface SnapshotItem {
  key?: string;
  message_serial: string;
  version: number;
  event: string;
  /** JSON as the value that it is (text that is an object or array, too), other text as a string; absent when it was cleared. */
  data?: Json;
  user_id?: string;
  tags?: { [name: string]: Json };
  extras?: { [name: string]: Json };
  serial: number;
  history_serial: number;
  published_at_ms: number;
  updated_at_ms: number;
  annotations?: Annotations;
}

export type PresenceChange = "member_added" | "member_updated" | "member_removed";

/** A page of who came and went. */
export interface PresencePage extends Page<PresenceItem> {
  continuity: PresenceContinuity;
  stream_state: StreamState & { continuity_proven: boolean };
}

interface Transition {
  stream_id: string;
  serial: number;
  published_at_ms: number;
  event: PresenceChange;
  /** Why: `join`, `disconnect`, `timeout`, `forced_disconnect`, `orphan_cleanup` … */
  cause: string;
  user_id: string;
  connection_id: string | null;
  dead_node_id: string | null;
}

export interface PresenceItem extends Transition {
  payload_size_bytes: number;
  /** All that is known of it. */
  presence_event: Transition & {
    user_info: Json;
    /** When a server that crashed was last alive. */
    observed_at?: number;
  };
}

/** Who was there at one moment. */
export interface PresenceSnapshot {
  channel: string;
  members: PresenceMember[];
  member_count: number;
  events_replayed: number;
  /** The entry that it shows the members after; null before the first. */
  snapshot_serial: number | null;
  snapshot_time_ms: number | null;
  continuity: PresenceContinuity;
}

export interface PresenceMember {
  user_id: string;
  user_info?: Json;
  last_event: PresenceChange;
  last_event_serial: number;
  last_event_at_ms: number;
}
