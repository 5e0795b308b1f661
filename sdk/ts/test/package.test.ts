// What is built and published.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { repository } from "./support/process.js";

const root = join(repository, "sdk/ts");
const bundle = readFileSync(join(root, "dist/continuo.min.js"));

test("the bundle is at most 8 kB, gzipped", () => {
  const size = gzipSync(bundle, { level: 9 }).length;
  console.log(`summary: continuo.min.js has ${bundle.length} bytes, ${size} gzipped`);
  assert.ok(size <= 8192, `${size} bytes`);
});

test("the example chat serves this bundle", () => {
  // npm run build has just copied it: git tells whether the copy that is checked in is another one.
  assert.ok(bundle.equals(readFileSync(join(repository, "examples/chat/continuo.min.js"))), "run npm run build in sdk/ts");
});

test("the bundle needs nothing and gives what index.ts does", async () => {
  const core = await import(join(root, "dist/continuo.min.js"));
  const index = await import("@continuo-rt/client");
  assert.deepEqual(Object.keys(core).sort(), Object.keys(index).sort());
  assert.ok(!/\bimport\b/.test(bundle.toString()));
});

test("npm publishes the built files, the documents, and nothing else", () => {
  const [pack] = JSON.parse(execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
  const files: string[] = pack.files.map((f: { path: string }) => f.path);
  const other = files.filter((f) => !/^dist\/[a-z]+(\.d\.ts|\.js|\.min\.js)$/.test(f) && !["package.json", "README.md", "CHANGELOG.md", "LICENSE", "docs/api.md"].includes(f));
  assert.deepEqual(other, []);
  for (const wanted of ["README.md", "CHANGELOG.md", "LICENSE", "docs/api.md", "dist/index.js", "dist/index.d.ts", "dist/node.js", "dist/server.d.ts", "dist/continuo.min.js"]) assert.ok(files.includes(wanted), wanted);
});

test("there is no runtime dependency, and no registry in the lock file", () => {
  const pack = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  assert.equal(pack.dependencies, undefined);
  assert.ok(!readFileSync(join(root, "package-lock.json"), "utf8").includes('"resolved"'));
});
