//! Warm-up, stable, decay (Hu et al. 2024, "MiniCPM", section 4): the learning rate stays at its peak for most of the run
//! and falls in a short last part. The warm-up is the trainer's.

use swift_plugin::prelude::*;

parameters! {
    /// A learning rate that stays at its peak and falls at the end (Hu et al. 2024).
    pub struct Wsd {
        /// Share of the steps in which the learning rate falls.
        pub decay_ratio: f64 = 0.1,
        /// The last factor on the learning rate.
        pub min_lr_rate: f64 = 0.0,
        /// How it falls: `linear`, `cosine`, `exponential`, or `1-sqrt` (Hägele et al. 2024).
        pub decay_type: String = "linear".to_owned(),
    }
}

/// How far a fall has come, from 1 down to 0, when a share of its steps is done.
type Fall = fn(f64) -> f64;

const FALLS: [(&str, Fall); 4] = [
    ("linear", |share| 1.0 - share),
    ("cosine", |share| 0.5 * (1.0 + (std::f64::consts::PI * share).cos())),
    // Halves with every tenth, as in the paper's figure.
    ("exponential", |share| (0.5f64.powf(10.0 * share) - 0.5f64.powi(10)) / (1.0 - 0.5f64.powi(10))),
    ("1-sqrt", |share| 1.0 - share.sqrt()),
];

impl Schedule for Wsd {
    /// 1, and in the last part `minimum + (1 - minimum) * fall`.
    fn factor(&self, step: u64, max_steps: u64) -> Result<f64> {
        let Some((_, fall)) = FALLS.iter().find(|(name, _)| *name == self.decay_type) else {
            let names: Vec<&str> = FALLS.iter().map(|(name, _)| *name).collect();
            bail!("`decay_type` is `{}`, which is not one of {}", self.decay_type, names.join(", "));
        };
        if !(0.0..=1.0).contains(&self.decay_ratio) {
            bail!("`decay_ratio` is {}, which is no share", self.decay_ratio);
        }
        let decay_steps = (max_steps as f64 * self.decay_ratio).ceil();
        let done = step as f64 - (max_steps as f64 - decay_steps);
        if done <= 0.0 {
            return Ok(1.0);
        }
        let share = (done / decay_steps).min(1.0);
        Ok(self.min_lr_rate + (1.0 - self.min_lr_rate) * fall(share))
    }
}

export!(Wsd: Schedule);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_at_the_peak_and_falls_in_the_last_part() {
        let wsd = Wsd { decay_ratio: 0.4, min_lr_rate: 0.1, ..Wsd::default() };
        let factors: Vec<f64> = (0..=10).map(|step| wsd.factor(step, 10).unwrap()).collect();
        let expected = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.775, 0.55, 0.325, 0.1];
        assert!(
            factors.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-12),
            "{factors:?}"
        );
    }

    #[test]
    fn every_fall_goes_from_one_to_zero_and_never_rises() {
        for (name, fall) in FALLS {
            let values: Vec<f64> = (0..=20).map(|step| fall(f64::from(step) / 20.0)).collect();
            assert!((values[0] - 1.0).abs() < 1e-12 && values[20].abs() < 1e-12, "{name}: {values:?}");
            assert!(values.windows(2).all(|pair| pair[1] < pair[0]), "{name}: {values:?}");
        }
    }

    #[test]
    fn settings_that_make_no_schedule_are_refused() {
        let refused = |wsd: Wsd| wsd.factor(0, 10).unwrap_err().to_string();
        assert!(refused(Wsd { decay_type: "square".into(), ..Wsd::default() }).contains("not one of linear"));
        assert!(refused(Wsd { decay_ratio: 1.5, ..Wsd::default() }).contains("no share"));
    }
}
