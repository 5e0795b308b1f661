/**
 * The client of Continuo's rooms protocol, for browsers and Node. See README.md for the first ten lines.
 *
 * @packageDocumentation
 */
export * from "./core.js";
export { describe } from "./describe.js";
export { MemberList } from "./members.js";
export { type Message, MessageList } from "./messages.js";
