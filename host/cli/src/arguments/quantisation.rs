//! Flags about weights of few bits.

use clap::Args;
use swift_model::Quantisation;

use crate::report::UsageError;

/// How the weights of linear layers are kept.
#[derive(Debug, Clone, Args, serde::Serialize)]
pub(crate) struct QuantisationArguments {
    /// Keep the weights of linear layers in this many bits: 4 (NormalFloat) or 8. They are frozen then. The output
    /// projection's and embeddings stay as they are
    #[arg(long, value_name = "N")]
    pub(crate) quant_bits: Option<u32>,
    /// How weights are quantised: `bnb`, as by bitsandbytes [default: bnb]
    #[arg(long, value_name = "NAME")]
    quant_method: Option<String>,
    /// What 4 bits stand for: `nf4`
    #[arg(long = "bnb-4bit-quant-type", value_name = "NAME", default_value = "nf4")]
    bnb_4bit_quant_type: String,
    /// With 4 bits, quantise the magnitudes of blocks too
    #[arg(long = "bnb-4bit-use-double-quant", value_name = "BOOL", default_value = "true", num_args = 0..=1,
          default_missing_value = "true", action = clap::ArgAction::Set)]
    bnb_4bit_use_double_quant: bool,
}

impl QuantisationArguments {
    /// What was asked for.
    ///
    /// # Errors
    /// If it is something that is not done here.
    pub(crate) fn quantisation(&self) -> Result<Option<Quantisation>, UsageError> {
        let Self { quant_bits, quant_method, bnb_4bit_quant_type, bnb_4bit_use_double_quant: double } = self;
        if let Some(method) = quant_method.as_deref().filter(|method| *method != "bnb") {
            return Err(UsageError::new(format!("`--quant-method {method}` is not known"))
                .hint("`bnb` quantises while weights are read, to 4 or 8 bits"));
        }
        match (quant_bits, bnb_4bit_quant_type.as_str()) {
            (None, _) if quant_method.is_some() => {
                Err(UsageError::new("`--quant-method` does not say to how many bits")
                    .hint("give them as `--quant-bits 4` or `--quant-bits 8`"))
            }
            (None, _) => Ok(None),
            (Some(8), _) => Ok(Some(Quantisation::Int8)),
            (Some(4), "nf4") => Ok(Some(Quantisation::Nf4 { double: *double })),
            (Some(4), kind) => Err(UsageError::new(format!("`--bnb-4bit-quant-type {kind}` is not known"))
                .hint("there is `nf4`, which is more exact than `fp4`")),
            (Some(bits), _) => Err(UsageError::new(format!("`--quant-bits {bits}` is not known"))
                .hint("weights are kept in 4 or 8 bits")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::tests::arguments;

    fn asked(words: &[&str]) -> Result<Option<Quantisation>, UsageError> {
        arguments(words).model.quantisation.quantisation()
    }

    #[test]
    fn weights_are_quantised_if_bits_are_given() {
        assert_eq!(asked(&[]).unwrap(), None);
        assert_eq!(asked(&["--quant-bits", "4"]).unwrap(), Some(Quantisation::Nf4 { double: true }));
        let single = ["--quant-bits", "4", "--bnb-4bit-use-double-quant", "false", "--quant-method", "bnb"];
        assert_eq!(asked(&single).unwrap(), Some(Quantisation::Nf4 { double: false }));
        assert_eq!(asked(&["--quant-bits", "8"]).unwrap(), Some(Quantisation::Int8));
    }

    #[test]
    fn what_is_not_done_here_is_refused() {
        for words in [
            &["--quant-bits", "3"] as &[&str],
            &["--quant-method", "bnb"],
            &["--quant-bits", "4", "--quant-method", "hqq"],
            &["--quant-bits", "4", "--bnb-4bit-quant-type", "fp4"],
        ] {
            assert!(asked(words).is_err(), "{words:?}");
        }
    }
}
