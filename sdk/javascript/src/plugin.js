/** What all plugins have in common: hyper-parameters that describe themselves, and what is remembered between calls. */

import { PluginError } from "./errors.js";

/** @typedef {"boolean" | "integer" | "number" | "text" | "list"} ParameterType */

/**
 * What each type is called in messages, and whether a value is of it.
 *
 * @type {Record<ParameterType, [string, (value: any) => boolean]>}
 */
const TYPES = {
  boolean: ["true or false", (value) => typeof value === "boolean"],
  integer: ["a whole number", Number.isInteger],
  number: ["a number", (value) => typeof value === "number"],
  text: ["a text", (value) => typeof value === "string"],
  list: ["a list", Array.isArray],
};

/** What `parameter` leaves in a field: one hyper-parameter. */
class Parameter {
  /**
   * @param {ParameterType} type
   * @param {string} summary
   * @param {any} options
   */
  constructor(type, summary, { default: standard, minimum = -Infinity, maximum = Infinity, choices = [] }) {
    this.type = type;
    this.summary = summary;
    this.default = standard;
    /** @type {number} */
    this.minimum = minimum;
    /** @type {number} */
    this.maximum = maximum;
    /** @type {unknown[]} */
    this.choices = choices;
  }

  /**
   * The value, if it is one that the hyper-parameter takes. One that is not set by default may be left so.
   *
   * @param {string} name
   * @param {any} value
   */
  check(name, value) {
    const wanted = value === null && this.default === null ? undefined : this.wanted(value);
    if (wanted) throw new PluginError(`parameter \`${name}\` is ${JSON.stringify(value)}, and must be ${wanted}`);
    return value;
  }

  /** What the value should have been; nothing if it is. @param {any} value */
  wanted(value) {
    const [what, isOfType] = TYPES[this.type];
    if (!isOfType(value)) return what;
    if (value < this.minimum) return `at least ${this.minimum}`;
    if (value > this.maximum) return `at most ${this.maximum}`;
    if (this.choices.length && !this.choices.includes(value)) {
      return `one of ${this.choices.map((choice) => JSON.stringify(choice)).join(", ")}`;
    }
    return undefined;
  }
}

/** What `remembered` leaves in a field. */
class Remembered {
  /** @param {unknown} standard */
  constructor(standard) {
    this.default = standard;
  }
}

/**
 * @template Value
 * @typedef {object} Options
 * @property {Value} default The default; null for a hyper-parameter that may be left unset.
 * @property {number} [minimum] The least number that it takes.
 * @property {number} [maximum] The greatest number that it takes.
 * @property {Value[]} [choices] The values that it takes; any if there are none.
 */

/**
 * @template Type
 * @param {ParameterType} type
 * @returns {<Value extends Type | null>(summary: string, options: Options<Value>) => Value extends null ? Type | null : Type}
 */
function declare(type) {
  // To a type checker a field that declares a hyper-parameter is its value, as which the plugin meets it.
  return (summary, options) => /** @type {any} */ (new Parameter(type, summary, options));
}

/**
 * Declares a hyper-parameter of a plugin: `gamma = parameter.number("Strength.", { default: 2, minimum: 0 })`. The summary
 * is what the user reads, and `labelSmoothing` is written `label_smoothing` by the user.
 */
export const parameter = {
  boolean: /** @type {typeof declare<boolean>} */ (declare)("boolean"),
  integer: /** @type {typeof declare<number>} */ (declare)("integer"),
  number: /** @type {typeof declare<number>} */ (declare)("number"),
  text: /** @type {typeof declare<string>} */ (declare)("text"),
  list: /** @type {typeof declare<any[]>} */ (declare)("list"),
};

/**
 * Declares what a plugin remembers between calls: `seen = remembered(0)`. Checkpoints keep it, so it is made of what JSON
 * has. Every instance starts with a copy of the default.
 *
 * @template Value
 * @param {Value} standard
 * @returns {Value}
 */
export function remembered(standard) {
  return /** @type {any} */ (new Remembered(standard));
}

/** As the user writes the name of a field. @param {string} field */
const snake = (field) => field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** The base of all kinds. A subclass declares its hyper-parameters as fields. */
export class Plugin {
  /** What the plugin is, in one sentence. */
  static summary = "";

  /** The plugin's own version. */
  static version = "0.1.0";

  /**
   * The plugin with these hyper-parameters, by field or as the user writes them; the others keep their defaults.
   *
   * @template {Plugin} Kind
   * @this {new () => Kind}
   * @param {Record<string, unknown>} [values]
   * @returns {Kind}
   */
  static create(values = {}) {
    const plugin = /** @type {any} */ (new this());
    const fields = Object.entries(plugin);
    const parameters = fields.filter(([, value]) => value instanceof Parameter);
    for (const [field, { default: standard }] of parameters) plugin[field] = standard;
    for (const [field, value] of fields) if (value instanceof Remembered) plugin[field] = copy(value.default);
    for (const [name, value] of Object.entries(values)) {
      const found = parameters.find(([field]) => field === name || snake(field) === name);
      if (!found) throw unknown(name, parameters);
      plugin[found[0]] = found[1].check(snake(found[0]), value);
    }
    return plugin;
  }

  /** @internal The hyper-parameters as the contract describes them, in the order in which they are declared. */
  static describe() {
    return Object.entries(new this())
      .filter(([, value]) => value instanceof Parameter)
      .map(([field, declared]) => {
        const { summary, type, default: standard } = declared;
        declared.check(snake(field), standard);
        return { name: snake(field), summary, type, defaultJson: JSON.stringify(standard) };
      });
  }

  /** @internal Sets everything that is remembered to its default. */
  forget() {
    Object.assign(this, Object.fromEntries(rememberedOf(this).map(([field, value]) => [field, copy(value.default)])));
  }

  /** @internal What the plugin remembers, to be written into checkpoints; empty if it remembers nothing. */
  saveState() {
    const kept = rememberedOf(this).map(([field]) => [field, /** @type {any} */ (this)[field]]);
    return kept.length ? JSON.stringify(Object.fromEntries(kept)) : "";
  }

  /** @internal Takes up what `saveState` gave, when a run is resumed. @param {string} state */
  restoreState(state) {
    const values = state ? JSON.parse(state) : {};
    const names = rememberedOf(this).map(([field]) => field);
    if (Object.keys(values).join() !== names.join()) throw new PluginError("the state is not one of this plugin");
    Object.assign(this, values);
  }
}

/** What the class of a plugin declares to be remembered. @param {Plugin} plugin */
function rememberedOf(plugin) {
  const declared = Object.entries(new /** @type {any} */ (plugin).constructor());
  return declared.filter(([, value]) => value instanceof Remembered);
}

/** @param {unknown} value */
function copy(value) {
  return JSON.parse(JSON.stringify(value));
}

/** @param {string} name @param {[string, unknown][]} parameters */
function unknown(name, parameters) {
  const known = parameters.map(([field]) => `\`${snake(field)}\``).join(", ");
  const thereAre = known ? `there are ${known}` : "the plugin has none";
  return new PluginError(`there is no parameter \`${name}\`; ${thereAre}`);
}
