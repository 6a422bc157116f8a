//! Seeds of independent random streams.
//!
//! Random numbers come from `swift_tensor::uniform` and `swift_tensor::fused::dropout`, in which element `i` depends on a
//! seed and `i` alone. Each parameter gets a seed of its own from the run's seed and its name, so the order in which
//! parameters are made, their number, and the number of threads change nothing.

/// The seed of the stream `name` of `seed`: the FNV-1a hash of the seed's bytes and the name.
pub(crate) fn stream(seed: u64, name: &str) -> u64 {
    let bytes = seed.to_le_bytes().into_iter().chain(name.bytes());
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}
