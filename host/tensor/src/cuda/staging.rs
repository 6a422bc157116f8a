//! Memory of the host that a device reads by itself.

use candle_core::{Device, Tensor as Value, WithDType};
use swift_kernels_cuda::Address;

use super::buffer::Buffer;
use crate::{Error, Result};

const OP: &str = "upload";
/// Words of 8 bytes of each half: much more than a copy costs to begin. Few where there is no device, so that tests see several
/// parts.
const WORDS: usize = if cfg!(feature = "emulation") { 64 } else { 2 << 20 };

/// Two halves: one is written while the other is copied.
#[derive(Debug)]
pub(crate) struct StagingMemory([Half; 2]);

impl StagingMemory {
    pub(crate) fn new(device: &Device) -> Result<Self> {
        Ok(Self([Half::new(device)?, Half::new(device)?]))
    }

    /// A value whose elements `fill` writes, some at a time.
    pub(crate) fn value<T: WithDType>(
        &mut self,
        device: &Device,
        shape: &[usize],
        mut fill: impl FnMut(usize, &mut [T]),
    ) -> Result<Value> {
        let count = shape.iter().product();
        let mut value = Buffer::new(OP, device, T::DTYPE, count)?;
        let part = WORDS * size_of::<u64>() / size_of::<T>();
        for first in (0..count).step_by(part) {
            let [half, _] = &mut self.0;
            let length = part.min(count - first);
            half.write(|elements| fill(first, elements.get_mut(..length).unwrap_or_default()))?;
            half.send(value.address_of(first)?, length * size_of::<T>())?;
            self.0.reverse();
        }
        Ok(value.into_value(shape))
    }
}

#[derive(Debug)]
enum Half {
    #[cfg(feature = "emulation")]
    Host(Vec<u64>),
    #[cfg(feature = "cuda")]
    Locked(Locked),
}

impl Half {
    fn new(device: &Device) -> Result<Self> {
        match device {
            #[cfg(feature = "emulation")]
            Device::Cpu => Ok(Self::Host(vec![0; WORDS])),
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => Ok(Self::Locked(Locked::new(device)?)),
            other => Err(Error::no_body(OP, other)),
        }
    }

    /// The memory as elements, once what was sent from it has arrived.
    #[expect(unsafe_code, reason = "one memory serves all types of numbers")]
    fn write<T: WithDType>(&mut self, write: impl FnOnce(&mut [T])) -> Result<()> {
        let words: &mut [u64] = match self {
            #[cfg(feature = "emulation")]
            Self::Host(words) => words,
            #[cfg(feature = "cuda")]
            Self::Locked(locked) => locked.words()?,
        };
        // SAFETY: any bits are numbers of each of candle's types, none of which is aligned to more than a word.
        let (_, elements, _) = unsafe { words.align_to_mut::<T>() };
        write(elements);
        Ok(())
    }

    /// Copies bytes from the beginning on to an address of the device.
    fn send(&mut self, to: Address, bytes: usize) -> Result<()> {
        match self {
            #[cfg(feature = "emulation")]
            Self::Host(words) => {
                let from = words.as_ptr().cast::<u8>();
                #[expect(unsafe_code, reason = "the host's memory stands for that of a device")]
                // SAFETY: the caller has made room for as many bytes there, and has written as many here.
                unsafe {
                    std::ptr::copy_nonoverlapping(from, to as *mut u8, bytes);
                }
                Ok(())
            }
            #[cfg(feature = "cuda")]
            Self::Locked(locked) => locked.send(to, bytes),
        }
    }
}

#[cfg(feature = "cuda")]
use locked::Locked;

#[cfg(feature = "cuda")]
mod locked {
    use std::sync::Arc;

    use candle_core::CudaDevice;
    use candle_core::cuda::cudarc::driver::{CudaEvent, CudaStream, DriverError, PinnedHostSlice, result};
    use swift_kernels_cuda::Address;

    use super::{OP, WORDS};
    use crate::{Error, Result};

    /// Page-locked memory, and when what was last sent from it has arrived.
    #[derive(Debug)]
    pub(super) struct Locked {
        memory: PinnedHostSlice<u64>,
        arrived: CudaEvent,
        stream: Arc<CudaStream>,
    }

    fn refused(error: DriverError) -> Error {
        Error::Device { op: OP, message: error.to_string() }
    }

    impl Locked {
        #[expect(unsafe_code, reason = "cudarc marks memory that must be written before it is read")]
        pub(super) fn new(device: &CudaDevice) -> Result<Self> {
            let stream = device.cuda_stream();
            let context = stream.context();
            // SAFETY: any bits are words, and what is sent has been written.
            let memory = unsafe { context.alloc_pinned(WORDS) }.map_err(refused)?;
            let arrived = context.new_event(None).map_err(refused)?;
            Ok(Self { memory, arrived, stream })
        }

        pub(super) fn words(&mut self) -> Result<&mut [u64]> {
            self.arrived.synchronize().map_err(refused)?;
            self.memory.as_mut_slice().map_err(refused)
        }

        #[expect(unsafe_code, reason = "a part of the memory is copied to the middle of another")]
        pub(super) fn send(&mut self, to: Address, bytes: usize) -> Result<()> {
            let words = self.memory.as_slice().map_err(refused)?;
            // SAFETY: the memory has as many bytes, and the caller has made room for as many on the device. Nothing is written
            // here, and the memory is not given back, before they have arrived.
            unsafe {
                let bytes = std::slice::from_raw_parts(words.as_ptr().cast::<u8>(), bytes);
                result::memcpy_htod_async(to, bytes, self.stream.cu_stream()).map_err(refused)?;
            }
            self.arrived.record(&self.stream).map_err(refused)
        }
    }

    impl Drop for Locked {
        fn drop(&mut self) {
            // Where it can't be waited for, the device is lost.
            _ = self.arrived.synchronize();
        }
    }
}
