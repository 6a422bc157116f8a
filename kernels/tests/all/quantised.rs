//! Weights of few bits. NF4 is compared with bitsandbytes: `tests/golden/nf4/golden.safetensors` holds what its
//! `quantize_4bit` made on a processor.

use half::{bf16, f16};
use safetensors::SafeTensors;
use swift_kernels::quantised::nf4::{Matrix, NESTED, NF4, Options, Scales};
use swift_kernels::quantised::{self, int8};
use swift_kernels::{Element, matmul};

use crate::support::{assert_close, dot, narrow, numbers, widen, zeros};

/// Names with their rows, columns and block sizes.
const MATRICES: [(&str, usize, usize, usize); 7] = [
    ("bf16_32x32", 32, 32, 64),
    ("blocks128_64x96", 64, 96, 128),
    ("edge_8x64", 8, 64, 64),
    ("normal_64x64", 64, 64, 64),
    ("outliers_96x176", 96, 176, 64),
    ("partial_33x40", 33, 40, 64),
    ("uniform_96x80", 96, 80, 64),
];

fn golden() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/nf4/golden.safetensors");
    std::fs::read(path).unwrap()
}

fn f32s(golden: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let view = golden.tensor(name).unwrap();
    match view.dtype() {
        safetensors::Dtype::BF16 => bf16s(golden, name).into_iter().map(Element::load).collect(),
        _ => view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
    }
}

fn bf16s(golden: &SafeTensors<'_>, name: &str) -> Vec<bf16> {
    let view = golden.tensor(name).unwrap();
    view.data().as_chunks().0.iter().map(|bytes| bf16::from_le_bytes(*bytes)).collect()
}

fn bytes(golden: &SafeTensors<'_>, name: &str) -> Vec<u8> {
    golden.tensor(name).unwrap().data().to_vec()
}

/// Elements within `1e-6` of the greatest magnitude, and those of `bf16` within a unit in the last place.
fn dequantises(matrix: &Matrix, golden: &SafeTensors<'_>, name: &str) {
    let matrix = quantised::Matrix::Nf4(matrix.clone());
    let mut got = vec![0f32; matrix.rows() * matrix.columns()];
    matrix.dequantise(&mut got).unwrap();
    let want = f32s(golden, &format!("{name}.dequant_f32"));
    let greatest = want.iter().fold(0f32, |greatest, x| greatest.max(x.abs()));
    for (i, (got, want)) in got.iter().zip(&want).enumerate() {
        assert!((got - want).abs() <= 1e-6 * greatest, "{name}: element {i} is {got:e}, not {want:e}");
    }
    let mut got = vec![bf16::ZERO; want.len()];
    matrix.dequantise(&mut got).unwrap();
    for (i, (got, want)) in got.iter().zip(bf16s(golden, &format!("{name}.dequant_bf16"))).enumerate() {
        let apart = i32::from(got.to_bits()).abs_diff(want.to_bits().into());
        assert!(apart <= 1, "{name}: element {i} is {got}, not {want}");
    }
}

#[test]
fn the_values_are_those_of_bitsandbytes() {
    let bytes = golden();
    let golden = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(f32s(&golden, "code.nf4"), NF4);
    let close = |(a, b): (&f32, f32)| (a - b).abs() <= 1e-6 * b.abs();
    assert!(NESTED.iter().zip(f32s(&golden, "code.nested")).all(close), "{:?}", *NESTED);
}

#[test]
fn matrices_are_quantised_and_dequantised_as_by_bitsandbytes() {
    let file = golden();
    let golden = SafeTensors::deserialize(&file).unwrap();
    for (name, rows, columns, block) in MATRICES {
        let x = f32s(&golden, &format!("{name}.input"));
        let quantised = |double| Matrix::quantise(&x, rows, columns, Options { block, double }).unwrap();
        let name = format!("{name}.nf4");
        let plain = quantised(false);
        assert_eq!(plain.packed(), bytes(&golden, &format!("{name}.packed")), "{name}");
        assert_eq!(plain.scales(), &Scales::Plain(f32s(&golden, &format!("{name}.absmax"))), "{name}");
        dequantises(&plain, &golden, &name);

        let name = format!("{name}.double");
        let double = quantised(true);
        assert_eq!(double.packed(), bytes(&golden, &format!("{name}.packed")), "{name}");
        let Scales::Quantised { codes, magnitudes, offset } = double.scales() else { panic!("{name}") };
        assert_eq!(*codes, bytes(&golden, &format!("{name}.absmax_u8")), "{name}");
        let want = f32s(&golden, &format!("{name}.offset"))[0];
        assert!((offset - want).abs() <= 1e-6 * want.abs(), "{name}: {offset} is not {want}");
        let want = f32s(&golden, &format!("{name}.nested_absmax"));
        for (got, want) in magnitudes.iter().zip(&want) {
            // They are distances from the offset, whose last bits are those of the order of a sum.
            assert!((got - want).abs() <= 1e-6 * offset.abs(), "{name}: {got} is not {want}");
        }
        // As a checkpoint has it, it gives the same elements.
        let scales = Scales::Quantised {
            codes: codes.clone(),
            magnitudes: want,
            offset: f32s(&golden, &format!("{name}.offset"))[0],
        };
        dequantises(&double, &golden, &name);
        let read = Matrix::new(double.packed().to_vec(), scales, rows, columns, block).unwrap();
        dequantises(&read, &golden, &name);
    }
}

