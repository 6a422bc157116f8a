/** The functions of the contract that the plugin's world imports. */
/**
 * Sets what computes and writes from now on: `{ tensor, log }`, each with the functions of its interface.
 *
 * @param {any} imports
 */
export declare function install(imports: any): void;
/**
 * The functions of an interface.
 *
 * @param {"tensor" | "log"} name
 * @returns {any}
 */
export declare function host(name: "tensor" | "log"): any;
