//! Products of operands in 8 bits, compared with torch: `tests/golden/float8/golden.safetensors` holds what it rounds numbers to.

use half::bf16;
use safetensors::SafeTensors;
use swift_kernels::float8::{Format, Operand, product};
use swift_kernels::{Element, Float};

use crate::support::{narrow, numbers, on_threads, scaled, widen, zeros};

const FORMATS: [(&str, Format); 2] = [("e4m3fn", Format::E4M3), ("e5m2", Format::E5M2)];

fn golden() -> Vec<u8> {
    std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/float8/golden.safetensors")).unwrap()
}

fn parts<const N: usize>(golden: &[u8], name: &str) -> Vec<[u8; N]> {
    SafeTensors::deserialize(golden).unwrap().tensor(name).unwrap().data().as_chunks().0.to_vec()
}

fn matrix<T: Element>(golden: &[u8], name: &str) -> Vec<T> {
    let stored: Vec<bf16> = parts(golden, name).into_iter().map(bf16::from_le_bytes).collect();
    narrow(&widen(&stored))
}

#[test]
fn every_number_of_bfloat16_is_rounded_to_what_torch_rounds_it_to() {
    let golden = golden();
    for (name, format) in FORMATS {
        let values: Vec<f32> =
            parts(&golden, &format!("{name}.values")).into_iter().map(f32::from_le_bytes).collect();
        let first: Vec<i32> =
            parts(&golden, &format!("{name}.first")).into_iter().map(i32::from_le_bytes).collect();
        for (byte, value) in (0..=255).zip(&values) {
            assert!(
                format.value(byte).to_bits() == value.to_bits()
                    || format.value(byte).is_nan() && value.is_nan()
            );
        }
        for pattern in 0..0x7f81u16 {
            let code = first.partition_point(|&first| first <= i32::from(pattern)) - 1;
            for (pattern, code) in [(pattern, code), (pattern | 0x8000, code + 128)] {
                let got = format.round(bf16::from_bits(pattern).to_f32());
                assert_eq!(got.to_bits(), values[code].to_bits(), "{name}: {pattern:#x}");
            }
        }
        assert!(format.round(f32::NAN).is_nan());
    }
}

#[test]
fn numbers_between_those_of_bfloat16_are_rounded_to_the_nearest_and_ties_to_the_even_one() {
    for (_, format) in FORMATS {
        let all: Vec<f32> = (0..128).map(|byte| format.value(byte)).take_while(|x| x.is_finite()).collect();
        assert_eq!(all.last(), Some(&format.greatest()));
        for (code, pair) in all.windows(2).enumerate() {
            // Exact, for both have few bits.
            let tie = f32::midpoint(pair[0], pair[1]);
            assert_eq!(format.round(tie), pair[code % 2], "{tie:e}");
            assert_eq!(format.round(tie.next_down()), pair[0], "below {tie:e}");
            assert_eq!(format.round(-tie.next_up()), -pair[1], "above {tie:e}");
        }
    }
}

/// All three products of a linear layer, in the elements of `T`.
fn layer<T: Element>(golden: &[u8]) -> [Vec<f64>; 3] {
    let (rows, inputs, outputs) = (19, 32, 48);
    let [x, weight, dy] = ["x", "weight", "dy"].map(|name| matrix::<T>(golden, name));
    let operand = |elements, format, transposed| Operand { elements, format, transposed };
    let (x8, weight8) = (|t| operand(&x, Format::E4M3, t), |t| operand(&weight, Format::E4M3, t));
    let dy8 = |t| operand(&dy, Format::E5M2, t);
    let (mut y, mut dx, mut dweight) =
        (zeros::<T>(rows * outputs), zeros::<T>(rows * inputs), zeros::<T>(outputs * inputs));
    product(x8(false), weight8(true), &mut y, (rows, inputs, outputs), false).unwrap();
    product(dy8(false), weight8(false), &mut dx, (rows, outputs, inputs), false).unwrap();
    product(dy8(true), x8(false), &mut dweight, (outputs, rows, inputs), false).unwrap();
    [widen(&y), widen(&dx), widen(&dweight)]
}

