//! Numbers of the host where a value is.

use candle_core::{Device, Tensor as Value, WithDType};

use super::buffer::Operands;
use crate::{Error, Result, graph};

/// Writes `numbers` over the first elements of `to`, which has no gaps.
pub(crate) fn write<T: WithDType>(op: &'static str, to: &Value, numbers: &[T]) -> Result<()> {
    graph::must_run("numbers are sent to the device")?;
    if to.elem_count() < numbers.len() {
        return Err(Error::shapes(op, to.dims(), &[numbers.len()]));
    }
    if numbers.is_empty() {
        return Ok(());
    }
    let address = Operands { op, device: to.device(), dtype: T::DTYPE }.stored(to)?;
    match to.device() {
        #[cfg(feature = "emulation")]
        Device::Cpu => {
            #[expect(unsafe_code, reason = "the host's memory stands for that of a device")]
            // SAFETY: there are at least as many elements, of the same type; a value is not read while it is written.
            unsafe {
                std::ptr::copy_nonoverlapping(numbers.as_ptr(), address as *mut T, numbers.len());
            }
            Ok(())
        }
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => {
            use candle_core::cuda::WrapErr;
            use candle_core::cuda::cudarc::driver::result;
            #[expect(unsafe_code, reason = "cudarc copies to its own slices alone")]
            // SAFETY: there are at least as many elements, of the same type. The driver has taken what is in pageable memory when
            // the call returns, and what was queued before still reads what was there before.
            unsafe { result::memcpy_htod_async(address, numbers, device.cuda_stream().cu_stream()) }.w()?;
            Ok(())
        }
        other => Err(Error::no_body(op, other)),
    }
}
