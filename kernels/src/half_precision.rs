//! Between numbers of 16 bits and `f32`, in arithmetic that loops over it become vector instructions of. All branches are
//! computed and one is chosen.

/// The value of a `bfloat16`.
#[inline(always)]
pub(crate) fn from_bfloat16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// The nearest `bfloat16`, the even one of two.
#[inline(always)]
pub(crate) fn to_bfloat16(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    // Rounding would carry some NaNs over into infinity; these get a bit of payload that stays.
    let kept = bits >> 16 | 0x40;
    (if value.is_nan() { kept } else { rounded }) as u16
}

/// By how many more bits `f32` has a mantissa than `float16`.
const FINER: u32 = 13;
/// By how much the exponent's bias is greater in `f32`, in its place.
const BIAS: u32 = 112 << 23;
/// The exponent of a `float16` that is infinite or no number, in its place.
const SPECIAL: u32 = 0x1f << 10;
/// The least `float16`, 2^-24.
const LEAST: f32 = f32::from_bits(103 << 23);
/// Where the last bit of a `f32` is worth [`LEAST`]: the sum with a smaller number has that, rounded, in its low bits.
const ALIGNER: f32 = 0.5;

/// The value of a `float16`.
#[inline(always)]
pub(crate) fn from_float16(bits: u16) -> f32 {
    let bits = u32::from(bits);
    let (sign, exponent, magnitude) = ((bits & 0x8000) << 16, bits & SPECIAL, bits & 0x7fff);
    let normal = (magnitude << FINER) + BIAS;
    let special = magnitude << FINER | 0xff << 23;
    let subnormal = (magnitude as f32 * LEAST).to_bits();
    let finite = if exponent == 0 { subnormal } else { normal };
    f32::from_bits(sign | if exponent == SPECIAL { special } else { finite })
}

/// The nearest `float16`, the even one of two: infinite from 65520 on.
#[inline(always)]
pub(crate) fn to_float16(value: f32) -> u16 {
    const LEAST_NORMAL: u32 = 113 << 23;
    const TOO_GREAT: u32 = 143 << 23;
    let bits = value.to_bits();
    let (sign, magnitude) = (bits >> 16 & 0x8000, bits & 0x7fff_ffff);
    // A carry out of the mantissa moves on to the next exponent, the last of which is that of infinity.
    let rounded = magnitude.wrapping_add(0xfff + (magnitude >> FINER & 1));
    let normal = rounded.wrapping_sub(BIAS) >> FINER;
    let subnormal = (f32::from_bits(magnitude) + ALIGNER).to_bits().wrapping_sub(ALIGNER.to_bits());
    let special = if value.is_nan() { SPECIAL | 0x200 } else { SPECIAL };
    let finite = if magnitude < LEAST_NORMAL { subnormal } else { normal };
    (sign | if magnitude >= TOO_GREAT { special } else { finite }) as u16
}
