//! Flags of ms-swift that mean nothing here or are said in another way, so that its command lines move over with an
//! explanation instead of a riddle. `docs/migrating.md` tells the same to readers.

/// Accepted without effect, with the reason, which is printed as a note.
pub(crate) const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("model-type", "`config.json` says what the model is"),
    ("attn-impl", "one kernel computes attention, exactly and in linear memory"),
    ("padding-free", "batches are always packed end to end"),
    ("padding-side", "batches have no padding"),
    ("use-liger-kernel", "the logits of a batch are never in memory as a whole"),
    ("use-hf", "models are read from a folder"),
    ("use-cpu", "the device is chosen with `--device`"),
    ("lazy-tokenize", "tokens are cached on disk"),
    ("load-from-cache-file", "tokens are cached on disk, keyed by all that they depend on"),
    ("dataset-num-proc", "the number of threads is chosen with `--threads`"),
    ("dataloader-num-workers", "the number of threads is chosen with `--threads`"),
    ("packing-num-proc", "the number of threads is chosen with `--threads`"),
    ("report-to", "logging.jsonl, TensorBoard events and curves are always written"),
    ("add-version", "a given folder is used as it is, a default one has a version"),
    ("ddp-timeout", "there is one process"),
    ("bnb-4bit-compute-dtype", "everything is computed in `--torch-dtype`"),
    ("bnb-4bit-quant-storage", "quantised weights are kept as bytes"),
];

const METHODS: &str = "a method is a plugin: `--plugin NAME`; `swift-host plugin list` shows which there are";
const CALLBACKS: &str =
    "a callback is a plugin: `--plugin NAME`; `swift-host plugin list` shows which there are";

/// Refused, with the way that it is said here.
const SAID_OTHERWISE: &[(&str, &str)] = &[
    ("rlhf-type", METHODS),
    (
        "loss-type",
        "a loss is a plugin: `--plugin NAME|PATH`; its variants are its parameters, see `--plugin NAME --help`",
    ),
    ("external-plugins", "plugins are WebAssembly components: `--plugin PATH`"),
    ("custom-register-path", "plugins are WebAssembly components: `--plugin PATH`"),
    ("callbacks", CALLBACKS),
    ("early-stop-interval", CALLBACKS),
    ("optimizer", "LoRA+ is chosen with `--lorap-lr-ratio`"),
    ("split-dataset-ratio", "give the validation rows as a file of their own: `--val-dataset PATH`"),
    ("deepspeed", "this build computes on one device"),
    ("fsdp", "this build computes on one device"),
    ("streaming", "files are mapped, not loaded, and their tokens cached on disk"),
];

/// How a flag of ms-swift, named without dashes in front, is said here.
pub(crate) fn said_otherwise(flag: &str) -> Option<&'static str> {
    SAID_OTHERWISE.iter().find(|(name, _)| *name == flag).map(|(_, instead)| *instead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_for_a_method_leads_to_its_plugin() {
        assert_eq!(said_otherwise("rlhf-type"), Some(METHODS));
        assert_eq!(said_otherwise("lora-rank"), None);
    }
}