#[test]
fn the_products_of_a_linear_layer_are_those_of_the_rounded_operands() {
    let golden = golden();
    let want = ["y", "dx", "dweight"]
        .map(|name| -> Vec<f64> { parts(&golden, name).into_iter().map(f64::from_le_bytes).collect() });
    // Half a unit in the last place of the result, and the sums of numbers that are up to some times as great.
    let close = |got: [Vec<f64>; 3], unit: f64| {
        for (got, want) in got.iter().zip(&want) {
            let greatest = want.iter().fold(0f64, |greatest, x| greatest.max(x.abs()));
            for (got, want) in got.iter().zip(want) {
                assert!((got - want).abs() <= unit * want.abs() + 4e-7 * greatest, "{got:e}, not {want:e}");
            }
        }
    };
    close(layer::<f64>(&golden), 1e-6);
    close(layer::<f32>(&golden), 1e-6);
    close(layer::<bf16>(&golden), 2f64.powi(-8));
}

/// The distance of a product from that of the operands as they are, as a part of its size.
fn error(format: Format) -> f64 {
    let (m, k, n) = (64, 512, 48);
    let (a, b) = (narrow::<bf16>(&numbers(1, m * k)), narrow::<bf16>(&numbers(2, k * n)));
    let (mut got, mut want) = (zeros::<f32>(m * n), zeros::<f32>(m * n));
    let (a, b) = (narrow::<f32>(&widen(&a)), narrow::<f32>(&widen(&b)));
    let operand = |elements| Operand { elements, format, transposed: false };
    product(operand(&a), operand(&b), &mut got, (m, k, n), false).unwrap();
    swift_kernels::matmul::product(&a, &b, &mut want, m, k, n, false, false, false).unwrap();
    let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    norm(&mut got.iter().zip(&want).map(|(got, want)| got - want)) / norm(&mut want.iter().copied())
}

#[test]
fn a_product_is_as_far_off_as_its_bits_let_expect() {
    // An element is off by at most 2^-4 or 2^-3 of its size, and by about 0.4 of that in the mean over a binade.
    for (format, most) in [(Format::E4M3, 2f64.powi(-4)), (Format::E5M2, 2f64.powi(-3))] {
        let error = error(format);
        assert!((most / 4.0..most).contains(&error), "{format:?}: {error}");
    }
}

#[test]
fn zeros_stay_and_what_is_not_finite_shows() {
    let product_of = |x: f32| {
        let mut c = [1f32, f32::NAN];
        let operand = |elements, transposed| Operand { elements, format: Format::E4M3, transposed };
        let (a, b) = ([x, 0.0, 1.0, 2.0], [2f32, 4.0]);
        product(operand(&a, false), operand(&b, true), &mut c, (2, 2, 1), false).unwrap();
        c
    };
    // The greatest element, and half of it, are numbers of the format.
    let [first, second] = product_of(0.0);
    assert!(first == 0.0 && (second - 10.0).abs() < 1e-5, "{second}");
    for x in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert!(product_of(x)[0].is_nan());
    }
    let mut c = [f32::NAN];
    let zero = Operand { elements: &[0f32], format: Format::E5M2, transposed: false };
    product(zero, zero, &mut c, (1, 1, 1), false).unwrap();
    assert_eq!(c, [0.0]);
}

#[test]
fn products_in_8_bits_do_not_depend_on_the_number_of_threads() {
    let (m, k, n) = (70, 700, 300);
    let (a, b) = (narrow::<bf16>(&numbers(1, m * k)), narrow::<bf16>(&scaled(numbers(2, k * n), 1e-3)));
    let bits = |threads| {
        on_threads(threads, || {
            let mut c = zeros::<bf16>(m * n);
            let operand = |elements, format| Operand { elements, format, transposed: false };
            product(operand(&a, Format::E5M2), operand(&b, Format::E4M3), &mut c, (m, k, n), false).unwrap();
            c.iter().map(|c| c.to_bits()).collect::<Vec<_>>()
        })
    };
    assert_eq!(bits(1), bits(3));
}

#[test]
fn a_product_is_added_to_what_is_there() {
    let mut c = [bf16::store(10.0)];
    let operand = |elements| Operand { elements, format: Format::E4M3, transposed: false };
    let (a, b) = (narrow::<bf16>(&[2.0]), narrow::<bf16>(&[-3.0]));
    product(operand(&a), operand(&b), &mut c, (1, 1, 1), true).unwrap();
    assert_eq!(c[0].load().widen(), 4.0);
    let short = operand(&a[..0]);
    assert!(product(short, operand(&b), &mut c, (1, 1, 1), true).is_err());
}
