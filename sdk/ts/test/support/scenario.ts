// Plays the scenes of spec/vectors/client/scenario.json; README.md beside it says what the steps mean.
import { Client, type ClientState, type CursorStore, MemberList, memoryStore, MessageList, type Room, type RoomEvent, type RoomState } from "@continuo-rt/client";
import { allRights, Server } from "@continuo-rt/client/server";
import WebSocket from "ws";
import { matches, resolve } from "./match.js";
import { Proxy, type ServerProcess } from "./process.js";
import { Bell } from "./wait.js";

export interface App {
  id: string;
  key: string;
  secret: string;
}

export type Step = { do: string; [member: string]: any };

/** A list of which a check finds one after another. */
class Track<T> {
  readonly all: T[] = [];
  found = 0;
}

class PlayedRoom {
  readonly room: Room;
  readonly states = new Track<RoomState>();
  readonly events = new Track<RoomEvent>();
  readonly ids: number[] = [];
  readonly messages = new MessageList();
  readonly members = new MemberList();
  #taking: Promise<void> | undefined;
  #held: Promise<void> | undefined;
  release = (): void => {};

  constructor(room: Room, bell: Bell) {
    this.room = room;
    room.onState((state) => {
      this.states.all.push(state);
      bell.ring();
    });
  }

  hold(): void {
    this.#held = new Promise((done) => (this.release = done));
  }

  take(bell: Bell): void {
    this.#taking ??= (async () => {
      for await (const event of this.room.events()) {
        if ("event_id" in event && event.event_id !== undefined && event.kind !== "room.snapshot" && /^(chat|message)\./.test(event.kind)) this.ids.push(event.event_id);
        if (/^(chat|message|presence)\./.test(event.kind)) this.events.all.push(event);
        this.messages.apply(event);
        this.members.apply(event);
        bell.ring();
        await this.#held;
      }
      this.#taking = undefined;
    })();
  }
}

class Played {
  readonly proxy: Proxy;
  readonly client: Client;
  readonly states = new Track<ClientState>();
  readonly rooms = new Map<string, PlayedRoom>();
  readonly #bell: Bell;
  tokens: any[] = [{}];
  asked = 0;
  #given = 0;

