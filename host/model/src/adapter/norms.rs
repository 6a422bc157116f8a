//! Norms of the rows of an adapted weight, for DoRA.

use candle_core::{CpuStorage, Storage};
use rayon::prelude::*;
use swift_tensor::{DType, Error, Result, Tensor, Value};

/// A low-rank addition to a weight: `scale * b a`, with `a` `[rank, in]` and `b` `[out, rank]`.
pub(crate) struct Addition<'a> {
    pub(crate) a: &'a Value,
    pub(crate) b: &'a Value,
    pub(crate) scale: f64,
}

/// The Euclidean norms `[out]` of the rows of `weight` `[out, in]` plus `addition`, formed in `float64` a row at a time, so
/// that the sum of the matrices never exists.
pub(crate) fn row_norms(weight: &Value, addition: Option<&Addition<'_>>) -> Result<Tensor> {
    let (rows, width) = weight.dims2()?;
    let wide = |value: &Value| value.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
    let (a, b) = match addition {
        Some(addition) => (wide(addition.a)?, wide(addition.b)?),
        None => (Vec::new(), Vec::new()),
    };
    let b: Vec<f64> = b.into_iter().map(|b| b * addition.map_or(1.0, |addition| addition.scale)).collect();
    let weight = weight.contiguous()?;
    let (storage, layout) = weight.storage_and_layout();
    let range = layout.start_offset()..layout.start_offset() + rows * width;
    let norms = match &*storage {
        Storage::Cpu(CpuStorage::F32(all)) => all.get(range).map(|w| norms(w, width, &a, &b, f64::from)),
        Storage::Cpu(CpuStorage::F64(all)) => all.get(range).map(|w| norms(w, width, &a, &b, |x| x)),
        Storage::Cpu(CpuStorage::BF16(all)) => all.get(range).map(|w| norms(w, width, &a, &b, f64::from)),
        Storage::Cpu(CpuStorage::F16(all)) => all.get(range).map(|w| norms(w, width, &a, &b, f64::from)),
        _ => None,
    };
    let norms = norms
        .ok_or_else(|| Error::Unsupported { op: "row_norms", what: "this device or element type".into() })?;
    Ok(Tensor::constant(Value::from_vec(norms, rows, weight.device())?))
}

fn norms<T: Copy + Sync>(
    weight: &[T],
    width: usize,
    a: &[f64],
    b: &[f64],
    wide: impl Fn(T) -> f64 + Sync,
) -> Vec<f64> {
    let width = width.max(1);
    let rank = a.len() / width;
    let norm = |(row, weight): (usize, &[T])| {
        let mut sum: Vec<f64> = weight.iter().map(|&w| wide(w)).collect();
        let factors = b.get(row * rank..(row + 1) * rank).unwrap_or_default();
        for (&factor, a) in factors.iter().zip(a.chunks_exact(width)) {
            sum.iter_mut().zip(a).for_each(|(sum, a)| *sum += factor * a);
        }
        sum.iter().map(|x| x * x).sum::<f64>().sqrt()
    };
    weight.par_chunks(width).enumerate().map(norm).collect()
}

#[cfg(test)]
mod tests {
    use swift_tensor::normal;

    use super::*;

    fn wide(value: &Value) -> Tensor {
        Tensor::constant(value.to_dtype(DType::F64).unwrap())
    }

    #[test]
    fn norms_are_those_of_the_sum_even_where_it_nearly_cancels() {
        let draw = |shape: &[u64], seed| normal(0.0, 1.0, shape, DType::F32, seed).unwrap().value().clone();
        let (weight, a, b) = (draw(&[5, 7], 1), draw(&[2, 7], 2), draw(&[5, 2], 3));
        let low_rank = wide(&b).matmul(&wide(&a)).unwrap().scale(1.5).unwrap();
        let undone = (low_rank.value().neg().unwrap().to_dtype(DType::F32).unwrap()
            + (&weight * 1e-3).unwrap())
        .unwrap();
        for weight in [&weight, &undone, &weight.to_dtype(DType::BF16).unwrap()] {
            let rows = wide(weight).add(&low_rank).unwrap();
            let expected =
                rows.mul(&rows).unwrap().sum(&[1], false).unwrap().sqrt().unwrap().to_list().unwrap();
            let got =
                row_norms(weight, Some(&Addition { a: &a, b: &b, scale: 1.5 })).unwrap().to_list().unwrap();
            assert!(
                got.iter().zip(&expected).all(|(a, b)| (a / b - 1.0).abs() < 1e-12),
                "{got:?} {expected:?}"
            );
        }
    }

    #[test]
    fn norms_of_a_plain_weight_need_no_addition() {
        let weight = Value::new(&[[3.0, 4.0], [0.0, 2.0]], &swift_tensor::Device::Cpu).unwrap();
        assert_eq!(row_norms(&weight, None).unwrap().to_list().unwrap(), [5.0, 2.0]);
    }
}
