//! What a store holds: handles, limits, and what happened in the call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use swift_tensor::{Error as TensorError, Tensor};
use wasmtime::component::{Resource, ResourceTable};
use wasmtime::{ResourceLimiter, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::stderr::Tail;
use crate::{BatchView, Limits, NnContext, OutputsView};

/// Marks a handle's type; the object is in the store's [`Handles`].
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub struct TensorHandle;
/// Marks a handle's type.
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub struct BatchHandle;
/// Marks a handle's type.
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub struct OutputsHandle;
/// Marks a handle's type.
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub struct ContextHandle;

/// Objects of one type by handle. All are released at the end of a call; numbers are not used again, so a handle that a
/// plugin kept over the end of a call is recognised as released.
pub(crate) struct Handles<T> {
    first: u32,
    items: Vec<Option<T>>,
}

impl<T> Default for Handles<T> {
    fn default() -> Self {
        Self { first: 0, items: Vec::new() }
    }
}

impl<T> Handles<T> {
    fn index(&self, handle: u32) -> usize {
        handle.wrapping_sub(self.first) as usize
    }

    pub(crate) fn add(&mut self, item: T) -> u32 {
        let handle = self.first.wrapping_add(self.items.len() as u32);
        self.items.push(Some(item));
        handle
    }

    pub(crate) fn get(&self, handle: u32) -> Option<&T> {
        self.items.get(self.index(handle)).and_then(Option::as_ref)
    }

    pub(crate) fn take(&mut self, handle: u32) -> Option<T> {
        let index = self.index(handle);
        self.items.get_mut(index).and_then(Option::take)
    }

    fn release_all(&mut self) {
        self.first = self.first.wrapping_add(self.items.len() as u32);
        self.items.clear();
    }
}

/// The data of one plugin's store.
pub(crate) struct State {
    pub(crate) plugin: Arc<str>,
    pub(crate) limits: Limits,
    pub(crate) tensors: Handles<Tensor>,
    pub(crate) batches: Handles<Arc<dyn BatchView>>,
    pub(crate) outputs: Handles<Arc<dyn OutputsView>>,
    pub(crate) contexts: Handles<Arc<dyn NnContext>>,
    pub(crate) panic: Option<String>,
    pub(crate) stderr: Tail,
    /// A NaN or infinity that an operation found while the host was looking for one.
    pub(crate) non_finite: Option<TensorError>,
    pub(crate) memory_refused: bool,
    pub(crate) timed_out: bool,
    /// Random tensors drawn so far.
    pub(crate) drawn: u64,
    live_bytes: u64,
    call_started: Instant,
    host_time: Duration,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl State {
    pub(crate) fn new(plugin: Arc<str>, limits: Limits) -> Self {
        let stderr = Tail::new(limits.stderr_bytes);
        // The builder grants nothing by itself: no directory, no variable, no network.
        let wasi = WasiCtxBuilder::new().stdout(stderr.clone()).stderr(stderr.clone()).build();
        Self {
            plugin,
            limits,
            tensors: Handles::default(),
            batches: Handles::default(),
            outputs: Handles::default(),
            contexts: Handles::default(),
            panic: None,
            stderr,
            non_finite: None,
            memory_refused: false,
            timed_out: false,
            drawn: 0,
            live_bytes: 0,
            call_started: Instant::now(),
            host_time: Duration::ZERO,
            wasi,
            table: ResourceTable::new(),
        }
    }

    pub(crate) fn begin_call(&mut self) {
        self.panic = None;
        self.non_finite = None;
        self.memory_refused = false;
        self.timed_out = false;
        self.host_time = Duration::ZERO;
        self.call_started = Instant::now();
    }

    /// Releases every handle that the call left behind.
    pub(crate) fn end_call(&mut self) {
        self.tensors.release_all();
        self.batches.release_all();
        self.outputs.release_all();
        self.contexts.release_all();
        self.live_bytes = 0;
    }

    /// Runs host work that is not the plugin's time.
    pub(crate) fn on_host<T>(&mut self, f: impl FnOnce(&mut Self) -> T) -> T {
        let started = Instant::now();
        let result = f(self);
        self.host_time += started.elapsed();
        result
    }

    /// Called at each tick of the clock while the plugin runs.
    pub(crate) fn tick(&mut self) -> wasmtime::Result<UpdateDeadline> {
        if self.call_started.elapsed().saturating_sub(self.host_time) > self.limits.call_time {
            self.timed_out = true;
            wasmtime::bail!("the time of the call is over");
        }
        Ok(UpdateDeadline::Continue(1))
    }

    /// Gives the plugin a handle to `tensor`, if the call's budget has room for it.
    pub(crate) fn lend(&mut self, tensor: Tensor) -> Result<Resource<TensorHandle>, TensorError> {
        self.live_bytes = self.live_bytes.saturating_add(bytes(&tensor));
        if self.live_bytes > self.limits.tensor_bytes {
            self.memory_refused = true;
            let elements = tensor.elem_count() as u128;
            return Err(TensorError::OutOfMemory { op: "tensors of one call", elements });
        }
        Ok(Resource::new_own(self.tensors.add(tensor)))
    }

    pub(crate) fn tensor(&self, handle: &Resource<TensorHandle>) -> Result<&Tensor, TensorError> {
        self.tensors.get(handle.rep()).ok_or_else(released)
    }

    /// Takes back a handle: the plugin dropped it, or returned it.
    pub(crate) fn reclaim(&mut self, handle: &Resource<TensorHandle>) -> Option<Tensor> {
        let tensor = self.tensors.take(handle.rep())?;
        self.live_bytes = self.live_bytes.saturating_sub(bytes(&tensor));
        Some(tensor)
    }
}

/// The error of using a handle after the call that it belonged to.
pub(crate) fn released() -> TensorError {
    TensorError::invalid("handle", "it was released when an earlier call ended")
}

fn bytes(tensor: &Tensor) -> u64 {
    (tensor.elem_count() * tensor.dtype().size_in_bytes()) as u64
}

impl ResourceLimiter for State {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let granted = desired as u64 <= self.limits.memory_bytes;
        self.memory_refused |= !granted;
        Ok(granted)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        // A table entry is a pointer; tables count against the same limit.
        let granted = (desired as u64).saturating_mul(8) <= self.limits.memory_bytes;
        self.memory_refused |= !granted;
        Ok(granted)
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}
