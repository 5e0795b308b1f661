import type { ClientState, RoomState } from "./types.js";

/** A state in a few words, for people. */
export function describe(state: ClientState | RoomState): string {
  switch (state.state) {
    case "waiting":
      return `reconnecting in ${Math.ceil(state.retry_in_ms / 1000)} s`;
    case "stopped":
      return `stopped: ${words(state.reason)}`;
    case "resuming":
      return `resuming, ${state.replaying} to come`;
    case "live":
      return state.resumed ? `resumed, ${state.missed} missed messages` : "live";
    case "snapshot":
      return `took a snapshot: ${words(state.reason)}`;
    case "refused":
      return `refused: ${state.message}`;
    default:
      return state.state;
  }
}

const words = (name: string) => name.replaceAll("_", " ");
