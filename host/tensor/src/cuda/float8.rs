//! Products in 8 bits: kernels round, cuBLASLt multiplies.
//!
//! It wants both operands by lines of the inner dimension ("TN"), in sizes that are multiples of 16; so what lies the other way is
//! transposed while it is rounded, and its rows, which may be of any number, are filled up with zeros. Scales never leave the device.

use candle_core::{DType, Device, Tensor as Value};
use swift_kernels::float8::{Format, LEAST_MAGNITUDE};
use swift_kernels_cuda::{FLOAT8_MAGNITUDES, FLOAT8_ROUND, FLOAT8_SCALE, FLOAT8_TRANSPOSE, Float8};

use super::buffer::{Buffer, Operands};
use super::launch::{Grid, launch};
use crate::fused::FLOAT8_UNIT as UNIT;
use crate::{Error, Result};

/// Elements whose greatest magnitude a block finds.
const CHUNK: usize = 1 << 16;

/// The side of the squares that are transposed.
const SIDE: usize = 32;

/// A matrix, what it is rounded to, and whether its transpose is meant.
pub(crate) type Float8Operand<'a> = (&'a Value, Format, bool);

/// Writes `op(a) op(b)` of operands rounded to 8 bits to all of `c`.
pub(crate) fn multiply_float8(
    op: &'static str,
    (a, a_format, transpose_a): Float8Operand<'_>,
    (b, b_format, transpose_b): Float8Operand<'_>,
    c: &mut Buffer,
) -> Result<()> {
    let left = Rounded::new(op, a, a_format, transpose_a)?;
    let right = Rounded::new(op, b, b_format, !transpose_b)?;
    if left.inner != right.inner || left.lines * right.lines != c.count() {
        return Err(Error::shapes(op, a.dims(), b.dims()));
    }
    if !left.inner.is_multiple_of(UNIT) || !right.lines.is_multiple_of(UNIT) {
        return Err(Error::invalid(op, format!("products in 8 bits take multiples of {UNIT}")));
    }
    if c.count() == 0 {
        return Ok(());
    }
    match c.device() {
        #[cfg(feature = "emulation")]
        Device::Cpu => on_cpu(op, left, right, c),
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => queue(op, &device, (left, right), c),
        other => Err(Error::no_body(op, &other)),
    }
}

/// A matrix in 8 bits, by lines of the inner dimension of a product.
struct Rounded {
    bytes: Buffer,
    /// What elements were multiplied by, and what takes them back.
    scales: Buffer,
    format: Format,
    lines: usize,
    inner: usize,
}

impl Rounded {
    fn new(op: &'static str, x: &Value, format: Format, transpose: bool) -> Result<Self> {
        let (device, x) = (x.device(), x.contiguous()?);
        let (rows, columns) = x.dims2()?;
        let (lines, inner) = match transpose {
            true => (columns, rows.max(1).next_multiple_of(UNIT)),
            false => (rows, columns),
        };
        let chunks = x.elem_count().div_ceil(CHUNK);
        let mut magnitudes = Buffer::new(op, device, DType::U32, chunks)?;
        let mut scales = Buffer::new(op, device, DType::F32, 2)?;
        let mut bytes = Buffer::new(op, device, DType::U8, lines * inner)?;
        let arguments = Float8 {
            x: Operands { op, device, dtype: x.dtype() }.stored(&x)?,
            magnitudes: magnitudes.address()?,
            scales: scales.address()?,
            y: bytes.address()?,
            count: x.elem_count() as i64,
            chunk: CHUNK as i64,
            rows: rows as i64,
            columns: columns as i64,
            stride: inner as i64,
            mantissa: format.mantissa().into(),
            bias: format.bias().into(),
            greatest: format.greatest().into(),
            least: LEAST_MAGNITUDE,
        };
        let run = |kernel, grid, arguments: &Float8| launch(op, device, (kernel, x.dtype()), grid, arguments);
        run(FLOAT8_MAGNITUDES, Grid::blocks(chunks, 1), &arguments)?;
        run(FLOAT8_SCALE, Grid::blocks(1, 1), &Float8 { count: chunks as i64, ..arguments })?;
        match transpose {
            true => {
                let grid = Grid::blocks(columns.div_ceil(SIDE), inner.div_ceil(SIDE));
                run(FLOAT8_TRANSPOSE, grid, &arguments)?;
            }
            false => run(FLOAT8_ROUND, Grid::elements(x.elem_count()), &arguments)?,
        }
        Ok(Self { bytes, scales, format, lines, inner })
    }

    /// Its elements, and what takes them back.
    #[cfg(feature = "emulation")]
    fn decoded(self) -> Result<(Value, f64)> {
        let (shape, format) = ([self.lines, self.inner], self.format);
        let back = self.scales.to_vec()?.last().copied().unwrap_or_default();
        let bytes = self.bytes.into_value(&[shape.iter().product()]).to_vec1::<u8>()?;
        let numbers = bytes.into_iter().map(|byte| format.value(byte)).collect();
        Ok((crate::storage::make::<f32>(numbers, &shape)?, back.into()))
    }
}

#[cfg(feature = "emulation")]
fn on_cpu(op: &'static str, left: Rounded, right: Rounded, c: &mut Buffer) -> Result<()> {
    use crate::storage::with_real;
    let ((left, left_back), (right, right_back)) = (left.decoded()?, right.decoded()?);
    let product = super::product(op, (&left, false), (&right, true))?;
    let product = product.affine(left_back * right_back, 0.0)?.to_dtype(c.dtype())?.flatten_all()?;
    *c = with_real!(op, c.dtype(), T => Buffer::of(op, &Device::Cpu, &product.to_vec1::<T>()?))?;
    Ok(())
}

