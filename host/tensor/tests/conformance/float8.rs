//! Linear layers whose products are taken in 8 bits, against a plain evaluation of the rounded operands in `float64`.

use std::collections::HashMap;

use swift_kernels::float8::Format;
use swift_tensor::fused::{Linear, LowRank, Weight, linear};
use swift_tensor::{DType, ParameterId, Tensor, backward};

use crate::cases::numbers;
use crate::check::{Array, Gradients};

/// The nearest number of the format to each scaled element, found among all of them, and scaled back.
fn rounded(x: &Array, format: Format) -> Array {
    let all: Vec<f64> =
        (0..128).map(|byte| f64::from(format.value(byte))).filter(|x| x.is_finite()).collect();
    let greatest = x.values.iter().fold(0f64, |greatest, x| greatest.max(x.abs()));
    let scale = f64::from((all[all.len() - 1] / greatest.max(1e-12)) as f32);
    let nearest = |x: &f64| {
        let scaled = f64::from((x.abs() * scale) as f32);
        let distance = |code: &usize| (all[*code] - scaled).abs();
        // Of two that are as near it is the even one.
        let by_distance =
            |a: &usize, b: &usize| (distance(a), a % 2).partial_cmp(&(distance(b), b % 2)).unwrap();
        all[(0..all.len()).min_by(by_distance).unwrap()] / scale * x.signum()
    };
    Array::new(&x.shape, x.values.iter().map(nearest).collect())
}

/// The worst element of `got`, as a part of the sum of the magnitudes that it is made of, beyond half a unit in its last place.
fn off(got: &[f64], [m, n]: [usize; 2], unit: f64, terms: impl Fn(usize, usize) -> Vec<f64>) -> f64 {
    assert_eq!(got.len(), m * n);
    let element = |i: usize| {
        let terms = terms(i / n, i % n);
        let (want, size) = (terms.iter().sum::<f64>(), terms.iter().map(|term| term.abs()).sum::<f64>());
        ((got[i] - want).abs() - unit * want.abs()).max(0.0) / size
    };
    (0..m * n).map(element).fold(0.0, f64::max)
}

/// The worst difference of a layer's output and gradients.
pub(crate) fn worst_difference() -> f64 {
    let mut worst = 0f64;
    for (dtype, unit) in [(DType::F32, 0.0), (DType::BF16, 2f64.powi(-8))] {
        // Numbers of rows that are multiples of 16 or not, and more rows and columns than a square that is transposed has.
        for (rows, inputs, outputs) in [(5, 32, 48), (1, 16, 16), (48, 80, 16), (37, 48, 112)] {
            let arrays = [[rows, inputs], [outputs, inputs], [rows, outputs]]
                .map(|shape| numbers(&shape, 1 + shape[0]));
            let leaf =
                |array: &Array, id| Tensor::parameter(array.tensor(dtype).value().clone(), ParameterId(id));
            let (x, weight, bias) =
                (leaf(&arrays[0], 0), leaf(&arrays[1], 1), leaf(&numbers(&[outputs], 9), 2));
            let dy = arrays[2].tensor(dtype);
            // What is there after rounding to the element type.
            let stored = |tensor: &Tensor| Array::new(tensor.dims(), tensor.to_list().unwrap());
            // A device rounds before it adds a bias, and after.
            let bias = (dtype == DType::F32).then_some(bias);
            let (x8, weight8) = (rounded(&stored(&x), Format::E4M3), rounded(&stored(&weight), Format::E4M3));
            let (dy8, added) = (rounded(&stored(&dy), Format::E5M2), bias.as_ref().map(stored));

            let layer = Linear { weight: Weight::from(weight).in_float8(), bias, adapter: None };
            let y = linear(&x, &layer).unwrap();
            let mut gradients = Gradients(HashMap::new());
            backward(&y.mul(&dy).unwrap().sum(&[], false).unwrap(), &mut gradients).unwrap();
            let results = [
                off(&y.to_list().unwrap(), [rows, outputs], unit, |r, o| {
                    let terms = (0..inputs).map(|i| x8.at(&[r, i]) * weight8.at(&[o, i]));
                    terms.chain(added.as_ref().map(|added| added.at(&[o]))).collect()
                }),
                off(&gradients.0[&0], [rows, inputs], unit, |r, i| {
                    (0..outputs).map(|o| dy8.at(&[r, o]) * weight8.at(&[o, i])).collect()
                }),
                off(&gradients.0[&1], [outputs, inputs], unit, |o, i| {
                    (0..rows).map(|r| dy8.at(&[r, o]) * x8.at(&[r, i])).collect()
                }),
            ];
            worst = results.into_iter().fold(worst, f64::max);
        }
    }
    worst
}

#[test]
fn a_layer_in_8_bits_multiplies_rounded_operands_both_ways() {
    let off = worst_difference();
    assert!(off < 2e-6, "{off:e}");
}

#[test]
fn an_adapter_is_beside_what_is_rounded() {
    let constant = |shape: &[usize], seed| numbers(shape, seed).tensor(DType::BF16);
    let (x, weight) = (constant(&[3, 16], 1), Weight::from(constant(&[32, 16], 2)).in_float8());
    let (a, b) = (constant(&[4, 16], 3), constant(&[32, 4], 4));
    let of = |weight: Weight, b: Tensor| {
        let adapter = Some(LowRank { a: a.clone(), b, scale: 1.0, dropout: None });
        linear(&x, &Linear { weight, bias: None, adapter }).unwrap().to_list().unwrap()
    };
    let none = b.scale(0.0).unwrap();
    let plain = linear(&x, &Linear { weight: weight.clone(), bias: None, adapter: None }).unwrap();
    assert_eq!(of(weight.clone(), none), plain.to_list().unwrap());
    // What it adds to a weight of zeros is not rounded to 8 bits.
    let zeros = Weight::from(constant(&[32, 16], 2).scale(0.0).unwrap());
    assert_eq!(of(zeros.clone().in_float8(), b.clone()), of(zeros, b));
}

#[test]
fn weights_whose_sizes_units_do_not_take_are_multiplied_as_they_are() {
    for (shape, rounds) in [([16, 32], true), ([24, 32], false), ([32, 8], false)] {
        let weight = Weight::from(numbers(&shape, 1).tensor(DType::BF16)).in_float8();
        assert_eq!(matches!(weight, Weight::Float8(_)), rounds, "{shape:?}");
    }
}
