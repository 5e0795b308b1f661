/**
 * For backends: publish, change and read messages over the HTTP API, and mint the tokens that clients connect with.
 *
 * @packageDocumentation
 */
import { createHash, createHmac, randomBytes } from "node:crypto";
import type { HistoryPage, HistoryQuery, Moment, Mutated, PresencePage, PresenceSnapshot, Published, SnapshotPage, SnapshotQuery } from "./answers.js";
import { ContinuoError } from "./error.js";
import { below, httpBase } from "./transport.js";
import type { Json } from "./types.js";

export type * from "./answers.js";
export { ContinuoError } from "./error.js";
export type { Json } from "./types.js";

export interface ServerOptions {
  fetch?: typeof fetch;
  /** How often a call is tried; 6 by default. */
  tries?: number;
  /** How long one try may take; 10 s by default. */
  timeoutMs?: number;
  /** The delay before a repetition is drawn below base · 2ⁿ; 200 ms by default, and never more than 10 s. */
  retryBaseMs?: number;
  random?: () => number;
  /** Waits; the platform's timer by default. */
  sleep?: (ms: number) => Promise<void>;
  /** Unix time in milliseconds. */
  now?: () => number;
}

export interface PutOptions {
  /** A connection that does not get it. */
  socket_id?: string;
  /** 128 random bits, if you give none. It is sent with every repetition, so that nothing is published twice. */
  idempotency_key?: string;
}

export interface PublishOptions extends PutOptions {
  /** Makes it a put: it supersedes the message of that key. */
  key?: string;
  /** To whoever is there now; it is not kept, and not repeated when its outcome is unknown. */
  ephemeral?: boolean;
}

export interface BatchItem extends PublishOptions {
  room: string;
  event: string;
  data: Json;
}

export interface ChangeOptions {
  /** Only if the message has this version; else the call fails with `conflict`. */
  if_version?: number;
  /** 128 random bits, if you give none. It is sent with every repetition, so that nothing is changed twice. */
  op_id?: string;
}

export interface TokenOptions {
  /** Seconds that the token is good for; an hour by default. */
  ttl?: number;
  /** What may be done where; nothing anywhere, if you say nothing. */
  rooms?: { pattern: string; can: readonly Right[] }[];
  /** What is shown of the member. */
  info?: Json;
}

export type Right = "join" | "send" | "history" | "presence" | "edit_own" | "edit_any" | "delete_own" | "delete_any" | "react";

/** Every right that a claim can give: `{ pattern: "*", can: allRights }`. */
export const allRights: readonly Right[] = ["join", "send", "history", "presence", "edit_own", "edit_any", "delete_own", "delete_any", "react"];

const ops = ["update", "append", "delete"] as const;

/** What a change does to a message. */
export type Op = (typeof ops)[number];

/** A Continuo server, as an app's backend sees it. Every write is repeated until its outcome is known. */
export class Server {
  readonly #base: URL;
  readonly #app: string;
  readonly #key: string;
  readonly #secret: string;
  readonly #options: ServerOptions;

  constructor(url: string | URL, app: string, key: string, secret: string, options: ServerOptions = {}) {
    this.#base = httpBase(url);
    this.#app = app;
    this.#key = key;
    this.#secret = secret;
    this.#options = options;
  }

  /** Publishes a message. */
  async publish(room: string, event: string, data: Json, options: PublishOptions = {}): Promise<Published> {
    const body = publication({ ...options, room, event, data });
    const answer = await this.#call<{ channels: { [room: string]: Published } }>("POST", "/events", { body, once: options.ephemeral }, (a) => a.channels?.[room]);
    return answer.channels[room]!;
  }

  /** Publishes the message of a key: it supersedes the one that was there. */
  async put(room: string, key: string, event: string, data: Json, options: PutOptions = {}): Promise<Published> {
    return this.publish(room, event, data, { ...options, key });
  }