#[cfg(feature = "cuda")]
use candle_core::cuda::cudarc::cublaslt::result::CublasError;

/// A descriptor of cuBLASLt's, given back when it goes.
#[cfg(feature = "cuda")]
struct Owned<T: Copy>(T, unsafe fn(T) -> std::result::Result<(), CublasError>);

#[cfg(feature = "cuda")]
impl<T: Copy> Drop for Owned<T> {
    #[expect(unsafe_code, reason = "the library frees what it made")]
    fn drop(&mut self) {
        // SAFETY: nobody else has it. Nothing can be done about a failure.
        let _ = unsafe { (self.1)(self.0) };
    }
}

/// cuBLASLt stores matrices by columns, in which ours are transposed, and lines are columns: `c^T = right left^T`.
#[cfg(feature = "cuda")]
#[expect(unsafe_code, reason = "cuBLASLt takes addresses")]
fn queue(
    op: &'static str,
    device: &candle_core::CudaDevice,
    (mut left, mut right): (Rounded, Rounded),
    c: &mut Buffer,
) -> Result<()> {
    use candle_core::cuda::cudarc::cublaslt::{result, sys};
    use std::ptr::from_ref;
    use sys::cublasComputeType_t::CUBLAS_COMPUTE_32F;
    use sys::cublasLtMatmulDescAttributes_t::{
        CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER,
        CUBLASLT_MATMUL_DESC_TRANSA,
    };
    use sys::cublasLtMatmulPreferenceAttributes_t::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
    use sys::cudaDataType_t::{CUDA_R_8F_E4M3, CUDA_R_8F_E5M2, CUDA_R_16BF, CUDA_R_16F, CUDA_R_32F};

    /// What the library may use besides: as much as it recommends for Hopper.
    const WORKSPACE: usize = 32 << 20;
    /// `CUBLAS_OP_T`, as the descriptor takes it.
    const TRANSPOSED: i32 = 1;
    const ONE: f32 = 1.0;
    const ZERO: f32 = 0.0;

    let kind = |format| match format {
        Format::E4M3 => CUDA_R_8F_E4M3,
        Format::E5M2 => CUDA_R_8F_E5M2,
    };
    let wide = match c.dtype() {
        DType::BF16 => CUDA_R_16BF,
        DType::F16 => CUDA_R_16F,
        DType::F32 => CUDA_R_32F,
        other => return Err(Error::unsupported_dtype(op, other)),
    };
    let (m, n, k) = (left.lines, right.lines, left.inner);
    let mut workspace = Buffer::new(op, &c.device(), DType::U8, WORKSPACE)?;
    let (a, b, d) = (right.bytes.address()?, left.bytes.address()?, c.address()?);
    let (a_back, b_back) = (right.scales.address_of(1)?, left.scales.address_of(1)?);
    let workspace = workspace.address()?;
    let (stream, blas) = (device.cuda_stream(), device.cublas_handle());
    // A handle of cuBLAS's may stand for one of cuBLASLt's, as the documentation of `cublasLtHandle_t` says.
    let handle: sys::cublasLtHandle_t = (*blas.handle()).cast();
    let layout = |kind, rows: usize, columns: usize| {
        let layout = result::create_matrix_layout(kind, rows as u64, columns as u64, rows as i64)?;
        Ok(Owned(layout, result::destroy_matrix_layout))
    };
    let multiply = || {
        let (a_layout, b_layout) = (layout(kind(right.format), k, n)?, layout(kind(left.format), k, m)?);
        let d_layout = layout(wide, n, m)?;
        let product = result::create_matmul_desc(CUBLAS_COMPUTE_32F, CUDA_R_32F)?;
        let product = Owned(product, result::destroy_matmul_desc);
        let preference = Owned(result::create_matmul_pref()?, result::destroy_matmul_pref);
        // SAFETY: descriptors live until the end, attributes have the sizes that the library says, and the addresses are of matrices
        // of these sizes and types, of a number each, and of the workspace, on this device, whose stream it is.
        unsafe {
            let set =
                |attribute, value, size| result::set_matmul_desc_attribute(product.0, attribute, value, size);
            set(CUBLASLT_MATMUL_DESC_TRANSA, from_ref(&TRANSPOSED).cast(), size_of::<i32>())?;
            set(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, from_ref(&a_back).cast(), size_of_val(&a_back))?;
            set(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, from_ref(&b_back).cast(), size_of_val(&b_back))?;
            result::set_matmul_pref_attribute(
                preference.0,
                CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                from_ref(&WORKSPACE).cast(),
                size_of::<usize>(),
            )?;
            let best = result::get_matmul_algo_heuristic(
                handle,
                product.0,
                a_layout.0,
                b_layout.0,
                d_layout.0,
                d_layout.0,
                preference.0,
            )?;
            result::matmul(
                handle,
                product.0,
                from_ref(&ONE).cast(),
                from_ref(&ZERO).cast(),
                a as *const _,
                a_layout.0,
                b as *const _,
                b_layout.0,
                d as *const _,
                d_layout.0,
                d as *mut _,
                d_layout.0,
                from_ref(&best.algo),
                workspace as *mut _,
                WORKSPACE,
                stream.cu_stream().cast(),
            )
        }
    };
    multiply().map_err(|error: CublasError| Error::Device {
        op,
        message: format!("cuBLASLt refused the product: {error:?}"),
    })
}
