//! What a kernel refuses.

/// Why a kernel did not run. Nothing has been written then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// A slice does not have the size that the shape asks for.
    #[error("Slice `{name}` of `{operation}` has {got} elements, not {expected}")]
    Length {
        /// The operation, as `rms_norm`.
        operation: &'static str,
        /// The slice.
        name: &'static str,
        /// Elements that the shape asks for.
        expected: usize,
        /// Elements given.
        got: usize,
    },
    /// An index is not below its bound.
    #[error("Index {value} in `{name}` of `{operation}` is not in 0..{bound}")]
    Index {
        /// The operation.
        operation: &'static str,
        /// The slice of indices.
        name: &'static str,
        /// The index.
        value: i64,
        /// What it must be below.
        bound: usize,
    },
    /// Sizes or options that the operation is not defined for.
    #[error("Operation `{operation}` needs {rule}")]
    Rule {
        /// The operation.
        operation: &'static str,
        /// The rule that is broken, as `at least one head`.
        rule: &'static str,
    },
}
