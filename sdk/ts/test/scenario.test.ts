import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { repository, ServerProcess } from "./support/process.js";
import { Scene } from "./support/scenario.js";

const { config, app, scenes } = JSON.parse(readFileSync(join(repository, "spec/vectors/client/scenario.json"), "utf8"));

describe("the scenario, against the real server", () => {
  const server = new ServerProcess(config.join("\n") + "\n");
  before(() => server.start().then(() => {}));
  after(() => server.remove());

  for (const { name, steps } of scenes) {
    test(name, async () => {
      const scene = new Scene(server, app);
      try {
        await scene.play(steps);
      } finally {
        await scene.end();
      }
    });
  }
});
