// The real server and the proxy that breaks connections, as processes.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { within } from "./wait.js";

/** The root of the repository. */
export const repository = (() => {
  let dir = import.meta.dirname;
  while (!existsSync(join(dir, "go.mod"))) dir = dirname(dir);
  return dir;
})();

const binary = resolve(process.env.CONTINUO_BIN ?? join(repository, "bin/continuo"));
const proxyBinary = resolve(process.env.CONTINUO_PROXY ?? join(repository, "bin/continuo-proxy"));

/** Resolves with what `find` makes of a line of a process's output. */
function lineOf<T>(child: ChildProcess, what: string, find: (line: string) => T | undefined): Promise<T> {
  let errors = "";
  child.stderr!.on("data", (d) => (errors += d));
  return within(
    new Promise<T>((done, fail) => {
      child.once("error", fail);
      child.once("exit", (code) => fail(new Error(`${what} ended with ${code}: ${errors}`)));
      createInterface({ input: child.stdout! }).on("line", (line) => {
        const found = find(line);
        if (found) done(found);
      });
    }),
    what,
  );
}

export class ServerProcess {
  readonly dir = mkdtempSync(join(tmpdir(), "continuo-sdk-ts-"));
  readonly #config: string | undefined;
  #process: ChildProcess | undefined;
  #exited: Promise<unknown> = Promise.resolve();
  #port = 0;
  url = "";

  constructor(config?: string) {
    this.#config = config;
  }

  /** Runs the server; after the first time on the same port, with the same data. */
  async start(): Promise<this> {
    const args = ["serve", "--listen", `127.0.0.1:${this.#port}`, "--data", join(this.dir, "data")];
    if (this.#config) {
      const file = join(this.dir, "continuo.yaml");
      writeFileSync(file, this.#config);
      args.push("--config", file);
    }
    const child = (this.#process = spawn(binary, args, { stdio: ["ignore", "pipe", "pipe"] }));
    this.#exited = new Promise((done) => child.once("exit", done));
    this.url = await lineOf(child, "the server", (line) => /listening\s+(http\S+)/.exec(line)?.[1]);
    this.#port = Number(new URL(this.url).port);
    return this;
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    this.#process?.kill(signal);
    await within(this.#exited, "the server's end");
  }

  async remove(): Promise<void> {
    await this.stop("SIGKILL");
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** A proxy of one client; `post` tells it what to break. */
export class Proxy {
  readonly #process: ChildProcess;
  readonly #control: string;
  readonly url: string;

  private constructor(child: ChildProcess, addresses: { listen: string; control: string }) {
    this.#process = child;
    this.#control = addresses.control;
    this.url = `http://${addresses.listen}`;
  }

  static async start(to: string, ...args: string[]): Promise<Proxy> {
    const child = spawn(proxyBinary, ["--to", new URL(to).host, ...args], { stdio: ["pipe", "pipe", "pipe"] });
    return new Proxy(child, await lineOf(child, "the proxy", (line) => JSON.parse(line)));
  }

  async post(path: string): Promise<void> {
    const response = await fetch(this.#control + path, { method: "POST" });
    if (!response.ok) throw new Error(`proxy ${path}: ${response.status} ${await response.text()}`);
  }

  stop(): void {
    this.#process.stdin!.end();
  }
}
