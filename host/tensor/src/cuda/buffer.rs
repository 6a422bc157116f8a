//! Memory of the device: addresses of what is read, and what is to be written.

use candle_core::backend::{BackendDevice, BackendStorage};
#[cfg(feature = "cuda")]
use candle_core::cuda::CudaStorageSlice;
use candle_core::op::BackpropOp;
use candle_core::{CpuStorage, DType, Device, Shape, Storage, Tensor as Value};
use swift_kernels_cuda::Address;

use crate::graph::must_run;
use crate::reading::count_read;
use crate::{Error, Result, graph};

/// Memory that kernels write, before it is a value.
#[derive(Debug)]
pub(crate) struct Buffer {
    storage: Storage,
    dtype: DType,
    count: usize,
}

impl Buffer {
    /// Room for `count` elements, with whatever was there before.
    ///
    /// # Errors
    /// [`Error::DeviceMemory`] with what `op` asked for, if there is not as much.
    #[expect(unsafe_code, reason = "candle marks memory that must be written before it is read")]
    pub(crate) fn new(op: &'static str, device: &Device, dtype: DType, count: usize) -> Result<Self> {
        // Drivers give no memory of no size.
        let shape = Shape::from(count.max(1));
        // SAFETY: whoever makes a buffer has it written as a whole before it is read; any bits are a valid element.
        let storage = match device {
            Device::Cpu => {
                (unsafe { candle_core::cpu_backend::CpuDevice.alloc_uninit(&shape, dtype) }).map(Storage::Cpu)
            }
            Device::Cuda(device) => (unsafe { device.alloc_uninit(&shape, dtype) }).map(Storage::Cuda),
            Device::Metal(_) => return Err(Error::no_body(op, device)),
        };
        Self::made(op, storage, dtype, count)
    }

    /// As [`Self::new`], of zeros.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(crate) fn zeros(op: &'static str, device: &Device, dtype: DType, count: usize) -> Result<Self> {
        let shape = Shape::from(count.max(1));
        let storage = match device {
            Device::Cpu => candle_core::cpu_backend::CpuDevice.zeros_impl(&shape, dtype).map(Storage::Cpu),
            Device::Cuda(device) => device.zeros_impl(&shape, dtype).map(Storage::Cuda),
            Device::Metal(_) => return Err(Error::no_body(op, device)),
        };
        Self::made(op, storage, dtype, count)
    }

    /// Numbers of the host, on the device.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(crate) fn of<T: candle_core::WithDType>(
        op: &'static str,
        device: &Device,
        numbers: &[T],
    ) -> Result<Self> {
        if numbers.is_empty() {
            return Self::new(op, device, T::DTYPE, 0);
        }
        must_run("numbers are sent to the device")?;
        let storage = match device {
            Device::Cpu => candle_core::cpu_backend::CpuDevice.storage_from_slice(numbers).map(Storage::Cpu),
            Device::Cuda(device) => device.storage_from_slice(numbers).map(Storage::Cuda),
            Device::Metal(_) => return Err(Error::no_body(op, device)),
        };
        Self::made(op, storage, T::DTYPE, numbers.len())
    }

    fn made(
        op: &'static str,
        storage: candle_core::Result<Storage>,
        dtype: DType,
        count: usize,
    ) -> Result<Self> {
        let bytes = Some(count * dtype.size_in_bytes());
        let storage =
            storage.map_err(|source| Error::DeviceMemory { op, bytes, source: Box::new(source) })?;
        Ok(Self { storage, dtype, count })
    }

    pub(crate) fn device(&self) -> Device {
        self.storage.device()
    }

    pub(crate) fn dtype(&self) -> DType {
        self.dtype
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Where it begins.
    pub(crate) fn address(&mut self) -> Result<Address> {
        start_of_mut(&mut self.storage)
    }

    /// Where the element `index` is.
    pub(crate) fn address_of(&mut self, index: usize) -> Result<Address> {
        Ok(self.address()? + (index * self.dtype.size_in_bytes()) as Address)
    }

    /// Its elements as numbers of the host; `float32` alone.
    pub(crate) fn to_vec(&self) -> Result<Vec<f32>> {
        count_read()?;
        let storage = match &self.storage {
            Storage::Cpu(storage) => storage.to_cpu_storage()?,
            Storage::Cuda(storage) => storage.to_cpu_storage()?,
            Storage::Metal(_) => return Err(Error::invalid("read", "a device that has no bodies")),
        };
        let elements = storage.as_slice::<f32>()?;
        Ok(elements.get(..self.count).unwrap_or_default().to_vec())
    }

    /// The value that it is once everything has been written.
    #[cfg_attr(
        not(feature = "emulation"),
        expect(unused_mut, reason = "buffers that are dropped want their storage left")
    )]
    pub(crate) fn into_value(mut self, shape: &[usize]) -> Value {
        #[cfg(feature = "emulation")]
        let storage = self.take();
        #[cfg(not(feature = "emulation"))]
        let storage = self.storage;
        let value = Value::from_storage(storage, shape, BackpropOp::none(), false);
        graph::written(&value);
        value
    }

    #[cfg(feature = "emulation")]
    fn take(&mut self) -> Storage {
        std::mem::replace(&mut self.storage, Storage::Cpu(CpuStorage::U8(Vec::new())))
    }
}