  /** Publishes several messages in one call; the results are in their order. */
  async publishBatch(items: readonly BatchItem[]): Promise<Published[]> {
    const body = { batch: items.map(publication) };
    const answer = await this.#call<{ batch: Published[] }>("POST", "/batch_events", { body, once: items.some((item) => item.ephemeral) }, (a) => a.batch?.length === items.length);
    return answer.batch;
  }

  /** Changes a message: an update replaces its data, an append adds a text to it. `message_id` is its `message_serial`. */
  async mutate(room: string, message_id: string, op: Op, data?: Json, options: ChangeOptions = {}): Promise<Mutated> {
    if (!ops.includes(op)) throw new ContinuoError("invalid_input", `${JSON.stringify(op)} is no op: there are ${ops.join(", ")}`);
    const body = { ...options, data, op_id: options.op_id || randomKey() };
    return this.#call("POST", `${path(room)}/messages/${encodeURIComponent(message_id)}/${op}`, { body }, isMutated);
  }

  /** Deletes the message of a key. */
  async deleteKey(room: string, key: string, options: ChangeOptions = {}): Promise<Mutated> {
    const query = { ...options, op_id: options.op_id || randomKey() };
    return this.#call("DELETE", `${path(room)}/keys/${encodeURIComponent(key)}`, { query }, isMutated);
  }

  /** A page of what was published. */
  async history(room: string, options: HistoryQuery = {}): Promise<HistoryPage> {
    return this.#call("GET", `${path(room)}/history`, { query: { ...options, data: "value" } }, has("items"));
  }

  /** A page of the room's state: one item per key, and per message without one. */
  async snapshot(room: string, options: SnapshotQuery = {}): Promise<SnapshotPage> {
    return this.#call("GET", `${path(room)}/snapshot`, { query: { ...options, data: "value" } }, has("items"));
  }

  /** The ids of the users who are in a room whose name begins with `presence-`. */
  async presence(room: string): Promise<string[]> {
    const { users } = await this.#call<{ users: { id: string }[] }>("GET", `${path(room)}/users`, {}, has("users"));
    return users.map(({ id }) => id);
  }

  /** Who was there at a moment, and what is known of them; now, if you name none. */
  async presenceAt(room: string, moment: Moment = {}): Promise<PresenceSnapshot> {
    return this.#call("GET", `${path(room)}/presence/history/snapshot`, { query: { ...moment } }, has("members"));
  }

  /** A page of who came and went. */
  async presenceHistory(room: string, options: HistoryQuery = {}): Promise<PresencePage> {
    return this.#call("GET", `${path(room)}/presence/history`, { query: { ...options } }, has("items"));
  }

  /** A token for the client of the user `sub`: a JSON Web Token, signed with the app's secret. */
  mintToken(sub: string, { ttl = 3600, rooms, info }: TokenOptions = {}): string {
    const now = Math.floor(this.#now() / 1000);
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const signed = `${part({ alg: "HS256", typ: "JWT", kid: this.#key })}.${part({ app: this.#app, sub, iat: now, exp: now + ttl, rooms, info })}`;
    return `${signed}.${createHmac("sha256", this.#secret).update(signed).digest("base64url")}`;
  }

  #now(): number {
    return (this.#options.now ?? Date.now)();
  }

  /** Makes a call, and makes it again while its outcome is not known, unless it may be made once only. */
  async #call<T>(method: string, path: string, { query = {}, body, once }: Request, ours: Check): Promise<T> {
    const { tries = 6, retryBaseMs = 200, random = Math.random, sleep = (ms) => new Promise((done) => setTimeout(done, ms)) } = this.#options;
    const text = body === undefined ? "" : JSON.stringify(body);
    let unknown: ContinuoError | undefined; // of the newest try of which nobody knows what became
    for (let n = 0; ; n++) {
      const outcome = await this.#try<T>(method, `/apps/${encodeURIComponent(this.#app)}${path}`, query, text, ours);
      if (!(outcome instanceof Refusal)) return outcome;
      if (outcome.error.code === "outcome_unknown") unknown = outcome.error;
      if (!outcome.error.retryable) throw outcome.error;
      if (once || n + 1 >= tries) throw unknown ?? outcome.error; // that this one was not carried out says nothing of that one
      await sleep(Math.max(Math.floor(random() * Math.min(10_000, retryBaseMs * 2 ** n)), outcome.retryAfterMs));
    }
  }

