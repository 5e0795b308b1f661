// Against the real server: connections that break at random, and a client process that is killed.
import { Client, type RoomEvent } from "@continuo-rt/client";
import { allRights, Server } from "@continuo-rt/client/server";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createInterface } from "node:readline";
import WebSocket from "ws";
import { Proxy, ServerProcess } from "./support/process.js";
import { Bell, within } from "./support/wait.js";

const config = `mode: development
rooms: {retry_base: 100ms, retry_max: 400ms}
apps:
  - id: app
    keys: [{key: key, secret: secret-of-the-tests}]
    channels: [{pattern: "*", mutable: true}]
`;

describe("faults", () => {
  const server = new ServerProcess(config);
  let backend: Server;
  before(async () => {
    await server.start();
    backend = new Server(server.url, "app", "key", "secret-of-the-tests");
  });
  after(() => server.remove());

  for (const seed of ["1", "2", "3"]) {
    test(`drops, resets, half-open and slow connections (--seed ${seed}): no gap and nothing twice`, async () => {
      const room = `faults-${seed}`;
      const proxy = await Proxy.start(server.url, "--seed", seed);
      const bell = new Bell();
      const seen: number[] = [];
      const client = new Client(proxy.url, { WebSocket, token: () => backend.mintToken("ann", { rooms: [{ pattern: "*", can: allRights }] }) });
      client.on("error", () => {});
      client.on("state", bell.ring);
      const published = 300;
      try {
        void client.connect();
        const following = (async () => {
          for await (const event of client.room(room).events() as AsyncIterable<RoomEvent>) {
            if (event.kind !== "chat.message") continue;
            seen.push(event.event_id!);
            bell.ring();
          }
        })();
        await within(client.room(room).join(), "the join");
        await proxy.post("/faults?on=true");
        let sent = 0;
        for (let i = 1; i <= published; i++) {
          await backend.publish(room, "chat.message", `n ${i}`);
          // The client's own sends go through the same connections.
          if (i % 30 === 0) void client.room(room).send(`mine ${i}`).then(() => { sent++; bell.ring(); });
        }
        await proxy.post("/heal");
        const all = published + published / 30;
        await bell.until(() => sent === published / 30 && seen.length >= all, () => `${all} events; ${seen.length} came, ${sent} sends were answered, ${JSON.stringify(client.state)}`);
        assert.deepEqual(seen, Array.from({ length: all }, (_, i) => i + 1));
        await client.close();
        await following;
      } finally {
        await client.close(0);
        proxy.stop();
      }
    });
  }

  test("kill -9 of the client process: at least once, and never a gap", async () => {
    const room = "killed";
    const file = join(server.dir, "cursors.json");
    const { stream_id } = await backend.publish(room, "chat.message", "n 1");
    const script = join(import.meta.dirname, "support/follower.js");
    const total = 200;
    const publishing = (async () => {
      for (let i = 2; i <= total; i++) await backend.publish(room, "chat.message", `n ${i}`);
    })();
    let last = 0;
    let handled = 0;
    for (const until of [20, 45, 46, 120, total]) {
      const child = spawn(process.execPath, [script, server.url, room, stream_id, file], { stdio: ["ignore", "pipe", "inherit"] });
      const ended = new Promise((done) => child.once("exit", done));
      let first = true;
      let before = 0;
      await within(
        new Promise<void>((done, fail) => {
          createInterface({ input: child.stdout }).on("line", (line) => {
            const id = Number(line);
            try {
              if (first) assert.ok(id <= last + 1, `a process begins at ${id}, the one before had come to ${last}`);
              else assert.equal(id, before + 1, "in order");
            } catch (e) {
              fail(e);
            }
            first = false;
            before = id;
            handled++;
            last = Math.max(last, id);
            if (id >= until) done();
          });
        }),
        `event ${until}`,
      ).finally(() => child.kill("SIGKILL"));
      await ended;
    }
    await publishing;
    assert.ok(last >= total && handled >= total);
  });
});
