use swift_plugin::Loss;
use swift_plugin::testing::{ModelOutputs, PackedBatch, evaluate};

use super::{Case, Columns};

/// The largest deviations of a number of cases, relative to the expected value or, where that is smaller, to `floor`.
#[derive(Debug)]
pub(crate) struct Worst {
    floor: f64,
    cases: usize,
    loss: f64,
    metric: f64,
    gradient: f64,
    gradients: usize,
}

impl Worst {
    /// Of no cases yet.
    pub(crate) fn relative_to(floor: f64) -> Self {
        Self { floor, cases: 0, loss: 0.0, metric: 0.0, gradient: 0.0, gradients: 0 }
    }

    /// Takes a case into account: what the loss and its metrics are, and the gradient by the output that the case has one of.
    pub(crate) fn compare(&mut self, case: &Case, loss: f64, metric: impl Fn(&str) -> f64, gradient: &[f64]) {
        self.cases += 1;
        self.loss = self.loss.max(self.deviation(loss, case.loss));
        for (name, expected) in &case.metrics {
            self.metric = self.metric.max(self.deviation(metric(name), *expected));
        }
        if let Some((_, expected)) = &case.gradient {
            assert_eq!(gradient.len(), expected.len(), "{case:?}");
            self.gradients += 1;
            let deviations =
                gradient.iter().zip(expected).map(|(actual, expected)| self.deviation(*actual, *expected));
            self.gradient = deviations.fold(self.gradient, f64::max);
        }
    }

    /// NaN counts as infinitely far.
    fn deviation(&self, actual: f64, expected: f64) -> f64 {
        let deviation = (actual - expected).abs() / expected.abs().max(self.floor);
        if deviation.is_nan() { f64::INFINITY } else { deviation }
    }

    /// Fails if there were not as many cases, and cases with a gradient, as the file has, or if a number deviates too far.
    pub(crate) fn assert(&self, name: &str, cases: usize, gradients: usize, tolerance: f64) {
        println!("{name}: {self:?}");
        assert_eq!((self.cases, self.gradients), (cases, gradients));
        for worst in [self.loss, self.metric, self.gradient] {
            assert!(worst <= tolerance, "{name}: {self:?}");
        }
    }
}

/// Computes every case natively, in `float64`.
pub(crate) fn check<L: Loss>(cases: &[Case]) -> Worst {
    let mut worst = Worst::relative_to(1e-3);
    let mut loss = L::default();
    for case in cases {
        if !case.continues {
            loss = L::from_json(&serde_json::to_string(&case.parameters).unwrap()).unwrap();
        }
        let reference = case.reference.as_ref().map(outputs);
        let evaluation = evaluate(&loss, &batch(case), &outputs(&case.policy), reference.as_ref())
            .unwrap_or_else(|error| panic!("{:?}: {error}", case.parameters));
        let gradient = case.gradient.as_ref().map_or(&[][..], |(output, _)| evaluation.gradient(output));
        worst.compare(case, evaluation.loss, |name| evaluation.metric(name), gradient);
    }
    worst
}

fn batch(case: &Case) -> PackedBatch {
    let mut batch = PackedBatch::new(&case.lengths).labels(&case.labels);
    if let Some(weights) = &case.weights {
        batch = batch.loss_weights(weights);
    }
    if let Some(groups) = &case.groups {
        batch = batch.groups(groups);
    }
    if let Some(labels) = case.window_labels {
        batch = batch.window(labels, 1, 1);
    }
    if let Some(teacher) = &case.teacher {
        batch = batch.teacher(outputs(teacher));
    }
    for (name, values) in &case.token_fields {
        batch = batch.token_field(name, values);
    }
    case.fields.iter().fold(batch, |batch, (name, values)| batch.field(name, values))
}

fn outputs(columns: &Columns) -> ModelOutputs {
    let add = |outputs: ModelOutputs, (name, values): &(&'static str, Vec<f64>)| match *name {
        "token_logps" => ModelOutputs::new(values),
        "token_scores" => outputs.token_scores(values),
        "entropies" => outputs.entropies(values),
        "logits" => outputs.logits(values),
        "last_hidden" => outputs.last_hidden(values),
        "mean_logits" => outputs.mean_logits(values),
        "scores" => outputs.scores(values),
        other => panic!("`{other}` is in no golden file"),
    };
    columns.iter().fold(ModelOutputs::default(), add).vocab_size(1)
}
