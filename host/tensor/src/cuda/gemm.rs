//! Matrix products: cuBLAS on a device, `swift-kernels` where the CPU stands for one.

#[cfg(feature = "cuda")]
use candle_core::DType;
use candle_core::{Device, Tensor as Value};

use super::buffer::Buffer;
use super::{contiguous, known, wide};
#[cfg(feature = "emulation")]
use crate::graph;
use crate::{Error, Result};

/// `op(a) op(b)` of two matrices, each transposed or not, in a new value. Sums of types of 16 bits are taken in `f32`.
pub(crate) fn product(
    op: &'static str,
    (a, transpose_a): (&Value, bool),
    (b, transpose_b): (&Value, bool),
) -> Result<Value> {
    let (m, n) = (a.dim(usize::from(transpose_a))?, b.dim(usize::from(!transpose_b))?);
    let mut c = Buffer::new(op, a.device(), a.dtype(), m * n)?;
    multiply(op, (a, transpose_a), (b, transpose_b), (&mut c, 0), false)?;
    Ok(c.into_value(&[m, n]))
}

/// Writes `op(a) op(b)`, or adds it, to the matrix that begins at an element of `c`. The elements of `c` are those of the operands,
/// or wide.
pub(crate) fn multiply(
    op: &'static str,
    (a, transpose_a): (&Value, bool),
    (b, transpose_b): (&Value, bool),
    (c, first): (&mut Buffer, usize),
    accumulate: bool,
) -> Result<()> {
    let (a, b) = (contiguous(a)?, contiguous(b)?);
    let ((a_rows, a_columns), (b_rows, b_columns)) = (a.dims2()?, b.dims2()?);
    let (m, k) = if transpose_a { (a_columns, a_rows) } else { (a_rows, a_columns) };
    let (inner, n) = if transpose_b { (b_columns, b_rows) } else { (b_rows, b_columns) };
    known(op, a.dtype())?;
    if k != inner || a.dtype() != b.dtype() || first + m * n > c.count() {
        return Err(Error::shapes(op, a.dims(), b.dims()));
    }
    if c.dtype() != a.dtype() && c.dtype() != wide(a.dtype()) {
        return Err(Error::DtypeMismatch { op, lhs: a.dtype(), rhs: c.dtype() });
    }
    if m * n == 0 {
        return Ok(());
    }
    let sizes = Sizes { m, k, n, transpose_a, transpose_b, accumulate };
    match a.device().clone() {
        #[cfg(feature = "emulation")]
        Device::Cpu => on_cpu(&a, &b, (c, first), &sizes),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => queue(op, &device, (&a, &b), (c, first), &sizes),
        other => Err(Error::no_body(op, &other)),
    }
}

#[derive(Clone, Copy)]
struct Sizes {
    m: usize,
    k: usize,
    n: usize,
    transpose_a: bool,
    transpose_b: bool,
    accumulate: bool,
}

#[cfg(feature = "emulation")]
fn on_cpu(a: &Value, b: &Value, (c, first): (&mut Buffer, usize), sizes: &Sizes) -> Result<()> {
    use candle_core::DType;

    let (address, dtype, sizes) = (c.address_of(first)?, c.dtype(), *sizes);
    let (a, b) = (a.clone(), b.clone());
    let run = move || {
        let (a, b) = (a.to_dtype(dtype)?, b.to_dtype(dtype)?);
        match dtype {
            DType::F32 => write::<f32>(&a, &b, address, &sizes),
            DType::F64 => write::<f64>(&a, &b, address, &sizes),
            DType::BF16 => write::<half::bf16>(&a, &b, address, &sizes),
            DType::F16 => write::<half::f16>(&a, &b, address, &sizes),
            other => Err(Error::unsupported_dtype("matmul", other)),
        }
    };
    if graph::recording() {
        graph::emulated(|graph| graph.push(run));
        return Ok(());
    }
    run()
}

