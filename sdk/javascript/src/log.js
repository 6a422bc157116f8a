/** Lines for the run's log. The host adds the plugin's name. */

import { host } from "./host.js";

/** @param {string} level */
const writer = (level) => (/** @type {string} */ message) => {
  host("log").write(level, message);
};

/** Writes a line of a level. What goes through `console` gets to the log too. */
export const log = {
  /** For someone who looks for a mistake. */
  trace: writer("trace"),
  /** About the plugin's inner workings. */
  debug: writer("debug"),
  /** What a user may want to see. */
  info: writer("info"),
  /** About something that is probably not as it should be. */
  warn: writer("warn"),
  /** About something that went wrong. */
  error: writer("error"),
};
