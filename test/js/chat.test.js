// examples/chat in a real browser, as development mode serves it: two people talk, and whatever happens to the line,
// both see the same in the end.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { browser } from "./support/browser.js";
import { accessible, message, outcome, said, same, say, state, visit, whole, write } from "./support/chat.js";
import { Server } from "./support/server.js";

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

const open = (user, room, options) => visit(chrome, server.url, { user, room, ...options });
const close = (...pages) => Promise.all(pages.map((page) => page.leave()));

// order does what a backend would.
async function order(path, body) {
  const answer = await fetch(`${server.url}/apps/app-id/${path}`, { method: "POST", headers: { Authorization: "Bearer app-key:app-secret" }, body: JSON.stringify(body) });
  assert.equal(answer.status, 200, await answer.text());
}

// alone runs a server for one test.
async function alone(config, use) {
  const own = new Server(config);
  try {
    await own.start();
    await use(own);
  } finally {
    await own.remove();
  }
}

// change edits what was said last, by the keyboard.
async function change(page, text) {
  await page.locator("#text").press("ArrowUp");
  await write(page, text);
}

async function press(page, text, button) {
  const li = message(page, text);
  await li.focus();
  await li.getByRole("button", { name: button, exact: true }).click();
}

// Much of this waits for the line or for a token's end, so that several wait at once.
describe("the chat", { concurrency: 3 }, () => {
  test("one loses the connection while the other sends, edits, deletes and reacts; both show the same in the end", async () => {
    const [ann, bob] = await Promise.all([open("ann", "cut"), open("bob", "cut")]);
    await say(ann, "one");
    await say(ann, "two");
    await message(bob, "two").waitFor();
    await say(bob, "three");
    await say(bob, "four");
    await message(ann, "four").waitFor();
    await bob.locator("#text").pressSequentially("hm");
    await ann.locator("#typing", { hasText: "bob is typing" }).waitFor();
    assert.deepEqual(await ann.locator("#members .who").allTextContents(), ["ann (you)", "bob"]);

    await ann.locator("#cut").click();
    await state(ann, "reconnecting");
    await write(ann, "said into the dark");
    await ann.locator("#pending li", { hasText: "waits for the connection" }).waitFor();
    await bob.locator("#text").fill("");
    await change(bob, "four, changed");
    await message(bob, "four, changed").waitFor();
    await press(bob, "three", "Delete");
    await press(bob, "three", "Delete it for everybody");
    await message(bob, "three").waitFor({ state: "detached" });
    await press(bob, "two", "React: heart");
    await bob.locator(".chip").waitFor();
    await say(bob, "five");
    assert.equal((await said(ann)).length, 4, "nothing arrives while the line is cut");

    await ann.locator("#cut").click();
    await outcome(ann, "resumed, 4 missed messages");
    await ann.locator(".away", { hasText: "1 message, 1 change, 1 deletion and 1 reaction came meanwhile" }).waitFor();
    await same([ann, bob], ["one", "two | heart, 1", "four, changed edited", "five", "said into the dark"]);
    for (const page of [ann, bob]) {
      await whole(page);
      assert.equal(await page.locator("#pending li").count(), 0);
      page.fine();
    }
    await close(ann, bob);
  });

  test("a token is renewed in time; one that ends unrenewed costs a reconnect and nothing else", () =>
    // Tokens are renewed 88 s before they end, so that one of 90 s is after 2 s.
    alone("rooms: {token_warning: 88s}\n", async (own) => {
      const [ann, bob] = await Promise.all(["ann", "bob"].map((user) => visit(chrome, own.url, { user, room: "token" })));
      await ann.locator("#f-token", { hasText: "renewed 1×" }).waitFor({ state: "attached" });
      assert.equal(await ann.locator("#journal", { hasText: "Lost" }).count(), 0, "a renewal is no reconnect");
      await say(ann, "with the first");
      await ann.locator("#expire").click();
      await ann.locator("#journal .note", { hasText: "The token had ended." }).waitFor({ state: "attached" });
      await state(ann, "connected");
      await say(bob, "and on");
      await say(ann, "with the next");
      await same([ann, bob], ["with the first", "and on", "with the next"]);
      await whole(ann);
      ann.fine();
      await close(ann, bob);
    }));

  test("a line that goes silent is noticed, and what was said meanwhile comes", async () => {
    const [ann, bob] = await Promise.all([open("ann", "stall", { clock: true }), open("bob", "stall")]);
    await say(ann, "before");
    await message(bob, "before").waitFor();
    await ann.locator("#stall").click();
    await outcome(ann, "After 25 s of silence the client asks");
    await say(bob, "into the silence");
    await ann.clock.fastForward(25500);
    await ann.locator("#journal li", { hasText: "client.ping" }).waitFor({ state: "attached" });
    await state(ann, "silent for");
    assert.deepEqual(await said(ann), ["before"]);
    await ann.clock.fastForward(10000);
    await ann.clock.fastForward(1000);
    await outcome(ann, "resumed, 1 missed message");
    await same([ann, bob], ["before", "into the silence"]);
    await whole(ann);
    await close(ann, bob);
  });

  test("the server is killed and comes back: what was acknowledged is there, what waited is sent once", () =>
    alone("", async (own) => {
      const [ann, bob] = await Promise.all(["ann", "bob"].map((user) => visit(chrome, own.url, { user, room: "kill" })));
      await say(ann, "acknowledged");
      await message(bob, "acknowledged").waitFor();
      await own.stop("SIGKILL");
      await Promise.all([state(ann, "reconnecting"), state(bob, "reconnecting")]);
      await write(ann, "while it was down");
      await own.start();
      await message(bob, "while it was down").waitFor();
      await same([ann, bob], ["acknowledged", "while it was down"]);
      await Promise.all([outcome(ann, "resumed"), outcome(bob, "resumed")]);
      await Promise.all([whole(ann), whole(bob)]);
      await close(ann, bob);
    }));

  test("a room that was begun anew while one was away is fetched as it is now", async () => {
    const page = await open("ann", "anew");
    await say(page, "in the old log");
    await page.locator("#cut").click();
    await state(page, "reconnecting");
    await order("channels/anew/history/reset", { confirm_channel: "anew", confirm_operation: "reset", reason: "a test" });
    await order("events", { channel: "anew", name: "chat.message", data: "in the new log" });
    await page.locator("#cut").click();
    await outcome(page, "took a snapshot: stream reset");
    await same([page], ["in the new log"]);
    await say(page, "and on");
    await same([page], ["in the new log", "and on"]);
    await whole(page);
    page.fine();
    await close(page);
  });

  test("scrolling back reads the room to its beginning, and what one looks at stays where it is", async () => {
    for (let from = 0; from < 100; from += 10) {
      const batch = Array.from({ length: 10 }, (_, n) => ({ channel: "long", name: "chat.message", data: `number ${from + n + 1}` }));
      await order("batch_events", { batch });
    }
    const page = await open("ann", "long");
    await message(page, "number 100").waitFor();
    assert.equal(await page.locator("#messages .msg").count(), 40);
    await page.locator("#text").focus();
    await page.keyboard.press("Shift+Tab"); // the newest message
    await page.keyboard.press("Home");
    assert.match(await page.evaluate(() => document.activeElement.textContent), /number 61/);
    const place = () => page.evaluate(() => document.activeElement.getBoundingClientRect().top - document.getElementById("scroller").getBoundingClientRect().top);
    await message(page, "number 21").waitFor({ state: "attached" });
    const top = await place();
    assert.ok(top >= -5 && top < 600, `the message that has the focus is still in sight, at ${top}`);
    await page.waitForFunction(() => {
      document.getElementById("scroller").scrollTop = 0;
      return document.getElementById("beginning").textContent.includes("where the room begins");
    });
    assert.deepEqual(await said(page), Array.from({ length: 100 }, (_, n) => `number ${n + 1}`));
    assert.ok(await page.locator("#to-end").isVisible());
    await page.locator("#to-end").click();
    await message(page, "number 100").waitFor();
    page.fine();
    await close(page);
  });

  test("everything can be done with the keyboard alone, and the focus can be seen", async () => {
    const page = await open("ann", "keys");
    const focused = () => page.evaluate(() => {
      const e = document.activeElement, ring = (x) => x && getComputedStyle(x).outlineStyle !== "none" && parseFloat(getComputedStyle(x).outlineWidth) >= 2;
      return { name: (e.getAttribute("aria-label") ?? e.textContent ?? "").trim(), id: e.id, ring: ring(e) || ring(e.closest(".compose-row")) };
    });
    const tabTo = async (what, key = "Tab") => {
      for (let n = 0; n < 60; n++) {
        await page.keyboard.press(key);
        const at = await focused();
        if (at.id || at.name) assert.ok(at.ring, `the focus on ${at.id || at.name} can be seen`);
        if (at.id === what || at.name === what) return;
      }
      assert.fail(`${what} cannot be reached by ${key}`);
    };
    await tabTo("Skip to writing a message");
    await page.keyboard.press("Enter");
    assert.equal((await focused()).id, "text");
    assert.equal(await page.locator("#room-name").textContent(), "keys");
    await page.keyboard.type("first");
    await page.keyboard.press("Enter");
    await message(page, "first").waitFor();
    await page.keyboard.type("second");
    await page.keyboard.press("Enter");
    await message(page, "second").waitFor();
    await page.keyboard.press("ArrowUp");
    assert.equal(await page.locator("#text").inputValue(), "second");
    await page.keyboard.press("Escape");
    assert.equal(await page.locator("#text").inputValue(), "");
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("Control+A");
    await page.keyboard.type("second thoughts");
    await page.keyboard.press("Enter");
    await message(page, "second thoughts").waitFor();
    await tabTo("React: heart", "Shift+Tab");
    await page.keyboard.press("Enter");
    await page.locator(".chip[aria-pressed=true]").waitFor();
    assert.equal((await focused()).name, "React: heart", "the focus stays when the message is drawn anew");
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("Tab");
    await tabTo("Delete");
    await page.keyboard.press("Enter");
    assert.equal((await focused()).name, "Delete it for everybody");
    await page.keyboard.press("Enter");
    await same([page], ["second thoughts edited | heart, 1"]);
    assert.match((await focused()).name, /second thoughts/, "the focus goes to what is left");
    await tabTo("cut");
    await page.keyboard.press("Enter");
    await state(page, "reconnecting");
    assert.equal((await focused()).id, "cut");
    await page.keyboard.press("Enter");
    await state(page, "connected");
    await tabTo("other-name", "Shift+Tab");
    await page.keyboard.type("another-room");
    await page.keyboard.press("Enter");
    await page.locator("#room-name", { hasText: "another-room" }).waitFor();
    await page.locator("#beginning", { hasText: "You could begin" }).waitFor();
    page.fine();
    await close(page);
  });

  for (const width of [360, 1280]) {
    test(`at ${width} px, light and dark: nothing overflows, and axe-core finds nothing serious`, async () => {
      const room = width === 360 ? "night-train" : "rehearsal", viewport = { width, height: width === 360 ? 720 : 800 };
      const [clara, fanny] = await Promise.all([open("Clara", room, { viewport, reducedMotion: "reduce" }), open("Fanny", room)]);
      // look takes a screenshot in both schemes, and lets axe-core judge: all in the light, the contrast in the dark.
      const look = async (name) => {
        await clara.mouse.move(0, 0);
        for (const colorScheme of ["light", "dark"]) {
          await clara.emulateMedia({ colorScheme, reducedMotion: "reduce" });
          await clara.screenshot({ path: `${screenshots}chat-${width}-${colorScheme}${name}.png` });
          await accessible(clara, colorScheme === "dark" ? ["color-contrast"] : undefined);
        }
      };
      const cut = async () => {
        if (width > 1000) return clara.locator("#cut").click();
        await clara.locator("#open-line").click();
        await clara.locator("#cut").click();
        await clara.keyboard.press("Escape");
      };
      await say(clara, "Did you hear the rehearsal yesterday? The cellos came in a bar early.");
      await say(clara, "Twice.");
      await message(fanny, "Twice.").waitFor();
      await say(fanny, "I did, and nobody stopped. The bass line went on and everybody found their way back.");
      await say(clara, "That is what a continuo is for.");
      await message(fanny, "That is what").waitFor();
      await press(fanny, "That is what", "React: heart");
      await clara.locator(".chip").waitFor();
      await cut();
      await state(clara, "reconnecting");
      await write(clara, "Are you still there?");
      await clara.locator("#pending li").waitFor();
      await look("-cut");
      await change(fanny, "I did, and nobody stopped. The bass line went on, and everyone found their way back.");
      await say(fanny, "You are in the tunnel again, I suppose?");
      await say(fanny, "I write down what you miss: the second oboe, the slow movement, and somebody's telephone.");
      await cut();
      await outcome(clara, "resumed, 3 missed messages");
      await message(clara, "Are you still there?").waitFor();
      await fanny.locator("#text").pressSequentially("Oh");
      await clara.locator("#typing", { hasText: "Fanny is typing" }).waitFor();
      await clara.locator("#text").focus();
      await look("");
      for (const side of width === 360 ? ["rooms", "line"] : []) {
        await clara.locator(`#open-${side}`).click();
        await look(`-${side}`);
        assert.ok(await clara.evaluate((id) => document.getElementById(id).contains(document.activeElement), `${side}-side`), "the focus is in what was opened");
        await clara.keyboard.press("Escape");
        assert.equal(await clara.evaluate(() => document.activeElement.id), `open-${side}`, "and back where it came from");
      }
      assert.deepEqual(await clara.evaluate(() => [document.documentElement, ...document.querySelectorAll("body *")]
        .filter((e) => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX !== "visible" && !e.closest(".sr, .skip, .sprite, .pill")).map((e) => e.id || e.className)), [], "nothing is wider than its place");
      const moving = await clara.evaluate(() => [...document.querySelectorAll("*")].filter((e) => getComputedStyle(e).animationName !== "none").length);
      assert.equal(moving, 0, "nothing moves for those who asked for that");
      clara.fine();
      await close(clara, fanny);
    });
  }

  test("the chat and its tokens are not there outside development mode", () =>
    alone("apps:\n  - id: a\n    keys: [{key: k, secret: not-the-development-secret}]\n", async ({ url }) => {
      for (const path of ["/demo", "/demo/", "/demo/chat.js", "/demo/continuo.min.js"]) assert.equal((await fetch(url + path)).status, 404, path);
      assert.equal((await fetch(`${url}/dev/token`, { method: "POST", body: '{"user":"ann"}' })).status, 404);
    }));
});
