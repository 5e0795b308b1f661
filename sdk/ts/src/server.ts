/**
 * For backends: publish, change and read messages over the HTTP API, and mint the tokens that clients connect with.
 *
 * @packageDocumentation
 */
import { createHash, createHmac, randomBytes } from "node:crypto";
import { ContinuoError } from "./error.js";
import { below, httpBase } from "./transport.js";
import type { Json } from "./types.js";

export { ContinuoError } from "./error.js";

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

export interface PublishOptions {
  /** 128 random bits, if you give none. It is sent with every repetition, so that nothing is published twice. */
  idempotency_key?: string;
  /** To whoever is there now; it is not kept, and not repeated when its outcome is unknown. */
  ephemeral?: boolean;
  /** A connection that does not get it. */
  socket_id?: string;
}

export interface BatchItem extends PublishOptions {
  room: string;
  event: string;
  data: Json;
  key?: string;
}

/** Where a message was put. */
export interface Published {
  stream_id: string;
  serial: number;
  entry_id: string;
  message_serial: string;
  version: number;
}

export interface Mutation {
  op: "update" | "append" | "delete";
  /** The new data, or the text to append. */
  data?: Json;
  if_version?: number;
  /** 128 random bits, if you give none. */
  op_id?: string;
}

export interface TokenClaims {
  /** Who the client is. */
  sub: string;
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

type Query = Record<string, string | number | boolean | undefined>;

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
    return this.#publish(room, { name: event, data, ...options });
  }

  /** Publishes the message of a key: it supersedes the one that was there. */
  async put(room: string, key: string, event: string, data: Json, options: PublishOptions = {}): Promise<Published> {
    return this.#publish(room, { name: event, data, key, ...options });
  }

  async #publish(room: string, event: PublishOptions & { [name: string]: unknown }): Promise<Published> {
    const body = withKey({ ...event, channel: room, info: "position" });
    return (await this.#call("POST", "/events", {}, body, !event.ephemeral)).channels?.[room];
  }

  /** Publishes several messages in one call; the results are in their order. */
  async publishBatch(items: BatchItem[]): Promise<Published[]> {
    const batch = items.map(({ room, event, ...rest }) => withKey({ ...rest, name: event, channel: room, info: "position" }));
    return (await this.#call("POST", "/batch_events", {}, { batch }, !items.some((item) => item.ephemeral))).batch ?? [];
  }

  /** Changes a message. */
  async mutate(room: string, message_id: string, mutation: Mutation): Promise<{ message_serial: string; version: number; [name: string]: unknown }> {
    const { op, op_id = randomKey(), ...rest } = mutation;
    return this.#call("POST", `${path(room)}/messages/${encodeURIComponent(message_id)}/${op}`, {}, { ...rest, op_id });
  }

  /** Deletes the message of a key. */
  async deleteKey(room: string, key: string, options: { if_version?: number; op_id?: string } = {}): Promise<{ version: number; [name: string]: unknown }> {
    const { op_id = randomKey(), ...rest } = options;
    return this.#call("DELETE", `${path(room)}/keys/${encodeURIComponent(key)}`, { ...rest, op_id });
  }

  /** A page of what was published; the options are those of the HTTP API. */
  async history(room: string, options: Query = {}): Promise<any> {
    return this.#call("GET", `${path(room)}/history`, options);
  }

  /** A page of the room's state: one item per key, and per message without one. */
  async snapshot(room: string, options: Query = {}): Promise<any> {
    return this.#call("GET", `${path(room)}/snapshot`, options);
  }

  /** Who is in a room whose name begins with `presence-`. */
  async members(room: string): Promise<{ users: { id: string }[] }> {
    return this.#call("GET", `${path(room)}/users`, {});
  }

  /** A page of who came and went. */
  async presenceHistory(room: string, options: Query = {}): Promise<any> {
    return this.#call("GET", `${path(room)}/presence/history`, options);
  }

  /** A token for a client: a JSON Web Token, signed with the app's secret. */
  mintToken({ sub, ttl = 3600, rooms, info }: TokenClaims): string {
    const now = Math.floor(this.#now() / 1000);
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const signed = `${part({ alg: "HS256", typ: "JWT", kid: this.#key })}.${part({ app: this.#app, sub, iat: now, exp: now + ttl, rooms, info })}`;
    return `${signed}.${createHmac("sha256", this.#secret).update(signed).digest("base64url")}`;
  }

  #now(): number {
    return (this.#options.now ?? Date.now)();
  }

  /** Makes a call, and makes it again while its outcome is not known and `again` allows it. */
  async #call(method: string, path: string, query: Query, body?: object, again = true): Promise<any> {
    const { tries = 6, retryBaseMs = 200, random = Math.random, sleep = (ms) => new Promise((done) => setTimeout(done, ms)) } = this.#options;
    for (let n = 0; ; n++) {
      const outcome = await this.#try(method, `/apps/${encodeURIComponent(this.#app)}${path}`, query, body === undefined ? "" : JSON.stringify(body));
      if (!(outcome instanceof Refusal)) return outcome;
      if (!outcome.error.retryable || !again || n + 1 >= tries) throw outcome.error;
      await sleep(Math.max(Math.floor(random() * Math.min(10_000, retryBaseMs * 2 ** n)), outcome.retryAfterMs));
    }
  }

  async #try(method: string, path: string, query: Query, body: string): Promise<any> {
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
    if (response.ok && answer) return answer;
    const { code, error, current_version } = answer ?? {};
    const retryable = response.ok || response.status >= 500 || response.status === 429;
    const message = typeof error === "string" ? error : `${method} ${path}: HTTP ${response.status} without an answer of a Continuo server`;
    const retryAfter = Number(response.headers.get("Retry-After") || 0);
    return new Refusal(
      new ContinuoError(typeof code === "string" ? code : response.ok ? "outcome_unknown" : `http_${response.status}`, message, retryable, current_version),
      retryAfter > 0 ? retryAfter * 1000 : 0,
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
      .filter(([, value]) => value !== undefined)
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

const path = (room: string) => `/channels/${encodeURIComponent(room)}`;

const randomKey = () => randomBytes(16).toString("hex");

/** An event with an idempotency key; ephemeral ones have none. */
function withKey<E extends PublishOptions>(event: E): E {
  return event.ephemeral || event.idempotency_key ? event : { ...event, idempotency_key: randomKey() };
}

function parse(text: string): any {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