/// Writes the product where a matrix of its size begins.
#[cfg(feature = "emulation")]
#[expect(unsafe_code, reason = "the host's memory stands for that of a device")]
fn write<T: crate::storage::Real>(a: &Value, b: &Value, c: u64, sizes: &Sizes) -> Result<()> {
    use crate::storage::read;

    let &Sizes { m, k, n, transpose_a, transpose_b, accumulate } = sizes;
    // SAFETY: the buffer was found to be large enough and is not looked at meanwhile; a graph keeps it.
    let c = unsafe { std::slice::from_raw_parts_mut(c as *mut T, m * n) };
    read::<T, _>(a, |a| {
        read::<T, _>(b, |b| {
            Ok(swift_kernels::matmul::product(a, b, c, m, k, n, transpose_a, transpose_b, accumulate)?)
        })
    })
}

/// cuBLAS stores matrices by columns, in which ours are transposed: `c^T = op(b)^T op(a)^T`.
#[cfg(feature = "cuda")]
#[expect(unsafe_code, reason = "cuBLAS takes addresses")]
fn queue(
    op: &'static str,
    device: &candle_core::CudaDevice,
    (a, b): (&Value, &Value),
    (c, first): (&mut Buffer, usize),
    sizes: &Sizes,
) -> Result<()> {
    use candle_core::cuda::cudarc::cublas::result::gemm_ex;
    use candle_core::cuda::cudarc::cublas::sys::cublasComputeType_t::{
        CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F_FAST_TF32, CUBLAS_COMPUTE_64F,
    };
    use candle_core::cuda::cudarc::cublas::sys::cublasGemmAlgo_t::CUBLAS_GEMM_DFALT;
    use candle_core::cuda::cudarc::cublas::sys::cublasOperation_t::{CUBLAS_OP_N, CUBLAS_OP_T};
    use candle_core::cuda::cudarc::cublas::sys::cudaDataType_t::{
        CUDA_R_16BF, CUDA_R_16F, CUDA_R_32F, CUDA_R_64F,
    };

    use super::buffer::Operands;

    let kind = |dtype| match dtype {
        DType::BF16 => CUDA_R_16BF,
        DType::F16 => CUDA_R_16F,
        DType::F64 => CUDA_R_64F,
        _ => CUDA_R_32F,
    };
    let compute = match a.dtype() {
        DType::F64 => CUBLAS_COMPUTE_64F,
        DType::F32 if candle_core::cuda::gemm_reduced_precision_f32() => CUBLAS_COMPUTE_32F_FAST_TF32,
        _ => CUBLAS_COMPUTE_32F,
    };
    let size = |size: usize| {
        i32::try_from(size).map_err(|_| Error::invalid(op, format!("a matrix of {size} rows or columns")))
    };
    let Sizes { m, k, n, .. } = *sizes;
    let (m, k, n) = (size(m)?, size(k)?, size(n)?);
    let (a_operation, a_stride) = if sizes.transpose_a { (CUBLAS_OP_T, m) } else { (CUBLAS_OP_N, k) };
    let (b_operation, b_stride) = if sizes.transpose_b { (CUBLAS_OP_T, k) } else { (CUBLAS_OP_N, n) };
    let at = Operands { op, device: a.device(), dtype: a.dtype() };
    let (a_address, b_address) = (at.stored(a)?, at.stored(b)?);
    let c_address = c.address_of(first)?;
    // The factors are of the type that is computed in.
    let beta = if sizes.accumulate { 1.0 } else { 0.0 };
    let (wide, narrow) = ([1.0, beta], [1.0f32, beta as f32]);
    let [alpha, beta] = match a.dtype() {
        DType::F64 => wide.each_ref().map(|x| std::ptr::from_ref(x).cast()),
        _ => narrow.each_ref().map(|x| std::ptr::from_ref(x).cast()),
    };
    let blas = device.cublas_handle();
    // SAFETY: the addresses are of matrices of these sizes and types on this device, whose stream the handle has.
    let done = unsafe {
        gemm_ex(
            *blas.handle(),
            b_operation,
            a_operation,
            n,
            m,
            k,
            alpha,
            b_address as *const _,
            kind(b.dtype()),
            b_stride.max(1),
            a_address as *const _,
            kind(a.dtype()),
            a_stride.max(1),
            beta,
            c_address as *mut _,
            kind(c.dtype()),
            n,
            compute,
            CUBLAS_GEMM_DFALT,
        )
    };
    done.map_err(|error| Error::Device { op, message: format!("cuBLAS refused the product: {error:?}") })
}
