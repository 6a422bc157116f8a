//! Ways to damage a file.

/// Numbers that look random and are the same each time (SplitMix64, Steele et al. 2014).
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// Damages a file, perhaps with pieces of another one.
type Mutate = fn(&mut Numbers, &[u8], &[u8]) -> Vec<u8>;

/// Everything that is done to files.
pub(crate) const MUTATIONS: [(&str, Mutate); 6] = [
    ("a flipped bit", |numbers, file, _| flipped(numbers, file, 1)),
    ("twenty flipped bits", |numbers, file, _| flipped(numbers, file, 20)),
    // The first bytes say what follows: sections, types, imports.
    ("a flipped bit near the start", |numbers, file, _| {
        let mut file = file.to_vec();
        let place = numbers.below(2000);
        file[place] ^= 1 << numbers.below(8);
        file
    }),
    ("an end that is missing", |numbers, file, _| file[..numbers.below(file.len())].to_vec()),
    ("a piece that is missing", |numbers, file, _| {
        let mut file = file.to_vec();
        let start = numbers.below(file.len());
        let end = start + numbers.below(64.min(file.len() - start));
        file.drain(start..end);
        file
    }),
    ("a piece of another file", |numbers, file, other| {
        let mut file = file.to_vec();
        let length = numbers.below(256);
        let from = numbers.below(other.len() - length);
        let to = numbers.below(file.len() - length);
        file[to..to + length].copy_from_slice(&other[from..from + length]);
        file
    }),
];

fn flipped(numbers: &mut Numbers, file: &[u8], count: usize) -> Vec<u8> {
    let mut file = file.to_vec();
    for _ in 0..count {
        let place = numbers.below(file.len());
        file[place] ^= 1 << numbers.below(8);
    }
    file
}
