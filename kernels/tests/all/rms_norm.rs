use half::{bf16, f16};
use swift_kernels::rms_norm::RmsNorm;
use swift_kernels::{Element, KernelError, rms_norm};

use crate::support::{assert_close, components, differences, dot, narrow, numbers, scaled, widen, zeros};

const EPSILON: f64 = 1e-6;
const OFFSETS: [f64; 2] = [0.0, 1.0];
const SHAPES: [(usize, usize); 6] = [(0, 4), (1, 1), (3, 7), (2, 64), (130, 19), (65, 33)];

fn norm(width: usize, offset: f64) -> RmsNorm {
    RmsNorm { width, epsilon: EPSILON, offset }
}

fn naive(x: &[f64], weight: &[f64], offset: f64) -> Vec<f64> {
    let row = |x: &[f64]| {
        let r = 1.0 / (dot(x, x) / x.len() as f64 + EPSILON).sqrt();
        x.iter().zip(weight).map(|(x, w)| x * r * (offset + w)).collect::<Vec<_>>()
    };
    x.chunks(weight.len()).flat_map(row).collect()
}

fn forward<T: Element>(x: &[T], weight: &[T], offset: f64) -> (Vec<T>, Vec<T::Compute>) {
    let (mut y, mut rstd) = (zeros::<T>(x.len()), zeros::<T::Compute>(x.len() / weight.len()));
    rms_norm::forward(x, weight, &norm(weight.len(), offset), &mut y, &mut rstd).unwrap();
    (y, rstd)
}

fn follows_the_formula<T: Element>(tolerance: f64) {
    for (rows, width) in SHAPES {
        for (scale, offset) in [(1e-3, 0.0), (1.0, 1.0), (300.0, 0.0)] {
            let x = narrow::<T>(&scaled(numbers(1, rows * width), scale));
            let weight = narrow::<T>(&numbers(2, width));
            let (y, _) = forward(&x, &weight, offset);
            assert_close(
                &widen(&y),
                &naive(&widen(&x), &widen(&weight), offset),
                tolerance,
                &format!("{rows} x {width}"),
            );
        }
    }
}

#[test]
fn forward_follows_the_formula_in_every_type() {
    follows_the_formula::<f64>(1e-14);
    follows_the_formula::<f32>(2e-6);
    follows_the_formula::<bf16>(4e-3);
    follows_the_formula::<f16>(5e-4);
}

#[test]
fn gradients_are_central_differences() {
    for ((rows, width), offset) in SHAPES.into_iter().flat_map(|shape| OFFSETS.map(|offset| (shape, offset)))
    {
        let (x, weight, dy) = (numbers(3, rows * width), numbers(4, width), numbers(5, rows * width));
        let (_, rstd) = forward(&x, &weight, offset);
        let (mut dx, mut dweight) = (zeros::<f64>(x.len()), zeros::<f64>(width));
        rms_norm::backward(&dy, &x, &weight, &rstd, &norm(width, offset), Some(&mut dx), Some(&mut dweight))
            .unwrap();
        let at = components(x.len(), 100);
        let want = differences(&x, &at, |x| dot(&naive(x, &weight, offset), &dy));
        assert_close(&crate::support::pick(&dx, &at), &want, 1e-6, "dx");
        let at = components(width, width);
        assert_close(
            &dweight,
            &differences(&weight, &at, |w| dot(&naive(&x, w, offset), &dy)),
            1e-6,
            "dweight",
        );
    }
}

fn gradients_agree_with_f64<T: Element>(tolerance: f64) {
    let (rows, width) = (70, 24);
    let (x, weight) = (narrow::<T>(&numbers(3, rows * width)), narrow::<T>(&numbers(4, width)));
    let dy = narrow::<T>(&numbers(5, rows * width));
    let (_, rstd) = forward(&x, &weight, 1.0);
    let (mut dx, mut dweight) = (zeros::<T>(x.len()), zeros::<T::Compute>(width));
    rms_norm::backward(&dy, &x, &weight, &rstd, &norm(width, 1.0), Some(&mut dx), Some(&mut dweight))
        .unwrap();
    let (x, weight, dy) = (widen(&x), widen(&weight), widen(&dy));
    let (_, rstd) = forward(&x, &weight, 1.0);
    let (mut want_dx, mut want_dweight) = (zeros::<f64>(x.len()), zeros::<f64>(width));
    rms_norm::backward(
        &dy,
        &x,
        &weight,
        &rstd,
        &norm(width, 1.0),
        Some(&mut want_dx),
        Some(&mut want_dweight),
    )
    .unwrap();
    assert_close(&widen(&dx), &want_dx, tolerance, "dx");
    assert_close(&widen(&dweight), &want_dweight, 1e-5, "dweight");
}

#[test]
fn gradients_in_narrow_types_agree_with_f64() {
    gradients_agree_with_f64::<f32>(2e-6);
    gradients_agree_with_f64::<bf16>(4e-3);
    gradients_agree_with_f64::<f16>(5e-4);
}

#[test]
fn the_gradient_of_the_weight_is_added() {
    let (x, weight, dy) = (numbers(3, 6), numbers(4, 3), numbers(5, 6));
    let (_, rstd) = forward(&x, &weight, 1.0);
    let (mut fresh, mut added) = (vec![0.0; 3], vec![10.0; 3]);
    rms_norm::backward(&dy, &x, &weight, &rstd, &norm(3, 1.0), None, Some(&mut fresh)).unwrap();
    rms_norm::backward(&dy, &x, &weight, &rstd, &norm(3, 1.0), None, Some(&mut added)).unwrap();
    assert_close(&added, &fresh.iter().map(|x| x + 10.0).collect::<Vec<_>>(), 1e-15, "dweight");
}

#[test]
fn slices_that_do_not_fit_are_refused_by_name() {
    let error =
        rms_norm::forward(&[1f32; 6], &[1.0; 3], &norm(3, 0.0), &mut [0.0; 5], &mut [0.0; 2]).unwrap_err();
    assert_eq!(error, KernelError::Length { operation: "rms_norm", name: "y", expected: 6, got: 5 });
    assert_eq!(error.to_string(), "Slice `y` of `rms_norm` has 5 elements, not 6");
    let error = rms_norm::forward::<f32>(&[], &[], &norm(0, 0.0), &mut [], &mut []).unwrap_err();
    assert_eq!(error.to_string(), "Operation `rms_norm` needs a width of at least 1");
}
