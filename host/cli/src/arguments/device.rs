//! Flags about where to compute.

use clap::{ArgAction, Args};

use crate::report::UsageError;

/// Where to compute.
#[derive(Debug, Clone, Args, serde::Serialize)]
pub(crate) struct DeviceArguments {
    /// Where to compute: `cpu`, `cuda`, `cuda:N`, or `auto`, the first CUDA device if build and machine have one
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
    /// Whether CUDA devices may round the operands of float32 products to TF32
    #[arg(long, value_name = "BOOL", default_value = "true", num_args = 0..=1, default_missing_value = "true",
          action = ArgAction::Set)]
    pub(crate) tf32: bool,
}

impl DeviceArguments {
    /// Runs `f` with the device that is meant, on which tensors are then made.
    pub(crate) fn with<T>(&self, f: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let refused = |error: swift_tensor::Error| {
            let error = UsageError::new(format!("`--device {}` can't be used", self.device)).caused_by(error);
            error.hint(
                "`--device cpu` computes on the CPU; a build for CUDA is made by `cargo xtask build --cuda`",
            )
        };
        let device = swift_tensor::device(&self.device).map_err(refused)?;
        swift_tensor::set_tf32(self.tf32);
        swift_tensor::with_device(&device, f)
    }
}
