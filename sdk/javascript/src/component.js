/** What a component's entry module exports. */

import { PluginError } from "./errors.js";
import { kindOf } from "./exports.js";
import { install } from "./host.js";

// What the host lends or gives, it takes back when the call ends. A finaliser that runs later would drop a handle which by
// then means something else.
FinalizationRegistry.prototype.register = () => {};

/** The message, with the error's type unless it is one of ours. */
export function reason(error) {
  if (!(error instanceof Error)) return String(error);
  return error instanceof PluginError ? error.message : `${error.name}: ${error.message}`;
}

/**
 * The interfaces of a plugin as an object, for `export const { meta, loss } = component(…)`.
 *
 * `imports` are the host's interfaces whose functions are called; `placeOf` tells the plugin's own line from one of the bundle,
 * and nothing for those of this package.
 */
export function component(Kind, name, imports, placeOf) {
  install(imports);
  let plugin = Kind.create();
  const { exported, functions } = kindOf(Kind);

  /** The message and the plugin's line that it comes from: the innermost one outside of this package. */
  function located(error) {
    const frames = [...(error?.stack ?? "").matchAll(/:(\d+):\d+/g)];
    const place = frames.map(([, line]) => placeOf(line)).find(Boolean);
    return place ? `${reason(error)}, at ${place}` : reason(error);
  }

  const failures = {
    text: located,
    // Rows are counted by their reasons.
    reason,
    tensor: (error) => ({ tag: error?.constructor?.tag ?? "other", val: located(error) }),
    crash: (error) => {
      imports.log.panicked(located(error));
      return error;
    },
  };

  /** The function, whose errors become the contract's. */
  function guarded({ fails = "text", call }) {
    return (...values) => {
      try {
        return call(...values);
      } catch (error) {
        if (error?.stack) imports.log.write("debug", `${error}\n${error.stack}`.trimEnd());
        throw failures[fails](error);
      }
    };
  }

  const made = Object.entries(functions(() => plugin, reason));
  const describe = () => ({ name, version: Kind.version, summary: Kind.summary, parameters: Kind.describe() });
  const configure = (json) => {
    try {
      plugin = Kind.create(JSON.parse(json));
    } catch (error) {
      // The values are the user's, and no line of the plugin is to blame.
      throw reason(error);
    }
  };
  return {
    meta: { describe: guarded({ fails: "crash", call: describe }), configure },
    [exported]: Object.fromEntries(made.map(([each, definition]) => [each, guarded(definition)])),
  };
}
