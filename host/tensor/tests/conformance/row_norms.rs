//! Norms of the rows of an adapted weight.

use swift_tensor::fused::{Addition, row_norms};
use swift_tensor::{DType, Tensor, Value, from_list, normal, read_back};

fn wide(value: &Value) -> Tensor {
    Tensor::constant(value.to_dtype(DType::F64).unwrap())
}

#[test]
pub(crate) fn norms_are_those_of_the_sum_even_where_it_nearly_cancels() {
    let draw = |shape: &[u64], seed| normal(0.0, 1.0, shape, DType::F32, seed).unwrap().value().clone();
    // Wider than a block of threads.
    let (weight, a, b) = (draw(&[5, 300], 1), draw(&[2, 300], 2), draw(&[5, 2], 3));
    let low_rank = wide(&b).matmul(&wide(&a)).unwrap().scale(1.5).unwrap();
    let undone =
        (low_rank.value().neg().unwrap().to_dtype(DType::F32).unwrap() + (&weight * 1e-3).unwrap()).unwrap();
    let narrow = [DType::BF16, DType::F16].map(|dtype| weight.to_dtype(dtype).unwrap());
    for weight in [&weight, &undone, &narrow[0], &narrow[1]] {
        let rows = wide(weight).add(&low_rank).unwrap();
        let expected = rows.mul(&rows).unwrap().sum(&[1], false).unwrap().sqrt().unwrap().to_list().unwrap();
        let addition = Addition { a: &a, b: &b, scale: 1.5 };
        let got = read_back::<f64>(&row_norms(weight, Some(&addition)).unwrap()).unwrap();
        assert!(
            got.iter().zip(&expected).all(|(got, expected)| (got / expected - 1.0).abs() < 1e-12),
            "{got:?} {expected:?}"
        );
    }
    let addition = Addition { a: &b, b: &a, scale: 1.0 };
    assert!(row_norms(&weight, Some(&addition)).unwrap_err().to_string().contains("`row_norms`"));
}

#[test]
pub(crate) fn norms_of_a_plain_weight_need_no_addition() {
    let weight = from_list(&[3.0, 4.0, 0.0, 2.0], &[2, 2], DType::F64).unwrap();
    assert_eq!(read_back::<f64>(&row_norms(weight.value(), None).unwrap()).unwrap(), [5.0, 2.0]);
}
