import { fileStore } from "@continuo-rt/client/node";
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";

describe("fileStore", () => {
  const dir = mkdtempSync(join(tmpdir(), "continuo-store-"));
  after(() => rmSync(dir, { recursive: true }));
  let files = 0;
  const path = () => join(dir, `cursors-${++files}.json`);
  const at = (event_id: number) => ({ stream_id: "A", event_id });

  test("keeps positions over processes", async () => {
    const file = path();
    const store = fileStore(file);
    assert.equal(await store.load("a"), undefined);
    await Promise.all([store.save("a", at(1)), store.save("b", at(7))]);
    await store.save("a", at(2));
    const again = fileStore(file);
    assert.deepEqual(await again.load("a"), at(2));
    assert.deepEqual(await again.load("b"), at(7));
    await again.delete("b");
    assert.equal(await fileStore(file).load("b"), undefined);
    assert.deepEqual(readdirSync(dir).filter((name) => name.endsWith(".new")), []);
  });

  test("is whole after each of many saves at once, and ends with the newest", async () => {
    const file = path();
    const store = fileStore(file);
    const saves = Array.from({ length: 200 }, (_, i) => store.save("a", at(i)));
    for (const save of saves) {
      await save;
      JSON.parse(readFileSync(file, "utf8"));
    }
    assert.deepEqual(await fileStore(file).load("a"), at(199));
  });

  test("a damaged file is told, and left as it is", async () => {
    for (const damage of ["", "{", "[]x", '{"a":{"stream_id":7}}', '{"a":null}']) {
      const file = path();
      writeFileSync(file, damage);
      const store = fileStore(file);
      await assert.rejects(async () => store.load("a"), { message: new RegExp(`${file} is damaged`) });
      await assert.rejects(async () => store.save("a", at(3)), { message: /damaged/ });
      await assert.rejects(async () => store.delete("a"), { message: /damaged/ });
      assert.equal(readFileSync(file, "utf8"), damage);
    }
  });

  test("a file that could not be read for a while loses nothing", async () => {
    const file = path();
    await fileStore(file).save("a", at(1));
    const store = fileStore(file);
    renameSync(file, `${file}.away`);
    mkdirSync(file);
    await assert.rejects(async () => store.save("b", at(2)), { code: "EISDIR" });
    rmSync(file, { recursive: true });
    renameSync(`${file}.away`, file);
    await store.save("b", at(2));
    assert.deepEqual(await fileStore(file).load("a"), at(1));
  });

  test("a folder that is not there fails each save, and not for ever", async () => {
    const file = join(dir, "nowhere", "cursors.json");
    const store = fileStore(file);
    assert.equal(await store.load("a"), undefined);
    await assert.rejects(async () => store.save("a", at(1)), { code: "ENOENT" });
    await assert.rejects(async () => store.save("a", at(2)), { code: "ENOENT" });
  });
});
