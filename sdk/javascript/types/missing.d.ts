/** What a base class does in place of a method that its subclass lacks. */
/** @param {string} name @param {unknown[]} values @returns {never} */
export declare function missing(name: string, ...values: unknown[]): never;
