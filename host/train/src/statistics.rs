//! Numbers about models and data, worded as ms-swift does.

use swift_data::Dataset;
use swift_model::Model;

use crate::Result;

/// How many parameters a model has and how many of them are trained, in millions:
/// `qwen2: 0.1611M Params (0.0090M Trainable [5.5622%]), 0.0000M Buffers.`
pub fn model_parameter_info(model: &Model) -> String {
    let architecture = model.architecture();
    let own: u64 =
        architecture.parameters.iter().map(|parameter| parameter.shape.iter().product::<u64>()).sum();
    let parameters = model.parameters();
    let trained: usize = parameters.iter().map(|parameter| parameter.value.elem_count()).sum();
    let names: std::collections::BTreeSet<&str> =
        architecture.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    let of_adapter = parameters.iter().filter(|parameter| !names.contains(parameter.name.as_str()));
    let added: usize = of_adapter.map(|parameter| parameter.value.elem_count()).sum();
    let (all, trained) = ((own + added as u64) as f64, trained as f64);
    let share = 100.0 * trained / all;
    let (name, all, trained) = (&architecture.name, all / 1e6, trained / 1e6);
    format!("{name}: {all:.4}M Params ({trained:.4}M Trainable [{share:.4}%]), 0.0000M Buffers.")
}

/// Tokens in the rows of a dataset: `80.000000±31.158198, min=50.000000, max=161.000000, size=12`.
///
/// # Errors
/// If the dataset can't be read.
pub fn token_lengths(dataset: &Dataset) -> Result<String> {
    let lengths =
        (0..dataset.len()).map(|index| dataset.token_count(index)).collect::<Result<Vec<_>, _>>()?;
    Ok(summary(&lengths))
}

/// Mean, standard deviation (of the population), extremes and count.
fn summary(lengths: &[usize]) -> String {
    let count = lengths.len();
    let mean = lengths.iter().sum::<usize>() as f64 / count as f64;
    let variance = lengths.iter().map(|&length| (length as f64 - mean).powi(2)).sum::<f64>() / count as f64;
    let (low, high) = (lengths.iter().min().unwrap_or(&0), lengths.iter().max().unwrap_or(&0));
    format!("{mean:.6}±{:.6}, min={low}.000000, max={high}.000000, size={count}", variance.sqrt())
}

/// The most memory that this process has held, in GiB. None where the operating system does not tell.
pub(crate) fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes / f64::from(1 << 20))
}

/// A duration as ms-swift writes it: `1h 2m 3s`.
pub(crate) fn duration(seconds: f64) -> String {
    let total = seconds.round() as u64;
    let units = [(total / 86400, 'd'), (total / 3600 % 24, 'h'), (total / 60 % 60, 'm'), (total % 60, 's')];
    let shown = units.iter().skip_while(|(count, unit)| *count == 0 && *unit != 's');
    shown.map(|(count, unit)| format!("{count}{unit}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_summed_up_as_ms_swift_does() {
        assert_eq!(
            summary(&[2, 4, 4, 4, 5, 5, 7, 9]),
            "5.000000±2.000000, min=2.000000, max=9.000000, size=8"
        );
    }

    #[test]
    fn durations_begin_with_the_first_unit_that_is_not_zero() {
        let written = [0.4, 59.6, 3600.0, 90061.0].map(duration);
        assert_eq!(written, ["0s", "1m 0s", "1h 0m 0s", "1d 1h 1m 1s"]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_has_held_some_memory() {
        assert!(peak_memory().unwrap() > 0.0);
    }
}
