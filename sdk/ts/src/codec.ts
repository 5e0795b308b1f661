import type { Input } from "./machine.js";
import type { Frame } from "./types.js";

type Test = (value: any) => boolean | undefined;

/** The kinds, each group followed by the members that it needs. What is not here is ignored without a word. */
const needs = new Map<string, string[]>();
for (const group of (
  "server.hello session_id protocol_version,server.error code,server.reconnect server.pong server.token_expiring server.auth_ok chat.accepted message.accepted," +
  "room.joined room_id stream_id event_id,room.resumed room.position room_id event_id,room.snapshot_required room_id reason stream_id event_id," +
  "room.left room.presence chat.message room_id,room.history room_id items,message.update message.append message.delete message.reactions room_id event_id message_id," +
  "presence.joined presence.updated presence.left room_id user_id,presence.changed room_id count"
).split(",")) {
  const words = group.split(" ");
  const members = words.filter((word) => !word.includes("."));
  for (const kind of words) if (kind.includes(".")) needs.set(kind, members);
}

const isObject: Test = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isNumber: Test = (value) => Number.isSafeInteger(value) && value >= 0;
const listOf = (test: Test): Test => (value) => Array.isArray(value) && value.every((element) => isObject(element) && test(element));

/** What a member has to be, where it is there. */
const tests = new Map<string, Test>([
  ["retry", (value) => isObject(value) && !fault(value)],
  ["counts", (value) => isObject(value) && Object.values(value).every(isNumber)],
  ["members", listOf((member) => !fault(member) && member.user_id !== undefined)],
  ["items", listOf((item) => /^(chat\.message|message\.delete)$/.test(item.kind) && !fault(item))],
]);
const typed = (test: Test, members: string) => members.split(" ").forEach((member) => tests.set(member, test));
typed(
  (value) => typeof value === "string",
  "kind room_id stream_id message_id correlation_id session_id session_secret user_id sender text event key code message reason snapshot_url cause next_cursor",
);
typed(
  isNumber,
  "event_id presence_id version ts edited_ts protocol_version protocol_min protocol_max server_time heartbeat_ms after_ms retry_after_ms expires_at replaying count member_count base_ms max_ms",
);
typed((value) => typeof value === "boolean", "resumable resumed verified retryable has_more truncated members_truncated");

/** Removes members that are null, which is the same as absent, and names one that is wrong or missing. */
function fault(frame: Frame): string | undefined {
  for (const name in frame) {
    if (frame[name] === null) {
      if (name !== "payload" && name !== "info") delete frame[name];
    } else if (tests.get(name)?.(frame[name]) === false) return name;
  }
  const { kind } = frame;
  return needs.get(kind)?.find((name) => frame[name] === undefined) ?? (kind === "chat.message" && frame.event_id !== undefined && frame.message_id === undefined ? "message_id" : undefined);
}

/** Reads a text frame, for the session; gives nothing for one that is to be ignored. It never throws. */
export function decode(text: unknown): Input | undefined {
  let frame: Frame | undefined;
  try {
    frame = JSON.parse(text as string);
  } catch {
    // It is no object, then.
  }
  if (!isObject(frame) || typeof frame!.kind !== "string") return { do: "malformed", message: "no JSON object with a kind" };
  if (!needs.has(frame!.kind)) return;
  const name = fault(frame!);
  return name ? { do: "malformed", message: `${frame!.kind}: wrong or missing: ${name}` } : { do: "frame", frame: frame! };
}

/** Writes a frame. */
export const encode = (frame: Frame): string => JSON.stringify(frame);
