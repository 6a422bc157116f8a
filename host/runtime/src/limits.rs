use std::time::Duration;

/// What one plugin may use. Every limit stops the call with an error that names it.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Linear memory of the plugin, in bytes. 512 MiB: a Python guest needs about 100.
    pub memory_bytes: u64,
    /// Time the plugin's own code may take in one call; the host's work on its behalf is not counted. 30 seconds.
    pub call_time: Duration,
    /// Tensors that one call may hold at a time, in bytes. 16 GiB.
    pub tensor_bytes: u64,
    /// Elements of one list that crosses the boundary, either way. 2^24: larger data belongs into tensors.
    pub list_elements: u64,
    /// Bytes that one call may copy to the host. 1 GiB: dataset adapters return whole batches of rows.
    pub copied_bytes: u64,
    /// Bytes kept of what the plugin writes to its standard error. 64 KiB, the last ones.
    pub stderr_bytes: usize,
    /// Seed of the random tensors that the plugin asks for.
    pub seed: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 512 << 20,
            call_time: Duration::from_secs(30),
            tensor_bytes: 16 << 30,
            list_elements: 1 << 24,
            copied_bytes: 1 << 30,
            stderr_bytes: 64 << 10,
            seed: 42,
        }
    }
}
