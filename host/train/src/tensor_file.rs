//! safetensors files, written and read one tensor at a time so that a state as large as the model never exists twice.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor as Value};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use crate::{Error, Result};

/// A header longer than this is a sign of damage.
const MAX_HEADER_BYTES: u64 = 100 << 20;

/// Writes named `float32` vectors, in their order.
///
/// # Errors
/// If the file can't be written.
pub(crate) fn write_vectors(path: &Path, vectors: &[(String, &[f32])]) -> Result<()> {
    let mut offset = 0;
    let info = |(name, elements): &(String, &[f32])| {
        let start = offset;
        offset += size_of_val(*elements);
        (
            name.clone(),
            TensorInfo { dtype: Dtype::F32, shape: vec![elements.len()], data_offsets: (start, offset) },
        )
    };
    let infos = vectors.iter().map(info).collect();
    let about = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let write = || {
        let metadata = Metadata::new(Some(about), infos).map_err(std::io::Error::other)?;
        let mut header = serde_json::to_vec(&metadata)?;
        header.resize(header.len().next_multiple_of(8), b' ');
        let file = File::create(path)?;
        let mut writer = BufWriter::with_capacity(1 << 20, &file);
        writer.write_all(&(header.len() as u64).to_le_bytes())?;
        writer.write_all(&header)?;
        for (_, elements) in vectors {
            elements.iter().try_for_each(|element| writer.write_all(&element.to_le_bytes()))?;
        }
        writer.flush()?;
        drop(writer);
        file.sync_all()
    };
    write().map_err(Error::write(path))
}

/// An open safetensors file.
pub(crate) struct TensorFile {
    path: PathBuf,
    file: File,
    metadata: Metadata,
    /// Where the first tensor begins.
    start: u64,
}

impl TensorFile {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// If it can't be read or its header is damaged.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(Error::read(path))?;
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(Error::read(path))?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER_BYTES {
            return Err(Error::damaged(path, "its header is damaged"));
        }
        let mut header = vec![0; length as usize];
        file.read_exact(&mut header).map_err(Error::read(path))?;
        let metadata = serde_json::from_slice(&header).map_err(|error| Error::damaged(path, error))?;
        Ok(Self { path: path.to_owned(), file, metadata, start: 8 + length })
    }

    /// Reads the tensor `name`; none if the file has no such tensor.
    ///
    /// # Errors
    /// If it can't be read or is of a type that is not computed with.
    pub(crate) fn tensor(&mut self, name: &str) -> Result<Option<Value>> {
        let Some(info) = self.metadata.info(name) else { return Ok(None) };
        let (start, end) = info.data_offsets;
        let dtype = match info.dtype {
            Dtype::F32 => DType::F32,
            Dtype::F64 => DType::F64,
            Dtype::BF16 => DType::BF16,
            Dtype::F16 => DType::F16,
            other => return Err(Error::damaged(&self.path, format!("`{name}` is of the type {other:?}"))),
        };
        let mut bytes = vec![0; end - start];
        self.file.seek(SeekFrom::Start(self.start + start as u64)).map_err(Error::read(&self.path))?;
        self.file.read_exact(&mut bytes).map_err(Error::read(&self.path))?;
        Ok(Some(Value::from_raw_buffer(&bytes, dtype, &info.shape, &Device::Cpu)?))
    }

    /// Reads the `float32` vector `name` of `length` elements.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>> {
        let missing =
            || Error::damaged(&self.path, format!("it has no vector `{name}` of {length} elements"));
        let right = |value: &Value| value.dtype() == DType::F32 && value.dims() == [length];
        let fitting =
            self.metadata.info(name).is_some_and(|info| info.dtype == Dtype::F32 && info.shape == [length]);
        if !fitting {
            return Err(missing());
        }
        let value = self.tensor(name)?.filter(right);
        value.map_or_else(|| Ok(Vec::new()), |value| Ok(value.to_vec1()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_come_back_bit_by_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let first = [1.0f32, f32::MIN_POSITIVE / 2.0, -0.0];
        write_vectors(&path, &[("b".into(), &first), ("a".into(), &[]), ("c".into(), &[7.0])]).unwrap();
        let mut file = TensorFile::open(&path).unwrap();
        let bits = |vector: Vec<f32>| vector.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(file.vector("b", 3).unwrap()), first.map(f32::to_bits));
        assert_eq!(file.vector("c", 1).unwrap(), [7.0]);
        assert_eq!(file.vector("a", 0).unwrap(), [0.0f32; 0]);
        assert!(file.vector("b", 4).unwrap_err().to_string().contains("no vector `b` of 4 elements"));
        assert!(file.tensor("d").unwrap().is_none());
    }

    #[test]
    fn a_truncated_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        write_vectors(&path, &[("a".into(), &[1.0, 2.0])]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let error = TensorFile::open(&path).unwrap().vector("a", 2).unwrap_err();
        assert!(error.to_string().contains("x.safetensors"), "{error}");
        std::fs::write(&path, [255; 20]).unwrap();
        assert!(TensorFile::open(&path).is_err());
    }
}
