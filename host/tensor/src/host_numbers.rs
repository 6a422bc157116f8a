//! Numbers that the host has and a device reads.

#[cfg(any(feature = "cuda", feature = "emulation"))]
use std::sync::OnceLock;

#[cfg(any(feature = "cuda", feature = "emulation"))]
use candle_core::Tensor as Value;
use candle_core::{Device, WithDType};

#[cfg(any(feature = "cuda", feature = "emulation"))]
use crate::cuda;
use crate::graph::must_run;
use crate::storage::on_device;
use crate::{Error, Result};

const OP: &str = "numbers";

/// Numbers that the host has, such as token ids, on a device once they have been asked for there. What has to be looked at is looked
/// at here, so that nothing is read back.
#[derive(Debug)]
pub struct HostNumbers<T> {
    host: Vec<T>,
    /// How many may lie in their place.
    room: usize,
    /// What each of them is below, and so are those that replace them.
    limit: Option<usize>,
    #[cfg(any(feature = "cuda", feature = "emulation"))]
    there: OnceLock<Value>,
}

impl<T: WithDType> HostNumbers<T> {
    /// Some numbers.
    pub fn new(host: Vec<T>) -> Self {
        Self {
            room: host.len(),
            limit: None,
            host,
            #[cfg(any(feature = "cuda", feature = "emulation"))]
            there: OnceLock::new(),
        }
    }

    /// The same in a place on the device that has room for `room` of them, if that is more.
    #[must_use]
    pub fn with_room(self, room: usize) -> Self {
        Self { room: room.max(self.room), ..self }
    }

    /// The numbers.
    pub fn host(&self) -> &[T] {
        &self.host
    }

    /// Their place on the device, where they are now.
    #[cfg(any(feature = "cuda", feature = "emulation"))]
    pub(crate) fn on(&self, op: &'static str, device: &Device) -> Result<&Value> {
        if let Some(there) = self.there.get() {
            return Ok(there);
        }
        let place = cuda::Buffer::new(op, device, T::DTYPE, self.room)?.into_value(&[self.room]);
        cuda::write(op, &place, &self.host)?;
        Ok(self.there.get_or_init(|| place))
    }

    /// Sends them to `device`, if they are not there yet.
    ///
    /// # Errors
    /// If the device has not as much memory.
    pub fn send(&self, device: &Device) -> Result<()> {
        on_device!(OP, device, cpu: Ok(()), cuda: self.on(OP, device).map(drop))
    }

    /// Sends them to the place where `others` are, over these.
    ///
    /// # Errors
    /// If there is no room for as many, these are on no device, or the others are on one or have another limit.
    pub fn replace(&self, others: &Self) -> Result<()> {
        if self.limit != others.limit {
            return Err(Error::invalid(OP, "numbers with another limit"));
        }
        #[cfg(any(feature = "cuda", feature = "emulation"))]
        if let Some(place) = others.there.get().filter(|place| place.elem_count() >= self.host.len()) {
            cuda::write(OP, place, &self.host)?;
            // Whoever has asked before has them elsewhere.
            return self
                .there
                .set(place.clone())
                .map_err(|_| Error::invalid(OP, "numbers that were sent before"));
        }
        let _ = others;
        Err(Error::invalid(OP, format!("there is no room for {} of them", self.host.len())))
    }
}

impl HostNumbers<u32> {
    /// The same numbers, all of which are below `limit`, and so are those that come to lie in their place.
    ///
    /// # Errors
    /// If one is not.
    pub fn below(self, limit: usize) -> Result<Self> {
        self.are_below(OP, limit)?;
        Ok(Self { limit: Some(limit), ..self })
    }

    /// Refuses numbers that are no rows of a table of `size`, for `op`.
    pub(crate) fn check(&self, op: &'static str, size: usize) -> Result<()> {
        self.are_below(op, size)?;
        if self.limit.is_none_or(|limit| limit > size) {
            must_run("rows of a table are taken by numbers that others may replace")?;
        }
        Ok(())
    }

    fn are_below(&self, op: &'static str, size: usize) -> Result<()> {
        match self.host.iter().find(|&&number| number as usize >= size) {
            Some(bad) => Err(Error::invalid(op, format!("index {bad} is outside of 0..{size}"))),
            None => Ok(()),
        }
    }
}
