use half::bf16;
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

#[test]
fn bfloat16_elements_convert_as_the_half_crate_does() {
    for bits in 0..=u16::MAX {
        let element = bf16::from_bits(bits);
        assert!(
            element.load() == element.to_f32() || element.is_nan() && element.load().is_nan(),
            "{bits:#x}"
        );
    }
    for i in 0..=1_000_000u32 {
        let value = f32::from_bits(i.wrapping_mul(4_294_967));
        let (got, want) = (<bf16 as Element>::store(value), bf16::from_f32(value));
        assert!(got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(), "{value:e}");
    }
    assert!(<bf16 as Element>::store(f32::from_bits(0x7f80_0001)).is_nan());
}
