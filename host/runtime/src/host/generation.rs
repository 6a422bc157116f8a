//! `generation-view`: what a sampler looks at.

use std::sync::Arc;

use wasmtime::component::Resource;

use super::{Failure, Result, view};
use crate::bindings::generation_view::{Generation as Handle, Host, HostGeneration};
use crate::kinds::sampler::Generation;
use crate::store::State;

/// The handle to the generation of a call.
pub(crate) const GENERATION: u32 = 0;

/// The most bytes that a sampler may keep for an answer: many of these wait at the same time.
const MOST_REMEMBERED: usize = 64 << 10;

impl Host for State {}

impl State {
    fn generation(&self) -> wasmtime::Result<Arc<Generation>> {
        view(&self.views.generation)
    }
}

impl HostGeneration for State {
    fn prompt(&mut self, _: Resource<Handle>) -> wasmtime::Result<Vec<u32>> {
        Ok(self.generation()?.prompt.clone())
    }

    fn answer(&mut self, _: Resource<Handle>) -> wasmtime::Result<Vec<u32>> {
        Ok(self.generation()?.answer.clone())
    }

    fn step(&mut self, _: Resource<Handle>) -> wasmtime::Result<u64> {
        Ok(self.generation()?.answer.len() as u64)
    }

    fn seed(&mut self, _: Resource<Handle>) -> wasmtime::Result<u64> {
        Ok(self.generation()?.seed)
    }

    fn memory(&mut self, _: Resource<Handle>) -> wasmtime::Result<Option<String>> {
        Ok(self.generation()?.memory.clone())
    }

    fn remember(&mut self, _: Resource<Handle>, text: String) -> Result<()> {
        if text.len() > MOST_REMEMBERED {
            let message = format!("{} bytes are to be remembered, more than {MOST_REMEMBERED}", text.len());
            return Err(Failure::InvalidArgument(message));
        }
        self.remembered = Some(text);
        Ok(())
    }

    /// Generations are only lent.
    fn drop(&mut self, _: Resource<Handle>) -> wasmtime::Result<()> {
        Ok(())
    }
}
