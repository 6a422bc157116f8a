//! The way of weights from files to a device.

use candle_core::{Device, Tensor as Value, WithDType};

use crate::Result;
use crate::storage::{Zeroed, on_device};

/// Makes values of elements that are computed some at a time. For a CUDA device these are written to page-locked memory, 32 MiB in
/// all, from where it fetches them while the next ones are computed, so that they are never in the host's memory as a whole.
#[derive(Debug)]
pub struct Staging {
    device: Device,
    #[cfg(any(feature = "cuda", feature = "emulation"))]
    memory: Option<crate::cuda::StagingMemory>,
}

impl Staging {
    /// For values on `device`.
    pub fn new(device: &Device) -> Self {
        Self {
            device: device.clone(),
            #[cfg(any(feature = "cuda", feature = "emulation"))]
            memory: None,
        }
    }

    /// Where values are made.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// A value of the shape `shape`, row-major. `fill` writes a part of its elements, and is told how many come before these.
    ///
    /// # Errors
    /// If the device has not as much memory, or the system not as much that can be locked.
    pub fn value<T: WithDType + Zeroed>(
        &mut self,
        shape: &[usize],
        mut fill: impl FnMut(usize, &mut [T]),
    ) -> Result<Value> {
        on_device!("upload", &self.device,
            cpu: {
                let mut elements = T::zeros(shape.iter().product());
                fill(0, &mut elements);
                Ok(Value::from_vec(elements, shape, &self.device)?)
            },
            cuda: {
                let memory = match self.memory.take() {
                    Some(memory) => memory,
                    None => crate::cuda::StagingMemory::new(&self.device)?,
                };
                self.memory.insert(memory).value(&self.device, shape, fill)
            },
        )
    }
}
