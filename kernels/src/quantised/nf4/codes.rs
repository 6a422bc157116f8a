//! The values that numbers of few bits stand for.

use std::sync::LazyLock;

use crate::vectorised::vectorised;

/// The values of NF4: quantiles of the normal distribution, with an exact zero (appendix E of the QLoRA paper).
#[expect(clippy::excessive_precision, reason = "the digits of the paper")]
pub const NF4: [f32; 16] = [
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
];

/// The values that quantised magnitudes stand for: 8-bit dynamic tree quantisation (Dettmers 2016, "8-Bit Approximations
/// for Parallelism in Deep Learning"). For each power of ten from `10^-6` to 1 there are twice as many as for the one
/// before: the middles of equal parts of `0.1 .. 1`; of either sign, with 0 and 1.
pub static NESTED: LazyLock<[f32; 256]> = LazyLock::new(|| {
    let mut values = [0f32; 256];
    let magnitudes = (0..7i32).flat_map(|power| {
        let parts = 1u32 << power;
        let middle = move |part: u32| 0.1 + 0.9 * (f64::from(part) + 0.5) / f64::from(parts);
        (0..parts).map(move |part| middle(part) * 10f64.powi(power - 6))
    });
    let signed = magnitudes.flat_map(|magnitude| [magnitude, -magnitude]).chain([0.0, 1.0]);
    values.iter_mut().zip(signed).for_each(|(value, number)| *value = number as f32);
    values.sort_by(f32::total_cmp);
    values
});

/// Between each of the values of [`NF4`] and the next.
const MIDDLES: [f32; 15] = {
    let mut middles = [0.0; 15];
    let mut number = 0;
    while number < 15 {
        #[expect(clippy::indexing_slicing, reason = "computed by the compiler")]
        {
            middles[number] = (NF4[number] + NF4[number + 1]) / 2.0;
        }
        number += 1;
    }
    middles
};

vectorised! {
    /// Quantises whole blocks, of which the last may be shorter: their greatest magnitudes, and the numbers of the values that
    /// are nearest, the smaller of two.
    pub(super) fn encode<>(x: &[f32], block: usize, packed: &mut [u8], magnitudes: &mut [f32]) {
        /// Elements whose numbers are found at a time.
        const STEP: usize = 32;
        let blocks = x.chunks(block).zip(packed.chunks_mut(block / 2)).zip(magnitudes);
        for ((x, packed), magnitude) in blocks {
            *magnitude = x.iter().fold(0f32, |greatest, x| greatest.max(x.abs()));
            let inverse = if *magnitude > 0.0 { 1.0 / *magnitude } else { 0.0 };
            for (x, packed) in x.chunks(STEP).zip(packed.chunks_mut(STEP / 2)) {
                // Of a number that there is not, the code is 0.
                let (mut scaled, mut numbers) = ([f32::NEG_INFINITY; STEP], [0u32; STEP]);
                scaled.iter_mut().zip(x).for_each(|(scaled, x)| *scaled = x * inverse);
                for middle in MIDDLES {
                    let above = numbers.iter_mut().zip(&scaled);
                    above.for_each(|(number, scaled)| *number += u32::from(*scaled > middle));
                }
                for (byte, [high, low]) in packed.iter_mut().zip(numbers.as_chunks::<2>().0) {
                    *byte = (high << 4 | low) as u8;
                }
            }
        }
    }
}

/// The number of the nearest of the values, which must rise; the smaller of two.
pub(super) fn nearest(values: &[f32], x: f32) -> u8 {
    let middles = values.windows(2).map(|pair| match pair {
        [low, high] => (low + high) / 2.0,
        _ => f32::INFINITY,
    });
    middles.take_while(|middle| x > *middle).count() as u8
}
