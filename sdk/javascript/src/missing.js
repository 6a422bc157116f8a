/** What a base class does in place of a method that its subclass lacks. */

/** @param {string} name @param {unknown[]} values @returns {never} */
export function missing(name, ...values) {
  throw new Error(`${name}(${values}) is missing`);
}
