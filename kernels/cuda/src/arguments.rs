//! The kernels with their structures of arguments, field by field as in `kernels/*.cu`.
//!
//! Fields of type [`Address`] are addresses on the device, 0 where an argument may be missing. What they point to, and in which
//! shape, stands beside the kernels.

use std::marker::PhantomData;

/// An address on the device.
pub type Address = u64;

/// A kernel, for each element type one.
#[derive(Clone, Copy, Debug)]
pub struct Kernel<A> {
    /// The module that it is in.
    pub module: &'static str,
    /// Its name, without that of the element type.
    pub name: &'static str,
    arguments: PhantomData<A>,
}

/// What a kernel takes. It consists of numbers alone.
#[cfg(not(feature = "device"))]
pub trait Arguments: Copy + Send + Sync + 'static {}
/// What a kernel takes. It consists of numbers alone.
#[cfg(feature = "device")]
pub trait Arguments: Copy + Send + Sync + 'static + cudarc::driver::DeviceRepr {}

macro_rules! kernels {
    ($($(#[$doc:meta])* $Arguments:ident { $($field:ident),* ; $($number:ident: $type:ty),* }
        $($KERNEL:ident = $module:literal $name:literal),+;)*) => {$(
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug)]
        #[expect(missing_docs, reason = "each is said where the kernel is")]
        pub struct $Arguments {
            $(pub $field: Address,)*
            $(pub $number: $type,)*
        }

        impl Arguments for $Arguments {}

        // SAFETY: it has the layout of the structure in C++, and any bits are valid numbers.
        #[cfg(feature = "device")]
        #[expect(unsafe_code, reason = "cudarc wants to be told that a type can be handed to a kernel")]
        unsafe impl cudarc::driver::DeviceRepr for $Arguments {}

        $(
            /// The kernel of this name.
            pub const $KERNEL: Kernel<$Arguments> =
                Kernel { module: $module, name: $name, arguments: PhantomData };
        )+
    )*};
}

