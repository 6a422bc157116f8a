//! The device itself.

use candle_core::cuda::WrapErr;
use candle_core::cuda::cudarc::driver::{result, sys};
use candle_core::{CudaDevice, Device};

use crate::Result;

/// The device of this number, with one stream for everything.
///
/// Nothing waits for events, which only several streams would need. Memory that is given back stays with the pool: by default the
/// pool returns it to the system each time that the host waits for the device.
#[expect(unsafe_code, reason = "the pool is the driver's, and events are candle's to leave out")]
pub(crate) fn open(ordinal: usize) -> Result<Device> {
    let device = CudaDevice::new_with_stream(ordinal)?;
    // SAFETY: all work of this process on the device is queued on this stream.
    unsafe { device.disable_event_tracking() };
    let stream = device.cuda_stream();
    let mut keep = u64::MAX;
    // SAFETY: the context lives as long as the device, and the attribute is a number of 64 bits.
    unsafe {
        let pool = result::device::get_default_mem_pool(stream.context().cu_device()).w()?;
        result::mem_pool::set_attribute(
            pool,
            sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD,
            std::ptr::from_mut(&mut keep).cast(),
        )
        .w()?;
    }
    Ok(Device::Cuda(device))
}

/// The compute capability of a device, before and after the point.
pub(crate) fn compute_capability(device: &CudaDevice) -> Result<(i32, i32)> {
    use sys::CUdevice_attribute::{
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
    };
    let stream = device.cuda_stream();
    let ask = |attribute| stream.context().attribute(attribute).w();
    Ok((
        ask(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
        ask(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
    ))
}