  constructor(name: string, proxy: Proxy, store: CursorStore, bell: Bell, mint: (user: string, token: any) => string) {
    this.proxy = proxy;
    this.#bell = bell;
    this.client = new Client(proxy.url, {
      WebSocket,
      cursors: store,
      token: () => {
        this.asked++;
        bell.ring();
        const token = this.tokens[Math.min(this.#given++, this.tokens.length - 1)];
        if (token.throws) throw new Error("no token today");
        return mint(name, token);
      },
    });
    this.client.on("state", (state) => {
      this.states.all.push(state);
      bell.ring();
    });
    this.client.on("error", () => {});
  }

  replaceTokens(tokens: any[]): void {
    this.tokens = tokens;
    this.#given = 0;
  }

  room(id: string): PlayedRoom {
    let room = this.rooms.get(id);
    if (!room) this.rooms.set(id, (room = new PlayedRoom(this.client.room(id), this.#bell)));
    return room;
  }
}

/** One scene: its clients, its variables, its stores. */
export class Scene {
  readonly #server: ServerProcess;
  readonly #app: App;
  readonly #bell = new Bell();
  readonly #clients = new Map<string, Played>();
  readonly #stores = new Map<string, CursorStore>();
  readonly #names = new Map<string, unknown>();
  readonly #started = new Map<string, Promise<unknown>>();
  #minted = 0;

  constructor(server: ServerProcess, app: App) {
    this.#server = server;
    this.#app = app;
  }

  async play(steps: Step[]): Promise<void> {
    for (const step of steps) {
      for (let i = 1; i <= (step.repeat ?? 1); i++) {
        if (step.repeat) this.#names.set("i", i);
        // A batch counts its own $i.
        const data = step.data;
        const resolved = resolve(step.do === "server_batch" ? { ...step, data: null } : step, this.#names);
        try {
          await this.#step(step.do === "server_batch" ? { ...resolved, data } : resolved);
        } catch (e) {
          throw new Error(`${JSON.stringify(step)}: ${(e as Error).message}`, { cause: e });
        }
      }
    }
  }

  async end(): Promise<void> {
    for (const { rooms } of this.#clients.values()) for (const room of rooms.values()) room.release();
    await Promise.all([...this.#clients.values()].map(({ client }) => client.close(0)));
    for (const { proxy } of this.#clients.values()) proxy.stop();
  }

  #backend(): Server {
    return new Server(this.#server.url, this.#app.id, this.#app.key, this.#app.secret);
  }

  #mint(name: string, token: any): string {
    if (token.raw) return token.raw;
    if (token.minted) return token.minted;
    const minted = this.#backend().mintToken(token.user ?? name, {
      ttl: token.ttl ?? 3600 + ++this.#minted,
      rooms: [{ pattern: token.rooms ?? "*", can: token.can ?? [...allRights] }],
      info: token.info,
    });
    if (token.fixed) token.minted = minted;
    return minted;
  }

  #client(step: Step): Played {
    const found = this.#clients.get(step.client);
    if (!found) throw new Error(`no client ${step.client}`);
    return found;
  }

  #next<T>(track: Track<T>, expected: object, what: string): Promise<true> {
    return this.#bell.until(
      () => {
        const at = track.all.findIndex((found, i) => i >= track.found && matches(expected, found));
        if (at < 0) return;
        track.found = at + 1;
        return true;
      },
      () => `${what} ${JSON.stringify(expected)}; there were ${JSON.stringify(track.all.slice(track.found, track.found + 20))}`,
    );
  }

  /** Waits until `value` is what is expected. */
  #holds(check: () => boolean, value: () => unknown): Promise<true> {
    return this.#bell.until(() => check() || undefined, () => `it; it is ${JSON.stringify(value())}`);
  }

  /** Does what is asked of the server, and looks at how it ends. */
  async #outcome(step: Step, promise: Promise<unknown>): Promise<void> {
    if (step.start) {
      promise.catch(() => {});
      this.#started.set(step.start, promise);
      return;
    }
    let result: any;
    try {
      result = await this.#bounded(promise);
    } catch (e) {
      if (step.error && matches(step.error, e)) return;
      throw e;
    }
    if (step.error) throw new Error(`it did not fail, but gave ${JSON.stringify(result)}`);
    if (step.expect && !matches(step.expect, result)) throw new Error(`the result is ${JSON.stringify(result)}`);
    for (const [name, member] of Object.entries(step.save ?? {})) this.#names.set(name, result[member as string]);
  }

  #bounded<T>(promise: Promise<T>): Promise<T> {
    let timer: ReturnType<typeof setTimeout>;
    const late = new Promise<never>((_, fail) => {
      timer = setTimeout(() => fail(new Error("no answer")), 30_000);
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
  }

  async #step(step: Step): Promise<void> {
    if (step.do.startsWith("server_")) return this.#outcome(step, this.#serverStep(step));
    const { do: what, client: _c, room: id, start: _s, expect: _e, save: _v, error: _r, repeat: _n, until, ...rest } = step;
    switch (what) {
      case "connect":
        return this.#connect(step);
      case "kill_server":
        return this.#server.stop("SIGKILL");
      case "stop_server":
        return this.#server.stop();
      case "start_server":
        return void (await this.#server.start());
      case "await":
        return this.#outcome(step, this.#started.get(step.request)!);
      case "stored":
        return this.#stored(step);
    }
    const played = this.#client(step);
    const { client } = played;
    switch (what) {
      case "tokens":
        return played.replaceTokens(step.tokens);
      case "close":
        return client.close();
      case "state":
        return void (await this.#next(played.states, rest, "the state"));
      case "no_state":
        if (played.states.all.slice(played.states.found).some((s) => matches(rest, s))) throw new Error("there is one");
        return;
      case "asked":
        await this.#holds(() => played.asked >= step.times, () => played.asked);
        if (played.asked !== step.times) throw new Error(`asked ${played.asked} times`);
        return;
      case "proxy":
        return played.proxy.post(step.post);
    }
    const room = played.room(id);
    switch (what) {
      case "join":
        void room.room.join(rest).catch(() => {});
        room.take(this.#bell);
        return void (await this.#next(room.states, until ?? { state: "live" }, "the room's state"));
      case "leave":
        return room.room.leave();
      case "room":
        return void (await this.#next(room.states, rest, "the room's state"));
      case "send":
        return this.#outcome(step, room.room.send(rest));
      case "edit":
      case "delete": {
        const { message_id, ...more } = rest as any;
        return this.#outcome(step, room.room[what](message_id, more));
      }
      case "append":
        return this.#outcome(step, room.room.append(step.message_id, step.text));
      case "react":
      case "unreact":
        return this.#outcome(step, room.room[what](step.message_id, step.name));
      case "history":
      case "presence":
        return this.#outcome(step, room.room[what](rest));
      case "hold":
        return room.hold();
      case "release":
        return room.release();
      default:
        return this.#look(step, room);
    }
  }

  async #look(step: Step, room: PlayedRoom): Promise<void> {
    switch (step.do) {
      case "events": {
        const next = () => room.events.all.slice(room.events.found, room.events.found + step.list.length);
        await this.#holds(() => matches(step.list, next()), next);
        for (const [name, member] of Object.entries(step.save ?? {})) this.#names.set(name, (next().at(-1) as any)[member as string]);
        room.events.found += step.list.length;
        return;
      }
      case "no_more":
        if (room.events.all.length > room.events.found) throw new Error(`there are ${JSON.stringify(room.events.all.slice(room.events.found))}`);
        return;
      case "ids": {
        const wanted = Array.from({ length: step.to - step.from + 1 }, (_, i) => step.from + i);
        await this.#holds(() => room.ids.length >= wanted.length, () => room.ids);
        if (!matches(wanted, room.ids)) throw new Error(`they are ${JSON.stringify(room.ids)}`);
        return;
      }
      case "messages": {
        const list = step.list.map((m: any) => (typeof m === "string" ? { text: m } : m));
        return void (await this.#holds(() => matches(list, room.messages.messages), () => room.messages.messages));
      }
      case "members": {
        const users = () => room.members.members.map((m) => m.user_id);
        return void (await this.#holds(() => matches(step.list, users()) && room.members.count === step.list.length, users));
      }
      default:
        throw new Error(`unknown step ${step.do}`);
    }
  }

  async #connect(step: Step): Promise<void> {
    let played = this.#clients.get(step.client);
    if (!played) {
      const proxy = await Proxy.start(this.#server.url);
      const store = step.store ? this.#store(step.store) : memoryStore();
      played = new Played(step.client, proxy, store, this.#bell, (user, token) => this.#mint(user, token));
      this.#clients.set(step.client, played);
    }
    if (step.tokens) played.replaceTokens(step.tokens);
    void played.client.connect();
    await this.#next(played.states, step.until ?? { state: "connected" }, "the state");
  }

  #store(name: string): CursorStore {
    let store = this.#stores.get(name);
    if (!store) {
      const inner = memoryStore();
      const save: CursorStore["save"] = (room, position) => {
        inner.save(room, position);
        this.#bell.ring();
      };
      this.#stores.set(name, (store = { ...inner, save }));
    }
    return store;
  }

  async #stored(step: Step): Promise<void> {
    const position = () => this.#store(step.store).load(step.room) as { event_id: number } | undefined;
    await this.#holds(() => position()?.event_id === step.event_id, position);
  }

  #serverStep(step: Step): Promise<unknown> {
    const backend = this.#backend();
    switch (step.do) {
      case "server_publish":
        return backend.publish(step.room, step.event, step.data);
      case "server_put":
        return backend.put(step.room, step.key, step.event, step.data);
      case "server_batch":
        return backend.publishBatch(
          Array.from({ length: step.count }, (_, i) => ({ room: step.room, event: step.event, data: resolve(step.data, new Map([...this.#names, ["i", i + 1]])) })),
        );
      case "server_mutate": {
        const { room, message_id, op, data, if_version } = step;
        return backend.mutate(room, message_id, op, data, { if_version });
      }
      case "server_history":
        return backend.history(step.room, { limit: step.limit });
      case "server_snapshot":
        return backend.snapshot(step.room);
      case "server_members":
        return backend.presence(step.room).then((ids) => ({ users: ids.map((id) => ({ id })) }));
      case "server_presence_history":
        return backend.presenceHistory(step.room);
      case "server_post":
        return fetch(`${this.#server.url}/apps/${this.#app.id}${step.path}`, {
          method: "POST",
          headers: { Authorization: `Bearer ${this.#app.key}:${this.#app.secret}`, "Content-Type": "application/json" },
          body: JSON.stringify(step.body),
        }).then(async (response) => {
          if (!response.ok) throw new Error(`HTTP ${response.status}: ${await response.text()}`);
          return response.json();
        });
      default:
        throw new Error(`unknown step ${step.do}`);
    }
  }
}
