//! Tensors with a tape.
//!
//! candle supplies storage, element types and devices; this crate supplies operations with gradients. A [`Tensor`] is a
//! candle tensor plus, when something upstream requires a gradient, a node of the tape. [`backward`] walks the nodes from
//! the last made to the first, frees each with what it saved as soon as it has been visited, and hands the gradients of
//! parameters to a [`GradientSink`] that the caller owns.
//!
//! Every operation has a vector-Jacobian product or is marked as not differentiable; asking for a gradient through one of
//! the latter is an error that names it. Results do not depend on the number of threads.
//!
//! ```
//! use swift_tensor::{DType, GradientSink, ParameterId, Result, Tensor, Value, backward, from_list};
//!
//! struct Print;
//! impl GradientSink for Print {
//!     fn accumulate(&mut self, id: ParameterId, gradient: &Value) -> Result<()> {
//!         assert_eq!((id.0, gradient.to_vec1::<f64>()?), (7, vec![6.0, 8.0]));
//!         Ok(())
//!     }
//! }
//!
//! let start = from_list(&[3.0, 4.0], &[2], DType::F64)?;
//! let x = Tensor::parameter(start.value().clone(), ParameterId(7));
//! let loss = x.mul(&x)?.sum(&[], false)?;
//! assert_eq!(loss.to_list()?, [25.0]);
//! backward(&loss, &mut Print)?;
//! # Ok::<(), swift_tensor::Error>(())
//! ```

mod checkpoint;
mod checks;
#[cfg(any(feature = "cuda", feature = "emulation"))]
mod cuda;
mod device;
mod error;
pub mod fused;
mod graph;
mod host_numbers;
mod ops;
mod optimizer;
mod reading;
mod staging;
mod storage;
mod tape;
mod tensor;
mod unread;
mod workers;

pub use candle_core::{DType, Device, Tensor as Value};

pub use swift_kernels::quantised;

pub use checkpoint::{Segment, checkpoint};
pub use checks::{DEFAULT_ELEMENT_LIMIT, with_element_limit};
pub use device::{current_device, device, set_tf32, with_device};
pub use error::{Error, Result};
pub use graph::{Graph, rehearse};
pub use host_numbers::HostNumbers;
pub use ops::{arange, cat, from_list, full, normal, stack, uniform};
pub use optimizer::{AdamW, AdamWState, Numbers, adamw_step, sums_of_squares};
pub use reading::{read_back, reads};
pub use staging::Staging;
pub use storage::{Zeroed, copy_into};
pub use tape::{GradientSink, ParameterId, backward, check_finite, no_grad};
pub use tensor::Tensor;
pub use workers::{with_awake_workers, with_workers};
