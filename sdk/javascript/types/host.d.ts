/** The functions of the contract that the plugin's world imports. */
/**
 * Sets what computes and writes from now on: `{ tensor, nn, log }`, each with the functions of its interface, as far as the
 * plugin's kind has them.
 *
 * @param {any} imports
 */
export declare function install(imports: any): void;
/**
 * The functions of an interface.
 *
 * @param {"tensor" | "nn" | "log"} name
 * @returns {any}
 */
export declare function host(name: "tensor" | "nn" | "log"): any;
