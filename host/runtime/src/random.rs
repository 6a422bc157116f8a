//! Seeds from seeds.

/// A seed that depends on all of `parts` and on their order. Mixed as in SplitMix64 (Steele, Lea and Flood 2014).
pub(crate) fn combine(parts: &[u64]) -> u64 {
    parts.iter().fold(0, |seed: u64, part| {
        let z = (seed ^ part).wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_and_their_order_count() {
        let seeds =
            [combine(&[1, 2]), combine(&[2, 1]), combine(&[1, 3]), combine(&[1]), combine(&[1, 2, 0])];
        let distinct: std::collections::BTreeSet<u64> = seeds.into_iter().collect();
        assert_eq!(distinct.len(), seeds.len());
        assert_eq!(combine(&[1, 2]), combine(&[1, 2]));
    }
}
