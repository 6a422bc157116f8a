//! Files that are either there as a whole or not at all.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use candle_core::{CpuStorage, Storage};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use swift_tensor::{DType, Value};

use crate::{Error, Result};

/// Writes a file beside `path`, brings it to the disk, and renames it to `path`. After a crash at any moment `path` is
/// what it was before or what it was to become.
///
/// # Errors
/// If the operating system can't; nothing is left behind then.
pub(crate) fn write_file(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<&File>) -> std::io::Result<()>,
) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".partial");
    let beside = path.with_file_name(name);
    let write = || {
        let file = File::create(&beside)?;
        let mut writer = BufWriter::with_capacity(1 << 20, &file);
        content(&mut writer)?;
        writer.flush()?;
        drop(writer);
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        // The new name itself lies in the folder.
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    write().map_err(|cause| {
        // The first error is the one that matters.
        let _ = std::fs::remove_file(&beside);
        Error::Write { path: path.into(), cause }
    })
}

/// Writes named tensors as a safetensors file, atomically and in the order of their names.
///
/// # Errors
/// If a tensor is of a type other than `float32`, `float64`, `bfloat16`, `float16`, or if the file can't be written.
pub fn write_tensors(path: &Path, tensors: &BTreeMap<String, Value>) -> Result<()> {
    let plan = |(name, value): (&String, &Value)| {
        Ok(Planned { name: name.clone(), dtype: stored_type(value.dtype())?, shape: value.dims().to_vec() })
    };
    let plans = tensors.iter().map(plan).collect::<Result<Vec<_>>>()?;
    let mut values = tensors.values();
    write_planned(path, &plans, |writer, _| {
        values.next().map_or(Ok(()), |value| write_elements(writer, value)).map_err(Error::write(path))
    })
}

/// A tensor that is about to be written.
pub(crate) struct Planned {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
}

impl Planned {
    /// How much room its elements take.
    pub(crate) fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.bitsize() / 8
    }
}

/// Writes a safetensors file whose tensors are made one after the other, so that no two need to be in memory.
///
/// # Errors
/// Those of `content`, or if the file can't be written.
pub(crate) fn write_planned(
    path: &Path,
    plans: &[Planned],
    mut content: impl FnMut(&mut BufWriter<&File>, &Planned) -> Result<()>,
) -> Result<()> {
    let mut offset = 0;
    let mut infos = Vec::with_capacity(plans.len());
    for plan in plans {
        let start = offset;
        offset += plan.bytes();
        let info = TensorInfo { dtype: plan.dtype, shape: plan.shape.clone(), data_offsets: (start, offset) };
        infos.push((plan.name.clone(), info));
    }
    // PyTorch's readers ask for this entry.
    let about = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let other = |error: &dyn std::fmt::Display| Error::Tensor(swift_tensor::Error::Other(error.to_string()));
    let metadata = Metadata::new(Some(about), infos).map_err(|error| other(&error))?;
    let mut header = serde_json::to_vec(&metadata).map_err(|error| other(&error))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    // What made a tensor impossible says more than that the file can't be written.
    let mut failed = None;
    let written = write_file(path, |writer| {
        writer.write_all(&(header.len() as u64).to_le_bytes())?;
        writer.write_all(&header)?;
        plans.iter().try_for_each(|plan| {
            content(writer, plan).map_err(|error| {
                let message = error.to_string();
                failed = Some(error);
                std::io::Error::other(message)
            })
        })
    });
    match failed {
        Some(error) => Err(error),
        None => written,
    }
}

pub(crate) fn stored_type(dtype: DType) -> Result<Dtype> {
    match dtype {
        DType::F16 => Ok(Dtype::F16),
        DType::F32 => Ok(Dtype::F32),
        DType::F64 => Ok(Dtype::F64),
        DType::BF16 => Ok(Dtype::BF16),
        other => Err(unsupported(format!("element type `{}`", other.as_str())).into()),
    }
}

fn unsupported(what: String) -> swift_tensor::Error {
    swift_tensor::Error::Unsupported { op: "save", what }
}

pub(crate) fn write_elements(writer: &mut impl Write, value: &Value) -> std::io::Result<()> {
    // A file is written from the host's memory.
    let value = value.to_device(&swift_tensor::Device::Cpu).and_then(|value| value.contiguous());
    let value = value.map_err(std::io::Error::other)?;
    let (storage, layout) = value.storage_and_layout();
    let range = layout.start_offset()..layout.start_offset() + value.elem_count();
    match &*storage {
        Storage::Cpu(CpuStorage::F32(all)) => write_slice(writer, all.get(range), |x| x.to_le_bytes()),
        Storage::Cpu(CpuStorage::F64(all)) => write_slice(writer, all.get(range), |x| x.to_le_bytes()),
        Storage::Cpu(CpuStorage::F16(all)) => write_slice(writer, all.get(range), |x| x.to_le_bytes()),
        Storage::Cpu(CpuStorage::BF16(all)) => write_slice(writer, all.get(range), |x| x.to_le_bytes()),
        _ => Err(std::io::Error::other(unsupported("a device other than the CPU".into()))),
    }
}

fn write_slice<T: Copy, const N: usize>(
    writer: &mut impl Write,
    elements: Option<&[T]>,
    bytes: impl Fn(T) -> [u8; N],
) -> std::io::Result<()> {
    let elements = elements.ok_or_else(|| std::io::Error::other("the layout exceeds the storage"))?;
    const CHUNK: usize = 1 << 13;
    let mut buffer = vec![0; CHUNK * N];
    for chunk in elements.chunks(CHUNK) {
        for (place, &x) in buffer.as_chunks_mut::<N>().0.iter_mut().zip(chunk) {
            *place = bytes(x);
        }
        writer.write_all(buffer.get(..chunk.len() * N).unwrap_or_default())?;
    }
    Ok(())
}
