// Bundles the core into one file for browsers, tells its size, and keeps the copy that the example chat serves.
import { build } from "esbuild";
import { copyFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const root = new URL("../", import.meta.url);
const bundle = new URL("dist/continuo.min.js", root);

await build({
  entryPoints: [new URL("dist/index.js", root).pathname],
  outfile: bundle.pathname,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  banner: { js: "/* Continuo's client, Apache-2.0 */" },
});

const bytes = readFileSync(bundle);
console.log(`continuo.min.js: ${bytes.length} bytes, ${gzipSync(bytes, { level: 9 }).length} gzipped`);

const examples = new URL("../../examples/", root);
if (existsSync(examples)) {
  const chat = new URL("chat/", examples);
  mkdirSync(chat, { recursive: true });
  copyFileSync(bundle, new URL("continuo.min.js", chat));
}
