//! The tape: nodes numbered at creation, walked backwards from a heap.

use std::cell::Cell;
use std::collections::{BinaryHeap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::Tensor as Value;

use crate::graph::look_at;
use crate::ops::sum;
use crate::storage::all_finite;
use crate::{Error, Result, Tensor, unread};

/// Names a parameter of a model, for the sink that its gradient goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParameterId(pub u32);

/// Where gradients of parameters go: an accumulator, a reduce-scatter, an optimiser.
pub trait GradientSink {
    /// Takes one contribution to the gradient of `id`, in the shape of the parameter. A parameter that is used several
    /// times gets several contributions, always in the same order.
    ///
    /// # Errors
    /// Whatever the sink cannot do; `backward` stops and passes it on.
    fn accumulate(&mut self, id: ParameterId, gradient: &Value) -> Result<()>;
}

/// Gradients for the inputs of an operation, in their order; `None` where none is wanted or none flows.
pub(crate) type InputGradients = Vec<Option<Value>>;
/// A vector-Jacobian product. The second argument tells which inputs want a gradient.
pub(crate) type Vjp =
    Box<dyn FnOnce(&Value, &[bool], &mut dyn GradientSink) -> Result<InputGradients> + Send>;

/// What one operation leaves behind for the way back.
pub(crate) struct Node {
    number: u64,
    op: &'static str,
    state: Mutex<State>,
}

enum State {
    Parameter(ParameterId),
    /// An input of a recomputed segment, by its number: its gradient is handed to the caller of `run`.
    SegmentInput(usize),
    Operation {
        inputs: Vec<Option<Arc<Node>>>,
        vjp: Vjp,
    },
    NotDifferentiable,
    Consumed,
}

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static RECORDING: Cell<bool> = const { Cell::new(true) };
    static CHECKING: Cell<bool> = const { Cell::new(false) };
}

