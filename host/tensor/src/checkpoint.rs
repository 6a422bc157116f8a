use std::sync::Arc;

use crate::tape::{Node, is_recording, no_grad, record_with_sink, recording, run};
use crate::{Result, Tensor};

/// A part of a network that can be computed again: from its input to its output.
pub type Segment = Arc<dyn Fn(Option<&Tensor>) -> Result<Tensor> + Send + Sync>;

/// Computes `segment` without keeping its intermediate results, and computes it again on the way back (Chen et al. 2016,
/// "Training deep nets with sublinear memory cost"). Parameters inside get their gradients in the same backward pass.
///
/// `segment` must give the same result each time: random numbers in it come from seeds it holds. `trains` says whether it
/// uses trainable parameters, so that a segment with a constant input is walked too.
///
/// # Errors
/// Whatever `segment` gives.
pub fn checkpoint(input: Option<&Tensor>, trains: bool, segment: Segment) -> Result<Tensor> {
    let detached = input.map(Tensor::detach);
    let output = no_grad(|| segment(detached.as_ref()))?;
    if !is_recording() {
        return Ok(output);
    }
    let inputs: Vec<&Tensor> = input.into_iter().collect();
    record_with_sink("checkpoint", output.value().clone(), &inputs, trains, move |gradient, wanted, sink| {
        let input = detached.map(|input| match wanted.first() {
            Some(true) => Tensor::with_node(input.value().clone(), Node::segment_input()),
            _ => input,
        });
        let output = recording(|| segment(input.as_ref()))?;
        let input_gradient = run(&output, gradient.clone(), sink)?;
        Ok(vec![input_gradient; wanted.len()])
    })
}
