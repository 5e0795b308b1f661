// Bundles the core into one file for browsers, tells its size, and keeps the copy that the example chat serves.
import { build } from "esbuild";
import { copyFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const internal =
  "flush nextId delay wake forget forgetAll fire arm wanted joined asks ask lost snapshotFailed cancel answer fail tries again sent until request report input awaited saving deliver changed moved over at up connected handled".split(
    " ",
  );
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
  // What the parts say to each other; names of the wire and of the public interface stay as they are.
  mangleProps: new RegExp(`^(${internal.join("|")})$`),
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
