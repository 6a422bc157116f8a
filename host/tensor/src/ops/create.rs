//! Tensors from nothing but numbers.

use candle_core::{DType, Tensor as Value};
use swift_kernels::random::mix;

use crate::device::current_device;
use crate::graph::must_run;
use crate::storage::on_device;
use crate::{Error, Result, Tensor, checks};

/// A tensor of `shape` from `values` in row-major order.
///
/// # Errors
/// If the number of values is not that of the shape.
pub fn from_list(values: &[f64], shape: &[u64], dtype: DType) -> Result<Tensor> {
    let shape = checks::shape("from_list", shape)?;
    if shape.iter().product::<usize>() != values.len() {
        return Err(Error::shapes("from_list", &[values.len()], &shape));
    }
    must_run("a list of numbers is sent to the device")?;
    Ok(Tensor::constant(Value::from_slice(values, shape, &current_device())?.to_dtype(dtype)?))
}

/// A tensor with every element `value`.
///
/// # Errors
/// If the shape is too large.
pub fn full(value: f64, shape: &[u64], dtype: DType) -> Result<Tensor> {
    let shape = checks::shape("full", shape)?;
    let device = current_device();
    let plain = || -> Result<Value> {
        must_run("a number is sent to the device")?;
        Ok(Value::new(value, &device)?.to_dtype(dtype)?.broadcast_as(shape.as_slice())?.contiguous()?)
    };
    let made = on_device!("full", &device,
        cpu: plain(),
        cuda: if dtype.is_float() { crate::cuda::full(&device, dtype, value, &shape) } else { plain() },
    )?;
    Ok(Tensor::constant(made))
}

/// `0, 1, .. count - 1` as `int64`.
///
/// # Errors
/// If `count` is too large.
pub fn arange(count: u64) -> Result<Tensor> {
    let shape = checks::shape("arange", &[count])?;
    let numbers: Vec<i64> = (0..).take(shape.iter().product()).collect();
    must_run("numbers are sent to the device")?;
    Ok(Tensor::constant(Value::from_vec(numbers, shape, &current_device())?))
}

/// Uniform in `low .. high`. Element `i` depends on `seed` and `i` alone.
///
/// # Errors
/// If the shape is too large.
pub fn uniform(low: f64, high: f64, shape: &[u64], dtype: DType, seed: u64) -> Result<Tensor> {
    draw("uniform", shape, dtype, |i| low + (high - low) * unit(seed, i))
}

/// Normal, by the Box-Muller transform. Element `i` depends on `seed` and `i` alone.
///
/// # Errors
/// If the shape is too large.
pub fn normal(mean: f64, deviation: f64, shape: &[u64], dtype: DType, seed: u64) -> Result<Tensor> {
    draw("normal", shape, dtype, |i| {
        // `1 - unit` lies in (0, 1], so the logarithm is finite.
        let radius = (-2.0 * (1.0 - unit(seed, 2 * i)).ln()).sqrt();
        mean + deviation * radius * (std::f64::consts::TAU * unit(seed, 2 * i + 1)).cos()
    })
}

fn draw(op: &'static str, shape: &[u64], dtype: DType, f: impl Fn(u64) -> f64) -> Result<Tensor> {
    checks::shape(op, shape)?;
    let values: Vec<f64> = (0..shape.iter().product()).map(f).collect();
    from_list(&values, shape, dtype)
}

/// Number `i` of the stream `seed`, uniform in [0, 1): the output function of SplitMix64 (Steele, Lea and Flood 2014),
/// whose state after `i` steps is known without taking them.
fn unit(seed: u64, i: u64) -> f64 {
    let mixed = mix(mix(seed).wrapping_add(i.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    (mixed >> 11) as f64 / (1u64 << 53) as f64
}
