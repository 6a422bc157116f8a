use half::{bf16, f16};
use swift_kernels::rope::{self, RopeShape};
use swift_kernels::{Element, Float};

use crate::support::{
    assert_close, components, differences, dot, narrow, numbers, pick, scaled, widen, zeros,
};

/// Tokens and sizes: whole heads, part of a head, an odd head, one of everything, no tokens.
const CASES: [(usize, RopeShape); 5] = [
    (5, RopeShape { heads: 3, head_dim: 8, pairs: 4 }),
    (40, RopeShape { heads: 2, head_dim: 10, pairs: 3 }),
    (3, RopeShape { heads: 1, head_dim: 5, pairs: 2 }),
    (1, RopeShape { heads: 1, head_dim: 2, pairs: 1 }),
    (0, RopeShape { heads: 2, head_dim: 4, pairs: 2 }),
];

fn naive(x: &[f64], shape: &RopeShape, cos: &[f64], sin: &[f64], interleaved: bool) -> Vec<f64> {
    let mut y = x.to_vec();
    for token in 0..x.len() / (shape.heads * shape.head_dim) {
        for head in 0..shape.heads {
            for pair in 0..shape.pairs {
                let (a, b) = if interleaved { (2 * pair, 2 * pair + 1) } else { (pair, pair + shape.pairs) };
                let first = (token * shape.heads + head) * shape.head_dim;
                let (cos, sin) = (cos[token * shape.pairs + pair], sin[token * shape.pairs + pair]);
                y[first + a] = x[first + a] * cos - x[first + b] * sin;
                y[first + b] = x[first + b] * cos + x[first + a] * sin;
            }
        }
    }
    y
}

fn tables<C: Float>(tokens: usize, pairs: usize) -> (Vec<C>, Vec<C>) {
    let frequencies: Vec<f64> = (0..pairs).map(|i| 10_000f64.powf(-(i as f64) / pairs as f64)).collect();
    rope::tables(&frequencies, &(0..tokens as u32).map(|i| i * 3).collect::<Vec<_>>(), 1.25)
}

fn follows_the_formula<T: Element>(tolerance: f64) {
    for (tokens, shape) in CASES {
        for interleaved in [false, true] {
            let x = narrow::<T>(&scaled(numbers(1, tokens * shape.heads * shape.head_dim), 300.0));
            let (cos, sin) = tables::<T::Compute>(tokens, shape.pairs);
            let mut y = zeros::<T>(x.len());
            rope::rotate(&x, &mut y, &shape, &cos, &sin, interleaved, false).unwrap();
            let want = naive(&widen(&x), &shape, &widen(&cos), &widen(&sin), interleaved);
            // Relative to the size of the inputs: the difference of two products may cancel.
            assert_close(&scaled(widen(&y), 1e-2), &scaled(want, 1e-2), tolerance, &format!("{shape:?}"));
        }
    }
}

#[test]
fn rotation_follows_the_formula_in_every_type() {
    follows_the_formula::<f64>(1e-14);
    follows_the_formula::<f32>(1e-6);
    follows_the_formula::<bf16>(4e-3);
    follows_the_formula::<f16>(5e-4);
}

#[test]
fn the_inverse_rotation_is_the_gradient() {
    for (tokens, shape) in CASES {
        for interleaved in [false, true] {
            let (x, dy) = (
                numbers(1, tokens * shape.heads * shape.head_dim),
                numbers(2, tokens * shape.heads * shape.head_dim),
            );
            let (cos, sin) = tables::<f64>(tokens, shape.pairs);
            let mut dx = zeros::<f64>(x.len());
            rope::rotate(&dy, &mut dx, &shape, &cos, &sin, interleaved, true).unwrap();
            let at = components(x.len(), 100);
            let want = differences(&x, &at, |x| dot(&naive(x, &shape, &cos, &sin, interleaved), &dy));
            assert_close(&pick(&dx, &at), &want, 1e-8, &format!("{shape:?}"));
        }
    }
}

#[test]
fn angles_are_products_in_the_type_of_the_tables() {
    let (frequency, position) = (0.123_456_789_f64, 30_011_u32);
    let (cos, sin) = rope::tables::<f32>(&[frequency], &[position], 1.0);
    let angle = f64::from(frequency as f32 * position as f32);
    assert_eq!((cos[0], sin[0]), (angle.cos() as f32, angle.sin() as f32));
    let (cos, sin) = rope::tables::<f64>(&[frequency], &[position], 2.0);
    let angle = frequency * f64::from(position);
    assert_eq!((cos[0], sin[0]), (2.0 * angle.cos(), 2.0 * angle.sin()));
}

#[test]
fn more_pairs_than_a_head_has_are_refused() {
    let shape = RopeShape { heads: 1, head_dim: 3, pairs: 2 };
    let error =
        rope::rotate(&[0f32; 3], &mut [0.0; 3], &shape, &[1.0; 2], &[0.0; 2], false, false).unwrap_err();
    assert_eq!(error.to_string(), "Operation `rope` needs two components of a head for each pair");
}

#[test]
fn huge_sizes_without_tokens_do_not_overflow() {
    let shape = RopeShape { heads: usize::MAX, head_dim: 4, pairs: 2 };
    rope::rotate::<f32>(&[], &mut [], &shape, &[], &[], false, false).unwrap();
}
