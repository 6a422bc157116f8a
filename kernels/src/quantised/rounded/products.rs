//! Products of some rows with all inputs, cut into tiles.

use super::tiles::Instructions;
use super::{Decoder, INPUTS, Rounded};
use crate::ahead::Ahead;
use crate::line::{LANES, Line};

/// Units of [`INPUTS`] inputs that are multiplied in one go, and more of fewer: they stay in the first cache.
const DEPTH: usize = 16;

/// As [`Rounded::products`].
///
/// # Safety
/// The processor has the instructions.
#[expect(unsafe_code, reason = "instructions that not every processor has")]
pub(super) unsafe fn products<D: Decoder, I: Instructions<D>>(
    instructions: I,
    inputs: &Rounded,
    (rows, scales): (&[D::Stored], &[f32]),
    sums: &mut [f32],
    mut next: Ahead,
) {
    let length = inputs.length;
    let (height, count) = (rows.len() / length, inputs.units.len() / length);
    let share = next.share(count.div_ceil(INPUTS) * height);
    let mut partial = Vec::new();
    for (first, sums) in (0..count).step_by(INPUTS).zip(sums.chunks_mut(INPUTS * height)) {
        let here = sums.len() / height;
        let depth = DEPTH * INPUTS / here;
        partial.clear();
        partial.resize(sums.len(), Line([0.0; LANES]));
        for start in (0..length).step_by(depth) {
            let depth = depth.min(length - start);
            let from = first * length + start * here;
            let part = from..from + depth * here;
            let of_inputs = (inputs.units.get(part.clone()), inputs.scales.get(part));
            let (Some(units), Some(unit_scales)) = of_inputs else { return };
            for (row, sums) in partial.chunks_mut(here).enumerate() {
                if start == 0 {
                    next.fetch(share);
                }
                let part = row * length + start..row * length + start + depth;
                let (Some(row), Some(scales)) = (rows.get(part.clone()), scales.get(part)) else { return };
                // SAFETY: the caller vouches for the processor.
                unsafe {
                    match here {
                        1 => instructions.tile::<1>(row, scales, units, unit_scales, sums),
                        2 => instructions.tile::<2>(row, scales, units, unit_scales, sums),
                        3 => instructions.tile::<3>(row, scales, units, unit_scales, sums),
                        4 => instructions.tile::<4>(row, scales, units, unit_scales, sums),
                        5 => instructions.tile::<5>(row, scales, units, unit_scales, sums),
                        6 => instructions.tile::<6>(row, scales, units, unit_scales, sums),
                        7 => instructions.tile::<7>(row, scales, units, unit_scales, sums),
                        _ => instructions.tile::<8>(row, scales, units, unit_scales, sums),
                    }
                }
            }
        }
        for (input, sums) in sums.chunks_mut(height).enumerate() {
            for (row, into) in sums.iter_mut().enumerate() {
                if let Some(partial) = partial.get(row * here + input) {
                    *into = sum(partial);
                }
            }
        }
    }
}

/// Halves are added until one number is left.
fn sum(Line(partial): &Line<f32>) -> f32 {
    let [mut eight, mut four, mut two] = [[0.0; 8]; 3];
    let halves = partial.split_at(8);
    eight.iter_mut().zip(halves.0).zip(halves.1).for_each(|((sum, a), b)| *sum = a + b);
    let halves = eight.split_at(4);
    four.iter_mut().zip(halves.0).zip(halves.1).for_each(|((sum, a), b)| *sum = a + b);
    let halves = four.split_at(2);
    two.iter_mut().zip(halves.0).zip(halves.1).for_each(|((sum, a), b)| *sum = a + b);
    two[0] + two[1]
}