  async #try<T>(method: string, path: string, query: Query, body: string, ours: Check): Promise<T | Refusal> {
    const url = below(this.#base, path);
    url.search = this.#sign(method, path, query, body);
    let response: Response;
    let text: string;
    try {
      response = await (this.#options.fetch ?? fetch)(url, {
        method,
        ...(body && { body, headers: { "Content-Type": "application/json" } }),
        redirect: "manual", // a signature holds for one address
        signal: AbortSignal.timeout(this.#options.timeoutMs ?? 10_000),
      });
      text = await response.text();
    } catch (e) {
      const { message, cause } = e as Error;
      return new Refusal(new ContinuoError("outcome_unknown", `${method} ${path}: ${cause instanceof Error ? cause.message : message}`, true));
    }
    const answer = parse(text);
    if (response.ok && answer && ours(answer)) return answer as T;
    const { status } = response;
    const unknown = response.ok || status >= 500;
    const { code, error, current_version }: Answer = (!response.ok && answer) || {};
    return new Refusal(
      new ContinuoError(
        typeof code === "string" ? code : unknown ? "outcome_unknown" : `http_${status}`,
        typeof error === "string" ? error : `${method} ${path}: HTTP ${status} without an answer of a Continuo server`,
        unknown || status === 429,
        typeof current_version === "number" ? current_version : undefined,
      ),
      Math.min(mostRetryAfterMs, Number(response.headers.get("Retry-After")) * 1000 || 0),
    );
  }

  /** The query with its signature: HMAC-SHA256 over method, path and the sorted parameters, so that the secret never travels. */
  #sign(method: string, path: string, query: Query, body: string): string {
    const all = Object.entries({
      ...query,
      auth_key: this.#key,
      auth_version: "1.0",
      auth_timestamp: Math.floor(this.#now() / 1000),
      body_md5: body ? createHash("md5").update(body).digest("hex") : undefined,
    })
      .filter(([, value]) => value !== undefined && value !== null)
      .map(([name, value]) => [name, String(value)] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1));
    const signed = all.map(([name, value]) => `${name.toLowerCase()}=${value}`).join("&");
    const signature = createHmac("sha256", this.#secret).update(`${method}\n${path}\n${signed}`).digest("hex");
    return [...all, ["auth_signature", signature] as const].map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
  }
}

/** A try that failed, and how long the server wants us to wait. */
class Refusal {
  readonly error: ContinuoError;
  readonly retryAfterMs: number;

  constructor(error: ContinuoError, retryAfterMs = 0) {
    this.error = error;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The longest that a server can make us wait. */
const mostRetryAfterMs = 60_000;

type Query = { [name: string]: string | number | null | undefined };

interface Request {
  query?: Query;
  body?: object;
  /** It is not made again. */
  once?: boolean | undefined;
}

// What a server answered, before anybody has looked whether it is what was asked for.
type Answer = { [name: string]: any };
type Check = (answer: Answer) => unknown;

const has = (list: string): Check => (answer) => Array.isArray(answer[list]);

const isMutated: Check = ({ version }) => typeof version === "number";

const path = (room: string) => `/channels/${encodeURIComponent(room)}`;

const randomKey = () => randomBytes(16).toString("hex");

/** A publish as the API takes it, with an idempotency key; what is ephemeral has none. */
function publication({ room, event, idempotency_key, ...rest }: BatchItem): object {
  return { ...rest, name: event, channel: room, info: "position", idempotency_key: rest.ephemeral ? undefined : idempotency_key || randomKey() };
}

function parse(text: string): Answer | undefined {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
