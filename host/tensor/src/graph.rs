//! Computations that are recorded once and then queued as a whole: CUDA's graphs.
//!
//! To queue a kernel takes the host some microseconds, and the hundreds of a small step take longer to queue than to run. Where a
//! computation is the same each time but for the numbers in some places, its kernels can be recorded and queued by one call. What
//! can't be recorded is whatever the host has a part in: elements that are read back, numbers that are sent in between, operations
//! that are not kernels of `swift-kernels-cuda` or products. [`rehearse`] computes as usual and says what of these it met.

use std::cell::RefCell;
use std::collections::HashSet;

use candle_core::{Device, Storage, Tensor as Value};

#[cfg(any(feature = "cuda", feature = "emulation"))]
use crate::cuda;
use crate::{Error, Result, Tensor};

const OP: &str = "graph";

thread_local! {
    static WATCH: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

/// What is seen of a computation.
#[derive(Default)]
struct Watch {
    recording: bool,
    /// The first thing that can't be recorded.
    obstacle: Option<String>,
    /// The storages that recordable work writes.
    written: HashSet<usize>,
    #[cfg(feature = "emulation")]
    emulated: cuda::EmulatedGraph,
}

fn watching<R>(look: impl FnOnce(&mut Watch) -> R) -> Option<R> {
    WATCH.with_borrow_mut(|watch| watch.as_mut().map(look))
}

/// Runs `f` on this thread, watched. A watch within another is none.
fn watch<R>(recording: bool, f: impl FnOnce() -> R) -> (R, Watch) {
    struct Ending;
    impl Drop for Ending {
        fn drop(&mut self) {
            WATCH.take();
        }
    }
    let _ending = Ending;
    WATCH.set(Some(Watch { recording, ..Watch::default() }));
    let result = f();
    (result, WATCH.take().unwrap_or_default())
}

/// Runs `f` on this thread, and says what of it could not be recorded, if there is something: the first thing of its kind.
pub fn rehearse<R>(f: impl FnOnce() -> R) -> (R, Option<String>) {
    let (result, watch) = watch(false, f);
    (result, watch.obstacle)
}

/// Refuses what can't be done while kernels are recorded, which do not run then.
///
/// # Errors
/// If they are.
pub(crate) fn must_run(what: &str) -> Result<()> {
    let recording = watching(|watch| {
        watch.obstacle.get_or_insert_with(|| what.to_owned());
        watch.recording
    });
    match recording {
        Some(true) => Err(Error::invalid(OP, what)),
        _ => Ok(()),
    }
}

/// Whether kernels are recorded on this thread instead of run.
#[cfg(feature = "emulation")]
pub(crate) fn recording() -> bool {
    watching(|watch| watch.recording).unwrap_or(false)
}

/// Has the emulated graph that is being recorded, or rehearsed, take something.
#[cfg(feature = "emulation")]
pub(crate) fn emulated(take: impl FnOnce(&mut cuda::EmulatedGraph)) {
    watching(|watch| take(&mut watch.emulated));
}

/// Which storage a value is a view of.
fn storage(value: &Value) -> usize {
    let (storage, _) = value.storage_and_layout();
    std::ptr::from_ref::<Storage>(&storage).addr()
}

/// Notes a value that recordable work writes.
#[cfg(any(feature = "cuda", feature = "emulation"))]
pub(crate) fn written(value: &Value) {
    watching(|watch| watch.written.insert(storage(value)));
    #[cfg(feature = "emulation")]
    emulated(|graph| graph.keep(value));
}

/// Looks at the result of an operation: it is written by recordable work, or a view of an operand.
pub(crate) fn look_at(op: &'static str, result: &Value, operands: &[&Tensor]) {
    watching(|watch| {
        let it = storage(result);
        if !watch.written.contains(&it) && operands.iter().all(|operand| storage(operand.value()) != it) {
            watch.obstacle.get_or_insert_with(|| format!("`{op}` has no kernel that is recorded"));
        }
    });
}

/// Recorded work, to be done again. It reads and writes the memory that it was recorded with: whoever has a graph sees to it that what
/// existed before stays where it is. What was made meanwhile is the graph's.
pub struct Graph(Body);

enum Body {
    #[cfg(feature = "emulation")]
    Emulated(cuda::EmulatedGraph),
    #[cfg(feature = "cuda")]
    Device(cuda::DeviceGraph),
}

impl Graph {
    /// Whether work of this device can be recorded.
    pub fn is_for(device: &Device) -> bool {
        match device {
            #[cfg(feature = "emulation")]
            Device::Cpu => true,
            #[cfg(feature = "cuda")]
            Device::Cuda(_) => true,
            _ => false,
        }
    }

    /// Records what `f` would have `device` do, which does nothing of it. All that `f` makes has to be gone when it returns. It should
    /// have been [rehearsed](rehearse) with the same sizes, since kernels are loaded when they first run.
    ///
    /// # Errors
    /// If `f` fails, or does what can't be recorded.
    pub fn record<E: From<Error>>(
        device: &Device,
        f: impl FnOnce() -> std::result::Result<(), E>,
    ) -> std::result::Result<Self, E> {
        let (body, watch) = watch(true, || -> std::result::Result<Option<Body>, E> {
            match device {
                #[cfg(feature = "emulation")]
                Device::Cpu => f().map(|()| None),
                #[cfg(feature = "cuda")]
                Device::Cuda(device) => cuda::DeviceGraph::record(device, f).map(Body::Device).map(Some),
                other => {
                    drop(f);
                    Err(Error::no_body(OP, other).into())
                }
            }
        });
        let body = body?;
        if let Some(obstacle) = watch.obstacle {
            return Err(Error::invalid(OP, obstacle).into());
        }
        #[cfg(feature = "emulation")]
        let body = body.or(Some(Body::Emulated(watch.emulated)));
        body.map(Self).ok_or_else(|| Error::no_body(OP, device).into())
    }

    /// Queues the work.
    ///
    /// # Errors
    /// If the device refuses.
    pub fn launch(&self) -> Result<()> {
        match &self.0 {
            #[cfg(feature = "emulation")]
            Body::Emulated(graph) => graph.launch(),
            #[cfg(feature = "cuda")]
            Body::Device(graph) => graph.launch(),
            #[cfg(not(any(feature = "cuda", feature = "emulation")))]
            _ => Err(Error::Unsupported { op: OP, what: "work that was recorded on a device".into() }),
        }
    }
}
