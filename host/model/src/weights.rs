//! Tensors out of safetensors files: found, checked and converted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use memmap2::{Mmap, UncheckedAdvice};
use rayon::prelude::*;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use swift_tensor::fused::Weight;
use swift_tensor::{DType, Device, Staging, Tensor, Value};

use crate::config::{read_object, require_folder};
use crate::microscaled::take_stack;
use crate::pattern::matches;
use crate::quantised::{Quantisation, take_quantised};
use crate::{Error, Result};

/// The weights of a small model.
pub(crate) const WEIGHTS_FILE: &str = "model.safetensors";
/// The list of the files of a large one.
pub(crate) const INDEX_FILE: &str = "model.safetensors.index.json";

/// The safetensors files of a Hugging Face folder, in the order of their names: `model.safetensors`, or else what
/// `model.safetensors.index.json` lists.
///
/// # Errors
/// If there is no such folder, neither file is in it, or a listed file is not.
pub fn weight_files(folder: &Path) -> Result<Vec<PathBuf>> {
    require_folder(folder)?;
    let single = folder.join(WEIGHTS_FILE);
    let index = folder.join(INDEX_FILE);
    if single.exists() || !index.exists() {
        return match single.exists() {
            true => Ok(vec![single]),
            false => Err(Error::FileMissing { folder: folder.into(), file: WEIGHTS_FILE.into() }),
        };
    }
    let entries = read_object(&index)?;
    let map = entries.get("weight_map").and_then(|map| map.as_object());
    let map = map.ok_or_else(|| Error::json(&index, "it has no entry `weight_map`"))?;
    let names: Option<BTreeSet<&str>> = map.values().map(|name| name.as_str()).collect();
    let names = names.ok_or_else(|| Error::json(&index, "`weight_map` has a value that is no file name"))?;
    if let Some(missing) = names.iter().find(|name| !folder.join(name).exists()) {
        return Err(Error::FileMissing { folder: folder.into(), file: (*missing).into() });
    }
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// A tensor that a model needs.
pub(crate) struct Expected {
    /// Its name in the files.
    pub(crate) name: String,
    /// Its shape.
    pub(crate) shape: Vec<usize>,
}

/// Reads weights as [`read_tensors`] does, except that each becomes what is said beside it. What bitsandbytes has quantised
/// stays as it is, and stacks in MXFP4 become dense.
///
/// # Errors
/// As [`read_tensors`].
pub(crate) fn read_weights(
    root: &Path,
    files: &[PathBuf],
    expected: Vec<(Expected, Option<Quantisation>)>,
    ignored: &[String],
    dtype: DType,
    device: &Device,
) -> Result<Vec<Weight>> {
    let maps = files.iter().map(|path| map_file(path)).collect::<Result<Vec<_>>>()?;
    let mut found = find(files, &maps)?;
    let mut staging = Staging::new(device);
    let (mut weights, mut places) = (Vec::with_capacity(expected.len()), Vec::new());
    let (mut others, mut quantisations) = (Vec::new(), Vec::new());
    for (place, (expected, quantisation)) in expected.into_iter().enumerate() {
        let Expected { name, shape } = &expected;
        let weight = match take_quantised(&mut found, name, shape, &mut staging)? {
            None => take_stack(&mut found, name, shape, dtype, device)?,
            packed => packed,
        };
        if weight.is_none() {
            places.push(place);
            others.push(expected);
            quantisations.push(quantisation);
        }
        weights.push(weight);
    }
    let found = check(root, found, &others, ignored)?;
    for ((place, stored), quantisation) in places.into_iter().zip(&found).zip(quantisations) {
        let weight = match quantisation {
            Some(quantisation) => quantisation.of(stored, &mut staging)?,
            None => Tensor::constant(decode(stored, dtype, &mut staging)?).into(),
        };
        if let Some(missing) = weights.get_mut(place) {
            *missing = Some(weight);
        }
    }
    Ok(weights.into_iter().flatten().collect())
}

/// Reads the tensors `expected`, in their order, out of `files` as `dtype`. `root` is what messages call the files as a
/// whole; `ignored` are patterns of names that may be there besides.
///
/// # Errors
/// If a file is broken, or a tensor is missing, unknown, or of another shape or an unsupported type.
pub(crate) fn read_tensors(
    root: &Path,
    files: &[PathBuf],
    expected: &[Expected],
    ignored: &[String],
    dtype: DType,
    device: &Device,
) -> Result<Vec<Value>> {
    let maps = files.iter().map(|path| map_file(path)).collect::<Result<Vec<_>>>()?;
    let found = check(root, find(files, &maps)?, expected, ignored)?;
    let mut staging = Staging::new(device);
    found.iter().map(|stored| decode(stored, dtype, &mut staging)).collect()
}

/// The tensors of all files.
fn find<'a>(files: &'a [PathBuf], maps: &'a [Mmap]) -> Result<BTreeMap<String, Stored<'a>>> {
    let mut found = BTreeMap::new();
    for (path, map) in files.iter().zip(maps) {
        found.extend(tensors_of(path, map)?);
    }
    Ok(found)
}

/// Whether a tensor of this name is in one of the files.
///
/// # Errors
/// If a file can't be read or is broken.
pub(crate) fn has_tensor(files: &[PathBuf], name: &str) -> Result<bool> {
    for path in files {
        let map = map_file(path)?;
        let (_, metadata) = SafeTensors::read_metadata(&map)
            .map_err(|error| Error::Corrupt { path: path.clone(), message: error.to_string() })?;
        if metadata.info(name).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A file that is looked into without being read as a whole.
pub(crate) fn open(path: &Path) -> Result<Mmap> {
    map_file(path)
}

/// The tensors of a mapped file, in the order of their names.
///
/// # Errors
/// If the file is broken.
pub(crate) fn tensors_of<'a>(path: &'a Path, map: &'a Mmap) -> Result<BTreeMap<String, Stored<'a>>> {
    let tensors = SafeTensors::deserialize(map)
        .map_err(|error| Error::Corrupt { path: path.into(), message: error.to_string() })?;
    Ok(tensors.tensors().into_iter().map(|(name, view)| (name, Stored { path, map, view })).collect())
}

/// A tensor in a mapped file.
pub(crate) struct Stored<'a> {
    path: &'a Path,
    map: &'a Mmap,
    view: TensorView<'a>,
}

impl Stored<'_> {
    /// Its element type in the file.
    pub(crate) fn dtype(&self) -> Dtype {
        self.view.dtype()
    }

    /// Its shape.
    pub(crate) fn shape(&self) -> &[usize] {
        self.view.shape()
    }

    /// Whether it is of numbers that can be converted to other types of numbers.
    pub(crate) fn is_readable(&self) -> bool {
        READABLE.contains(&self.view.dtype())
    }

    /// Its elements as `dtype`.
    ///
    /// # Errors
    /// If they are of a type that is not read.
    pub(crate) fn value(&self, name: &str, dtype: DType, device: &Device) -> Result<Value> {
        if self.is_readable() {
            return decode(self, dtype, &mut Staging::new(device));
        }
        let (path, name) = (self.path.into(), name.to_owned());
        Err(Error::TensorType { path, name, dtype: self.view.dtype().to_string() })
    }

    /// Writes its bytes as they are.
    ///
    /// # Errors
    /// If they can't be written.
    pub(crate) fn copy(&self, writer: &mut impl std::io::Write) -> std::io::Result<()> {
        /// Bytes that are written at a time, and then given back.
        const CHUNK: usize = 1 << 20;
        for bytes in self.view.data().chunks(CHUNK) {
            writer.write_all(bytes)?;
            self.release(bytes);
        }
        Ok(())
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.view.data()
    }

    /// Its elements, if they are `float32`.
    pub(crate) fn numbers(&self) -> Vec<f32> {
        self.view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }

    /// The error that says what is wrong with it.
    pub(crate) fn corrupt(&self, message: String) -> Error {
        Error::Corrupt { path: self.path.into(), message }
    }

    /// Writes the elements from one on, and gives back the memory of what has been read.
    pub(crate) fn fill(&self, first: usize, into: &mut [f32]) {
        match self.view.dtype() {
            Dtype::F64 => self.fill_by(first, into, |bytes| f64::from_le_bytes(bytes) as f32),
            Dtype::F16 => self.fill_by(first, into, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Dtype::BF16 => self.fill_by(first, into, |bytes| bf16::from_le_bytes(bytes).to_f32()),
            _ => self.fill_by(first, into, f32::from_le_bytes),
        }
    }

    fn fill_by<const N: usize>(&self, first: usize, into: &mut [f32], element: impl Fn([u8; N]) -> f32) {
        /// Bytes that are given back together: rows alone are too short to be worth a call of the system.
        const MANY: usize = 1 << 18;
        let (start, end) = (first * N, (first + into.len()) * N);
        let bytes = self.view.data().get(start..end).unwrap_or_default();
        into.iter_mut().zip(bytes.as_chunks().0).for_each(|(into, bytes)| *into = element(*bytes));
        if start / MANY < end / MANY {
            self.release(self.view.data().get(start / MANY * MANY..end).unwrap_or_default());
        }
    }

    /// Gives the memory of all of it back.
    pub(crate) fn release_all(&self) {
        self.release(self.view.data());
    }

    /// Gives the memory of `bytes`, a part of the tensor that has been read, back to the system: the file and its copy
    /// together would take twice the memory of the model.
    pub(crate) fn release(&self, bytes: &[u8]) {
        let offset = bytes.as_ptr().addr() - self.map.as_ptr().addr();
        #[expect(unsafe_code, reason = "the advice is unsafe for maps that can be written to")]
        // SAFETY: the map is of a file and read-only, so pages that are given back are read from the file again when they
        // are next looked at. `bytes` is a part of the map.
        let released =
            unsafe { self.map.unchecked_advise_range(UncheckedAdvice::DontNeed, offset, bytes.len()) };
        // It is advice: where the system doesn't take it, the pages stay.
        _ = released;
    }
}

fn map_file(path: &Path) -> Result<Mmap> {
    let file = File::open(path).map_err(Error::read(path))?;
    #[expect(
        unsafe_code,
        reason = "a memory map is the way to read gigabytes without a second copy in memory"
    )]
    // SAFETY: the map is read-only and dropped before this module's caller returns. Another process that shortened the
    // file meanwhile would end this one; files of a model in use are not written to by anything here, which replaces
    // files by renaming.
    let map = unsafe { Mmap::map(&file) };
    map.map_err(Error::read(path))
}

