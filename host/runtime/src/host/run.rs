//! `run-view`: what a callback looks at.

use std::sync::Arc;

use wasmtime::component::Resource;

use super::{Failure, view};
use crate::bindings::conversation;
use crate::bindings::run_view::{Host, HostRun, Run};
use crate::bindings::tensor::Tensor as Handle;
use crate::store::State;
use crate::views::RunView;

/// The handle to the run of a call.
pub(crate) const RUN: u32 = 0;

impl Host for State {}

/// Types only.
impl conversation::Host for State {}

impl State {
    fn run(&self) -> wasmtime::Result<Arc<dyn RunView>> {
        view(&self.views.run)
    }
}

impl HostRun for State {
    fn parameter_names(&mut self, _: Resource<Run>) -> wasmtime::Result<Vec<String>> {
        Ok(self.run()?.parameter_names())
    }

    fn parameter(&mut self, _: Resource<Run>, name: String) -> wasmtime::Result<Option<Resource<Handle>>> {
        let run = self.run()?;
        let lent = self.traced("run.parameter", &[], |state| {
            let parameter = run.parameter(&name);
            Ok(parameter.map(|parameter| state.lend(parameter)).transpose()?)
        });
        lent.map_err(Failure::into_trap)
    }

    /// Runs are only lent.
    fn drop(&mut self, _: Resource<Run>) -> wasmtime::Result<()> {
        Ok(())
    }
}
