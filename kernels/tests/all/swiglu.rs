use half::{bf16, f16};
use swift_kernels::{Element, swiglu};

use crate::support::{assert_close, components, differences, narrow, numbers, scaled, widen, zeros};

fn naive(gate: f64, up: f64) -> f64 {
    gate / (1.0 + (-gate).exp()) * up
}

fn inputs<T: Element>() -> (Vec<T>, Vec<T>, Vec<T>) {
    let mut gate = scaled(numbers(1, 20_000), 12.0);
    gate.extend([-300.0, 300.0, 0.0, -0.0, 1e-30, -88.0]);
    let (up, dy) = (numbers(2, gate.len()), numbers(3, gate.len()));
    (narrow(&gate), narrow(&up), narrow(&dy))
}

fn follows_the_formula<T: Element>(tolerance: f64) {
    let (gate, up, dy) = inputs::<T>();
    let (mut y, mut dgate, mut dup) =
        (zeros::<T>(gate.len()), zeros::<T>(gate.len()), zeros::<T>(gate.len()));
    swiglu::forward(&gate, &up, &mut y).unwrap();
    swiglu::backward(&dy, &gate, &up, &mut dgate, &mut dup).unwrap();
    let (gate, up, dy) = (widen(&gate), widen(&up), widen(&dy));
    let want: Vec<f64> = gate.iter().zip(&up).map(|(&gate, &up)| naive(gate, up)).collect();
    assert_close(&widen(&y), &want, tolerance, "y");
    let want: Vec<f64> = gate.iter().zip(&dy).map(|(&gate, &dy)| naive(gate, dy)).collect();
    assert_close(&widen(&dup), &want, tolerance, "dup");
    let slope = |((&gate, &up), &dy): ((&f64, &f64), &f64)| {
        let sigmoid = 1.0 / (1.0 + (-gate).exp());
        dy * up * (sigmoid + gate * sigmoid * (1.0 - sigmoid))
    };
    let want: Vec<f64> = gate.iter().zip(&up).zip(&dy).map(slope).collect();
    assert_close(&widen(&dgate), &want, tolerance, "dgate");
}

#[test]
fn forward_and_backward_follow_the_formulas_in_every_type() {
    follows_the_formula::<f64>(1e-14);
    follows_the_formula::<f32>(1e-6);
    follows_the_formula::<bf16>(4e-3);
    follows_the_formula::<f16>(5e-4);
}

#[test]
fn gradients_are_central_differences() {
    let (gate, up, dy) = (scaled(numbers(4, 50), 6.0), numbers(5, 50), numbers(6, 50));
    let (mut dgate, mut dup) = (zeros::<f64>(50), zeros::<f64>(50));
    swiglu::backward(&dy, &gate, &up, &mut dgate, &mut dup).unwrap();
    let loss = |gate: &[f64], up: &[f64]| -> f64 {
        gate.iter().zip(up).zip(&dy).map(|((&gate, &up), &dy)| naive(gate, up) * dy).sum()
    };
    let at = components(50, 50);
    assert_close(&dgate, &differences(&gate, &at, |gate| loss(gate, &up)), 1e-8, "dgate");
    assert_close(&dup, &differences(&up, &at, |up| loss(&gate, up)), 1e-8, "dup");
}

#[test]
fn no_elements_are_fine_and_unequal_lengths_are_refused() {
    swiglu::forward::<f32>(&[], &[], &mut []).unwrap();
    let error = swiglu::forward(&[1f32], &[1.0, 2.0], &mut [0.0]).unwrap_err();
    assert_eq!(error.to_string(), "Slice `up` of `swiglu` has 2 elements, not 1");
}
