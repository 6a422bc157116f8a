//! Rotary position embedding (Su et al. 2021).

use rayon::prelude::*;

use crate::vectorised::vectorised;
use crate::{Element, Float, KernelError, check};

/// Tokens that one task works on.
const TOKENS: usize = 16;

/// The sizes of [`rotate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RopeShape {
    /// Heads of each token.
    pub heads: usize,
    /// Components of each head.
    pub head_dim: usize,
    /// Rotated pairs of each head; the components from `2 * pairs` on pass through.
    pub pairs: usize,
}

/// Rotates the pairs of `x` `[tokens, heads, head_dim]` into `y`: `(a, b)` becomes `(a cos - b sin, a sin + b cos)`
/// with `cos` and `sin` `[tokens, pairs]`. Pair `i` is made of the components `2i` and `2i + 1` if `interleaved`, of `i` and
/// `i + pairs` otherwise.
///
/// `inverse` turns the other way, which is the backward pass: the gradient of `x` from that of `y`, also for tables with
/// a scale.
///
/// # Errors
/// [`KernelError::Length`] if a slice doesn't fit, [`KernelError::Rule`] if a size is zero or a head has too few
/// components for the pairs.
pub fn rotate<T: Element>(
    x: &[T],
    y: &mut [T],
    shape: &RopeShape,
    cos: &[T::Compute],
    sin: &[T::Compute],
    interleaved: bool,
    inverse: bool,
) -> Result<(), KernelError> {
    const OPERATION: &str = "rope";
    let &RopeShape { heads, head_dim, pairs } = shape;
    check::rule(OPERATION, "at least one head and one pair", heads > 0 && pairs > 0)?;
    check::rule(OPERATION, "two components of a head for each pair", head_dim / 2 >= pairs)?;
    let width = heads.saturating_mul(head_dim);
    let tokens = x.len() / width;
    check::length(OPERATION, "x", x, &[tokens, width])?;
    check::length(OPERATION, "y", y, &[tokens, width])?;
    check::length(OPERATION, "cos", cos, &[tokens, pairs])?;
    check::length(OPERATION, "sin", sin, &[tokens, pairs])?;
    if tokens == 0 {
        return Ok(());
    }
    let direction = if inverse { -T::Compute::ONE } else { T::Compute::ONE };
    let tables = cos.par_chunks(TOKENS * pairs).zip(sin.par_chunks(TOKENS * pairs));
    let tasks = x.par_chunks(TOKENS * width).zip(y.par_chunks_mut(TOKENS * width)).zip(tables);
    tasks.for_each(|((x, y), (cos, sin))| {
        let tables = cos.chunks_exact(pairs).zip(sin.chunks_exact(pairs));
        for ((x, y), (cos, sin)) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)).zip(tables) {
            turn(x, y, head_dim, cos, sin, interleaved, direction);
        }
    });
    Ok(())
}

vectorised! {
    /// Rotates the heads of one token.
    fn turn<T: Element>(
        x: &[T],
        y: &mut [T],
        head_dim: usize,
        cos: &[T::Compute],
        sin: &[T::Compute],
        interleaved: bool,
        direction: T::Compute,
    ) {
        let pairs = cos.len();
        let turn = |a: T, b: T, cos: T::Compute, sin: T::Compute| {
            let (a, b, sin) = (a.load(), b.load(), sin * direction);
            (T::store(a * cos - b * sin), T::store(a * sin + b * cos))
        };
        for (x, y) in x.chunks_exact(head_dim).zip(y.chunks_exact_mut(head_dim)) {
            let (Some((x, x_rest)), Some((y, y_rest))) =
                (x.split_at_checked(2 * pairs), y.split_at_mut_checked(2 * pairs))
            else {
                return;
            };
            y_rest.copy_from_slice(x_rest);
            if interleaved {
                let (x, _) = x.as_chunks::<2>();
                let (y, _) = y.as_chunks_mut::<2>();
                for (((&[a, b], y), &cos), &sin) in x.iter().zip(y).zip(cos).zip(sin) {
                    *y = turn(a, b, cos, sin).into();
                }
            } else {
                let ((a, b), (y_a, y_b)) = (x.split_at(pairs), y.split_at_mut(pairs));
                let pairs = a.iter().zip(b).zip(y_a).zip(y_b).zip(cos).zip(sin);
                for (((((&a, &b), y_a), y_b), &cos), &sin) in pairs {
                    (*y_a, *y_b) = turn(a, b, cos, sin);
                }
            }
        }
    }
}

/// Cosines and sines `[tokens, pairs]` of the angles `position * inverse_frequency`, times `scale`.
///
/// Angles are products in `C`: models are trained with angles in `f32`, which at large positions differ visibly from
/// exact ones. Cosine and sine are correctly rounded.
pub fn tables<C: Float>(inverse_frequencies: &[f64], positions: &[u32], scale: f64) -> (Vec<C>, Vec<C>) {
    let scale = C::of(scale);
    let angles = positions.iter().flat_map(|&position| {
        let position = C::of(f64::from(position));
        inverse_frequencies.iter().map(move |&frequency| (position * C::of(frequency)).widen())
    });
    angles.map(|angle| (C::of(angle.cos()) * scale, C::of(angle.sin()) * scale)).unzip()
}
