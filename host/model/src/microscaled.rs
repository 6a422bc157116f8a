//! Stacks of matrices in MXFP4, 4 bits an element and a power of two for each 32 (Open Compute Project 2023, "OCP Microscaling
//! Formats", version 1.0, section 5.3), made dense while they are read.

use std::collections::BTreeMap;

use half::{bf16, f16};
use rayon::prelude::*;
use safetensors::Dtype;
use swift_tensor::fused::Weight;
use swift_tensor::{DType, Device, Tensor, Value};

use crate::Result;
use crate::weights::Stored;

/// Elements that share a power of two.
const BLOCK: usize = 32;
/// Bytes of a block. The lower four bits are the element that comes first.
const BYTES: usize = BLOCK / 2;
/// What four bits stand for: a sign, two bits of exponent, one of mantissa.
const NUMBERS: [f64; 16] =
    [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0];
/// What a scale of no number is stored as.
const NO_NUMBER: u8 = u8::MAX;

/// Takes the stack `name` `[layers, in, out]` out of what was found, if it is there as `NAME_blocks` `[layers, out, in / 32, 16]` and
/// `NAME_scales` `[layers, out, in / 32]`, as gpt-oss is published, and gives its elements as `dtype`.
///
/// # Errors
/// If it is of another shape, or a scale is no number.
pub(crate) fn take_stack(
    found: &mut BTreeMap<String, Stored<'_>>,
    name: &str,
    shape: &[usize],
    dtype: DType,
    device: &Device,
) -> Result<Option<Weight>> {
    let names = [format!("{name}_blocks"), format!("{name}_scales")];
    if found.contains_key(name) || !names.iter().all(|name| found.contains_key(name)) {
        return Ok(None);
    }
    let [Some(blocks), Some(scales)] = names.map(|name| found.remove(&name)) else { return Ok(None) };
    let corrupt = |what: &str| blocks.corrupt(format!("`{name}`, in MXFP4, {what}"));
    let &[layers, inputs, outputs] = shape else { return Err(corrupt("is no stack of matrices")) };
    let groups = inputs / BLOCK;
    let fits =
        blocks.shape() == [layers, outputs, groups, BYTES] && scales.shape() == [layers, outputs, groups];
    if !fits
        || !inputs.is_multiple_of(BLOCK)
        || [&blocks, &scales].iter().any(|part| part.dtype() != Dtype::U8)
    {
        return Err(corrupt(&format!("does not have the blocks and scales of the shape {shape:?}")));
    }
    if scales.bytes().contains(&NO_NUMBER) {
        return Err(corrupt("has a scale that is no number"));
    }
    let value = match dtype {
        DType::F32 => {
            Value::from_vec(dense(&blocks, &scales, [inputs, outputs], |x| x as f32), shape, device)?
        }
        DType::F64 => Value::from_vec(dense(&blocks, &scales, [inputs, outputs], |x| x), shape, device)?,
        DType::BF16 => {
            Value::from_vec(dense(&blocks, &scales, [inputs, outputs], bf16::from_f64), shape, device)?
        }
        DType::F16 => {
            Value::from_vec(dense(&blocks, &scales, [inputs, outputs], f16::from_f64), shape, device)?
        }
        other => {
            let what = format!("element type `{}`", other.as_str());
            return Err(swift_tensor::Error::Unsupported { op: "load", what }.into());
        }
    };
    Ok(Some(Tensor::constant(value).into()))
}

/// All elements, `[layers, in, out]`.
fn dense<T: Copy + Default + Send + Sync>(
    blocks: &Stored<'_>,
    scales: &Stored<'_>,
    [inputs, outputs]: [usize; 2],
    element: impl Fn(f64) -> T + Sync,
) -> Vec<T> {
    /// Outputs that are written beside each other at a time, so that lines of the memory are written whole.
    const TOGETHER: usize = 64;
    let groups = inputs / BLOCK;
    let (block_bytes, scale_bytes) = (blocks.bytes(), scales.bytes());
    let mut elements = vec![T::default(); block_bytes.len() * 2];
    let size = (inputs * outputs).max(1);
    let parts = block_bytes.par_chunks((size / 2).max(1)).zip(scale_bytes.par_chunks((size / BLOCK).max(1)));
    elements.par_chunks_mut(size).zip(parts).for_each(|(elements, (layer, scales))| {
        for (first, rows) in layer.chunks(TOGETHER * groups * BYTES).enumerate() {
            for group in 0..groups {
                let rows = rows.chunks_exact(groups * BYTES).zip(first * TOGETHER..);
                for (row, output) in rows {
                    let scale = scales.get(output * groups + group).copied().unwrap_or_default();
                    let scale = 2f64.powi(i32::from(scale) - 127);
                    let numbers = NUMBERS.map(|number| element(number * scale));
                    let bytes = row.get(group * BYTES..(group + 1) * BYTES).unwrap_or_default();
                    let codes = bytes.iter().flat_map(|byte| [byte & 15, byte >> 4]);
                    for (code, input) in codes.zip(group * BLOCK..) {
                        let place = elements.get_mut(input * outputs + output);
                        if let (Some(place), Some(&number)) = (place, numbers.get(usize::from(code))) {
                            *place = number;
                        }
                    }
                }
            }
        }
        blocks.release(layer);
    });
    [blocks, scales].iter().for_each(|part| part.release_all());
    elements
}
