/** What all plugins have in common: hyper-parameters that describe themselves, and what is remembered between calls. */
export type ParameterType = "boolean" | "integer" | "number" | "text" | "list";
export type Options<Value> = {
    /**
     * The default; null for a hyper-parameter that may be left unset.
     */
    default: Value;
    /**
     * The least number that it takes.
     */
    minimum?: number;
    /**
     * The greatest number that it takes.
     */
    maximum?: number;
    /**
     * The values that it takes; any if there are none.
     */
    choices?: Value[];
};
/**
 * Declares a hyper-parameter of a plugin: `gamma = parameter.number("Strength.", { default: 2, minimum: 0 })`. The summary
 * is what the user reads, and `labelSmoothing` is written `label_smoothing` by the user.
 */
export declare const parameter: {
    boolean: <Value extends boolean | null>(summary: string, options: Options<Value>) => Value extends null ? boolean | null : boolean;
    integer: <Value extends number | null>(summary: string, options: Options<Value>) => Value extends null ? number | null : number;
    number: <Value extends number | null>(summary: string, options: Options<Value>) => Value extends null ? number | null : number;
    text: <Value extends string | null>(summary: string, options: Options<Value>) => Value extends null ? string | null : string;
    list: <Value extends any[] | null>(summary: string, options: Options<Value>) => Value extends null ? any[] | null : any[];
};
/**
 * Declares what a plugin remembers between calls: `seen = remembered(0)`. Checkpoints keep it, so it is made of what JSON
 * has. Every instance starts with a copy of the default.
 *
 * @template Value
 * @param {Value} standard
 * @returns {Value}
 */
export declare function remembered<Value>(standard: Value): Value;
/** The base of all kinds. A subclass declares its hyper-parameters as fields. */
export declare class Plugin {
    /** What the plugin is, in one sentence. */
    static summary: string;
    /** The plugin's own version. */
    static version: string;
    /**
     * The plugin with these hyper-parameters, by field or as the user writes them; the others keep their defaults.
     *
     * @template {Plugin} Kind
     * @this {new () => Kind}
     * @param {Record<string, unknown>} [values]
     * @returns {Kind}
     */
    static create<Kind extends Plugin>(this: new () => Kind, values?: Record<string, unknown>): Kind;
}