/// Brings what was found into the order of what is expected.
fn check<'a>(
    root: &Path,
    mut found: BTreeMap<String, Stored<'a>>,
    expected: &[Expected],
    ignored: &[String],
) -> Result<Vec<Stored<'a>>> {
    let (mut missing, mut misshapen, mut fitting) = (Vec::new(), Vec::new(), Vec::new());
    for expected in expected {
        match found.remove(&expected.name) {
            None => missing.push(expected),
            Some(stored) if stored.view.shape() != expected.shape => misshapen.push((stored, expected)),
            Some(Stored { path, view, .. }) if !READABLE.contains(&view.dtype()) => {
                let (path, name) = (path.into(), expected.name.clone());
                return Err(Error::TensorType { path, name, dtype: view.dtype().to_string() });
            }
            Some(stored) => fitting.push(stored),
        }
    }
    if let Some(first) = missing.first() {
        let (path, name) = (root.into(), first.name.clone());
        return Err(Error::TensorMissing { path, name, more: missing.len() - 1 });
    }
    if let Some((Stored { path, view, .. }, expected)) = misshapen.first() {
        return Err(Error::TensorShape {
            path: path.to_path_buf(),
            name: expected.name.clone(),
            got: view.shape().to_vec(),
            expected: expected.shape.clone(),
            more: misshapen.len() - 1,
        });
    }
    let known = |name: &str| ignored.iter().any(|pattern| matches(pattern, name));
    let unexpected: Vec<_> = found.into_iter().filter(|(name, _)| !known(name)).collect();
    match unexpected.first() {
        None => Ok(fitting),
        Some((name, stored)) => Err(Error::TensorUnexpected {
            path: stored.path.to_path_buf(),
            name: name.clone(),
            more: unexpected.len() - 1,
        }),
    }
}

