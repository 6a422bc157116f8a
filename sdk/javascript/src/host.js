/** The functions of the contract that the plugin's world imports. */

/** @type {any} */
let functions;

/**
 * Sets what computes and writes from now on: `{ tensor, nn, log }`, each with the functions of its interface, as far as the
 * plugin's kind has them.
 *
 * @param {any} imports
 */
export function install(imports) {
  functions = imports;
}

/**
 * The functions of an interface.
 *
 * @param {"tensor" | "nn" | "log"} name
 * @returns {any}
 */
export function host(name) {
  if (functions?.[name] === undefined) throw new Error("tensors and the log are there in a component alone");
  return functions[name];
}
