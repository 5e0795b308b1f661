// The vectors that all client libraries share.
import { MemberList, MessageList, describe as inWords } from "@continuo-rt/client";
import { decode, encode } from "#dist/codec.js";
import { newSession } from "#dist/session.js";
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { repository } from "./support/process.js";

const vectors = (name: string): any[] => {
  const file = join(repository, "spec/vectors/client", `${name}.json`);
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : [];
};

/** As JSON sees it: members that are undefined are not there. */
const plain = (value: unknown) => JSON.parse(JSON.stringify(value));

/** "*" as a message stands for any text. */
function forgive(expected: any[], given: any[]): any[] {
  return given.map((effect, i) => (expected[i]?.message === "*" && typeof effect.message === "string" ? { ...effect, message: "*" } : effect));
}

/** Without the members of objects inside that the expected frame does not have. */
function unknownLess(value: any, expected: any): any {
  if (Array.isArray(expected) && Array.isArray(value)) return value.map((element, i) => unknownLess(element, expected[i]));
  if (typeof expected !== "object" || expected === null || typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.keys(expected).map((name) => [name, unknownLess(value[name], expected[name])]));
}

describe("codec.json", () => {
  for (const { name, text, frame, malformed, encode: value } of vectors("codec")) {
    test(name, () => {
      if (value) return assert.deepEqual(JSON.parse(encode(value)), JSON.parse(text));
      const decoded = decode(text);
      if (malformed) return assert.equal(decoded?.do, "malformed");
      if (!frame) return assert.equal(decoded, undefined);
      assert.ok(decoded?.do === "frame", JSON.stringify(decoded));
      // Members that are not known may be kept or not.
      const known = Object.fromEntries(Object.keys(frame).map((member) => [member, decoded.frame[member]]));
      assert.deepEqual(plain(unknownLess(known, frame)), frame);
    });
  }
});

describe("what a server says in spec/vectors/rooms", () => {
  const folder = join(repository, "spec/vectors/rooms");
  for (const file of readdirSync(folder)) {
    test(`${file}: nothing is malformed`, () => {
      let frames = 0;
      for (const line of readFileSync(join(folder, file), "utf8").split("\n")) {
        const text = /^S[^:]*: (.*)$/.exec(line)?.[1];
        if (!text || text.endsWith("…")) continue;
        frames++;
        assert.equal(decode(text)?.do, "frame", text);
      }
      assert.ok(frames > 0);
    });
  }
});

describe("session.json", () => {
  for (const { name, client, buffer, steps } of vectors("session")) {
    test(name, () => {
      const step = newSession(client, buffer);
      let now = 0;
      steps.forEach((scene: any, i: number) => {
        now = scene.now ?? now;
        const given = plain(step(scene.in, now, scene.random ?? 0.5));
        const expected = scene.out ?? [];
        assert.deepEqual(forgive(expected, given), expected, `step ${i + 1}: ${JSON.stringify(scene.in)}`);
      });
    });
  }
});

describe("messages.json", () => {
  for (const { name, steps } of vectors("messages")) {
    test(name, () => {
      const list = new MessageList();
      steps.forEach((step: any, i: number) => {
        list.apply(event(step));
        if (step.list) assert.deepEqual(plain(list.messages), step.list, `step ${i + 1}`);
      });
    });
  }
});

describe("members.json", () => {
  for (const { name, steps } of vectors("members")) {
    test(name, () => {
      const list = new MemberList();
      steps.forEach((step: any, i: number) => {
        list.apply(event(step));
        if (step.list) assert.deepEqual(plain(list.members), step.list, `step ${i + 1}`);
        if (step.count !== undefined) assert.equal(list.count, step.count, `step ${i + 1}`);
      });
    });
  }
});

function event(step: any): any {
  if (step.snapshot) return { ...step.snapshot, kind: "room.snapshot" };
  if (step.history) return { ...step.history, kind: "room.history" };
  return step.event;
}

describe("describe.json", () => {
  for (const { state, room, text } of vectors("describe")) test(text, () => assert.equal(inWords(state ?? room), text));
});
