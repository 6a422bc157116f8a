//! How the learning rate changes over the steps, with the formulas and names of `transformers.get_scheduler`.

use serde_json::{Map, Value};

use crate::{Error, Result, ScheduleRule};

/// A schedule as the user names it.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleOptions {
    /// One of [`schedule_names`].
    pub name: String,
    /// Its settings: `min_lr`, `min_lr_rate`, `num_cycles`.
    pub settings: Map<String, Value>,
    /// How long the learning rate rises from zero.
    pub warmup: Warmup,
}

impl Default for ScheduleOptions {
    /// A cosine down to zero, without warm-up.
    fn default() -> Self {
        Self { name: "cosine".into(), settings: Map::new(), warmup: Warmup::Steps(0) }
    }
}

/// The length of the warm-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Warmup {
    /// So many steps.
    Steps(u64),
    /// A share of all steps, in `0 .. 1`, rounded up.
    Ratio(f64),
}

/// The learning rate of every step.
pub(crate) struct Schedule {
    base: f64,
    shape: Shape,
    plan: Plan,
}

/// What the learning rate follows after the warm-up.
enum Shape {
    Formula(Formula),
    Rule(Box<dyn ScheduleRule>),
}

/// What a formula knows.
#[derive(Clone, Copy, Debug)]
struct Plan {
    warmup: f64,
    total: f64,
    /// Waves of a cosine over all steps after the warm-up.
    cycles: f64,
    /// The least factor.
    floor: f64,
}

impl Plan {
    /// The share of the steps after the warm-up that is done.
    fn progress(&self, step: f64) -> f64 {
        (step - self.warmup) / (self.total - self.warmup).max(1.0)
    }
}

/// The factor on the base learning rate after `step` steps, beyond the warm-up.
type Formula = fn(step: f64, plan: &Plan) -> f64;

struct Kind {
    name: &'static str,
    warms_up: bool,
    /// Settings that it takes.
    settings: &'static [&'static str],
    formula: Formula,
}

const KINDS: &[Kind] = &[
    Kind { name: "cosine", warms_up: true, settings: &["num_cycles"], formula: cosine },
    Kind {
        name: "cosine_with_min_lr",
        warms_up: true,
        settings: &["min_lr", "min_lr_rate", "num_cycles"],
        formula: cosine,
    },
    Kind { name: "linear", warms_up: true, settings: &[], formula: linear },
    Kind { name: "constant", warms_up: false, settings: &[], formula: constant },
    Kind { name: "constant_with_warmup", warms_up: true, settings: &[], formula: constant },
];

fn cosine(step: f64, plan: &Plan) -> f64 {
    let wave = 0.5 * (1.0 + (std::f64::consts::PI * plan.cycles * 2.0 * plan.progress(step)).cos());
    (wave * (1.0 - plan.floor) + plan.floor).max(0.0)
}

fn linear(step: f64, plan: &Plan) -> f64 {
    ((plan.total - step) / (plan.total - plan.warmup).max(1.0)).max(0.0)
}

fn constant(_step: f64, _plan: &Plan) -> f64 {
    1.0
}

/// The names of all schedules.
pub fn schedule_names() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|kind| kind.name)
}

