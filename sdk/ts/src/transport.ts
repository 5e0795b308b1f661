// A WebSocket, and an HTTP GET for snapshots.
import { decode } from "./codec.js";
import { ContinuoError } from "./error.js";
import type { Input } from "./machine.js";
import { asPosition } from "./stores.js";
import type { Position, Socket, SocketClass } from "./types.js";

type Fetch = typeof fetch;

/** The server's base as http(s), without a slash at the end. */
export function httpBase(url: string | URL): URL {
  const base = new URL(url);
  base.protocol = base.protocol.replace("ws", "http");
  if (!/^https?:$/.test(base.protocol)) throw new ContinuoError("invalid_url", `not an address of a server: ${url}`);
  return base;
}

/** An address below the base; what the base has as its query stays. */
export function below(base: URL, path: string): URL {
  const url = new URL(base);
  url.pathname = base.pathname.replace(/\/+$/, "") + path;
  return url;
}

/** Opens a connection. A token goes in the list of subprotocols, the one place that every platform lets us fill. */
export function dial(base: URL, token: string | null, Class: SocketClass, fetch: Fetch, tell: (input: Input) => void): Socket | undefined {
  const page = below(base, "/rooms");
  const url = page.href.replace("http", "ws");
  let opened = false;
  let socket: Socket;
  try {
    socket = new Class(url, ["continuo.rooms.v1", ...(token === null ? [] : [`continuo.token.${token}`])]);
  } catch {
    // The platform forbids this address, or this token cannot be said in a handshake: it will not become better.
    return void queueMicrotask(() => tell({ do: "closed", code: 1008 }));
  }
  socket.onopen = () => {
    opened = true;
    tell({ do: "opened" });
  };
  socket.onmessage = ({ data }) => {
    const input = decode(data);
    if (input) tell(input);
  };
  // Errors are followed by a close; a listener keeps them from being thrown.
  socket.onerror = () => {};
  socket.onclose = ({ code }) => (opened ? tell({ do: "closed", code: code || 1006 }) : void ask(page, token, fetch).then(tell));
  return socket;
}

/** A browser does not say why a handshake failed, but the same address, asked as a page, does: 426 when all is well. */
async function ask(page: URL, token: string | null, fetch: Fetch): Promise<Input> {
  try {
    const { status, headers } = await get(page, token, fetch, 2000, async (response) => response);
    if (status !== 426) return { do: "refused", status, retry_after_ms: Number(headers.get("Retry-After")) * 1000 || 0 };
  } catch {
    // Then there is no status.
  }
  return { do: "refused" };
}

/** A request with a limit of its own: a fetch whose connection is broken may never end, not even when it is aborted. */
const get = <T>(url: URL, token: string | null, fetch: Fetch, ms: number, use: (response: Response) => Promise<T>) =>
  new Promise<T>((done, fail) => {
    const signal = AbortSignal.timeout(ms);
    signal.onabort = () => fail(signal.reason);
    fetch(url, { signal, cache: "no-store", ...(token !== null && { headers: { Authorization: `Bearer ${token}` } }) }).then(use).then(done, fail);
  });

/** All pages of a snapshot as one. The token goes to the server's own origin only. */
export async function loadSnapshot(url: URL, base: URL, token: string | null, fetch: Fetch): Promise<Position & { items: unknown[] }> {
  const items: unknown[] = [];
  for (let first: any, pages = 1; ; pages++) {
    const page: any = await get(url, url.origin === base.origin ? token : null, fetch, 30_000, (response) => response.json());
    first ??= page;
    // All pages are of the same moment.
    const position = asPosition(page);
    if (!position || position.event_id !== first.event_id || position.stream_id !== first.stream_id || pages > 1000) throw new ContinuoError("snapshot_failed", `no snapshot from ${url}`, true);
    for (const message of page.messages) items.push(message);
    if (!page.has_more) return { ...first, items };
    url.searchParams.set("cursor", page.next_cursor);
  }
}
