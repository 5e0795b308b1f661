// The session: what the library does, without a socket, a clock or randomness. Everything that happens goes in through
// `step`, everything to be done comes out of it. spec/client.md is its specification.
import { type Effect, type Input, newGround } from "./machine.js";
import { newRequests } from "./requests.js";
import { type RoomSession, roomSession } from "./roomsession.js";
import type { Frame } from "./types.js";

export type { Effect, Input } from "./machine.js";

/** The state of the client, with more of what `connecting` is: a token was asked for; until the first hello; until the second. */
type Phase = "idle" | "connecting" | "dialing" | "greeted" | "connected" | "waiting" | "offline" | "stopped" | "closed";

const patience = 10_000;

/** What close codes and HTTP statuses say; all others are to back off. */
const classes: Record<string, number[]> = {
  unauthorized: [4401, 401],
  longer: [1013, 4301, 4302, 429, 503],
  rejected: [1000, 1002, 1003, 1007, 1008],
  too_large: [1009, 4413],
  forbidden: [4403, 403],
  protocol_mismatch: [4406],
  replaced: [4409],
};

export function newSession(client?: string, buffer = 1024) {
  const ground = newGround(buffer);
  const rooms = new Map<string, RoomSession>();
  /** A room's requests wait until it is joined; those of rooms that are not wanted are the server's to judge. */
  const requests = newRequests(ground, ({ room_id, ephemeral }) => {
    const room = rooms.get(room_id!);
    return !!room?.joined || (!ephemeral && !room?.wanted);
  });
  ground.flush = requests.flush;

  let phase: Phase = "idle";
  let attempt = 0;
  let failures = 0;
  let greetedAt = Infinity;
  let old: { session_id?: string | undefined; session_secret?: string | undefined } = {};

  let heartbeat = 0;
  let readAt = 0;
  /** A ping was sent not long ago. */
  let pinging = false;
  /** Something was read since. */
  let heard = false;

  let token: string | null = null;
  /** A token was asked for, to renew the session in place. */
  let renewing = false;
  /** The code that the last token was refused with. */
  let refusedWith = 0;

  let reconnectAfter: number | undefined;
  /** It came back at once already, and was not stable since. */
  let hurried = false;
  /** What the last connection was lost with. */
  let lostWith = 0;
  let retryAt = 0;
  let offline = false;

  function become(next: Phase, more?: object): void {
    phase = next;
    ground.out.push({ do: "state", state: next, ...more });
  }

  function warn(message: string): void {
    ground.out.push({ do: "warn", message });
  }

  const hasLink = () => ground.up || phase === "dialing";

  function tryNow(): void {
    ground.forget(tryNow);
    become("connecting", { attempt: ++attempt });
    roomsLost();
    ground.out.push({ do: "want_token" });
  }

  function tokenGiven(given: string | null): void {
    if (renewing) {
      renewing = false;
      if (given === null) return;
      ground.send({ kind: "client.auth", correlation_id: ground.nextId(), token: given });
    } else if (phase !== "connecting") return;
    else if (refusedWith && (given === null || given === token)) return stop("unauthorized", refusedWith);
    else {
      phase = "dialing";
      ground.wake(beat, patience, hangUp);
      ground.out.push({ do: "dial", token: given });
    }
    token = given;
  }

  function frameRead(frame: Frame): void {
    const { kind, correlation_id: id, room_id } = frame;
    read();
    if (kind === "server.hello") return hello(frame);
    if (kind === "server.token_expiring") {
      if (!renewing) ground.out.push({ do: "want_token" });
      renewing = true;
    } else if (kind === "server.reconnect") reconnectAfter = frame.after_ms ?? 0;
    else if (!requests.answer(frame)) {
      const room = rooms.get(room_id!);
      const answersJoin = id !== undefined && room?.asks(id);
      if (kind === "server.error" && !answersJoin) warn(`${frame.code}: ${frame.message}`);
      // What answers a request that nobody waits for any more is nothing for a room.
      if ((id === undefined || answersJoin) && !/accepted|history/.test(kind)) room?.frame(frame);
    }
  }

  function read(): void {
    heard = true;
    readAt = ground.now;
  }

  function hello({ session_id, session_secret, user_id, ...advice }: Frame): void {
    if (phase === "dialing") return firstHello(advice);
    if (ground.connected) return;
    ground.connected = true;
    old = { session_id, session_secret };
    become("connected", { session_id, user_id });
    ground.flush();
  }

  function firstHello({ protocol_version, protocol_min = protocol_version, protocol_max = protocol_version, retry, heartbeat_ms }: Omit<Frame, "kind">): void {
    if (protocol_min > 1 || protocol_max < 1) {
      ground.out.push({ do: "hang_up", code: 1000 });
      return stop("protocol_mismatch", 0);
    }
    ground.base = Math.max(retry?.base_ms || 500, 100);
    ground.max = Math.max(retry?.max_ms || 30_000, ground.base);
    heartbeat = Math.max(heartbeat_ms || 25_000, 1000);
    phase = "greeted";
    greetedAt = ground.now;
    pinging = false;
    ground.up = true;
    ground.wake(beat, heartbeat, beat);
    ground.send({ kind: "client.hello", protocol_version: 1, client: client || undefined, ...old });
    for (const room of rooms.values()) room.ask();
  }

  /** Looks whether the connection lives, when its time has come. */
  function beat(): void {
    const left = readAt + heartbeat - ground.now;
    if (pinging && !heard) return hangUp();
    pinging = false;
    if (left > 0) ground.wake(beat, left, beat);
    else ping();
  }

  function ping(): void {
    if (pinging) return;
    pinging = true;
    heard = false;
    ground.send({ kind: "client.ping" });
    ground.wake(beat, patience, beat);
  }

  function hangUp(): void {
    ground.out.push({ do: "hang_up", code: 4000 });
    lose(0);
  }

  /** The connection, or the attempt to have one, has ended with this close code or HTTP status, 0 if neither. */
  function lose(code: number, least?: number): void {
    if (ground.now - greetedAt >= patience) {
      failures = attempt = refusedWith = 0;
      hurried = false;
    }
    lostWith = code;
    const after = hurried || code !== 4200 ? undefined : reconnectAfter;
    linkGone();
    const said = Object.keys(classes).find((name) => classes[name]!.includes(code));
    const longer = said === "longer";
    if (said === "unauthorized" && !refusedWith) {
      refusedWith = code;
      return tryNow();
    }
    if (said && !longer) return stop(said, code);
    refusedWith = 0;
    if (longer) failures = Math.max(failures, 4);
    hurried ||= after !== undefined;
    wait(after ?? ground.delay(failures++, longer ? least : 0));
    roomsLost();
  }

  function wait(retry_in_ms: number): void {
    if (offline) return become("offline");
    retryAt = ground.now + retry_in_ms;
    become("waiting", { retry_in_ms, attempt: attempt + 1, code: lostWith });
    ground.wake(tryNow, retry_in_ms, tryNow);
  }

  /** The network or the page is back. */
  function awake(): void {
    const delay = ground.delay(0);
    if (ground.connected) ping();
    else if ((phase === "offline" && !offline) || (phase === "waiting" && ground.now + delay < retryAt)) wait(delay);
  }

  function linkGone(): void {
    ground.up = ground.connected = renewing = false;
    greetedAt = Infinity;
    reconnectAfter = undefined;
    ground.forget(beat);
  }

  function roomsLost(): void {
    for (const room of rooms.values()) room.lost();
    requests.lost();
  }

  function stop(reason: string, code: number): void {
    linkGone();
    become("stopped", { reason, code });
    roomsLost();
    requests.end();
  }

  const inputs: { [I in Input as I["do"]]: (input: I) => void } = {
    connect() {
      if (phase === "idle" || phase === "stopped") attempt = failures = refusedWith = 0;
      else if (phase !== "waiting" && phase !== "offline") return;
      tryNow();
    },
    token: (input) => tokenGiven(input.token),
    token_failed({ message }) {
      if (!renewing && phase !== "connecting") return;
      warn(`no token: ${message}`);
      if (renewing) renewing = false;
      else lose(0);
    },
    opened() {},
    frame: ({ frame }) => hasLink() && frameRead(frame),
    malformed({ message }) {
      if (!hasLink()) return;
      read();
      warn(`malformed frame: ${message}`);
    },
    refused: ({ status = 0, retry_after_ms }) => phase === "dialing" && lose(status, retry_after_ms),
    closed: ({ code }) => hasLink() && lose(code),
    timer: ground.fire,
    offline() {
      offline = true;
      if (phase !== "waiting") return;
      ground.forget(tryNow);
      wait(0);
    },
    online() {
      offline = false;
      awake();
    },
    visible: awake,
    join(input) {
      let room = rooms.get(input.room);
      if (!room) rooms.set(input.room, (room = roomSession(ground, input.room)));
      room.join(input);
    },
    leave({ room }) {
      rooms.get(room)?.leave();
      rooms.delete(room);
      ground.flush();
    },
    handled: ({ room }) => rooms.get(room)?.handled(),
    snapshot: (position) => rooms.get(position.room)?.snapshot(position),
    snapshot_failed: ({ room }) => rooms.get(room)?.snapshotFailed(),
    request({ id, frame, again }) {
      if (phase === "stopped" || phase === "closed") requests.fail(id);
      else requests.add(id, frame, again);
    },
    cancel: ({ id }) => requests.cancel(id),
    close() {
      if (hasLink()) ground.out.push({ do: "hang_up", code: 1000 });
      become("closed");
      requests.end();
      ground.forgetAll();
    },
  };

  /** `now` in milliseconds of a clock that does not go back; `random` in [0, 1). */
  return function step(input: Input, now: number, random: number): Effect[] {
    ground.now = now;
    ground.random = random;
    const out: Effect[] = (ground.out = []);
    if (phase !== "closed" || input.do === "request") inputs[input.do](input as never);
    ground.arm();
    return out;
  };
}
