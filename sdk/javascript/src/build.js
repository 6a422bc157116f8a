#!/usr/bin/env node
/** Makes components of plugins: `npx swift-plugin-build focal.js -o focal.wasm`. */

import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, extname, join, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const PACKAGE = fileURLToPath(new URL("..", import.meta.url));
const SOURCES = join(PACKAGE, "src");
const CONTRACT_VERSION = "0.1.0";

/** A checkout has the contract beside the SDKs; a package brings a copy. */
const CONTRACT = [join(PACKAGE, "../../wit"), join(PACKAGE, "contract")];

const USAGE = "usage: swift-plugin-build SOURCE [-o OUTPUT] [--name NAME] [--wit FOLDER]";

/** A mistake of the user's, told in one line. */
class BuildError extends Error {}

/** Makes the component `output` of the plugin in the file `source`, called as its file, or `name`. */
export async function build(source, output, { name = defaultName(source), wit = contract() } = {}) {
  if (!existsSync(source)) throw new BuildError(`there is no file \`${source}\``);
  const esbuild = await required("esbuild");
  const folder = mkdtempSync(join(tmpdir(), "swift-plugin-"));
  try {
    const kind = await inspect(esbuild, source, folder);
    const imports = kind.calls.map((each) => `import * as ${each} from "swift:plugin/${each}@${CONTRACT_VERSION}";\n`);
    const entry =
      `${imports.join("")}import { component } from ${quoted(join(SOURCES, "component.js"))};\n` +
      `import Plugin from ${quoted(resolve(source))};\n` +
      `export const { meta, ${kind.exported} } = ` +
      `component(Plugin, ${quoted(name)}, { ${kind.calls.join(", ")} }, (line) => LINES[line]);\n`;
    const [code, lines] = await bundle(esbuild, entry, dirname(resolve(source)));
    cpSync(wit, join(folder, "wit/deps/swift-plugin"), { recursive: true, dereference: true });
    const world = `world plugin {\n    include swift:plugin/${kind.world}@${CONTRACT_VERSION};\n}\n`;
    writeFileSync(join(folder, "wit/plugin.wit"), `package swift:component;\n\n${world}`);
    const sourcePath = join(folder, "plugin.js");
    writeFileSync(sourcePath, `${code}\nconst LINES = ${JSON.stringify(lines)};\n`);
    // There is no network in the sandbox.
    const disableFeatures = ["http", "fetch-event"];
    const options = { sourcePath, witPath: join(folder, "wit"), worldName: "plugin", disableFeatures };
    mkdirSync(dirname(resolve(output)), { recursive: true });
    componentize(options, resolve(output));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Makes a component as ComponentizeJS's options say. */
function componentize(options, output) {
  const words = ["--single-threaded-gc", join(SOURCES, "componentize.js"), JSON.stringify(options), output];
  const { status, stderr } = spawnSync(process.execPath, words, { encoding: "utf8", stdio: ["ignore", "inherit", "pipe"] });
  if (status !== 0) throw new BuildError(stderr.trim());
}

/** The kind of the plugin in a file, which is loaded here as later in the component. */
async function inspect(esbuild, source, folder) {
  const contents =
    `import { kindOf } from ${quoted(join(SOURCES, "exports.js"))};\n` +
    `import * as source from ${quoted(resolve(source))};\nexport const kind = kindOf(source.default);\n`;
  const [code] = await bundle(esbuild, contents, dirname(resolve(source)));
  const file = join(folder, "plugin.mjs");
  writeFileSync(file, code);
  const { kind } = await import(pathToFileURL(file).href);
  if (!kind) throw new BuildError(`there is no plugin in \`${source}\`: no \`export default class … extends Loss\``);
  return kind;
}

/** One module with everything that is imported but the contract, and the table of its lines that are the user's. */
async function bundle(esbuild, contents, folder) {
  const settings = {
    stdin: { contents, resolveDir: folder, sourcefile: "entry.js" },
    // This package once, wherever the plugin would find it.
    alias: { "swift-plugin": join(SOURCES, "index.js") },
    external: ["swift:*"],
    bundle: true,
    write: false,
    format: "esm",
    target: "es2023",
    sourcemap: "external",
    outdir: folder,
    logLevel: "silent",
  };
  const failed = ({ errors, message }) => {
    const told = errors?.map(({ text, location }) => (location ? `${location.file}:${location.line}: ${text}` : text));
    throw new BuildError(told?.join("\n") ?? message);
  };
  const { outputFiles } = await esbuild.build(settings).catch(failed);
  const text = (extension) => outputFiles.find(({ path }) => extname(path) === extension).text;
  return [text(".js"), places(text(".js"), JSON.parse(text(".map")), folder)];
}

/** `{ line: "focal.js:15" }` for the lines of a bundle that don't come from this package. */
function places(code, payload, folder) {
  const map = new SourceMap(payload);
  const found = code.split("\n").map((text, index) => {
    const { originalSource, originalLine } = map.findEntry(index, text.search(/\S/));
    const file = originalSource && resolve(folder, originalSource);
    if (!file || file.startsWith(SOURCES) || basename(file) === "entry.js") return [];
    return [[index + 1, `${relative(folder, file)}:${originalLine + 1}`]];
  });
  return Object.fromEntries(found.flat());
}

/** A package that only building needs. */
export async function required(name) {
  try {
    return await import(name);
  } catch {
    const { dependencies } = JSON.parse(readFileSync(join(PACKAGE, "package.json"), "utf8"));
    throw new BuildError(`${name} is not installed; run: npm install ${name}@${dependencies[name]}`);
  }
}

/** What is wrong, for the user: mistakes in a line, and everything else with where it comes from. */
export const told = (error) => (error instanceof BuildError ? error.message : (error.stack ?? error));

const contract = () => CONTRACT.find((folder) => existsSync(join(folder, "worlds.wit")));
const quoted = (text) => JSON.stringify(text);
const stem = (source) => basename(source, extname(source));
/** As what a plugin is known: its file, with dashes. */
export const defaultName = (source) => stem(source).replaceAll("_", "-");

/** The command. */
async function main() {
  const options = { output: { type: "string", short: "o" }, name: { type: "string" }, wit: { type: "string" } };
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  if (positionals.length !== 1) throw new BuildError(USAGE);
  const [source] = positionals;
  const output = values.output ?? join(dirname(source), `${defaultName(source)}.wasm`);
  await build(source, output, values);
  console.error(`${statSync(output).size} bytes  ${output}`);
}

if (process.argv[1] && basename(process.argv[1]).match(/^(build\.js|swift-plugin-build)$/)) {
  main().catch((error) => {
    console.error(`error: ${told(error)}`);
    process.exitCode = 1;
  });
}
