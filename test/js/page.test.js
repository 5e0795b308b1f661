// The page of development mode in a real browser: publish, cut the connection, come back, and see the resume. Screenshots
// are kept in bin/screenshots to be looked at.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { Server } from "./support/server.js";
import { browser } from "./support/browser.js";

const server = new Server();
const screenshots = new URL("../../bin/screenshots/", import.meta.url).pathname;
let chrome;

before(async () => {
  mkdirSync(screenshots, { recursive: true });
  await server.start();
  chrome = await browser();
});
after(async () => {
  await chrome?.close();
  await server.remove();
});

for (const width of [360, 1280]) {
  test(`publish, cut and resume at ${width} px, with the keyboard alone`, async () => {
    const page = await chrome.newPage({ viewport: { width, height: 1000 } });
    const errors = [];
    page.on("pageerror", (e) => errors.push(e));
    page.on("console", (m) => m.type() === "error" && errors.push(m.text()));
    await page.goto(server.url);
    await page.locator("#state", { hasText: "connected" }).waitFor();
    await page.locator("#channel").fill(`page-${width}`);
    await page.locator("#data").focus();
    await page.keyboard.press("Enter");
    await page.locator("#published", { hasText: "Durable at serial 1 " }).waitFor();
    await page.locator("#state", { hasText: "connected" }).waitFor();
    await page.locator("#messages li", { hasText: "hello" }).waitFor();
    await page.locator("#cut").focus();
    await page.keyboard.press("Enter");
    await page.locator("#state", { hasText: "cut" }).waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.id), "back", "the keyboard is where it goes on");
    await page.locator("#five").focus();
    await page.keyboard.press("Space");
    await page.locator("#published", { hasText: "Five messages are durable" }).waitFor();
    assert.equal(await page.locator("#serial").textContent(), "1", "nothing arrives while the connection is cut");
    await page.locator("#back").focus();
    await page.keyboard.press("Enter");
    await page.locator("#verdict", { hasText: "5 missed messages replayed" }).waitFor();
    assert.equal(await page.locator("#serial").textContent(), "6");
    const serials = await page.locator("#messages li .n").allTextContents();
    assert.deepEqual(serials.map(Number), [6, 5, 4, 3, 2, 1]);
    await page.screenshot({ path: `${screenshots}page-${width}.png`, fullPage: true });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(overflow, 0, "nothing is wider than the screen");
    assert.deepEqual(errors, []);
    await page.close();
  });
}

test("the page and the guest login are not there outside development mode", async () => {
  const production = new Server("apps:\n  - id: a\n    keys: [{key: k, secret: not-the-development-secret}]\n");
  await production.start();
  try {
    for (const path of ["/", "/page.js", "/pusher/auth", "/sockudo/auth", "/pusher/user-auth", "/sockudo/user-auth"]) {
      const answer = await fetch(production.url + path, { method: path.includes("auth") ? "POST" : "GET" });
      assert.equal(answer.status, 404, path);
    }
  } finally {
    await production.remove();
  }
});
