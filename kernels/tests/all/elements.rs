use half::{bf16, f16};
use swift_kernels::{Element, Float};

#[test]
fn exponentials_are_within_two_units_in_the_last_place() {
    for i in 0..=2_000_000 {
        let x = -87.3 + i as f32 * (175.6 / 2_000_000.0);
        let (got, want) = (f64::from(x.exponential()), f64::from(x).exp());
        assert!((got - want).abs() <= 2.4e-7 * want, "exp({x}) is {got:e}, not {want:e}");
    }
}

#[test]
fn exponentials_and_sigmoids_of_extreme_values_are_limits() {
    assert_eq!(f32::NEG_INFINITY.exponential(), 0.0);
    assert_eq!((-300f32).exponential(), 0.0);
    assert_eq!(0f32.exponential(), 1.0);
    assert_eq!(f32::INFINITY.exponential(), f32::INFINITY);
    assert!(f32::NAN.exponential().is_nan());
    assert_eq!((-300f32).sigmoid(), 0.0);
    assert_eq!(300f32.sigmoid(), 1.0);
    assert_eq!(0f32.sigmoid(), 0.5);
    assert!(f32::NAN.sigmoid().is_nan());
}

/// Every element, and a million numbers of all magnitudes, against what the `half` crate makes of them.
fn converts_as_the_half_crate_does<T: Element<Compute = f32>>(
    element: impl Fn(u16) -> T,
    bits: impl Fn(T) -> u16,
    widened: impl Fn(T) -> f32,
    rounded: impl Fn(f32) -> T,
) {
    for pattern in 0..=u16::MAX {
        let (got, want) = (element(pattern).load(), widened(element(pattern)));
        assert!(got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(), "{pattern:#x}");
        if !want.is_nan() {
            assert_eq!(bits(T::store(want)), pattern);
        }
    }
    for i in 0..=1_000_000u32 {
        let value = f32::from_bits(i.wrapping_mul(4_294_967));
        let (got, want) = (T::store(value), rounded(value));
        assert!(bits(got) == bits(want) || value.is_nan() && got.load().is_nan(), "{value:e}");
    }
    // Between two neighbours lie a tie and what is just off it.
    for pattern in (0..=u16::MAX).filter(|&pattern| element(pattern).load().is_finite()) {
        let tie = f32::midpoint(element(pattern).load(), element(pattern.wrapping_add(1)).load());
        for value in [tie.next_down(), tie, tie.next_up()].into_iter().filter(|value| value.is_finite()) {
            assert_eq!(bits(T::store(value)), bits(rounded(value)), "{value:e}");
        }
    }
    assert!(T::store(f32::from_bits(0x7f80_0001)).load().is_nan());
}

#[test]
fn elements_of_16_bits_convert_as_the_half_crate_does() {
    converts_as_the_half_crate_does(bf16::from_bits, bf16::to_bits, bf16::to_f32, bf16::from_f32);
    converts_as_the_half_crate_does(f16::from_bits, f16::to_bits, f16::to_f32, f16::from_f32);
}
