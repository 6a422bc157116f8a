/** Why something could not be done. */
/**
 * Why a plugin could not do what it was asked to do, in one sentence: `throw new PluginError("the reference is missing")`.
 *
 * Any error reaches the user, with the plugin's file and line; of this one the message alone, without its type.
 */
export declare class PluginError extends Error {
    /** What the contract calls it. */
    static tag: string;
}
/** Shapes of operands don't fit. */
export declare class ShapeMismatch extends PluginError {
    static tag: string;
}
/** Element types of operands differ. */
export declare class DtypeMismatch extends PluginError {
    static tag: string;
}
/** An argument is outside of what an operation takes. */
export declare class InvalidArgument extends PluginError {
    static tag: string;
}
/** The tensor would not fit in memory. */
export declare class OutOfMemory extends PluginError {
    static tag: string;
}
/** There is no such operation for this element type or device. */
export declare class Unsupported extends PluginError {
    static tag: string;
}
/**
 * Calls a function of the contract; what it fails with is thrown as a `PluginError`.
 *
 * @template Result
 * @param {() => Result} operation
 * @returns {Result}
 */
export declare function call<Result>(operation: () => Result): Result;
