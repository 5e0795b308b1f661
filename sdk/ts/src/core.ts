/**
 * The core: codec, session, transport and client, with the stores of browsers. `index.ts` has the lists and words besides.
 *
 * @packageDocumentation
 */
export { Client, type ClientEvents, version } from "./client.js";
export { ContinuoError } from "./error.js";
export { Room } from "./room.js";
export { localStorageStore, memoryStore, type TextStorage } from "./stores.js";
export type * from "./types.js";
