// Runs the real server for a test, on a free port and in a folder of its own.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

export const binary = resolve(process.env.CONTINUO_BIN ?? new URL("../../../bin/continuo", import.meta.url).pathname);

export class Server {
  constructor(config) {
    this.dir = mkdtempSync(join(tmpdir(), "continuo-js-"));
    this.config = config;
    this.port = 0;
  }

  // start runs the server; after the first time on the same port, so that clients find it again.
  async start() {
    const args = ["serve", "--listen", `127.0.0.1:${this.port}`, "--data", join(this.dir, "data"), "--drain", "1s"];
    if (this.config) {
      const file = join(this.dir, "continuo.yaml");
      writeFileSync(file, this.config);
      args.push("--config", file);
    }
    this.process = spawn(binary, args, { stdio: ["ignore", "pipe", "pipe"] });
    let errors = "";
    this.process.stderr.on("data", (d) => (errors += d));
    this.exited = new Promise((done) => this.process.once("exit", done));
    const url = await new Promise((found, failed) => {
      this.process.once("exit", (code) => failed(new Error(`the server ended with ${code}: ${errors}`)));
      createInterface({ input: this.process.stdout }).on("line", (line) => {
        const m = /listening\s+(http\S+)/.exec(line);
        if (m) found(m[1]);
      });
    });
    this.url = url;
    this.port = Number(new URL(url).port);
    return this;
  }

  async stop(signal = "SIGTERM") {
    this.process.kill(signal);
    await this.exited;
  }

  async remove() {
    if (this.process && this.process.exitCode === null && this.process.signalCode === null) await this.stop("SIGKILL");
    rmSync(this.dir, { recursive: true, force: true });
  }
}
