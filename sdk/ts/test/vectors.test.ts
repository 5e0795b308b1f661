// The vectors that all client libraries share.
import { MemberList, MessageList, describe as inWords } from "@continuo-rt/client";
import { decode, encode } from "#dist/codec.js";
import { Session } from "#dist/session.js";
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
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

describe("codec.json", () => {
  for (const { name, text, frame, malformed, encode: value } of vectors("codec")) {
    test(name, () => {
      if (value) return assert.deepEqual(JSON.parse(encode(value)), JSON.parse(text));
      const decoded = decode(text);
      if (malformed) return assert.ok("malformed" in decoded, JSON.stringify(decoded));
      assert.deepEqual(plain(decoded), frame ? { frame } : { ignored: true });
    });
  }
});

describe("session.json", () => {
  for (const { name, client, buffer, steps } of vectors("session")) {
    test(name, () => {
      const session = new Session(client, buffer);
      let now = 0;
      steps.forEach((step: any, i: number) => {
        now = step.now ?? now;
        const given = plain(session.step(step.in, now, step.random ?? 0.5));
        const expected = step.out ?? [];
        assert.deepEqual(forgive(expected, given), expected, `step ${i + 1}: ${JSON.stringify(step.in)}`);
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
