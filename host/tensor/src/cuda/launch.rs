//! Queueing kernels.

use candle_core::{DType, Device};
use swift_kernels_cuda::{Arguments, Kernel};

#[cfg(feature = "emulation")]
use crate::graph;
use crate::{Error, Result};

/// Threads of a block, where a kernel does not ask for its own number.
pub(crate) const BLOCK: u32 = 256;

/// How a kernel is cut into blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    blocks: [usize; 3],
    threads: u32,
    shared: usize,
}

impl Grid {
    /// A thread for each of `count` elements.
    pub(crate) fn elements(count: usize) -> Self {
        Self::blocks(count.div_ceil(BLOCK as usize), 1)
    }

    /// `x` times `y` blocks.
    pub(crate) fn blocks(x: usize, y: usize) -> Self {
        Self { blocks: [x, y, 1], threads: BLOCK, shared: 0 }
    }

    /// With another number of threads, and memory of its own for each block.
    pub(crate) fn with(self, threads: usize, shared: usize) -> Self {
        Self { threads: threads as u32, shared, ..self }
    }
}

/// Queues `kernel` for elements of `dtype`. Nothing is done if there are no blocks.
///
/// # Errors
/// If the element type has no kernels, the grid is larger than devices take, or the driver refuses.
pub(crate) fn launch<A: Arguments>(
    op: &'static str,
    device: &Device,
    (kernel, dtype): (Kernel<A>, DType),
    grid: Grid,
    arguments: &A,
) -> Result<()> {
    let suffix = match dtype {
        DType::F32 => "f32",
        DType::F64 => "f64",
        DType::BF16 => "bf16",
        DType::F16 => "f16",
        other => return Err(Error::unsupported_dtype(op, other)),
    };
    // What every device takes: 2^31 - 1 blocks along the first dimension and 65535 along the others.
    let limits = [i32::MAX as usize, u16::MAX.into(), u16::MAX.into()];
    if grid.blocks.iter().zip(limits).any(|(&blocks, limit)| blocks > limit) {
        return Err(Error::invalid(op, format!("{:?} blocks are more than a device takes", grid.blocks)));
    }
    if grid.blocks.contains(&0) {
        return Ok(());
    }
    let blocks = grid.blocks.map(|blocks| blocks as u32);
    match device {
        #[cfg(feature = "emulation")]
        Device::Cpu => emulate(op, kernel, suffix, blocks, grid, arguments),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => queue(op, device, kernel, suffix, blocks, grid, arguments),
        other => Err(Error::no_body(op, other)),
    }
}

#[cfg(feature = "emulation")]
#[expect(unsafe_code, reason = "kernels take addresses")]
fn emulate<A: Arguments>(
    op: &'static str,
    kernel: Kernel<A>,
    suffix: &'static str,
    blocks: [u32; 3],
    grid: Grid,
    arguments: &A,
) -> Result<()> {
    let arguments = *arguments;
    let run = move || {
        // SAFETY: bodies take addresses from buffers and values of the sizes that the kernel is told, and a graph keeps them.
        unsafe { swift_kernels_cuda::emulate(kernel, suffix, blocks, grid.threads, grid.shared, &arguments) }
            .map_err(|refused| Error::invalid(op, refused.to_string()))
    };
    if graph::recording() {
        graph::emulated(|graph| graph.push(run));
        return Ok(());
    }
    run()
}

#[cfg(feature = "cuda")]
#[expect(unsafe_code, reason = "kernels take addresses")]
fn queue<A: Arguments>(
    op: &'static str,
    device: &candle_core::CudaDevice,
    kernel: Kernel<A>,
    suffix: &str,
    blocks: [u32; 3],
    grid: Grid,
    arguments: &A,
) -> Result<()> {
    use candle_core::cuda::WrapErr;
    use candle_core::cuda::cudarc::driver::sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    use candle_core::cuda::cudarc::driver::{LaunchConfig, PushKernelArg};

    /// What a block may have without asking.
    const FREE: usize = 48 << 10;
    let module = swift_kernels_cuda::modules().iter().find(|(name, _)| *name == kernel.module);
    let Some((_, ptx)) = module else { return Err(Error::invalid(op, "a kernel that was not compiled")) };
    let name = format!("{}_{suffix}", kernel.name);
    let function = device.get_or_load_custom_func(&name, &format!("swift_{}", kernel.module), ptx)?;
    if grid.shared > FREE {
        function.set_attribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, grid.shared as i32).w()?;
    }
    let [x, y, z] = blocks;
    let config = LaunchConfig {
        grid_dim: (x, y, z),
        block_dim: (grid.threads, 1, 1),
        shared_mem_bytes: grid.shared as u32,
    };
    let mut builder = function.builder();
    builder.arg(arguments);
    // SAFETY: the structure is the one that the kernel takes, and bodies take addresses from buffers and values of the sizes that
    // the kernel is told. They are used on the one stream that also frees them.
    unsafe { builder.launch(config) }.w()?;
    Ok(())
}

/// Bytes of shared memory that a block may have.
pub(crate) fn shared_memory(op: &'static str, device: &Device) -> Result<usize> {
    match device {
        // As much as devices of compute capability 9.0 have.
        #[cfg(feature = "emulation")]
        Device::Cpu => Ok(227 << 10),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => {
            use candle_core::cuda::WrapErr;
            use candle_core::cuda::cudarc::driver::sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN;
            let stream = device.cuda_stream();
            let bytes =
                stream.context().attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN).w()?;
            Ok(usize::try_from(bytes).unwrap_or_default())
        }
        other => Err(Error::no_body(op, other)),
    }
}
