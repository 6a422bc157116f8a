//! Reading elements back, for which the host waits where they are on a device.

use std::cell::Cell;

use candle_core::{Tensor as Value, WithDType};

use crate::graph::must_run;
use crate::{Result, unread};

thread_local! {
    static READS: Cell<u64> = const { Cell::new(0) };
}

/// The elements in row-major order, of the type that they have.
///
/// # Errors
/// If they are of another type, or can't be read.
pub fn read_back<T: WithDType>(value: &Value) -> Result<Vec<T>> {
    count_read()?;
    Ok(value.flatten_all()?.to_vec1()?)
}

/// How often this thread has read elements of tensors back: as often as it would have waited for a device.
pub fn reads() -> u64 {
    READS.get()
}

/// For what is read in another way.
///
/// # Errors
/// If nothing has been computed that could be read, since it is being recorded.
pub(crate) fn count_read() -> Result<()> {
    READS.set(READS.get() + 1);
    unread::note_reading()?;
    must_run("elements are read back")
}
