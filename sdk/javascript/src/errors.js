/** Why something could not be done. */

/**
 * Why a plugin could not do what it was asked to do, in one sentence: `throw new PluginError("the reference is missing")`.
 *
 * Any error reaches the user, with the plugin's file and line; of this one the message alone, without its type.
 */
export class PluginError extends Error {
  /** What the contract calls it. */
  static tag = "other";
}

/** Shapes of operands don't fit. */
export class ShapeMismatch extends PluginError {
  static tag = "shape-mismatch";
}

/** Element types of operands differ. */
export class DtypeMismatch extends PluginError {
  static tag = "dtype-mismatch";
}

/** An argument is outside of what an operation takes. */
export class InvalidArgument extends PluginError {
  static tag = "invalid-argument";
}

/** The tensor would not fit in memory. */
export class OutOfMemory extends PluginError {
  static tag = "out-of-memory";
}

/** There is no such operation for this element type or device. */
export class Unsupported extends PluginError {
  static tag = "unsupported";
}

const KINDS = [ShapeMismatch, DtypeMismatch, InvalidArgument, OutOfMemory, Unsupported];

/**
 * Calls a function of the contract; what it fails with is thrown as a `PluginError`.
 *
 * @template Result
 * @param {() => Result} operation
 * @returns {Result}
 */
export function call(operation) {
  try {
    return operation();
  } catch (failure) {
    // The contract's variant; anything else is a mistake in the call itself.
    const { payload } = /** @type {{ payload?: { tag: string, val: string } }} */ (failure);
    if (payload === undefined) throw failure;
    const Kind = KINDS.find((kind) => kind.tag === payload.tag) ?? PluginError;
    throw new Kind(payload.val);
  }
}