/// Memory that never became a value belongs to the graph in which kernels use it: a device orders what is given back itself.
#[cfg(feature = "emulation")]
impl Drop for Buffer {
    fn drop(&mut self) {
        let storage = self.take();
        graph::emulated(|graph| graph.keep_storage(storage));
    }
}

/// What an operation reads: values without gaps, on its device and of its types.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operands<'a> {
    pub(crate) op: &'static str,
    pub(crate) device: &'a Device,
    pub(crate) dtype: DType,
}

impl Operands<'_> {
    /// The address of elements as they are stored.
    pub(crate) fn stored(&self, value: &Value) -> Result<Address> {
        self.address(value, self.dtype)
    }

    /// The address of elements of the type that is computed in.
    pub(crate) fn wide(&self, value: &Value) -> Result<Address> {
        self.address(value, super::wide(self.dtype))
    }

    /// The address of a value that may be missing, or else 0.
    pub(crate) fn wide_if(&self, value: Option<&Value>) -> Result<Address> {
        value.map_or(Ok(0), |value| self.wide(value))
    }

    /// The address of the first of elements that may have gaps between them.
    pub(crate) fn first(&self, value: &Value) -> Result<Address> {
        let &Self { op, device, dtype } = self;
        if !value.device().same_device(device) {
            let [lhs, rhs] = [device, value.device()].map(|device| format!("{:?}", device.location()));
            return Err(Error::DeviceMismatch { op, lhs, rhs });
        }
        if value.dtype() != dtype {
            return Err(Error::DtypeMismatch { op, lhs: dtype, rhs: value.dtype() });
        }
        #[cfg(feature = "emulation")]
        graph::emulated(|graph| graph.keep(value));
        let (storage, layout) = value.storage_and_layout();
        Ok(start_of(&storage)? + (layout.start_offset() * dtype.size_in_bytes()) as Address)
    }

    fn address(&self, value: &Value, dtype: DType) -> Result<Address> {
        if value.layout().contiguous_offsets().is_none() {
            return Err(Error::invalid(self.op, "an operand with gaps"));
        }
        Self { dtype, ..*self }.first(value)
    }
}

macro_rules! first_element {
    ($elements:expr, $Kind:ident, $slice:ident => $address:expr) => {
        match $elements {
            $Kind::F32($slice) => Ok($address),
            $Kind::F64($slice) => Ok($address),
            $Kind::BF16($slice) => Ok($address),
            $Kind::F16($slice) => Ok($address),
            $Kind::I64($slice) => Ok($address),
            $Kind::U32($slice) => Ok($address),
            $Kind::U8($slice) => Ok($address),
            _ => Err(Error::invalid("address", "an element type that kernels do not know")),
        }
    };
}

fn start_of(storage: &Storage) -> Result<Address> {
    match storage {
        Storage::Cpu(storage) => first_element!(storage, CpuStorage, slice => slice.as_ptr() as Address),
        #[cfg(feature = "cuda")]
        Storage::Cuda(storage) => {
            use candle_core::cuda::cudarc::driver::DevicePtr;
            let stream = storage.device.cuda_stream();
            // One stream does everything in order, so there is nothing to wait for.
            first_element!(&storage.slice, CudaStorageSlice, slice => slice.device_ptr(&stream).0)
        }
        _ => Err(Error::invalid("address", "a device that has no bodies")),
    }
}

fn start_of_mut(storage: &mut Storage) -> Result<Address> {
    match storage {
        Storage::Cpu(storage) => cpu_start(storage),
        #[cfg(feature = "cuda")]
        Storage::Cuda(storage) => cuda_start(storage),
        _ => Err(Error::invalid("address", "a device that has no bodies")),
    }
}

/// The address of elements on the CPU that a kernel changes in place.
pub(super) fn cpu_start(storage: &mut CpuStorage) -> Result<Address> {
    first_element!(storage, CpuStorage, slice => slice.as_mut_ptr() as Address)
}

/// The address of elements on a device that a kernel changes in place.
#[cfg(feature = "cuda")]
pub(super) fn cuda_start(storage: &mut candle_core::CudaStorage) -> Result<Address> {
    use candle_core::cuda::cudarc::driver::DevicePtrMut;
    let stream = storage.device.cuda_stream();
    first_element!(&mut storage.slice, CudaStorageSlice, slice => slice.device_ptr_mut(&stream).0)
}
