//! What belongs to one instance of a plugin.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use swift_tensor::fused::LongerSequences;
use wasmtime::component::ResourceTable;
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::WasiCtx;

use crate::Result;
use crate::architecture::Stack;
use crate::engine::{Engine, TICK};
use crate::grants::Denials;
use crate::held::HeldConstants;
use crate::kinds::sampler::Generation;
use crate::limits::{Breach, Limits, Memory};
use crate::scope::Scope;
use crate::trace::Trace;
use crate::views::{BatchView, NnContext, OutputsView, RunView};
use crate::wasi::{self, Output};

/// What a plugin may look at during a call.
#[derive(Default)]
pub(crate) struct Views {
    pub(crate) batch: Option<Arc<dyn BatchView>>,
    pub(crate) policy: Option<Arc<dyn OutputsView>>,
    pub(crate) reference: Option<Arc<dyn OutputsView>>,
    pub(crate) context: Option<Arc<dyn NnContext>>,
    pub(crate) run: Option<Arc<dyn RunView>>,
    pub(crate) generation: Option<Arc<Generation>>,
    /// The seed of the call's random numbers; without one there are none.
    pub(crate) seed: Option<u64>,
}

/// What a call took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Operations on tensors.
    pub operations: u64,
    /// The most bytes of tensors that were charged to the call at a time. See [`Limits::tensor_bytes`].
    pub tensor_bytes: u64,
    /// Handles that the plugin neither returned nor dropped, so that the host released them.
    pub left_handles: usize,
}

/// What a model definition declared in `load` besides its architecture.
#[derive(Clone, Debug, Default)]
pub(crate) struct Declared {
    pub(crate) head_soft_cap: Option<f64>,
    pub(crate) normalised_head: bool,
    pub(crate) longest_sequence: Option<u64>,
    pub(crate) untrained: Vec<u32>,
    pub(crate) full_precision: Vec<u32>,
    pub(crate) cached_values: Option<u32>,
    /// With the rotary table that each is for.
    pub(crate) longer_sequences: Vec<(u32, LongerSequences)>,
    pub(crate) stacks: Vec<Stack>,
}

/// What a call wrote to the log.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Logged {
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
    /// Lines that were left out, because there had been too many or too much.
    pub(crate) omitted: u64,
}

/// The host's side of one instance of a plugin.
pub(crate) struct State {
    /// The plugin's name, for the log.
    pub(crate) plugin: Arc<str>,
    /// Who is told of operations.
    pub(crate) trace: Option<Arc<dyn Trace>>,
    /// Where what is detached is kept.
    pub(crate) held: Option<Arc<HeldConstants>>,
    /// The function that was called.
    pub(crate) function: &'static str,
    /// Calls that were begun, of which the first instantiates the plugin.
    calls: u64,
    pub(crate) limits: Limits,
    pub(crate) wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    /// What was written to stdout and stderr and not yet looked at.
    pub(crate) output: Output,
    /// What it asked WASI for and was not granted.
    pub(crate) denials: Denials,
    memory: Memory,
    pub(crate) scope: Scope,
    pub(crate) views: Views,
    clock: Clock,
    pub(crate) usage: Usage,
    /// Random tensors drawn in this call.
    pub(crate) draws: u64,
    /// What went to the log in this call.
    pub(crate) logged: Logged,
    /// What the model declared in this call.
    pub(crate) declared: Declared,
    /// What a sampler wants to find again at the next token.
    pub(crate) remembered: Option<String>,
    /// What the plugin said in its panic hook.
    pub(crate) panic: Option<String>,
    /// What an operation of this call failed of, where the host can say more of it than the plugin is told: a value that is not
    /// finite, or memory that a device does not have.
    pub(crate) origin: Option<Box<swift_tensor::Error>>,
    /// The plugin crashed or was stopped: the store is of no more use.
    pub(crate) crashed: bool,
}

