//! How rows become sequences, and sequences batches, for each kind of input that a loss can ask for.

use swift_data::{Arrangement, Dataset, Example, PackedBatch, RowShape, add_mismatches};
use swift_runtime::Input;

use crate::Result;

/// Which sequences a row becomes.
pub fn row_shape(input: Input) -> RowShape {
    match input {
        Input::Causal | Input::UnpairedPreference | Input::UnpairedPreferenceWithMismatches => {
            RowShape::Conversation
        }
        Input::Rollouts => RowShape::Prompt,
        Input::PreferencePairs => RowShape::Pair,
        Input::Labelled => RowShape::Text,
        Input::Groups => RowShape::Group,
    }
}

/// The micro-batches of a window.
pub(crate) fn collate(
    input: Input,
    dataset: &Dataset,
    micro_batches: &[impl AsRef<[usize]>],
) -> Result<Vec<PackedBatch>> {
    let examples = |indices: &[usize]| -> Result<Vec<Example>> {
        Ok(indices.iter().map(|index| dataset.example(*index)).collect::<Result<_, _>>()?)
    };
    let mut window =
        micro_batches.iter().map(|indices| examples(indices.as_ref())).collect::<Result<Vec<_>>>()?;
    if input == Input::UnpairedPreferenceWithMismatches {
        add_mismatches(&mut window);
    }
    let arrangement = match input {
        Input::Groups => Arrangement::Groups,
        _ => Arrangement::Runs,
    };
    Ok(window.iter().map(|examples| PackedBatch::collate(examples, arrangement)).collect())
}
