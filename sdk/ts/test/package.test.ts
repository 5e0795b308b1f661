// What is built and published.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { FakePlatform, settle } from "./support/fake.js";
import { repository } from "./support/process.js";

const root = join(repository, "sdk/ts");
const read = (file: string) => readFileSync(join(root, "dist", file));
const bundle = read("continuo.min.js");

test("the core is at most 8 kB, gzipped; with lists and words 9 kB", () => {
  for (const [file, most] of [["continuo.core.min.js", 8192], ["continuo.min.js", 9216]] as const) {
    const size = gzipSync(read(file), { level: 9 }).length;
    console.log(`summary: ${file} has ${read(file).length} bytes, ${size} gzipped`);
    assert.ok(size <= most, `${file}: ${size} bytes`);
  }
});

test("the example chat serves this bundle, as it is checked in", () => {
  assert.ok(bundle.equals(readFileSync(join(repository, "examples/chat/continuo.min.js"))), "run npm run build in sdk/ts");
});

for (const [file, source] of [["continuo.core.min.js", "core.js"], ["continuo.min.js", "index.js"]] as const) {
  test(`${file} needs nothing, gives what ${source} does, and works`, async () => {
    const min = await import(join(root, "dist", file));
    const whole = await import(join(root, "dist", source));
    assert.deepEqual(Object.keys(min).sort(), Object.keys(whole).sort());
    assert.ok(!/\bimport\b/.test(read(file).toString()));

    const platform = new FakePlatform(min.Client);
    const { client, room } = await platform.joined();
    const seen: unknown[] = [];
    room.onEvent((event) => void seen.push(event.kind));
    platform.message(1);
    assert.deepEqual(room.position, { stream_id: "A", event_id: 1 });
    const send = room.send("a");
    const { correlation_id } = platform.socket.last("chat.send")!;
    platform.socket.say({ kind: "chat.accepted", correlation_id, event_id: 2, message_id: "2", version: 1 });
    assert.equal((await send).event_id, 2);
    platform.answer = () => Response.json({ stream_id: "A", event_id: 9, messages: [] });
    platform.socket.say({ kind: "room.snapshot_required", room_id: "lobby", reason: "slow_consumer", stream_id: "A", event_id: 9 });
    while (seen.length < 2) await settle();
    assert.deepEqual(seen, ["chat.message", "room.snapshot"]);
    room.leave();
    await client.close();
    assert.equal(client.state.state, "closed");
  });
}

test("npm publishes the built files, the documents, and nothing else", () => {
  const [pack] = JSON.parse(execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
  const files: string[] = pack.files.map((f: { path: string }) => f.path);
  const other = files.filter((f) => !/^dist\/[a-z]+(\.d\.ts|\.js|\.min\.js|\.core\.min\.js)$/.test(f) && !["package.json", "README.md", "CHANGELOG.md", "LICENSE", "docs/api.md"].includes(f));
  assert.deepEqual(other, []);
  for (const wanted of ["README.md", "CHANGELOG.md", "LICENSE", "docs/api.md", "dist/index.js", "dist/index.d.ts", "dist/node.js", "dist/server.d.ts", "dist/continuo.min.js"]) assert.ok(files.includes(wanted), wanted);
});

test("there is no runtime dependency, and no registry in the lock file", () => {
  const pack = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  assert.equal(pack.dependencies, undefined);
  assert.ok(!readFileSync(join(root, "package-lock.json"), "utf8").includes('"resolved"'));
});
