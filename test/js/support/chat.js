// What the tests of examples/chat do again and again.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

const axe = readFileSync(new URL("../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
export const patience = 30000; // against hanging, not for waiting

const window = { viewport: { width: 1280, height: 800 }, locale: "en-GB" };
const shared = new WeakMap(); // browser → the context of the pages without options: windows of one profile

// visit opens the chat as somebody. What goes wrong in the page fails the test that calls page.fine().
export async function visit(chrome, url, { user, room, clock, ...options }) {
  const own = clock || Object.keys(options).length > 0;
  if (!own && !shared.has(chrome)) shared.set(chrome, chrome.newContext(window));
  const context = await (own ? chrome.newContext({ ...window, ...options }) : shared.get(chrome));
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  await page.addInitScript((name) => (sessionStorage.name ??= name), user);
  page.leave = () => (own ? context.close() : page.close());
  const wrong = [];
  page.on("pageerror", (e) => wrong.push(e));
  page.on("console", (m) => ["error", "warning"].includes(m.type()) && wrong.push(m.text()));
  page.fine = () => assert.deepEqual(wrong, []);
  if (clock) await page.clock.install();
  await page.goto(`${url}/demo#${room}`);
  await state(page, "connected");
  await page.locator("#outcome", { hasText: "up to date" }).waitFor({ state: "attached" });
  return page;
}

// state waits until the panel says so.
export const state = (page, text) => page.locator("#state", { hasText: text }).waitFor({ state: "attached" });

export const outcome = (page, text) => page.locator("#outcome", { hasText: text }).waitFor({ state: "attached" });

export const message = (page, text) => page.locator("#messages .msg", { hasText: text });

// say sends, and waits until the room has it.
export async function say(page, text) {
  await write(page, text);
  await message(page, text).waitFor();
  await page.locator("#pending li", { hasText: text }).waitFor({ state: "detached" });
}

export async function write(page, text) {
  await page.locator("#text").fill(text);
  await page.locator("#text").press("Enter");
}

// said is what the page shows: every message's text and its reactions.
export const said = (page) => page.locator("#messages .msg").evaluateAll((all) => all.map((li) => [
  li.querySelector(".text").textContent, ...[...li.querySelectorAll(".chip")].map((c) => c.getAttribute("aria-label"))].join(" | ")));

// same waits until both pages show just this.
export async function same(pages, want) {
  for (const page of pages) {
    await page.waitForFunction((want) => JSON.stringify([...document.querySelectorAll("#messages .msg")].map((li) => [
      li.querySelector(".text").textContent, ...[...li.querySelectorAll(".chip")].map((c) => c.getAttribute("aria-label"))].join(" | "))) === want, JSON.stringify(want))
      .catch(async () => assert.deepEqual(await said(page), want));
  }
}

// whole checks the panel's own account: nothing missing, nothing twice.
export const whole = (page) => page.locator("#ribbon-text", { hasText: "none missing, none twice" }).waitFor({ state: "attached" });

// accessible fails for what axe-core calls serious or critical; rules: only these.
export async function accessible(page, rules) {
  if (await page.evaluate(() => !window.axe)) await page.evaluate(axe);
  const { violations } = await page.evaluate((runOnly) => axe.run(document, { resultTypes: ["violations"], ...(runOnly && { runOnly }) }), rules);
  const bad = violations.filter((v) => ["serious", "critical"].includes(v.impact));
  assert.deepEqual(bad.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.target} ${n.failureSummary}`).join("; ")}`), []);
}