/// The weights that `original` becomes, one for each way to keep them.
fn quantised<T: Element>(original: &[T], rows: usize, columns: usize) -> [quantised::Matrix; 4] {
    let nf4 = |block, double| {
        let options = Options { block, double };
        quantised::Matrix::Nf4(Matrix::quantise(original, rows, columns, options).unwrap())
    };
    [
        nf4(64, true),
        nf4(64, false),
        nf4(128, true),
        quantised::Matrix::Int8(int8::Matrix::quantise(original, rows, columns).unwrap()),
    ]
}

/// A linear layer there and back is the product with the dequantised weight, added to what is there or not.
/// Each addition rounds by a unit, and each store, that of a weight too: these errors have either sign.
fn is_linear<T: Element>(unit_of_sums: f64, unit_of_store: f64) {
    let sizes = [
        (1, 33, 40),
        (1, 300, 1030),
        (1, 7, 99),
        // Rows of whole blocks, and of more than magnitudes are computed for at a time.
        (1, 70, 128),
        (1, 5, 4224),
        // Of an odd number of units.
        (1, 9, 192),
        (11, 5, 1088),
        (5, 70, 96),
        // Several inputs with rows of whole blocks: in one group, and in one after the other, of which one is smaller.
        (2, 70, 4224),
        (7, 33, 1152),
        (27, 90, 2176),
        (200, 130, 256),
        (3, 3, 9),
        (8, 200, 1001),
        (9, 2200, 1030),
        (2, 2200, 1030),
        (0, 4, 4),
    ];
    for (tokens, rows, columns) in sizes {
        let longest = rows.max(columns) as f64;
        let tolerance = longest * unit_of_sums + (2.0 + longest.sqrt()) * unit_of_store;
        let (x, dy) = (narrow::<T>(&numbers(2, tokens * columns)), narrow::<T>(&numbers(3, tokens * rows)));
        for matrix in quantised(&narrow::<T>(&numbers(1, rows * columns)), rows, columns) {
            let mut weight = vec![0f64; rows * columns];
            matrix.dequantise(&mut weight).unwrap();
            for accumulate in [true, false] {
                let mut y = narrow::<T>(&numbers(4, tokens * rows));
                let mut want = widen(&y);
                matmul::product(
                    &widen(&x),
                    &weight,
                    &mut want,
                    tokens,
                    columns,
                    rows,
                    false,
                    true,
                    accumulate,
                )
                .unwrap();
                quantised::forward(&x, &matrix, tokens, &mut y, accumulate).unwrap();
                assert_close(&widen(&y), &want, tolerance, "y");
            }
            let (mut dx, mut want) = (zeros::<T>(tokens * columns), vec![0.0; tokens * columns]);
            quantised::input_gradient(&dy, &matrix, tokens, &mut dx).unwrap();
            matmul::product(&widen(&dy), &weight, &mut want, tokens, rows, columns, false, false, false)
                .unwrap();
            assert_close(&widen(&dx), &want, tolerance, "dx");
        }
    }
}

#[test]
fn a_linear_layer_multiplies_with_the_dequantised_weight_there_and_back() {
    is_linear::<f64>(2f64.powi(-53), 0.0);
    is_linear::<f32>(2f64.powi(-24), 0.0);
    is_linear::<bf16>(2f64.powi(-24), 2f64.powi(-9));
    is_linear::<f16>(2f64.powi(-24), 2f64.powi(-12));
}

/// Where one input in 64 is thousands of times as large as the others, products are as exact as their type can say.
#[test]
fn inputs_that_are_far_apart_are_multiplied_as_they_are() {
    fn is_exact<T: Element>(unit: f64) {
        let (tokens, rows, columns) = (3, 40, 256);
        let mut x = numbers(2, tokens * columns);
        x.iter_mut().step_by(64).for_each(|x| *x *= 3000.0);
        let x = narrow::<T>(&x);
        for matrix in quantised(&narrow::<T>(&numbers(1, rows * columns)), rows, columns) {
            let (mut y, mut weight) = (zeros::<T>(tokens * rows), vec![0f64; rows * columns]);
            quantised::forward(&x, &matrix, tokens, &mut y, false).unwrap();
            matrix.dequantise(&mut weight).unwrap();
            let magnitude = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a * b).abs()).sum::<f64>();
            let (x, y) = (widen(&x), widen(&y));
            for (x, y) in x.chunks(columns).zip(y.chunks(rows)) {
                for (weight, y) in weight.chunks(columns).zip(y) {
                    let (want, magnitude) = (dot(x, weight), magnitude(x, weight));
                    assert!((y - want).abs() <= unit * magnitude, "{y} is not {want}");
                }
            }
        }
    }
    // What rounding to the type makes, and what whole numbers for the values of NF4 and for inputs may.
    is_exact::<f32>(2f64.powi(-20));
    is_exact::<bf16>(2f64.powi(-8) + 2f64.powi(-12));
    is_exact::<f16>(2f64.powi(-11) + 2f64.powi(-12));
}

