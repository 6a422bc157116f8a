//! Weights of few bits: made while they are read, or read as bitsandbytes stores them.

use std::collections::BTreeMap;

use safetensors::Dtype;
use serde_json::{Value, json};
use swift_tensor::Staging;
use swift_tensor::fused::Weight;
use swift_tensor::quantised::nf4::{self, NESTED, NESTED_BLOCK, NF4, Scales};
use swift_tensor::quantised::{Matrix, int8};

use crate::Result;
use crate::weights::Stored;

/// The methods by which weights may have been quantised that are read, as `quantization_config` names them.
const READ: [&str; 2] = ["bitsandbytes", "mxfp4"];

/// Whether weights that were quantised as a `quantization_config` says it are read, so that a definition need not know of it.
pub(crate) fn is_read(quantization_config: &Value) -> bool {
    let method = quantization_config.get("quant_method").and_then(Value::as_str);
    method.is_some_and(|method| READ.contains(&method))
}

/// Elements that share a magnitude, as in bitsandbytes.
const BLOCK: usize = 64;

/// What linear weights, all but the head's, become while they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantisation {
    /// 4-bit NormalFloat in blocks of 64 (Dettmers et al. 2023, "QLoRA").
    Nf4 {
        /// Whether the blocks' magnitudes are quantised too.
        double: bool,
    },
    /// 8 bits and a scale for each row (Dettmers et al. 2022, "LLM.int8()"). Inputs are not quantised.
    Int8,
}

impl Quantisation {
    /// Quantises a matrix without making it whole first.
    pub(crate) fn of(self, stored: &Stored<'_>, staging: &mut Staging) -> Result<Weight> {
        let &[rows, columns] = stored.shape() else {
            let what = format!("a weight of the shape {:?}", stored.shape());
            return Err(swift_tensor::Error::Unsupported { op: "quantise", what }.into());
        };
        let fill = |first: usize, into: &mut [f32]| stored.fill(first, into);
        let matrix = match self {
            Self::Nf4 { double } => {
                let options = nf4::Options { block: BLOCK, double };
                let matrix = nf4::Matrix::quantise_with(rows, columns, options, fill);
                Matrix::Nf4(matrix.map_err(swift_tensor::Error::from)?)
            }
            Self::Int8 => Matrix::Int8(int8::Matrix::quantise_with(rows, columns, fill)),
        };
        stored.release_all();
        Ok(Weight::quantised(matrix, staging)?)
    }
}

/// The end of the name of what bitsandbytes writes beside the numbers of a matrix, JSON in bytes, before the type.
const STATE: &str = "quant_state.bitsandbytes__";

/// Takes the matrix `name` with all that belongs to it out of what was found, if bitsandbytes has quantised it.
///
/// # Errors
/// If it is of another type than NF4, of another shape, or broken, or the device has no room for it.
pub(crate) fn take_quantised(
    found: &mut BTreeMap<String, Stored<'_>>,
    name: &str,
    shape: &[usize],
    staging: &mut Staging,
) -> Result<Option<Weight>> {
    let beginning = format!("{name}.");
    let mut parts = found.split_off(&beginning);
    // What follows a full stop.
    found.append(&mut parts.split_off(&format!("{name}/")));
    let is_state = |name: &String| name.starts_with(&format!("{beginning}{STATE}"));
    let Some(packed) = found.get(name).filter(|_| parts.keys().any(is_state)) else {
        found.append(&mut parts);
        return Ok(None);
    };
    let corrupt = |message: &str| packed.corrupt(format!("`{name}`, in 4 bits, {message}"));
    let part = |part: &str, dtype: Dtype| {
        parts.get(&format!("{beginning}{part}")).filter(|stored| stored.dtype() == dtype)
    };
    let numbers = |name: &str| part(name, Dtype::F32).map(Stored::numbers).unwrap_or_default();
    let state = part(&format!("{STATE}nf4"), Dtype::U8)
        .ok_or_else(|| corrupt("is of another type than `nf4`, which alone is supported"))?;
    let state: Value = serde_json::from_slice(state.bytes()).map_err(|error| corrupt(&error.to_string()))?;
    let size = |key: &str| state.get(key).and_then(Value::as_u64).unwrap_or_default() as usize;
    if state.get("shape") != Some(&json!(shape)) {
        return Err(corrupt(&format!("has another shape than {shape:?}")));
    }
    let (&[rows, columns], Dtype::U8) = (shape, packed.dtype()) else {
        return Err(corrupt("is no matrix of bytes"));
    };
    if !close(&numbers("quant_map"), &NF4) {
        return Err(corrupt("has other values than those of `nf4`"));
    }
    let scales = match (part("absmax", Dtype::U8), state.get("nested_offset").and_then(Value::as_f64)) {
        (Some(codes), Some(offset)) => {
            if size("nested_blocksize") != NESTED_BLOCK || !close(&numbers("nested_quant_map"), &*NESTED) {
                return Err(corrupt("has magnitudes that are quantised in another way"));
            }
            let (codes, magnitudes) = (codes.bytes().to_vec(), numbers("nested_absmax"));
            Scales::Quantised { codes, magnitudes, offset: offset as f32 }
        }
        _ => Scales::Plain(numbers("absmax")),
    };
    let matrix = nf4::Matrix::new(packed.bytes().to_vec(), scales, rows, columns, size("blocksize"));
    let matrix = matrix.map_err(|error| corrupt(&error.to_string()))?;
    found.remove(name);
    Ok(Some(Weight::quantised(Matrix::Nf4(matrix), staging)?))
}

/// Whether values are the same but for their last bits.
fn close(got: &[f32], want: &[f32]) -> bool {
    got.len() == want.len() && got.iter().zip(want).all(|(got, want)| (got - want).abs() <= 1e-6)
}
