//! The tape: what is freed, what is refused, what is recomputed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use swift_tensor::fused::{Linear, linear};
use swift_tensor::{
    DType, Error, ParameterId, Result, Segment, Tensor, backward, check_finite, checkpoint, from_list, full,
    no_grad, normal, with_element_limit,
};

use crate::check::Gradients;

fn parameter(values: &[f64], shape: &[u64], id: u32) -> Tensor {
    Tensor::parameter(from_list(values, shape, DType::F64).unwrap().value().clone(), ParameterId(id))
}

fn gradients(loss: &Tensor) -> HashMap<u32, Vec<f64>> {
    let mut sink = Gradients(HashMap::new());
    backward(loss, &mut sink).unwrap();
    sink.0
}

#[test]
fn a_parameter_used_twice_gets_both_contributions() {
    let x = parameter(&[3.0], &[1], 0);
    let y = x.mul(&x).unwrap().add(&x.scale(5.0).unwrap()).unwrap().sum(&[], false).unwrap();
    assert_eq!(gradients(&y)[&0], [11.0]);
}

#[test]
fn a_chain_of_a_hundred_thousand_operations_neither_overflows_the_stack_nor_is_lost() {
    let x = parameter(&[1.0], &[1], 0);
    let chain = |length: usize| (0..length).fold(x.clone(), |y, _| y.add_scalar(0.5).unwrap());
    assert_eq!(gradients(&chain(100_000).sum(&[], false).unwrap())[&0], [1.0]);
    // Dropping without a way back must not recurse either.
    drop(chain(100_000));
}

#[test]
fn a_segment_is_computed_again_and_gives_the_same_gradients() {
    let calls = Arc::new(AtomicUsize::new(0));
    let layer =
        Linear { weight: parameter(&[0.5, -1.0, 2.0, 0.25], &[2, 2], 1).into(), bias: None, adapter: None };
    let x = parameter(&[1.0, -2.0], &[1, 2], 0);
    let segment = {
        let calls = calls.clone();
        Arc::new(move |x: &[Tensor]| -> Result<Vec<Tensor>> {
            calls.fetch_add(1, Ordering::Relaxed);
            Ok(vec![linear(&linear(&x[0], &layer)?.silu()?, &layer)?])
        })
    };
    let sum = |outputs: Vec<Tensor>| outputs[0].sum(&[], false).unwrap();
    let plain = gradients(&sum(segment(std::slice::from_ref(&x)).unwrap()));
    let recomputed = sum(checkpoint(&[&x], true, segment.clone()).unwrap());
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    assert_eq!(gradients(&recomputed), plain);
    assert_eq!(calls.load(Ordering::Relaxed), 3);
    // Parameters inside are reached even when nothing flows out through the input.
    let constant = sum(checkpoint(&[&x.detach()], true, segment).unwrap());
    assert_eq!(gradients(&constant).get(&1), plain.get(&1));
}

#[test]
fn a_segment_with_several_inputs_and_outputs_is_computed_again_once() {
    let calls = Arc::new(AtomicUsize::new(0));
    let inner = parameter(&[0.5, -1.0], &[2], 2);
    let segment = {
        let calls = calls.clone();
        Arc::new(move |inputs: &[Tensor]| -> Result<Vec<Tensor>> {
            calls.fetch_add(1, Ordering::Relaxed);
            let product = inputs[0].mul(&inputs[1])?.mul(&inner)?;
            let indices = from_list(&[1.0, 0.0], &[2], DType::I64)?;
            Ok(vec![product.exp()?, indices, inputs[0].clone(), product])
        })
    };
    let inputs = [parameter(&[1.0, -2.0], &[2], 0), parameter(&[3.0, 0.5], &[2], 1)];
    let loss = |given: &[Tensor]| {
        let picked = given[3].index_select(0, &given[1]).unwrap();
        given[0].mul(&picked).unwrap().add(&given[2]).unwrap().sum(&[], false).unwrap()
    };
    let plain = gradients(&loss(&segment(&inputs).unwrap()));
    assert_eq!(plain.len(), 3);
    calls.store(0, Ordering::Relaxed);
    let [first, second] = &inputs;
    assert_eq!(gradients(&loss(&checkpoint(&[first, second], true, segment.clone()).unwrap())), plain);
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    // An output alone carries its gradient back, without the others.
    let aside = checkpoint(&[first, second], true, segment.clone()).unwrap()[3].sum(&[], false).unwrap();
    let alone = gradients(&segment(&inputs).unwrap()[3].sum(&[], false).unwrap());
    assert_eq!(gradients(&aside), alone);
}

/// A block: a product of what goes in, whose result something is read of, and one that is added to what went in. The second
/// one's elements are kept each time, in a way that the tape doesn't see, and `afterwards` is done to its result from the second time on.
fn block(
    afterwards: impl Fn(&Tensor) -> Result<()> + Send + Sync + 'static,
) -> (Segment, Arc<Mutex<Vec<Vec<f64>>>>) {
    let layer = |values: &[f64], id| Linear {
        weight: parameter(values, &[2, 2], id).into(),
        bias: None,
        adapter: None,
    };
    let (first, second) = (layer(&[0.5, -1.0, 2.0, 0.25], 1), layer(&[1.5, 1.0, -0.5, 3.0], 2));
    let kept = Arc::new(Mutex::new(Vec::new()));
    let given = kept.clone();
    let segment = move |x: &[Tensor]| -> Result<Vec<Tensor>> {
        let product = linear(&linear(&x[0], &first)?.silu()?, &second)?;
        let mut kept = kept.lock().unwrap();
        kept.push(product.value().flatten_all()?.to_vec1()?);
        if kept.len() > 1 {
            afterwards(&product)?;
        }
        Ok(vec![x[0].add(&product)?.add(&x[0])?])
    };
    (Arc::new(segment), given)
}