/// `together` inputs give the same bits as groups of `few` of them, with the weights that are meant.
fn does_not_depend_on_the_others<T: Element + std::fmt::Debug + PartialEq>(
    (few, together): (usize, usize),
    is_meant: fn(&quantised::Matrix) -> bool,
) {
    // Whole blocks of all sizes.
    let (rows, columns) = (70, 1280);
    let x = narrow::<T>(&numbers(2, together * columns));
    let weights = quantised(&narrow::<T>(&numbers(1, rows * columns)), rows, columns);
    for matrix in weights.into_iter().filter(is_meant) {
        let mut all = zeros::<T>(together * rows);
        quantised::forward(&x, &matrix, together, &mut all, false).unwrap();
        for (x, want) in x.chunks(few * columns).zip(all.chunks(few * rows)) {
            let mut y = zeros::<T>(want.len());
            quantised::forward(x, &matrix, x.len() / columns, &mut y, false).unwrap();
            assert_eq!(y, want);
        }
    }
}

#[test]
fn what_one_input_gives_does_not_depend_on_the_others() {
    does_not_depend_on_the_others::<f16>((1, 11), |_| true);
    // Processors that multiply `bf16` do it in another way with more than 12 inputs, or with more than 8 if weights have 8 bits, and in
    // yet another one with more than 48.
    let has_4_bits = |matrix: &quantised::Matrix| matches!(matrix, quantised::Matrix::Nf4(_));
    does_not_depend_on_the_others::<bf16>((1, 12), has_4_bits);
    does_not_depend_on_the_others::<bf16>((1, 8), |_| true);
    does_not_depend_on_the_others::<bf16>((13, 39), |_| true);
    does_not_depend_on_the_others::<bf16>((49, 98), |_| true);
}

#[test]
fn a_number_that_is_not_finite_is_not_lost() {
    for unusual in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut x = narrow::<bf16>(&numbers(2, 2 * 128));
        x[70] = bf16::from_f32(unusual);
        for matrix in quantised(&narrow::<bf16>(&numbers(1, 5 * 128)), 5, 128) {
            let mut y = zeros::<bf16>(2 * 5);
            quantised::forward(&x, &matrix, 2, &mut y, false).unwrap();
            let (of_first, of_second) = y.split_at(5);
            assert!(of_first.iter().all(|y| !y.is_finite()), "{of_first:?}");
            assert!(of_second.iter().all(|y| y.is_finite()), "{of_second:?}");
        }
    }
}

#[test]
fn eight_bits_are_the_nearest_of_255_multiples_for_each_row() {
    let x = [[1.0f32, -127.0, 0.5, 63.4], [0.0; 4], [-0.254, 0.1, 0.002, 0.0031]].concat();
    let matrix = quantised::Matrix::Int8(int8::Matrix::quantise(&x, 3, 4).unwrap());
    let mut got = vec![0f32; 12];
    matrix.dequantise(&mut got).unwrap();
    let want = [[1.0, -127.0, 0.0, 63.0], [0.0; 4], [-0.254, 0.1, 0.002, 0.004]].concat();
    assert!(got.iter().zip(&want).all(|(got, want)| (got - want).abs() < 1e-6), "{got:?}");
    assert_eq!(matrix.bytes(), 12 + 3 * 4);
}

#[test]
fn a_matrix_takes_half_a_byte_an_element_and_little_more() {
    let x = vec![1f32; 64 * 512];
    let bytes = |double| Matrix::quantise(&x, 64, 512, Options { block: 64, double }).unwrap().bytes() as f64;
    assert_eq!(bytes(false) * 8.0 / x.len() as f64, 4.5);
    assert_eq!(bytes(true) * 8.0 / x.len() as f64, 4.0 + 8.0 / 64.0 + 32.0 / (64.0 * 256.0));
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let options = Options { block: 64, double: false };
    let error = Matrix::quantise(&[0f32; 5], 2, 3, options).unwrap_err();
    assert_eq!(error.to_string(), "Slice `x` of `nf4` has 5 elements, not 6");
    let error = Matrix::quantise(&[0f32; 6], 2, 3, Options { block: 63, double: false }).unwrap_err();
    assert_eq!(error.to_string(), "Operation `nf4` needs a block of an even number of elements");
    let error = Matrix::new(vec![0; 3], Scales::Plain(vec![1.0; 2]), 2, 3, 64).unwrap_err();
    assert_eq!(error.to_string(), "Slice `scales` of `nf4` has 2 elements, not 1");
    let matrix = Matrix::quantise(&[0f32; 6], 2, 3, options).unwrap();
    let matrix = quantised::Matrix::Nf4(matrix);
    let error = quantised::forward(&[0f32; 4], &matrix, 1, &mut [0.0; 2], false).unwrap_err();
    assert_eq!(error.to_string(), "Slice `x` of `quantised` has 4 elements, not 3");
}