/// A store for one instance of a plugin.
///
/// # Errors
/// If something that was granted to it is not there.
pub(crate) fn new(engine: &Engine, plugin: Arc<str>, limits: &Limits) -> Result<Store<State>> {
    let denials = Denials::default();
    let wasi = wasi::context(&plugin, &limits.grants, &denials)?;
    let mut table = ResourceTable::new();
    table.set_max_capacity(usize::try_from(limits.resources).unwrap_or(usize::MAX));
    let state = State {
        plugin,
        trace: engine.trace(),
        held: engine.held_constants(),
        function: "",
        calls: 0,
        limits: limits.clone(),
        wasi,
        table,
        output: Output::default(),
        denials,
        memory: Memory::new(limits.memory_bytes),
        scope: Scope::default(),
        views: Views::default(),
        clock: Clock { ticks: engine.ticks(), start: 0, host: 0 },
        usage: Usage::default(),
        draws: 0,
        logged: Logged::default(),
        declared: Declared::default(),
        remembered: None,
        panic: None,
        origin: None,
        crashed: false,
    };
    let mut store = Store::new(engine.wasmtime(), state);
    store.limiter(|state| &mut state.memory);
    store.set_max_component_handles(usize::try_from(limits.handles).unwrap_or(usize::MAX));
    store.set_hostcall_fuel(usize::try_from(limits.copied_bytes).unwrap_or(usize::MAX));
    store.epoch_deadline_callback(|store| {
        let state = store.data();
        if state.clock.plugin() > ticks(&state.limits) {
            return Err(Breach::Time(state.limits.call_time).into());
        }
        Ok(UpdateDeadline::Continue(1))
    });
    Ok(store)
}

/// Begins a call.
pub(crate) fn begin(store: &mut Store<State>, function: &'static str, views: Views) {
    // The callback above is called at each tick and decides itself.
    store.set_epoch_deadline(1);
    let state = store.data_mut();
    state.function = function;
    state.calls += 1;
    state.views = views;
    state.clock.start();
    state.usage = Usage::default();
    state.draws = 0;
    state.logged = Logged::default();
    state.declared = Declared::default();
    state.remembered = None;
    state.panic = None;
    state.origin = None;
}

impl State {
    /// Whether the plugin starts: runtimes of languages do so when it is instantiated or, if they were stored when they had
    /// already started, in the first call of a function.
    pub(crate) fn is_starting(&self) -> bool {
        self.calls <= 2
    }

    /// Ends a call: lets go of everything that was there for it.
    pub(crate) fn end(&mut self) -> Usage {
        self.views = Views::default();
        self.usage.left_handles = self.scope.close();
        self.usage
    }

    /// What is left of the time of a call.
    pub(crate) fn time_left(&self) -> Duration {
        let used = u32::try_from(self.clock.plugin()).unwrap_or(u32::MAX);
        self.limits.call_time.saturating_sub(TICK.saturating_mul(used))
    }

    /// Runs `f` without charging its time to the plugin.
    pub(crate) fn on_host_time<T>(&mut self, f: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.clock.now();
        let result = f(self);
        self.clock.host += self.clock.now() - before;
        result
    }
}

/// Time in ticks of the engine, so that looking at it costs next to nothing in an operation.
struct Clock {
    ticks: Arc<AtomicU64>,
    /// When the call began.
    start: u64,
    /// How much of it went by in the host.
    host: u64,
}

impl Clock {
    fn now(&self) -> u64 {
        self.ticks.load(Ordering::Relaxed)
    }

    fn start(&mut self) {
        self.start = self.now();
        self.host = 0;
    }

    /// Ticks that went by in the plugin.
    fn plugin(&self) -> u64 {
        (self.now() - self.start).saturating_sub(self.host)
    }
}

/// The ticks that a call may take.
fn ticks(limits: &Limits) -> u64 {
    limits.call_time.as_nanos().div_ceil(TICK.as_nanos()).try_into().unwrap_or(u64::MAX)
}
