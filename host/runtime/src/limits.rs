//! How much a plugin may take, and what notices when it takes more.

use std::fmt;
use std::time::Duration;

use wasmtime::ResourceLimiter;

use crate::grants::Grants;

/// What one plugin may take and reach, and the seed of its random numbers. Each plugin at work has its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory of its own. 1 GiB: a Python interpreter takes 50 MiB, and tensors don't live there.
    pub memory_bytes: u64,
    /// Time in a call, without the host's: 60 s. An epoch tick of 10 ms is the unit.
    pub call_time: Duration,
    /// Bytes of tensors that a call makes and keeps: those it has not dropped, and those that a gradient flows through,
    /// which the tape may hold. Three quarters of the machine's memory, or 64 GiB if that can't be found out.
    pub tensor_bytes: u64,
    /// Operations on tensors in a call, 2^20. As the host's time does not count, this is what ends a plugin that does
    /// nothing but call the host.
    pub operations: u64,
    /// Elements of a list that is read from or made into a tensor, 2^24: 128 MiB of numbers.
    pub list_elements: u64,
    /// Bytes that the plugin may hand to the host at a time, 1 GiB.
    pub copied_bytes: u64,
    /// Lines in the log from a call, 10 000; further ones are counted and left out.
    pub log_lines: u64,
    /// Bytes in the log from a call, 1 MiB; lines after them are counted and left out.
    pub log_bytes: u64,
    /// Resources of WASI at a time, such as files, streams and sockets, 10 000.
    pub resources: u64,
    /// Handles at a time, of tensors and of everything else, 1 000 000.
    pub handles: u64,
    /// What it may reach outside of its sandbox: nothing. See [`Limits::granting`].
    pub grants: Grants,
    /// The run's seed, from which the random tensors of losses are drawn.
    pub seed: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 1 << 30,
            call_time: Duration::from_secs(60),
            tensor_bytes: physical_memory().map_or(64 << 30, |bytes| bytes / 4 * 3),
            operations: 1 << 20,
            list_elements: 1 << 24,
            copied_bytes: 1 << 30,
            log_lines: 10_000,
            log_bytes: 1 << 20,
            resources: 10_000,
            handles: 1_000_000,
            grants: Grants::default(),
            seed: 42,
        }
    }
}

impl Limits {
    /// The same with these grants; a memory or a time among them takes the place of the general one.
    #[must_use]
    pub fn granting(&self, grants: &Grants) -> Self {
        Self {
            memory_bytes: grants.memory_bytes.unwrap_or(self.memory_bytes),
            call_time: grants.call_time.unwrap_or(self.call_time),
            grants: grants.clone(),
            ..self.clone()
        }
    }
}

/// Bytes of memory of this machine, where Linux says it.
fn physical_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Which limit a plugin ran into. Reads on after "it".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Breach {
    /// [`Limits::call_time`].
    Time(Duration),
    /// [`Limits::memory_bytes`].
    Memory(u64),
    /// [`Limits::operations`].
    Operations(u64),
    /// [`Limits::copied_bytes`].
    Copied(u64),
    /// [`Limits::resources`].
    Resources(u64),
    /// [`Limits::handles`].
    Handles(u64),
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(allowed) if *allowed == Duration::from_secs(1) => {
                write!(f, "ran for more than 1 second")
            }
            Self::Time(allowed) => write!(f, "ran for more than {} seconds", allowed.as_secs_f64()),
            Self::Memory(allowed) => write!(f, "asked for more than {} of memory", bytes(*allowed)),
            Self::Operations(allowed) => write!(f, "asked for more than {allowed} operations on tensors"),
            Self::Resources(allowed) => write!(f, "held more than {allowed} resources of WASI at once"),
            Self::Handles(allowed) => write!(f, "held more than {allowed} handles at once"),
            Self::Copied(allowed) => write!(f, "handed more than {} to the host at once", bytes(*allowed)),
        }
    }
}

impl std::error::Error for Breach {}

impl Breach {
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Time(_) => "it may loop for ever; the time of operations on tensors does not count",
            Self::Memory(_) => "it may allocate without end; tensors live on the host and don't count",
            Self::Operations(_) => "it may loop for ever",
            Self::Handles(_) => "it should drop tensors that it is done with",
            Self::Resources(_) => "it should drop streams, files and sockets that it is done with",
            Self::Copied(_) => "it should hand over less at a time",
        }
    }
}

/// A number of bytes as people write it.
pub(crate) fn bytes(count: u64) -> String {
    let units = [(1u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| count >= *unit) {
        Some((unit, name)) if count.is_multiple_of(unit) => format!("{} {name}", count / unit),
        Some((unit, name)) => format!("{:.1} {name}", count as f64 / unit as f64),
        None => format!("{count} bytes"),
    }
}

/// Counts the memories of one plugin together.
pub(crate) struct Memory {
    allowed: u64,
    used: u64,
}

impl Memory {
    pub(crate) fn new(allowed: u64) -> Self {
        Self { allowed, used: 0 }
    }

    fn grow(&mut self, by: u64) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(by);
        if used > self.allowed {
            return Err(Breach::Memory(self.allowed).into());
        }
        self.used = used;
        Ok(true)
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.grow(desired.saturating_sub(current) as u64)
    }

    /// An element of a table is a pointer.
    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.grow(desired.saturating_sub(current) as u64 * size_of::<usize>() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_in_the_largest_unit_that_fits() {
        assert_eq!(bytes(1 << 30), "1 GiB");
        assert_eq!(bytes(3 << 19), "1.5 MiB");
        assert_eq!(bytes(12), "12 bytes");
    }

    #[test]
    fn all_memories_of_a_plugin_count_together() {
        let mut memory = Memory::new(100);
        assert!(memory.memory_growing(0, 60, None).unwrap());
        assert!(memory.memory_growing(0, 40, None).unwrap());
        let error = memory.memory_growing(40, 41, None).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Breach::Memory(100)));
    }
}
