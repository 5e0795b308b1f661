import type { Frame } from "./types.js";

/** What a text frame turned out to be. */
export type Decoded = { frame: Frame } | { malformed: string } | { ignored: true };

type Test = (value: any) => boolean;

const words = (text: string) => text.split(" ");
const isString: Test = (value) => typeof value === "string";
const isNumber: Test = (value) => Number.isSafeInteger(value) && value >= 0;
const isBoolean: Test = (value) => typeof value === "boolean";
const isObject: Test = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const listOf = (test: Test): Test => (value) => Array.isArray(value) && value.every(test);

/** The members that each kind needs; a kind that is not here is ignored without a word. */
const needs = new Map<string, string[]>();
for (const [kinds, members] of [
  ["server.hello", "session_id protocol_version"],
  ["server.error", "code"],
  ["server.reconnect server.pong server.token_expiring server.auth_ok chat.accepted message.accepted", ""],
  ["room.joined", "room_id stream_id event_id"],
  ["room.resumed room.position", "room_id event_id"],
  ["room.snapshot_required", "room_id reason stream_id event_id"],
  ["room.left room.presence chat.message", "room_id"],
  ["room.history", "room_id items"],
  ["message.update message.append message.delete message.reactions", "room_id event_id message_id"],
  ["presence.joined presence.updated presence.left", "room_id user_id"],
  ["presence.changed", "room_id count"],
] as const) for (const kind of words(kinds)) needs.set(kind, members ? words(members) : []);

/** What a member has to be, where it is there. */
const tests = new Map<string, Test>([
  ["retry", (value) => isObject(value) && [value.base_ms, value.max_ms].every((n) => n === undefined || isNumber(n))],
  ["counts", (value) => isObject(value) && Object.values(value).every(isNumber)],
  ["members", listOf((member) => isObject(member) && isString(member.user_id))],
  ["items", listOf((item) => isObject(item) && /^(chat\.message|message\.delete)$/.test(item.kind) && !fault(item))],
]);
for (const [test, members] of [
  [isString, "kind room_id stream_id message_id correlation_id session_id session_secret user_id sender text event key code message reason snapshot_url cause next_cursor"],
  [isNumber, "event_id presence_id version ts edited_ts protocol_version protocol_min protocol_max server_time heartbeat_ms after_ms retry_after_ms expires_at replaying count member_count"],
  [isBoolean, "resumable resumed verified retryable has_more truncated members_truncated"],
] as const) for (const member of words(members)) tests.set(member, test);

/** Removes members that are null, which is the same as absent, and tells what is wrong with the rest. */
function fault(frame: Frame): string | undefined {
  for (const name in frame) {
    if (frame[name] === null) {
      if (name !== "payload" && name !== "info") delete frame[name];
    } else if (tests.get(name)?.(frame[name]) === false) return `${frame.kind}: ${name} has the wrong type`;
  }
  for (const name of needs.get(frame.kind)!) if (frame[name] === undefined) return `${frame.kind}: ${name} is missing`;
  if (frame.kind === "chat.message" && frame.event_id !== undefined && frame.message_id === undefined) return "chat.message: message_id is missing";
}

/** Reads a text frame. It never throws. */
export function decode(text: unknown): Decoded {
  if (typeof text !== "string") return { malformed: "not a text frame" };
  let frame: Frame;
  try {
    frame = JSON.parse(text);
  } catch {
    return { malformed: "not JSON" };
  }
  if (!isObject(frame) || !isString(frame.kind)) return { malformed: "not an object with a kind" };
  if (!needs.has(frame.kind)) return { ignored: true };
  const malformed = fault(frame);
  return malformed ? { malformed } : { frame };
}

/** Writes a frame. */
export const encode = (frame: Frame): string => JSON.stringify(frame);
