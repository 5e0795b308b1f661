import type { ClientState, RoomState } from "./types.js";

/** A state in a few words, for people. */
export function describe(now: ClientState | RoomState): string {
  const { state } = now;
  switch (state) {
    case "connecting":
      return state + (now.attempt > 1 ? `, attempt ${now.attempt}` : "");
    case "waiting":
      return `reconnecting in ${Math.ceil(now.retry_in_ms / 1000)} s`;
    case "stopped":
      return `stopped: ${words(now.reason)}`;
    case "resuming":
      return state + (now.replaying ? `, ${now.replaying} to come` : "");
    case "live":
      return now.resumed ? `resumed, ${now.missed || "nothing"} missed${now.missed ? " message" + (now.missed > 1 ? "s" : "") : ""}` : state;
    case "snapshot":
      return `took a snapshot: ${words(now.reason)}`;
    case "refused":
      return `refused: ${now.message || words(now.code)}`;
  }
  return state;
}

const words = (name: string) => name.replaceAll("_", " ");
