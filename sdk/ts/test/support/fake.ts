// A clock that stands still, and a platform whose server is the test itself.
import { Client, type ClientOptions, type Clock, type Frame } from "@continuo-rt/client";

/** Lets everything run that waits for no timer. */
export const settle = () => new Promise<void>((done) => setImmediate(done));

export class FakeClock implements Clock {
  time = 1000;
  #timers = new Map<unknown, { at: number; wake: () => void }>();

  now = () => this.time;

  setTimer(wake: () => void, ms: number): unknown {
    const key = {};
    this.#timers.set(key, { at: this.time + ms, wake });
    return key;
  }

  clearTimer(key: unknown): void {
    this.#timers.delete(key);
  }

  get timers(): number {
    return this.#timers.size;
  }

  /** How long until the next timer. */
  get next(): number {
    return Math.min(...[...this.#timers.values()].map(({ at }) => at)) - this.time;
  }

  async advance(ms: number): Promise<void> {
    const until = this.time + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, { at }]) => at <= until).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      this.time = due[1].at;
      this.#timers.delete(due[0]);
      due[1].wake();
      await settle();
    }
    this.time = until;
    await settle();
  }
}

export class FakeSocket {
  onopen: ((event: any) => void) | null = null;
  onmessage: ((event: any) => void) | null = null;
  onclose: ((event: any) => void) | null = null;
  onerror: ((event: any) => void) | null = null;
  readonly sent: Frame[] = [];
  closedWith: number | undefined;
  readonly url: string;
  readonly protocols: string[];

  constructor(url: string, protocols: string[]) {
    this.url = url;
    this.protocols = protocols;
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(code?: number): void {
    this.closedWith = code;
  }

  say(frame: unknown): void {
    this.onmessage!({ data: typeof frame === "string" ? frame : JSON.stringify(frame) });
  }

  end(code: number): void {
    this.onclose!({ code });
  }

  /** Opens, and greets twice. */
  greet(more: object = {}): void {
    const hello = { kind: "server.hello", protocol_version: 1, session_id: "s", session_secret: "x", user_id: "ann", ...more };
    this.onopen!({});
    this.say(hello);
    this.say(hello);
  }

  /** The last frame of this kind that the client sent. */
  last(kind: string): Frame | undefined {
    return this.sent.findLast((frame) => frame.kind === kind);
  }
}

export class FakePlatform {
  readonly clock = new FakeClock();
  readonly sockets: FakeSocket[] = [];
  readonly fetched: { url: string; authorization: string | undefined }[] = [];
  /** What HTTP answers. */
  answer: () => Response | Promise<Response> = () => new Response("", { status: 426 });
  random = 0.5;
  readonly #Class: typeof Client;

  constructor(Class = Client) {
    this.#Class = Class;
  }

  client(options: ClientOptions = {}): Client {
    const { sockets } = this;
    return new this.#Class("https://rt.example", {
      clock: this.clock,
      random: () => this.random,
      WebSocket: class extends FakeSocket {
        constructor(url: string, protocols: string[]) {
          super(url, protocols);
          sockets.push(this);
        }
      },
      fetch: async (url, init) => {
        this.fetched.push({ url: String(url), authorization: (init?.headers as Record<string, string> | undefined)?.Authorization });
        return this.answer();
      },
      ...options,
    });
  }

  get socket(): FakeSocket {
    return this.sockets.at(-1)!;
  }

  /** A client that is connected, in a room that is joined at event 0 of the stream "A". */
  async joined(options: ClientOptions = {}, id = "lobby") {
    const client = this.client(options);
    void client.connect();
    await settle();
    this.socket.greet();
    const room = client.room(id);
    const join = room.join();
    await settle();
    this.admit(id);
    await join;
    return { client, room };
  }

  /** Answers the last join. */
  admit(room_id = "lobby", more: object = {}): void {
    const { correlation_id } = this.socket.last("client.join")!;
    this.socket.say({ kind: "room.joined", room_id, correlation_id, stream_id: "A", event_id: 0, resumable: true, resumed: false, replaying: 0, ...more });
  }

  message(event_id: number, more: object = {}): void {
    this.socket.say({ kind: "chat.message", room_id: "lobby", event_id, message_id: String(event_id), ts: 1, text: `m${event_id}`, ...more });
  }
}
