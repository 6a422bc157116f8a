/**
 * Writes `src/operations.js` from the contract, so that the two cannot differ. `node tools/generate-operations.js` writes
 * the file; a test sees that it is as this script would write it.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const CONTRACT = new URL("../../../wit/tensor.wit", import.meta.url);
export const TARGET = new URL("../src/operations.js", import.meta.url);

const HEADER = `/** The operations of the contract. Made by \`tools/generate-operations.js\` from \`wit/tensor.wit\`; not to be edited. */

/** @typedef {import("./tensor.js").Tensor} Tensor */
/** @typedef {import("./tensor.js").Dtype} Dtype */

/** What a tensor can do. Each operation runs on the host and gives a new tensor. */
export class Operations {
  /**
   * @protected
   * @param {string} name
   * @param {unknown[]} values
   * @returns {Tensor}
   */
  operate(name, ...values) {
    throw new Error(\`there is nothing that computes \${name}(\${values})\`);
  }

  /**
   * @protected
   * @param {Tensor | number} value
   * @returns {unknown}
   */
  operand(value) {
    throw new Error(\`there is nothing that computes with \${value}\`);
  }
`;

/** The contract's types: as JavaScript's, the default, and how a value of them is passed on. */
const TYPES = {
  "borrow<tensor>": ["Tensor", "", (name) => `${name}.handle`],
  operand: ["Tensor | number", "", (name) => `this.operand(${name})`],
  "list<s32>": ["number | number[]", "[]", (name) => `[${name}].flat()`],
  "list<s64>": ["number[]", "", (name) => `BigInt64Array.from(${name}, BigInt)`],
  "list<u64>": ["number[]", "", (name) => `BigUint64Array.from(${name}, BigInt)`],
  bool: ["boolean", "false", (name) => name],
  f64: ["number", "", (name) => name],
  s32: ["number", "", (name) => name],
  u64: ["number", "", (name) => `BigInt(${name})`],
  dtype: ["Dtype", "", (name) => name],
};

/** Operations that the contract has for numbers apart from those for tensors. */
const NUMBERS = {
  add: 'this.operate("addScalar", rhs)',
  sub: 'this.operate("addScalar", -rhs)',
  mul: 'this.operate("scale", rhs)',
  div: 'this.operate("scale", 1 / rhs)',
};

const camel = (name) => name.replace(/-(.)/g, (_, letter) => letter.toUpperCase());

/** The methods of a tensor that give one, in the contract's order. */
function functions(contract) {
  const [methods] = contract.split("resource tensor {")[1].split("\n    }\n");
  const pattern = /((?: *\/\/\/.*\n)+) *%?([a-z0-9-]+): func\((.*?)\) -> result<tensor, error>;/g;
  return [...methods.matchAll(pattern)].map(([, comment, name, parameters]) => ({
    name: camel(name),
    documentation: comment.replace(/^ *\/\/\/ ?/gm, "").trim().replaceAll("\n", " "),
    parameters: parameters.split(", ").filter(Boolean).map((pair) => pair.split(": ")),
  }));
}

/** What a parameter takes: numbers may stand for tensors where shapes broadcast. */
function kindOf(operation, parameter, type) {
  const broadcasts = type === "borrow<tensor>" && parameter === "rhs" && operation !== "matmul";
  return TYPES[broadcasts ? "operand" : type];
}

function method({ name, documentation, parameters }) {
  const all = parameters.map(([parameter, type]) => [camel(parameter), ...kindOf(name, parameter, type)]);
  const types = all.map(([each, type, standard]) => `   * @param {${type}} ${standard ? `[${each}]` : each}\n`);
  const signature = all.map(([each, , standard]) => (standard ? `${each} = ${standard}` : each)).join(", ");
  const passed = all.map(([each, , , pass]) => `, ${pass(each)}`).join("");
  const number = NUMBERS[name] ? `    if (typeof rhs === "number") return ${NUMBERS[name]};\n` : "";
  return (
    `\n  /**\n   * ${documentation}\n   *\n${types.join("")}   * @returns {Tensor}\n   */\n` +
    `  ${name}(${signature}) {\n${number}    return this.operate("${name}"${passed});\n  }\n`
  );
}

/** The text of the module. */
export function generate() {
  return `${HEADER}${functions(readFileSync(CONTRACT, "utf8")).map(method).join("")}}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(TARGET, generate());
