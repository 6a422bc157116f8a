/// A seed that depends on nothing but `numbers`: SplitMix64 (Steele et al. 2014) over one after the other.
pub(crate) fn seed(numbers: &[u64]) -> u64 {
    numbers.iter().fold(0, |state, number| {
        let z = (state ^ number).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_differ_for_neighbours_and_are_the_same_in_every_run() {
        let seeds: std::collections::BTreeSet<u64> =
            (0..10).flat_map(|step| (0..10).map(move |micro| seed(&[42, step, micro]))).collect();
        assert_eq!(seeds.len(), 100);
        assert_eq!(seed(&[0]), 0xe220_a839_7b1d_cdaf);
    }
}
