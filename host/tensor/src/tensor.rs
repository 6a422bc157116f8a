use std::sync::Arc;

use candle_core::{DType, Tensor as Value};

use crate::reading::read_back;
use crate::tape::Node;
use crate::{ParameterId, Result};

/// An n-dimensional array that remembers how it was computed, if something upstream wants a gradient.
///
/// Cheap to clone: both parts are shared. The operations are methods, each in the file of its family under `ops/`; their
/// meaning is that of the contract's `tensor` interface. Binary operations broadcast as NumPy does.
#[derive(Clone)]
pub struct Tensor {
    value: Value,
    node: Option<Arc<Node>>,
}

impl Tensor {
    /// A tensor without gradient.
    pub fn constant(value: Value) -> Self {
        Self { value, node: None }
    }

    /// A leaf whose gradient `backward` hands to the sink under `id`.
    pub fn parameter(value: Value, id: ParameterId) -> Self {
        Self { value, node: Some(Node::parameter(id)) }
    }

    pub(crate) fn with_node(value: Value, node: Arc<Node>) -> Self {
        Self { value, node: Some(node) }
    }

    pub(crate) fn node(&self) -> Option<&Arc<Node>> {
        self.node.as_ref()
    }

    /// The array itself.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The size of each dimension; empty for a scalar.
    pub fn dims(&self) -> &[usize] {
        self.value.dims()
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.value.dtype()
    }

    /// The number of elements.
    pub fn elem_count(&self) -> usize {
        self.value.elem_count()
    }

    /// Whether `backward` from here would reach something.
    pub fn requires_grad(&self) -> bool {
        self.node.is_some()
    }

    /// The same values, cut off from what they were computed from.
    pub fn detach(&self) -> Self {
        Self::constant(self.value.clone())
    }

    /// All elements in row-major order.
    ///
    /// # Errors
    /// If the elements can't be read.
    pub fn to_list(&self) -> Result<Vec<f64>> {
        read_back(&self.value.to_dtype(DType::F64)?)
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Tensor({:?} {:?}{})",
            self.dtype(),
            self.dims(),
            if self.node.is_some() { ", grad" } else { "" }
        )
    }
}
