/**
 * What Node adds: a cursor store in a file.
 *
 * @packageDocumentation
 */
import { open, readFile, rename } from "node:fs/promises";
import { asPosition } from "./stores.js";
import type { CursorStore, Position } from "./types.js";

/**
 * Keeps positions in a file of JSON. It is written to the side, synced and renamed over, so it is whole whenever the
 * process dies; positions that come while it is written share the next write. One process at a time may use a file. A
 * file that cannot be read or understood is left as it is: nothing is stored, and every attempt is reported.
 */
export function fileStore(path: string): CursorStore {
  const positions = new Map<string, Position>();
  let read: Promise<void> | undefined;
  let writing: Promise<void> = Promise.resolve();
  let next: Promise<void> | undefined;

  const loaded = () =>
    (read ??= readInto(positions, path).catch((e) => {
      read = undefined;
      throw e;
    }));

  const write = async () => {
    const aside = `${path}.${process.pid}.new`;
    const file = await open(aside, "w");
    try {
      await file.writeFile(JSON.stringify(Object.fromEntries(positions)));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(aside, path);
  };

  /** Resolves when what is in `positions` now has been written. */
  const flush = () =>
    (next ??= writing
      .catch(() => {})
      .then(() => {
        next = undefined;
        return (writing = write());
      }));

  return {
    async load(room) {
      await loaded();
      return positions.get(room);
    },
    async save(room, position) {
      await loaded();
      positions.set(room, position);
      await flush();
    },
    async delete(room) {
      await loaded();
      if (positions.delete(room)) await flush();
    },
  };
}

async function readInto(positions: Map<string, Position>, path: string): Promise<void> {
  let text;
  try {
    text = await readFile(path, "utf8");
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === "ENOENT") return;
    throw e;
  }
  try {
    for (const [room, value] of Object.entries(JSON.parse(text))) {
      const position = asPosition(value);
      if (!position) throw new Error(`no position of ${room}`);
      positions.set(room, position);
    }
  } catch (e) {
    throw new Error(`the cursor file ${path} is damaged: ${(e as Error).message}`);
  }
}
