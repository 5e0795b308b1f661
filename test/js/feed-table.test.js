// The page of examples/feed-table in a real browser: it shows the season, loses its connection, misses nothing.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { browser } from "./support/browser.js";
import { Server, binary } from "./support/server.js";

const server = new Server();
const screenshots = new URL("../../bin/screenshots/", import.meta.url).pathname;
let chrome, season;

before(async () => {
  mkdirSync(screenshots, { recursive: true });
  await server.start();
  season = spawn(binary, ["demo", "feed", "--url", server.url, "--rate", "100"], { stdio: "ignore" });
  chrome = await browser();
});
after(async () => {
  season?.kill();
  await chrome?.close();
  await server.remove();
});

test("the table of a live season, from a file, through a cut and a restart of the server", async () => {
  const page = await chrome.newPage({ viewport: { width: 1280, height: 900 } });
  page.setDefaultTimeout(30000);
  const wrong = [];
  page.on("pageerror", (e) => wrong.push(e));
  await page.goto(new URL("../../examples/feed-table/index.html", import.meta.url).href);
  await page.locator("[name=url]").fill(server.url);
  await page.getByRole("button", { name: "Connect", exact: true }).click();
  await page.locator("#status", { hasText: "live" }).waitFor();
  await page.locator("#rows tr").nth(5).waitFor();
  const frames = async (more) => {
    const had = await page.evaluate(() => parseInt(document.getElementById("account").textContent, 10));
    await page.waitForFunction((n) => parseInt(document.getElementById("account").textContent, 10) >= n, had + more);
  };
  await frames(20);
  await page.locator("#cut").click();
  await page.locator("#status", { hasText: "live; replayed" }).waitFor();
  await frames(20);
  await server.stop("SIGKILL");
  await page.locator("#status", { hasText: "reconnecting" }).waitFor();
  await server.start();
  await page.locator("#status", { hasText: "live" }).waitFor();
  await frames(1);
  await page.screenshot({ path: `${screenshots}feed-table.png` });
  assert.match(await page.locator("#account").textContent(), /^\d+ frames, 0 missed, 0 twice, /);
  const rows = await page.locator("#rows tr").evaluateAll((all) => all.map((tr) => [...tr.children].map((td) => td.textContent)));
  assert.ok(rows.every((row) => row.length === 9 && row[3].match(/^\d+:\d+$/)), JSON.stringify(rows.slice(0, 3)));
  assert.equal(new Set(rows.map(([id]) => id)).size, rows.length, "every fixture once");
  assert.deepEqual(wrong, []);
});
