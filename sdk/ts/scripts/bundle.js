// Bundles the library for pages into one file, the core alone into another, tells their sizes, and keeps the copy that
// the example chat serves (the tests keep theirs: they look whether it is stale).
import { build } from "esbuild";
import { copyFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const root = new URL("../", import.meta.url);

for (const [entry, file] of [["core", "continuo.core.min.js"], ["index", "continuo.min.js"]]) {
  const outfile = new URL(`dist/${file}`, root).pathname;
  await build({
    entryPoints: [new URL(`dist/${entry}.js`, root).pathname],
    outfile,
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    legalComments: "none",
    banner: { js: "/* Continuo's client, Apache-2.0 */" },
  });
  const bytes = readFileSync(outfile);
  console.log(`${file}: ${bytes.length} bytes, ${gzipSync(bytes, { level: 9 }).length} gzipped`);
}

const examples = new URL("../../examples/", root);
if (existsSync(examples) && !process.env.CONTINUO_KEEP_CHAT) {
  const chat = new URL("chat/", examples);
  mkdirSync(chat, { recursive: true });
  copyFileSync(new URL("dist/continuo.min.js", root), new URL("continuo.min.js", chat));
}
