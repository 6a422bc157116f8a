use half::{bf16, f16};
use swift_kernels::Element;
use swift_kernels::adamw::{self, AdamWStep};

use crate::support::{assert_close, narrow, numbers, scaled, widen, zeros};

fn step(number: u64) -> AdamWStep {
    AdamWStep {
        learning_rate: 1e-2,
        beta1: 0.9,
        beta2: 0.95,
        epsilon: 1e-8,
        weight_decay: 0.1,
        step: number,
        gradient_scale: 0.5,
    }
}

/// Loshchilov and Hutter's algorithm 2, one element.
fn naive(p: &mut f64, g: f64, m: &mut f64, v: &mut f64, step: &AdamWStep) {
    let g = g * step.gradient_scale;
    *m = step.beta1 * *m + (1.0 - step.beta1) * g;
    *v = step.beta2 * *v + (1.0 - step.beta2) * g * g;
    let m_hat = *m / (1.0 - step.beta1.powi(step.step as i32));
    let v_hat = *v / (1.0 - step.beta2.powi(step.step as i32));
    *p -= step.learning_rate * (m_hat / (v_hat.sqrt() + step.epsilon) + step.weight_decay * *p);
}

const COUNT: usize = 20_001;

/// Parameter after five steps by the formula, from a start and gradients of the right type.
fn expected<T: Element>(start: &[f64]) -> Vec<f64> {
    let (mut p, mut m, mut v) = (start.to_vec(), vec![0.0; COUNT], vec![0.0; COUNT]);
    for number in 1..=5 {
        let gradients = widen(&gradients::<T>(number));
        for (((p, g), m), v) in p.iter_mut().zip(gradients).zip(&mut m).zip(&mut v) {
            naive(p, g, m, v, &step(number));
        }
    }
    p
}

fn gradients<T: Element>(number: u64) -> Vec<T::Compute> {
    narrow(&scaled(numbers(number, COUNT), 300.0))
}

fn follows_the_formula<T: Element>(tolerance: f64) {
    let start = numbers(9, COUNT);
    let mut p = narrow::<T>(&start);
    let want = expected::<T>(&widen(&p));
    let (mut m, mut v) = (zeros::<T::Compute>(COUNT), zeros::<T::Compute>(COUNT));
    for number in 1..=5 {
        adamw::step(&mut p, None, &gradients::<T>(number), &mut m, &mut v, &step(number)).unwrap();
    }
    assert_close(&widen(&p), &want, tolerance, "parameter");
}

#[test]
fn five_steps_follow_the_formula() {
    follows_the_formula::<f64>(1e-14);
    follows_the_formula::<f32>(1e-6);
    follows_the_formula::<bf16>(2e-2);
    follows_the_formula::<f16>(2.5e-3);
}

#[test]
fn a_master_copy_keeps_what_the_parameter_rounds_away() {
    let mut p = narrow::<bf16>(&numbers(9, COUNT));
    let mut master: Vec<f32> = p.iter().map(|p| p.load()).collect();
    let want = expected::<bf16>(&widen(&p));
    let (mut m, mut v) = (zeros::<f32>(COUNT), zeros::<f32>(COUNT));
    for number in 1..=5 {
        let gradients = gradients::<bf16>(number);
        adamw::step(&mut p, Some(&mut master), &gradients, &mut m, &mut v, &step(number)).unwrap();
    }
    assert_close(&widen(&master), &want, 1e-6, "master");
    assert_eq!(widen(&p), widen(&narrow::<bf16>(&widen(&master))));
}

#[test]
fn a_step_without_number_is_refused() {
    let error = adamw::step(&mut [0f32], None, &[0.0], &mut [0.0], &mut [0.0], &step(0)).unwrap_err();
    assert_eq!(error.to_string(), "Operation `adamw` needs steps counted from 1");
}
