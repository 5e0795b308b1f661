// A WebSocket, and an HTTP GET for snapshots.
import { ContinuoError } from "./error.js";
import type { Position, SocketClass } from "./types.js";

/** A connection, or the attempt to have one. */
export interface Link {
  send(text: string): void;
  /** Ends it; it says nothing more. */
  close(code: number): void;
}

export interface LinkEvents {
  opened(): void;
  text(data: unknown): void;
  closed(code: number): void;
  /** It never opened; the status is known only if the server could be asked for it. */
  refused(status?: number, retry_after_ms?: number): void;
}

/** The server's base as http(s), without a slash at the end. */
export function httpBase(url: string | URL): URL {
  const base = new URL(url);
  base.protocol = base.protocol.replace(/^ws/, "http");
  if (!/^https?:$/.test(base.protocol)) throw new ContinuoError("invalid_url", `the server's address must begin with http, https, ws or wss: ${url}`);
  base.pathname = base.pathname.replace(/\/+$/, "");
  base.hash = "";
  return base;
}

/** Opens a connection. A token goes in the list of subprotocols, the one place that every platform lets us fill. */
export function dial(base: URL, token: string | null, Socket: SocketClass, fetch: typeof globalThis.fetch, on: LinkEvents): Link {
  const url = new URL(base);
  url.pathname += (url.pathname.endsWith("/") ? "" : "/") + "rooms";
  const probe = url.href;
  url.protocol = url.protocol.replace("http", "ws");
  let opened = false;
  let over = false;
  const failed = () => {
    if (over) return;
    over = true;
    void ask(probe, token, fetch).then((answer) => on.refused(...answer));
  };
  // A token that cannot be said in a handshake is no token.
  if (token !== null && !/^[\w!#$%&'*+.^`|~-]+$/.test(token)) {
    queueMicrotask(() => on.refused(401));
    return { send() {}, close() {} };
  }
  let socket: InstanceType<SocketClass>;
  try {
    socket = new Socket(url.href, token === null ? ["continuo.rooms.v1"] : ["continuo.rooms.v1", `continuo.token.${token}`]);
  } catch {
    queueMicrotask(() => on.refused());
    return { send() {}, close() {} };
  }
  socket.onopen = () => {
    opened = true;
    on.opened();
  };
  socket.onmessage = (event) => over || on.text(event.data);
  // Errors are followed by a close; a listener keeps them from being thrown.
  socket.onerror = () => {};
  socket.onclose = (event) => {
    if (!opened) return failed();
    if (over) return;
    over = true;
    on.closed(event.code || 1006);
  };
  return {
    send: (text) => over || socket.send(text),
    close(code) {
      over = true;
      try {
        socket.close(code);
      } catch {
        // It was closed already.
      }
    },
  };
}

/** A browser does not say why a handshake failed, but the same address, asked as a page, does: 426 when all is well. */
async function ask(url: string, token: string | null, fetch: typeof globalThis.fetch): Promise<[status?: number, retry_after_ms?: number]> {
  try {
    const response = await fetch(url, { headers: bearer(token), cache: "no-store", credentials: "omit" });
    void response.body?.cancel();
    if (response.status === 426) return [];
    const seconds = Number(response.headers.get("Retry-After") || undefined);
    return [response.status, seconds >= 0 ? seconds * 1000 : undefined];
  } catch {
    return [];
  }
}

const bearer = (token: string | null): Record<string, string> => (token === null ? {} : { Authorization: `Bearer ${token}` });

/** All pages of a snapshot as one. The token goes to the server's own origin only. */
export async function loadSnapshot(
  url: string, base: URL, token: string | null, fetch: typeof globalThis.fetch, signal: AbortSignal,
): Promise<Position & { items: unknown[] }> {
  const own = new URL(url).origin === base.origin;
  let whole: (Position & { items: unknown[] }) | undefined;
  for (let cursor: string | undefined; ; ) {
    const page = new URL(url);
    if (cursor) page.searchParams.set("cursor", cursor);
    const response = await fetch(page.href, { headers: own ? bearer(token) : {}, cache: "no-store", credentials: own ? "omit" : "same-origin", signal });
    const text = await response.text();
    if (!response.ok) throw new ContinuoError("snapshot_failed", `${page.pathname}: HTTP ${response.status}`, true);
    const { messages: items, has_more, next_cursor, ...rest } = parse(text, page.pathname);
    if (whole && (rest.stream_id !== whole.stream_id || rest.event_id !== whole.event_id)) {
      throw new ContinuoError("snapshot_failed", `${page.pathname}: the pages are of different moments`, true);
    }
    if (!whole) whole = { ...rest, items } as Position & { items: unknown[] };
    else for (const item of items) whole.items.push(item);
    if (!has_more) return whole;
    cursor = next_cursor;
  }
}

function parse(text: string, path: string) {
  try {
    const page = JSON.parse(text);
    if (typeof page.stream_id === "string" && Number.isSafeInteger(page.event_id) && Array.isArray(page.messages)) return page;
  } catch {
    // Said below.
  }
  throw new ContinuoError("snapshot_failed", `${path}: not a snapshot`, true);
}