const READABLE: [Dtype; 4] = [Dtype::F32, Dtype::F16, Dtype::BF16, Dtype::F64];

fn decode(stored: &Stored<'_>, dtype: DType, staging: &mut Staging) -> Result<Value> {
    let shape = stored.view.shape();
    let value = match dtype {
        DType::F32 => staging.value(shape, |first, into| fill(stored, first, into, |x| x, |x| x as f32)),
        DType::F64 => staging.value(shape, |first, into| fill(stored, first, into, f64::from, |x| x)),
        DType::BF16 => {
            staging.value(shape, |first, into| fill(stored, first, into, bf16::from_f32, bf16::from_f64))
        }
        DType::F16 => {
            staging.value(shape, |first, into| fill(stored, first, into, f16::from_f32, f16::from_f64))
        }
        other => {
            let what = format!("element type `{}`", other.as_str());
            return Err(swift_tensor::Error::Unsupported { op: "load", what }.into());
        }
    };
    Ok(value?)
}

/// Writes the elements from one on, through `f32` where that holds them exactly, else through `f64`.
fn fill<T: Send>(
    stored: &Stored<'_>,
    first: usize,
    into: &mut [T],
    narrow: impl Fn(f32) -> T + Sync,
    wide: impl Fn(f64) -> T + Sync,
) {
    match stored.view.dtype() {
        Dtype::F64 => convert(stored, first, into, |b| wide(f64::from_le_bytes(b))),
        Dtype::F16 => convert(stored, first, into, |b| narrow(f16::from_le_bytes(b).to_f32())),
        Dtype::BF16 => convert(stored, first, into, |b| narrow(bf16::from_le_bytes(b).to_f32())),
        _ => convert(stored, first, into, |b| narrow(f32::from_le_bytes(b))),
    }
}

fn convert<const N: usize, T: Send>(
    stored: &Stored<'_>,
    first: usize,
    into: &mut [T],
    element: impl Fn([u8; N]) -> T + Sync,
) {
    /// Elements that one thread converts at a time, and then gives back.
    const CHUNK: usize = 1 << 18;
    let bytes = stored.view.data().get(first * N..(first + into.len()) * N).unwrap_or_default();
    into.par_chunks_mut(CHUNK).zip(bytes.par_chunks(CHUNK * N)).for_each(|(elements, bytes)| {
        for (x, bytes) in elements.iter_mut().zip(bytes.as_chunks::<N>().0) {
            *x = element(*bytes);
        }
        stored.release(bytes);
    });
    // Reading one part may have brought back pages of a neighbour that was done before.
    stored.release(bytes);
}
