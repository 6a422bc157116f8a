use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Tensor as Value};

use crate::tape::{Node, is_recording, no_grad, record, record_with_sink, recording, run};
use crate::{Error, Result, Tensor, unread};

/// A part of a network that can be computed again: from its inputs to its outputs.
pub type Segment = Arc<dyn Fn(&[Tensor]) -> Result<Vec<Tensor>> + Send + Sync>;

const OP: &str = "checkpoint";

/// Computes `segment` without keeping its intermediate results, and computes it again on the way back (Chen et al. 2016,
/// "Training deep nets with sublinear memory cost"), once for all of its outputs. Parameters inside get their gradients in the
/// same backward pass.
///
/// `segment` must give the same results by the same operations each time: random numbers in it come from seeds it holds. Products
/// that only go into sums are zero the second time, for nobody reads what they are the sum of. `trains` says whether it
/// uses trainable parameters, so that a segment with constant inputs is walked too.
///
/// # Errors
/// Whatever `segment` gives.
pub fn checkpoint(inputs: &[&Tensor], trains: bool, segment: Segment) -> Result<Vec<Tensor>> {
    let detached: Vec<Tensor> = inputs.iter().map(|input| input.detach()).collect();
    if !is_recording() {
        return segment(&detached);
    }
    let (outputs, plan) = unread::watch(|| no_grad(|| segment(&detached)));
    let (outputs, plan) = (outputs?, Arc::new(plan));
    // Outputs leave their gradients here, and then one node goes back through the segment with all of them.
    let gradients = Arc::new(Mutex::new(vec![None; outputs.len()]));
    let nothing = Value::zeros((), DType::F32, &crate::device::current_device())?;
    let left = gradients.clone();
    let whole = record_with_sink(OP, nothing.clone(), inputs, trains, move |_, wanted, sink| {
        let inputs: Vec<Tensor> = detached
            .into_iter()
            .enumerate()
            .map(|(number, input)| match wanted.get(number) {
                Some(true) => Tensor::with_node(input.value().clone(), Node::segment_input(number)),
                _ => input,
            })
            .collect();
        let outputs = unread::repeat(&plan, || recording(|| segment(&inputs)))?;
        let seeds = std::mem::take(&mut *left.lock().unwrap_or_else(PoisonError::into_inner));
        if outputs.len() != seeds.len() {
            return Err(Error::invalid(
                OP,
                "a segment gave another number of outputs when it was computed again",
            ));
        }
        let roots = outputs.iter().zip(seeds).filter_map(|(output, seed)| Some((output, seed?)));
        let mut found = vec![None; wanted.len()];
        run(roots, &mut found, sink)?;
        Ok(found)
    })?;
    let output = |(number, output): (usize, Tensor)| {
        let (gradients, nothing) = (gradients.clone(), nothing.clone());
        if !output.dtype().is_float() {
            return Ok(output);
        }
        record(OP, output.value().clone(), &[&whole], move |gradient, _| {
            let mut gradients = gradients.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(place) = gradients.get_mut(number) {
                *place = Some(gradient.clone());
            }
            Ok(vec![Some(nothing)])
        })
    };
    outputs.into_iter().enumerate().map(output).collect()
}
