/// A number in `0 .. 1` that follows from the seed, the answer's number and the position alone, so that an answer does not
/// depend on what else is computed, and is the same when a part of it is computed again. SplitMix64 (Steele et al. 2014).
pub(crate) fn uniform(seed: u64, choice: u32, position: usize) -> f64 {
    let bits = number(seed, choice, position);
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// Another number that follows from the same, for processors of logits, whose chances are not those of [`uniform`].
pub(crate) fn seed(seed: u64, choice: u32, position: usize) -> u64 {
    mix(number(seed, choice, position) ^ 0x2545_f491_4f6c_dd1d)
}

fn number(seed: u64, choice: u32, position: usize) -> u64 {
    let start = mix(seed).wrapping_add(mix(u64::from(choice) ^ 0x5851_f42d_4c95_7f2d));
    mix(start.wrapping_add(mix(position as u64)))
}

fn mix(x: u64) -> u64 {
    let z = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