kernels! {
    /// Of [`RMS_NORM_FORWARD`].
    RmsNormForward { x, weight, y, rstd; width: i64, epsilon: f64, offset: f64 }
        RMS_NORM_FORWARD = "rms_norm" "rms_norm_forward";
    /// Of [`RMS_NORM_BACKWARD`].
    RmsNormBackward { dy, x, weight, rstd, dx; width: i64, offset: f64 }
        RMS_NORM_BACKWARD = "rms_norm" "rms_norm_backward";
    /// Of [`ROPE`].
    Rope { x, cos, sin, y; heads: i64, head_dim: i64, pairs: i64, interleaved: i64, inverse: i64 }
        ROPE = "rope" "rope";
    /// Of [`SWIGLU_FORWARD`].
    SwigluForward { gate, up, y; count: i64 }
        SWIGLU_FORWARD = "gates" "swiglu_forward";
    /// Of [`SWIGLU_BACKWARD`].
    SwigluBackward { dy, gate, up, dgate, dup; count: i64 }
        SWIGLU_BACKWARD = "gates" "swiglu_backward";
    /// Of [`DROPOUT`].
    Dropout { x, y; count: i64, seed: u64, rate: f64 }
        DROPOUT = "gates" "dropout";
    /// Of the functions of one element.
    Unary { x, y, dy, result; count: i64, operation: i64, first: f64, second: f64 }
        UNARY_FORWARD = "unary" "unary_forward", UNARY_BACKWARD = "unary" "unary_backward";
    /// Of [`COLUMN_SUMS`].
    ColumnSums { dy, x, factor, sums; rows: i64, width: i64, chunk: i64 }
        COLUMN_SUMS = "sums" "column_sums";
    /// Of [`GROUP_SUMS`].
    GroupSums { x, order, starts, sums; width: i64, mean: i64 }
        GROUP_SUMS = "sums" "group_sums";
    /// Of [`SCALE_ROWS`].
    ScaleRows { x, factor, y; width: i64 }
        SCALE_ROWS = "sums" "scale_rows";
    /// Of what goes along a dimension.
    Line { x, y; count: i64, length: i64, inner: i64, flag: i64 }
        RUNNING_SUM = "lines" "running_sum", FIRST_GREATEST = "lines" "first_greatest", ORDER = "lines" "order";
    /// Of [`ROW_NORMS`].
    RowNorms { weight, a, b, norms; width: i64, rank: i64, scale: f64 }
        ROW_NORMS = "row_norms" "row_norms";
    /// Of [`ADAMW`].
    AdamW {
        parameter, master, gradient, first, second;
        count: i64, gradient_scale: f64, keep: f64, towards_gradient: f64, beta2: f64, towards_square: f64,
        second_root: f64, epsilon: f64, minus_step_size: f64
    }
        ADAMW = "adamw" "adamw";
    /// Of [`SUM_OF_SQUARES`].
    SumOfSquares { x, sums; count: i64, chunk: i64 }
        SUM_OF_SQUARES = "adamw" "sum_of_squares";
    /// Of [`TAKE_LOGITS`].
    TakeLogits { logits, bias, labels, states, weights, shrinks; columns: i64, first_column: i64, cap: f64 }
        TAKE_LOGITS = "logits" "take_logits";
    /// Of [`FINISH_LOGITS`].
    FinishLogits {
        states, logps, predictions, entropies, mean_logits, log_sum_exp;
        count: i64, vocabulary: i64
    }
        FINISH_LOGITS = "logits" "finish_logits";
    /// Of [`LOGITS_DIRECTION`].
    LogitsDirection { weight, means, labels, states, direction; width: i64, cap: f64 }
        LOGITS_DIRECTION = "logits" "logits_direction";
    /// Of [`PULL_LOGITS`].
    PullLogits { logits, rounded, bias, labels, dlogp, log_sum_exp; columns: i64, first_column: i64, cap: f64 }
        PULL_LOGITS = "logits" "pull_logits";
    /// Of attention over packed sequences, both ways.
    Attention {
        q, k, v, sinks, slopes, out, lse, dout, delta, dq, dk, dv, tiles;
        tokens: i64, heads: i64, kv_heads: i64, head_dim: i64, padded_dim: i64, tile: i64, window: i64,
        scale: f64, soft_cap: f64
    }
        ATTENTION_FORWARD = "attention_forward" "attention_forward",
        ATTENTION_DELTA = "attention_forward" "attention_delta",
        ATTENTION_QUERIES = "attention_backward" "attention_queries",
        ATTENTION_KEYS = "attention_backward" "attention_keys";
    /// Of [`DEQUANTISE`].
    Dequantise { codes, scales, y; count: i64, block: i64, bits: i64 }
        DEQUANTISE = "quantised" "dequantise";
    /// Of rounding to numbers of 8 bits.
    Float8 {
        x, magnitudes, scales, y;
        count: i64, chunk: i64, rows: i64, columns: i64, stride: i64, mantissa: i64, bias: i64,
        greatest: f64, least: f64
    }
        FLOAT8_MAGNITUDES = "float8" "float8_magnitudes", FLOAT8_SCALE = "float8" "float8_scale",
        FLOAT8_ROUND = "float8" "float8_round", FLOAT8_TRANSPOSE = "float8" "float8_transpose";
    /// Of [`STRIDED`].
    Strided {
        a, b, result;
        count: i64, operation: i64, rank: i64,
        sizes: Steps, a_steps: Steps, b_steps: Steps, result_steps: Steps
    }
        STRIDED = "elements" "strided";
    /// Of [`CONVERT`].
    Convert { x, y; count: i64, to: i64 }
        CONVERT = "elements" "convert";
    /// Of [`TAKE_ROWS`].
    TakeRows { table, numbers, y; width: i64 }
        TAKE_ROWS = "elements" "take_rows";
    /// Of [`PAGED_WRITE`].
    PagedWrite { x, slots, cache; width: i64 }
        PAGED_WRITE = "paged" "paged_write";
    /// Of [`PAGED`].
    Paged {
        q, keys, values, sinks, slopes, places, blocks, out;
        heads: i64, kv_heads: i64, head_dim: i64, value_dim: i64, block_size: i64, window: i64,
        scale: f64, soft_cap: f64
    }
        PAGED = "paged" "paged";
}

/// A number for each dimension that [`STRIDED`] goes along.
pub type Steps = [i64; 6];

/// Bytes of what [`TAKE_LOGITS`] keeps for each token.
pub const LOGITS_STATE: usize = 48;
