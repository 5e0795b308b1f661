/**
 * The client of Continuo's rooms protocol, for browsers and Node. See README.md for the first ten lines.
 *
 * @packageDocumentation
 */
export { Client, type ClientEvents, version } from "./client.js";
export { describe } from "./describe.js";
export { ContinuoError } from "./error.js";
export { MemberList } from "./members.js";
export { type Message, MessageList } from "./messages.js";
export { Room } from "./room.js";
export { localStorageStore, memoryStore } from "./stores.js";
export type * from "./types.js";
