//! Products that nobody reads when a segment is computed again.
//!
//! The last product of a block most often is only added to the residual stream, whose value is known by then: of that product the
//! way back is needed, and its result is not. So [`watch`] notes what is done with each result the first time, and [`repeat`] lets
//! products leave out a result that went into nothing but sums. PyTorch's checkpoints stop early for the same reason.
//!
//! It takes the same operations both times. They are compared, and a segment that does something else after a result has been left
//! out is an error.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{Tensor as Value, TensorId};

use crate::{Error, Result, Tensor};

/// The operation whose way back takes neither its operands nor its result.
const SUM: &str = "add";

thread_local! {
    static TRACE: RefCell<Option<Trace>> = const { RefCell::new(None) };
}

enum Trace {
    First(First),
    Again(Again),
}

/// An operation, and which results its operands are.
#[derive(Debug, PartialEq)]
struct Step {
    op: &'static str,
    dims: Vec<usize>,
    operands: Vec<Option<usize>>,
}

#[derive(Default)]
struct First {
    steps: Vec<Step>,
    results: HashMap<TensorId, usize>,
    /// Whether elements were read back, or something else was done that is not seen here.
    is_hidden: bool,
}

/// What a segment does, and which of its results are not read when it does it again.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    steps: Vec<Step>,
    unread: Vec<bool>,
}

struct Again {
    plan: Arc<Plan>,
    results: HashMap<TensorId, usize>,
    next: usize,
    has_left_out: bool,
}

/// Puts back what was being noted outside.
struct Restore(Option<Trace>);

impl Drop for Restore {
    fn drop(&mut self) {
        TRACE.set(self.0.take());
    }
}

/// Runs `f` on this thread and says what it does.
pub(crate) fn watch<R>(f: impl FnOnce() -> R) -> (R, Plan) {
    let mut outer = TRACE.take();
    if let Some(Trace::First(outer)) = &mut outer {
        outer.is_hidden = true;
    }
    let restore = Restore(outer);
    TRACE.set(Some(Trace::First(First::default())));
    let result = f();
    let plan = match TRACE.take() {
        Some(Trace::First(first)) if !first.is_hidden => first.plan(),
        _ => Plan::default(),
    };
    drop(restore);
    (result, plan)
}

/// Runs `f` again, which does what the plan says.
pub(crate) fn repeat<R>(plan: &Arc<Plan>, f: impl FnOnce() -> R) -> R {
    let _restore = Restore(TRACE.take());
    if plan.unread.contains(&true) {
        let again = Again { plan: plan.clone(), results: HashMap::new(), next: 0, has_left_out: false };
        TRACE.set(Some(Trace::Again(again)));
    }
    f()
}

/// Whether the result of the operation that comes next, this one, may be left out; then it has to be.
pub(crate) fn is_left_out(op: &'static str) -> bool {
    TRACE.with_borrow_mut(|trace| {
        let Some(Trace::Again(again)) = trace else { return false };
        let is_unread = again.plan.unread.get(again.next) == Some(&true)
            && again.plan.steps.get(again.next).is_some_and(|step| step.op == op);
        again.has_left_out |= is_unread;
        is_unread
    })
}

/// Notes an operation.
///
/// # Errors
/// If it is another one than the first time, and a result has been left out.
pub(crate) fn note(op: &'static str, result: &Value, operands: &[&Tensor]) -> Result<()> {
    TRACE.with_borrow_mut(|trace| {
        let results = match trace {
            None => return Ok(()),
            Some(Trace::First(First { results, .. }) | Trace::Again(Again { results, .. })) => results,
        };
        let operands = operands.iter().map(|operand| results.get(&operand.value().id()).copied()).collect();
        let step = Step { op, dims: result.dims().to_vec(), operands };
        match trace {
            None => {}
            Some(Trace::First(first)) => {
                first.results.insert(result.id(), first.steps.len());
                first.steps.push(step);
            }
            Some(Trace::Again(again)) => {
                let is_same = again.plan.steps.get(again.next) == Some(&step);
                if !is_same && again.has_left_out {
                    return Err(changed(op));
                }
                again.results.insert(result.id(), again.next);
                again.next += 1;
                if !is_same {
                    // From here on nothing is known of what is read.
                    *trace = None;
                }
            }
        }
        Ok(())
    })
}

/// Notes that elements are read back.
///
/// # Errors
/// If a result has been left out, which was not so the first time.
pub(crate) fn note_reading() -> Result<()> {
    TRACE.with_borrow_mut(|trace| match trace {
        Some(Trace::Again(again)) if again.has_left_out => Err(changed("reading")),
        Some(Trace::First(first)) => {
            first.is_hidden = true;
            Ok(())
        }
        _ => Ok(()),
    })
}

fn changed(op: &'static str) -> Error {
    Error::invalid(op, "a segment did something else when it was computed again")
}

impl First {
    fn plan(self) -> Plan {
        let mut read = vec![false; self.steps.len()];
        // A sum comes after its operands, so whether it is read is known before theirs is asked for.
        for (number, step) in self.steps.iter().enumerate().rev() {
            if step.op != SUM || read.get(number) == Some(&true) {
                for operand in step.operands.iter().flatten() {
                    if let Some(read) = read.get_mut(*operand) {
                        *read = true;
                    }
                }
            }
        }
        Plan { steps: self.steps, unread: read.into_iter().map(|read| !read).collect() }
    }
}
