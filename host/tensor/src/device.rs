//! Where tensors are made.

use std::cell::RefCell;

use candle_core::Device;

use crate::{Error, Result};

thread_local! {
    static CURRENT: RefCell<Device> = const { RefCell::new(Device::Cpu) };
}

/// The device that a name stands for: `cpu`, `cuda`, `cuda:N`, or `auto`, which is the first CUDA device if there is one, and else
/// the CPU.
///
/// # Errors
/// If the name is another, or the device can't be used.
pub fn device(name: &str) -> Result<Device> {
    const OP: &str = "device";
    match name.split_once(':').unwrap_or((name, "0")) {
        ("cpu", "0") => Ok(Device::Cpu),
        ("auto", "0") => Ok(open(0).unwrap_or(Device::Cpu)),
        ("cuda", number) => match number.parse() {
            Ok(number) => open(number),
            Err(_) => Err(Error::invalid(OP, format!("`{number}` is not the number of a device"))),
        },
        _ => Err(Error::invalid(OP, format!("`{name}` is none of `cpu`, `cuda`, `cuda:N` and `auto`"))),
    }
}

#[cfg(feature = "cuda")]
fn open(ordinal: usize) -> Result<Device> {
    crate::cuda::open(ordinal)
        .map_err(|error| Error::Device { op: "device", message: format!("CUDA device {ordinal}: {error}") })
}

#[cfg(not(feature = "cuda"))]
fn open(_: usize) -> Result<Device> {
    Err(Error::Unsupported { op: "device", what: "CUDA, without which this executable was built".into() })
}

/// Whether CUDA devices may round the operands of `float32` products to TF32, which has 10 bits after the point and is several times
/// as fast. It holds for the whole process, and does nothing elsewhere.
pub fn set_tf32(allowed: bool) {
    #[cfg(feature = "cuda")]
    candle_core::cuda::set_gemm_reduced_precision_f32(allowed);
    #[cfg(not(feature = "cuda"))]
    let _ = allowed;
}

/// Runs `f` on this thread with a device for tensors that are made of nothing but numbers: [`crate::full`], [`crate::from_list`] and
/// their like. Without it they are made on the CPU.
pub fn with_device<T>(device: &Device, f: impl FnOnce() -> T) -> T {
    struct Restore(Device);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.replace(std::mem::replace(&mut self.0, Device::Cpu));
        }
    }
    let _restore = Restore(CURRENT.replace(device.clone()));
    f()
}

/// The device for tensors that are made of nothing but numbers, on this thread.
pub fn current_device() -> Device {
    CURRENT.with_borrow(Clone::clone)
}