#[test]
fn a_product_that_is_only_added_is_left_out_when_its_segment_is_computed_again() {
    let x = parameter(&[1.0, -2.0], &[1, 2], 0);
    let squares = |outputs: Vec<Tensor>| outputs[0].mul(&outputs[0]).unwrap().sum(&[], false).unwrap();
    let (segment, kept) = block(|_| Ok(()));
    let plain = gradients(&squares(segment(std::slice::from_ref(&x)).unwrap()));
    kept.lock().unwrap().clear();
    assert_eq!(gradients(&squares(checkpoint(&[&x], true, segment).unwrap())), plain);
    let kept = kept.lock().unwrap();
    assert_eq!(kept.len(), 2);
    assert!(kept[0].iter().all(|x| *x != 0.0), "{kept:?}");
    assert_eq!(kept[1], [0.0; 2]);
}

#[test]
fn a_segment_that_does_something_else_the_second_time_is_refused() {
    let x = parameter(&[1.0, -2.0], &[1, 2], 0);
    for afterwards in [(|product| product.exp().map(drop)) as fn(&Tensor) -> Result<()>, |product| {
        product.to_list().map(drop)
    }] {
        let (segment, _) = block(afterwards);
        let loss = checkpoint(&[&x], true, segment).unwrap()[0].sum(&[], false).unwrap();
        let error = backward(&loss, &mut Gradients(HashMap::new())).unwrap_err().to_string();
        assert!(error.contains("did something else"), "{error}");
    }
}

#[test]
fn a_graph_is_walked_once() {
    let loss = parameter(&[1.0], &[1], 0).scale(2.0).unwrap().sum(&[], false).unwrap();
    gradients(&loss);
    let again = backward(&loss, &mut Gradients(HashMap::new())).unwrap_err();
    assert!(matches!(again, Error::Consumed { .. }), "{again}");
}

#[test]
fn nothing_is_recorded_without_need() {
    let x = parameter(&[1.0], &[1], 0);
    assert!(!no_grad(|| x.exp()).unwrap().requires_grad());
    assert!(!x.detach().exp().unwrap().requires_grad());
    let error = backward(&x.detach().sum(&[], false).unwrap(), &mut Gradients(HashMap::new())).unwrap_err();
    assert!(error.to_string().contains("no trainable parameter"), "{error}");
}

#[test]
fn the_first_operation_that_is_not_finite_is_named() {
    let x = parameter(&[0.0], &[1], 0);
    let forward =
        check_finite(|| x.add_scalar(1.0)?.sub(&full(1.0, &[1], DType::F64)?)?.log()?.exp()).unwrap_err();
    assert_eq!(forward.to_string(), "`log` gave a value that is not finite");
    let backward =
        check_finite(|| backward(&x.sqrt()?.sum(&[], false)?, &mut Gradients(HashMap::new()))).unwrap_err();
    assert_eq!(backward.to_string(), "`sqrt` gave a value that is not finite in its gradient");
}

#[test]
fn mistakes_are_errors_that_name_the_operation() {
    let a = full(0.0, &[2, 3], DType::F32).unwrap();
    let b = full(0.0, &[4], DType::F32).unwrap();
    let message = |outcome: Result<Tensor>| outcome.unwrap_err().to_string();
    assert_eq!(message(a.add(&b)), "shape mismatch in `add`: lhs [2, 3], rhs [4]");
    assert_eq!(message(a.matmul(&a)), "shape mismatch in `matmul`: lhs [2, 3], rhs [2, 3]");
    assert_eq!(message(a.add(&a.cast(DType::F64).unwrap())), "dtype mismatch in `add`: lhs F32, rhs F64");
    assert_eq!(
        message(a.sum(&[2], false)),
        "invalid argument in `sum`: dimension 2 of a tensor of 2 dimensions"
    );
    assert_eq!(message(a.narrow(1, 2, 2)), "invalid argument in `narrow`: 2 slices from 2 on of 3");
    let index = from_list(&[5.0], &[1], DType::I64).unwrap();
    assert_eq!(
        message(a.index_select(0, &index)),
        "invalid argument in `index_select`: index 5 is outside of 0..2"
    );
    assert!(message(a.reshape(&[4, -1])).starts_with("invalid argument in `reshape`"));
}

#[test]
fn a_shape_beyond_the_limit_is_refused_before_it_is_allocated() {
    let row = full(0.0, &[1 << 20, 1], DType::F32).unwrap();
    let column = full(0.0, &[1, 1 << 20], DType::F32).unwrap();
    for outcome in
        [row.add(&column), full(0.0, &[u64::MAX, 2], DType::F32), row.broadcast_to(&[1 << 20, 1 << 20])]
    {
        assert!(matches!(outcome, Err(Error::OutOfMemory { .. })));
    }
    assert!(with_element_limit(8, || full(0.0, &[9], DType::F32)).is_err());
    assert!(with_element_limit(8, || full(0.0, &[8], DType::F32)).is_ok());
}

#[test]
fn random_tensors_depend_on_the_seed_alone() {
    let draw = |seed| normal(1.0, 2.0, &[4000], DType::F64, seed).unwrap().to_list().unwrap();
    assert_eq!(draw(5), draw(5));
    assert_ne!(draw(5), draw(6));
    let values = draw(7);
    let mean = values.iter().sum::<f64>() / 4000.0;
    let deviation = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 4000.0).sqrt();
    assert!((mean - 1.0).abs() < 0.1 && (deviation - 2.0).abs() < 0.1, "mean {mean}, deviation {deviation}");
}