struct Restore(&'static std::thread::LocalKey<Cell<bool>>, bool);

impl Drop for Restore {
    fn drop(&mut self) {
        self.0.set(self.1);
    }
}

fn with_flag<T>(flag: &'static std::thread::LocalKey<Cell<bool>>, on: bool, f: impl FnOnce() -> T) -> T {
    let _restore = Restore(flag, flag.replace(on));
    f()
}

/// Runs `f` on this thread without recording: results are constants.
pub fn no_grad<T>(f: impl FnOnce() -> T) -> T {
    with_flag(&RECORDING, false, f)
}

pub(crate) fn recording<T>(f: impl FnOnce() -> T) -> T {
    with_flag(&RECORDING, true, f)
}

pub(crate) fn is_recording() -> bool {
    RECORDING.get()
}

/// Runs `f` on this thread with every result looked at: the first operation, forward or backward, that gives a NaN or an
/// infinity is an [`Error::NonFinite`]. Slow; meant for finding out where one came from.
///
/// # Errors
/// [`Error::NonFinite`], and whatever `f` gives.
pub fn check_finite<T, E: From<Error>>(
    f: impl FnOnce() -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    with_flag(&CHECKING, true, f)
}

fn checked(op: &'static str, value: &Value, backward: bool) -> Result<()> {
    if CHECKING.get() && !all_finite(value)? {
        return Err(Error::NonFinite { op, backward });
    }
    Ok(())
}

impl Node {
    fn new(op: &'static str, state: State) -> Arc<Self> {
        Arc::new(Self { number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed), op, state: Mutex::new(state) })
    }

    pub(crate) fn parameter(id: ParameterId) -> Arc<Self> {
        Self::new("parameter", State::Parameter(id))
    }

    pub(crate) fn segment_input(number: usize) -> Arc<Self> {
        Self::new("segment input", State::SegmentInput(number))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Node {
    /// Frees a chain of nodes in a loop: a recursion would overflow the stack on a deep graph.
    fn drop(&mut self) {
        let mut pending = take_inputs(self);
        while let Some(node) = pending.pop() {
            if let Some(mut node) = Arc::into_inner(node) {
                pending.extend(take_inputs(&mut node));
            }
        }
    }
}

fn take_inputs(node: &mut Node) -> Vec<Arc<Node>> {
    let state = node.state.get_mut().unwrap_or_else(PoisonError::into_inner);
    match std::mem::replace(state, State::Consumed) {
        State::Operation { inputs, .. } => inputs.into_iter().flatten().collect(),
        _ => Vec::new(),
    }
}

/// Makes the result of `op`. The product is only kept if something upstream wants a gradient.
pub(crate) fn record(
    op: &'static str,
    value: Value,
    inputs: &[&Tensor],
    vjp: impl FnOnce(&Value, &[bool]) -> Result<InputGradients> + Send + 'static,
) -> Result<Tensor> {
    record_with_sink(op, value, inputs, false, move |gradient, wanted, _| vjp(gradient, wanted))
}

/// As [`record`], for operations that hand gradients to the sink themselves. `trains` says that they do so even when no
/// input wants a gradient.
pub(crate) fn record_with_sink(
    op: &'static str,
    value: Value,
    inputs: &[&Tensor],
    trains: bool,
    vjp: impl FnOnce(&Value, &[bool], &mut dyn GradientSink) -> Result<InputGradients> + Send + 'static,
) -> Result<Tensor> {
    checked(op, &value, false)?;
    look_at(op, &value, inputs);
    unread::note(op, &value, inputs)?;
    if !is_recording() || !(trains || inputs.iter().any(|input| input.requires_grad())) {
        return Ok(Tensor::constant(value));
    }
    let inputs = inputs.iter().map(|input| input.node().cloned()).collect();
    Ok(Tensor::with_node(value, Node::new(op, State::Operation { inputs, vjp: Box::new(vjp) })))
}

/// Makes the result of an operation without a gradient. Walking back through it is an error.
pub(crate) fn record_constant(op: &'static str, value: Value, inputs: &[&Tensor]) -> Result<Tensor> {
    checked(op, &value, false)?;
    look_at(op, &value, inputs);
    unread::note(op, &value, inputs)?;
    if is_recording() && inputs.iter().any(|input| input.requires_grad()) {
        return Ok(Tensor::with_node(value, Node::new(op, State::NotDifferentiable)));
    }
    Ok(Tensor::constant(value))
}

/// Walks back from the scalar `loss`, freeing each node and what it saved as soon as it has been visited, and hands the
/// gradients of parameters to `sink`.
///
/// # Errors
/// If `loss` is not a floating-point scalar or depends on no parameter, if the way passes an operation without gradient,
/// or if the graph was consumed before.
pub fn backward(loss: &Tensor, sink: &mut dyn GradientSink) -> Result<()> {
    if loss.value().elem_count() != 1 {
        return Err(Error::shapes("backward", loss.dims(), &[]));
    }
    if !loss.dtype().is_float() {
        return Err(Error::unsupported_dtype("backward", loss.dtype()));
    }
    if !loss.requires_grad() {
        return Err(Error::invalid("backward", "the loss depends on no trainable parameter"));
    }
    let seed = loss.value().ones_like()?;
    run([(loss, seed)], &mut [], sink)
}

/// Walks back from each root with its gradient. The gradients of segment inputs that are met go to their places in
/// `segment_inputs`.
pub(crate) fn run<'a>(
    roots: impl IntoIterator<Item = (&'a Tensor, Value)>,
    segment_inputs: &mut [Option<Value>],
    sink: &mut dyn GradientSink,
) -> Result<()> {
    let mut waiting = BinaryHeap::new();
    let mut gradients = HashMap::new();
    for (root, seed) in roots {
        if let Some(node) = root.node() {
            add(&mut waiting, &mut gradients, node, seed)?;
        }
    }
    // Recomputed segments turn recording on for themselves; everything else on the way back is plain arithmetic.
    no_grad(|| {
        while let Some(Visit(node)) = waiting.pop() {
            // A node is queued once for each use, and served at its first turn.
            let Some(gradient) = gradients.remove(&node.number) else { continue };
            let state = {
                let mut state = node.state();
                match &*state {
                    State::Parameter(id) => State::Parameter(*id),
                    State::SegmentInput(number) => State::SegmentInput(*number),
                    _ => std::mem::replace(&mut *state, State::Consumed),
                }
            };
            match state {
                State::Parameter(id) => sink.accumulate(id, &gradient)?,
                State::SegmentInput(number) => {
                    if let Some(place) = segment_inputs.get_mut(number) {
                        *place = Some(gradient);
                    }
                }
                State::NotDifferentiable => return Err(Error::NotDifferentiable { op: node.op }),
                State::Consumed => return Err(Error::Consumed { op: node.op }),
                State::Operation { inputs, vjp } => {
                    let wanted: Vec<bool> = inputs.iter().map(Option::is_some).collect();
                    let results = vjp(&gradient, &wanted, sink).map_err(|error| error.within(node.op))?;
                    for (input, result) in inputs.into_iter().zip(results) {
                        let (Some(input), Some(result)) = (input, result) else { continue };
                        checked(node.op, &result, true)?;
                        add(&mut waiting, &mut gradients, &input, result)?;
                    }
                }
            }
        }
        Ok(())
    })
}

/// Adds a contribution to the gradient of a node, and has it visited.
fn add(
    waiting: &mut BinaryHeap<Visit>,
    gradients: &mut HashMap<u64, Value>,
    node: &Arc<Node>,
    gradient: Value,
) -> Result<()> {
    let total = match gradients.remove(&node.number) {
        Some(total) => sum(&total, &gradient)?,
        None => {
            waiting.push(Visit(node.clone()));
            gradient
        }
    };
    gradients.insert(node.number, total);
    Ok(())
}

/// Orders the heap: the node made last comes first, so all uses of a node are done before the node itself.
struct Visit(Arc<Node>);

impl PartialEq for Visit {
    fn eq(&self, other: &Self) -> bool {
        self.0.number == other.0.number
    }
}

impl Eq for Visit {}

impl PartialOrd for Visit {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Visit {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.number.cmp(&other.0.number)
    }
}
