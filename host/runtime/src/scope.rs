//! The tensors that a plugin holds during one call.

use swift_tensor::Tensor;
use wasmtime::component::Resource;

use crate::bindings::tensor::Tensor as Handle;

/// A table of tensors that lasts for one call.
///
/// A handle is a number that no other handle of the same store has had, so one that a plugin kept from an earlier call is
/// noticed. (They start again after 2^32; by then such a handle may lead to another tensor, and to nothing worse.)
#[derive(Default)]
pub(crate) struct Scope {
    /// The number of the call's first handle.
    first: u32,
    tensors: Vec<Option<Entry>>,
    /// Bytes charged to the call.
    bytes: u64,
}

struct Entry {
    tensor: Tensor,
    /// What dropping the handle gives back.
    refund: u64,
    /// It is the host's, and the plugin has nothing to drop.
    borrowed: bool,
}

impl Scope {
    /// Bytes charged to the call so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A handle to a tensor of the host's, which costs the plugin nothing.
    pub(crate) fn lend(&mut self, tensor: Tensor) -> Resource<Handle> {
        Resource::new_own(self.insert(Entry { tensor, refund: 0, borrowed: false }))
    }

    /// A handle that the plugin borrows for the call.
    pub(crate) fn borrow(&mut self, tensor: Tensor) -> Resource<Handle> {
        Resource::new_borrow(self.insert(Entry { tensor, refund: 0, borrowed: true }))
    }

    /// A handle to a tensor that the plugin made. One with a gradient stays charged when it is dropped: the tape may keep
    /// its values.
    pub(crate) fn charge(&mut self, tensor: Tensor) -> Resource<Handle> {
        let bytes = bytes(&tensor);
        self.bytes = self.bytes.saturating_add(bytes);
        let refund = if tensor.requires_grad() { 0 } else { bytes };
        Resource::new_own(self.insert(Entry { tensor, refund, borrowed: false }))
    }

    fn insert(&mut self, entry: Entry) -> u32 {
        let handle = self.first.wrapping_add(self.tensors.len() as u32);
        self.tensors.push(Some(entry));
        handle
    }

    /// The tensor behind a handle.
    ///
    /// # Errors
    /// If the handle is from an earlier call.
    pub(crate) fn get(&self, handle: &Resource<Handle>) -> wasmtime::Result<&Tensor> {
        let index = handle.rep().wrapping_sub(self.first) as usize;
        let entry = self.tensors.get(index).and_then(Option::as_ref);
        entry.map(|entry| &entry.tensor).ok_or_else(|| wasmtime::Error::msg(STALE))
    }

    /// As [`Self::get`], of a tensor that the host keeps: it stays charged when the plugin drops it.
    ///
    /// # Errors
    /// If the handle is from an earlier call.
    pub(crate) fn keep(&mut self, handle: &Resource<Handle>) -> wasmtime::Result<&Tensor> {
        let index = handle.rep().wrapping_sub(self.first) as usize;
        let entry = self.tensors.get_mut(index).and_then(Option::as_mut);
        let entry = entry.ok_or_else(|| wasmtime::Error::msg(STALE))?;
        entry.refund = 0;
        Ok(&entry.tensor)
    }

    /// Takes a tensor that the plugin gave back.
    ///
    /// # Errors
    /// If the handle is from an earlier call.
    pub(crate) fn take(&mut self, handle: &Resource<Handle>) -> Result<Tensor, String> {
        self.remove(handle).map(|entry| entry.tensor).ok_or_else(|| STALE.into())
    }

    /// Drops a handle. One from an earlier call has been released before.
    pub(crate) fn drop(&mut self, handle: &Resource<Handle>) {
        if let Some(entry) = self.remove(handle) {
            self.bytes = self.bytes.saturating_sub(entry.refund);
        }
    }

    fn remove(&mut self, handle: &Resource<Handle>) -> Option<Entry> {
        self.tensors.get_mut(handle.rep().wrapping_sub(self.first) as usize)?.take()
    }

    /// Ends a call: releases all tensors, and gives the number of those that the plugin had not dropped.
    pub(crate) fn close(&mut self) -> usize {
        self.first = self.first.wrapping_add(self.tensors.len() as u32);
        self.bytes = 0;
        // A call that made very many is no reason to keep their places for ever.
        self.tensors.shrink_to(1 << 10);
        self.tensors.drain(..).flatten().filter(|entry| !entry.borrowed).count()
    }
}

const STALE: &str = "it used a tensor of an earlier call, and tensors are released when a call ends";

/// Bytes of a tensor's elements.
pub(crate) fn bytes(tensor: &Tensor) -> u64 {
    (tensor.elem_count() as u64).saturating_mul(tensor.dtype().size_in_bytes() as u64)
}

#[cfg(test)]
mod tests {
    use swift_tensor::{DType, ParameterId, full};

    use super::*;

    fn ones(count: u64) -> Tensor {
        full(1.0, &[count], DType::F32).unwrap()
    }

    #[test]
    fn a_dropped_constant_is_refunded_and_a_tensor_with_a_gradient_is_not() {
        let mut scope = Scope::default();
        let constant = scope.charge(ones(10));
        let trained = scope.charge(Tensor::parameter(ones(5).value().clone(), ParameterId(0)));
        assert_eq!(scope.bytes(), 60);
        scope.drop(&constant);
        scope.drop(&trained);
        scope.drop(&trained);
        assert_eq!(scope.bytes(), 20);
    }

    #[test]
    fn what_the_host_keeps_is_not_refunded() {
        let mut scope = Scope::default();
        let constant = scope.charge(ones(10));
        assert_eq!(scope.keep(&constant).unwrap().dims(), [10]);
        scope.drop(&constant);
        assert_eq!(scope.bytes(), 40);
        assert!(scope.keep(&constant).is_err());
    }

    #[test]
    fn what_the_host_lends_is_free() {
        let mut scope = Scope::default();
        let handle = scope.lend(ones(10));
        assert_eq!(scope.bytes(), 0);
        scope.drop(&handle);
        assert_eq!(scope.bytes(), 0);
    }

    #[test]
    fn what_the_host_lends_for_a_call_is_not_left_behind() {
        let mut scope = Scope::default();
        scope.borrow(ones(1));
        scope.lend(ones(1));
        assert_eq!(scope.close(), 1);
    }

    #[test]
    fn the_end_of_a_call_releases_what_was_not_dropped_and_old_handles_lead_nowhere() {
        let mut scope = Scope::default();
        let first = scope.charge(ones(1));
        let second = scope.charge(ones(2));
        scope.drop(&first);
        assert_eq!(scope.close(), 1);
        let third = scope.charge(ones(3));
        assert!(scope.get(&second).unwrap_err().to_string().contains("earlier call"));
        assert!(scope.take(&second).is_err());
        assert_eq!(scope.get(&third).unwrap().dims(), [3]);
        assert_eq!(scope.take(&third).unwrap().dims(), [3]);
    }
}
