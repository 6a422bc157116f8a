//! What a loss remembers, and whether it finds it again.

use swift_runtime::Result;
use swift_tensor::DType;

use super::case::Case;
use super::start;
use crate::bench::Bench;

/// Computes two steps, and the second once more in an instance that was given the state between them. Each step is the
/// first micro-batch of its kind to the instance, so random tensors are the same.
pub(crate) fn check(bench: &mut Bench, case: &Case, dtype: DType) -> Result<()> {
    let mut whole = start(bench)?;
    case.compute(&mut whole, dtype, 0)?;
    let state = whole.save_state()?;
    let expected = case.evaluate(&mut whole, dtype, 1)?.bits();

    let mut resumed = start(bench)?;
    resumed.restore_state(&state)?;
    let same = case.evaluate(&mut resumed, dtype, 1)?.bits() == expected;
    let fresh = case.evaluate(&mut start(bench)?, dtype, 1)?.bits() == expected;
    let good = match fresh {
        true => "Nothing is remembered from call to call",
        false => "What is remembered is found again by `restore-state`",
    };
    bench.expect(
        same,
        good,
        "A loss that goes on from its saved state gives another result than one that did not stop",
        "`save-state` must give, and `restore-state` take, everything that a later call depends on",
    );
    Ok(())
}