impl Schedule {
    /// A schedule for `total` steps with the peak `base`. A `rule` takes the place of the schedule that the options name; the
    /// warm-up is theirs.
    ///
    /// # Errors
    /// If the name or a setting is not known, or a value makes no sense.
    pub(crate) fn new(
        options: &ScheduleOptions,
        rule: Option<Box<dyn ScheduleRule>>,
        base: f64,
        total: u64,
    ) -> Result<Self> {
        let kind = KINDS.iter().find(|kind| kind.name == options.name).ok_or_else(|| {
            let known = schedule_names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            Error::setting("lr-scheduler-type", format!("is `{}`, which is not one of {known}", options.name))
        })?;
        let wrong = |message: String| Error::setting("lr-scheduler-kwargs", message);
        if let Some(name) = options.settings.keys().find(|name| !kind.settings.contains(&name.as_str())) {
            return Err(wrong(format!("has an entry `{name}`, which `{}` does not take", kind.name)));
        }
        let number = |name: &str| match options.settings.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value
                .as_f64()
                .map(Some)
                .ok_or_else(|| wrong(format!("has an entry `{name}` that is no number: `{value}`"))),
        };
        let (minimum, rate) = (number("min_lr")?, number("min_lr_rate")?);
        let floor = match (minimum, rate) {
            (Some(_), Some(_)) => return Err(wrong("has both `min_lr` and `min_lr_rate`".into())),
            (Some(minimum), None) => minimum / base,
            (None, Some(rate)) => rate,
            (None, None) if kind.settings.contains(&"min_lr") => {
                return Err(wrong(format!("must have `min_lr` or `min_lr_rate` for `{}`", kind.name)));
            }
            (None, None) => 0.0,
        };
        if !(0.0..=1.0).contains(&floor) {
            return Err(wrong("has a minimum that is not between 0 and the learning rate".into()));
        }
        let warmup = match options.warmup {
            _ if rule.is_none() && !kind.warms_up => 0.0,
            Warmup::Steps(steps) => steps as f64,
            Warmup::Ratio(ratio) if (0.0..1.0).contains(&ratio) => (total as f64 * ratio).ceil(),
            Warmup::Ratio(ratio) => {
                return Err(Error::setting(
                    "warmup-ratio",
                    format!("is `{ratio}`, but must be at least 0 and below 1"),
                ));
            }
        };
        let cycles = number("num_cycles")?.unwrap_or(0.5);
        let plan = Plan { warmup, total: total as f64, cycles, floor };
        let shape = rule.map_or(Shape::Formula(kind.formula), Shape::Rule);
        Ok(Self { base, shape, plan })
    }

    /// The learning rate of the step that follows `steps_done` steps.
    ///
    /// # Errors
    /// If a rule fails.
    pub(crate) fn learning_rate(&mut self, steps_done: u64) -> Result<f64> {
        let step = steps_done as f64;
        let factor = match step < self.plan.warmup {
            true => step / self.plan.warmup,
            false => match &mut self.shape {
                Shape::Formula(formula) => formula(step, &self.plan),
                Shape::Rule(rule) => {
                    let steps = |steps: f64| (steps - self.plan.warmup) as u64;
                    rule.factor(steps(step), steps(self.plan.total))?
                }
            },
        };
        Ok(self.base * factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/losses/schedules.json"));

    fn options(name: &str, settings: &Value, warmup: Warmup) -> ScheduleOptions {
        let settings = settings.as_object().cloned().unwrap_or_default();
        ScheduleOptions { name: name.into(), settings, warmup }
    }

    #[test]
    fn every_schedule_gives_the_learning_rates_of_transformers() {
        let golden: Value = serde_json::from_str(GOLDEN).unwrap();
        let mut compared = Vec::new();
        for case in golden["cases"].as_array().unwrap() {
            let name = case["lr_scheduler_type"].as_str().unwrap();
            if !schedule_names().any(|known| known == name) {
                continue;
            }
            let warmup = Warmup::Steps(case["warmup_steps"].as_u64().unwrap());
            let mut schedule =
                Schedule::new(&options(name, &case["kwargs"], warmup), None, 1e-4, 20).unwrap();
            let mut expected = case["lr_used_at_step_1_to_20"].as_array().unwrap().clone();
            expected.push(case["final_lr"].clone());
            for (step, expected) in (0..).zip(expected) {
                let (got, expected) = (schedule.learning_rate(step).unwrap(), expected.as_f64().unwrap());
                assert!(
                    (got - expected).abs() <= 1e-18,
                    "{name} after {step} steps: {got} instead of {expected}"
                );
            }
            compared.push(name);
        }
        compared.dedup();
        compared.sort_unstable();
        compared.dedup();
        let mut names: Vec<_> = schedule_names().collect();
        names.sort_unstable();
        assert_eq!(compared, names);
    }

    #[test]
    fn a_ratio_of_the_steps_is_rounded_up() {
        let linear = options("linear", &Value::Null, Warmup::Ratio(0.34));
        let mut schedule = Schedule::new(&linear, None, 0.002, 6).unwrap();
        let rates: Vec<f64> = (0..7).map(|step| schedule.learning_rate(step).unwrap()).collect();
        let expected = [0.0, 0.002 / 3.0, 0.004 / 3.0, 0.002, 0.004 / 3.0, 0.002 / 3.0, 0.0];
        assert!(
            rates.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-18),
            "{rates:?}"
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let refused = |name: &str, settings: Value, warmup| {
            Schedule::new(&options(name, &settings, warmup), None, 1e-4, 20).err().unwrap().to_string()
        };
        let none = Warmup::Steps(0);
        assert!(refused("square", Value::Null, none).starts_with("`--lr-scheduler-type` is `square`"));
        assert!(refused("linear", serde_json::json!({ "min_lr": 1e-5 }), none).contains("`min_lr`"));
        assert!(
            refused("cosine_with_min_lr", Value::Null, none).contains("must have `min_lr` or `min_lr_rate`")
        );
        assert!(
            refused("cosine_with_min_lr", serde_json::json!({ "min_lr": "x" }), none).contains("no number")
        );
        assert!(refused("cosine", Value::Null, Warmup::Ratio(1.5)).starts_with("`--warmup-ratio` is `1.5`"));
    }
}
