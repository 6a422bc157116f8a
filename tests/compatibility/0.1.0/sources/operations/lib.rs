//! Every operation, and everything that a loss and a callback can see, by the SDK of contract 0.1.0.

use std::cell::Cell;

use serde::{Deserialize, Serialize};
use swift_plugin::prelude::*;

parameters! {
    /// Calls everything that a loss and a callback can call.
    pub struct Operations {
        /// A factor on the loss.
        pub factor: f64 = 2.0,
        /// Which group of operations goes into the metrics: `elementwise`, `reductions`, `shapes`, `making`, `batch`,
        /// `outputs`, or `fail`.
        pub group: String = "elementwise".to_owned(),
        /// A whole number.
        pub whole: u64 = 3,
        /// Truth.
        pub truth: bool = true,
        /// Names.
        pub names: Vec<String> = vec!["a".to_owned()],
        /// Not set.
        pub unset: Option<f64> = None,
    }
    remembers {
        /// Calls so far.
        calls: Cell<u64>,
    }
}

impl Loss for Operations {
    fn requirements(&self) -> Requirements {
        Requirements {
            input: Input::Groups,
            trained_parts: TrainedParts::LastRound,
            reference: true,
            teacher: true,
            score_head: Some(self.whole as u32),
            disable_dropout: self.truth,
        }
    }

    /// `factor * sum(weight * logp) / labels of the window`.
    fn compute(&self, batch: &Batch, policy: &Outputs, reference: Option<&Outputs>) -> Result<Report> {
        self.calls.set(self.calls.get() + 1);
        info!("call {} of group {}", self.calls.get(), self.group);
        let logps = policy.token_logps()?;
        let total = (&logps * batch.loss_weights()).sum_all();
        let report = Report::new(total * self.factor / batch.global_token_count());
        Ok(match self.group.as_str() {
            "elementwise" => elementwise(&logps, &batch.loss_weights()).add(report),
            "reductions" => reductions(&policy.hidden()?).add(report),
            "shapes" => shapes(batch, &policy.hidden()?).add(report),
            "making" => making()?.add(report),
            "batch" => of_batch(batch)?.add(report),
            "outputs" => {
                let Some(reference) = reference else { bail!("there is no reference model") };
                of_outputs(policy, reference)?.add(report)
            }
            other => bail!("there is no group `{other}`"),
        })
    }

    fn save_state(&self) -> String {
        self.calls.get().to_string()
    }

    fn restore_state(&mut self, state: &str) -> Result<()> {
        self.calls.set(state.parse()?);
        Ok(())
    }
}

/// Results by name.
struct Results(Vec<(&'static str, Tensor)>);

impl Results {
    fn add(self, report: Report) -> Report {
        self.0.into_iter().fold(report, |report, (name, value)| report.metric(name, value.cast(Dtype::Float64)))
    }
}

fn elementwise(x: &Tensor, w: &Tensor) -> Results {
    Results(vec![
        ("add", x + w),
        ("sub", x - w),
        ("mul", x * w),
        ("div", w / x),
        ("maximum", x.maximum(-1.0)),
        ("minimum", x.minimum(-1.0)),
        ("scale", x * 2.5),
        ("add-scalar", x + 1.5),
        ("pow", x.abs().pow(1.5)),
        ("clamp", x.clamp(-2.0, -0.5)),
        ("neg", -x),
        ("abs", x.abs()),
        ("exp", x.exp()),
        ("log", x.abs().log()),
        ("sqrt", x.abs().sqrt()),
        ("sin", x.sin()),
        ("cos", x.cos()),
        ("tanh", x.tanh()),
        ("sigmoid", x.sigmoid()),
        ("log-sigmoid", x.log_sigmoid()),
        ("softplus", x.softplus()),
        ("relu", (x + 1.0).relu()),
        ("gelu", x.gelu()),
        ("gelu-tanh", x.gelu_tanh()),
        ("silu", x.silu()),
        ("eq", x.eq(-1.0)),
        ("gt", x.gt(-1.0)),
        ("ge", x.ge(-1.0)),
        ("lt", x.lt(-1.0)),
        ("le", x.le(-1.0)),
        ("choose", x.gt(-1.0).choose(w, x)),
        ("cast", x.cast(Dtype::Int64)),
        ("detach", x.detach()),
    ])
}

fn reductions(x: &Tensor) -> Results {
    Results(vec![
        ("sum", x.sum(&[0], false)),
        ("mean", x.mean(&[-1], true)),
        ("max", x.max(1, false)),
        ("min", x.min(0, true)),
        ("logsumexp", x.logsumexp(-1, false)),
        ("softmax", x.softmax(-1)),
        ("log-softmax", x.log_softmax(-1)),
        ("cumsum", x.cumsum(0)),
        ("argmax", x.argmax(-1, false)),
        ("sort", x.sort(true)),
        ("argsort", x.argsort(false)),
    ])
}

fn shapes(batch: &Batch, x: &Tensor) -> Results {
    let rows = Tensor::from_list(&[4.0, 0.0], &[2], Dtype::Int64);
    let places = Tensor::from_list(&[2.0, 0.0, 1.0, 1.0, 0.0, 2.0], &[6, 1], Dtype::Int64);
    let segments = batch.segment_ids();
    Results(vec![
        ("matmul", x.matmul(&x.transpose(0, 1))),
        ("gather", x.gather(1, &places)),
        ("index-select", x.index_select(0, &rows)),
        ("narrow", x.narrow(0, 2, 3)),
        ("reshape", x.reshape(&[2, -1])),
        ("transpose", x.transpose(0, -1)),
        ("broadcast-to", x.narrow(0, 0, 1).broadcast_to(&[2, 3])),
        ("segment-sum", x.segment_sum(&segments, 3)),
        ("segment-mean", x.segment_mean(&segments, 3)),
        ("cat", Tensor::cat(&[x, x], 1)),
        ("stack", Tensor::stack(&[x, x], 0)),
    ])
}

fn making() -> Result<Results> {
    let list = Tensor::from_list(&[1.0, 2.0], &[2], Dtype::Float32).to_list()?;
    let shape = Tensor::full(0.0, &[2, 5], Dtype::Uint8).shape()?;
    let dtype = Tensor::full(0.0, &[], Dtype::Bfloat16).dtype()?;
    Ok(Results(vec![
        ("from-list", Tensor::from_list(&[3.0, 4.0], &[1, 2], Dtype::Float16)),
        ("full", Tensor::full(7.0, &[2], Dtype::Float64)),
        ("arange", Tensor::arange(4)),
        ("uniform", Tensor::uniform(-1.0, 3.0, &[1000], Dtype::Float32)),
        ("normal", Tensor::normal(1.0, 2.0, &[1000], Dtype::Float32)),
        ("to-list", numbers(&list)),
        ("shape", numbers(&shape.iter().map(|size| *size as f64).collect::<Vec<_>>())),
        ("dtype", numbers(&[f64::from(u8::from(dtype == Dtype::Bfloat16))])),
    ]))
}

fn numbers(values: &[f64]) -> Tensor {
    Tensor::from_list(values, &[values.len() as u64], Dtype::Float64)
}

fn counts(values: &[u32]) -> Tensor {
    numbers(&values.iter().map(|value| f64::from(*value)).collect::<Vec<_>>())
}

fn of_batch(batch: &Batch) -> Result<Results> {
    let Some(field) = batch.field("margin") else { bail!("there is no column `margin`") };
    let Some(token_field) = batch.token_field("old_logps") else { bail!("there is no column `old_logps`") };
    let teacher = batch.with_teacher(|teacher| teacher.token_logps())?;
    let missing = f64::from(u8::from(batch.field("none").is_none()));
    Ok(Results(vec![
        ("labels", batch.labels()),
        ("label-mask", batch.label_mask()),
        ("loss-weights", batch.loss_weights()),
        ("segment-ids", batch.segment_ids()),
        ("sequence-lengths", counts(&batch.sequence_lengths())),
        ("group-lengths", counts(&batch.group_lengths())),
        ("field", field),
        ("missing", numbers(&[missing])),
        ("token-field", token_field),
        ("teacher", teacher),
        ("global-token-count", numbers(&[batch.global_token_count() as f64])),
        ("global-sequence-count", numbers(&[batch.global_sequence_count() as f64])),
        ("global-row-count", numbers(&[batch.global_row_count() as f64])),
        ("global-batch-count", numbers(&[batch.global_batch_count() as f64])),
        ("step", numbers(&[batch.step() as f64])),
        ("training", numbers(&[f64::from(u8::from(batch.training()))])),
    ]))
}

fn of_outputs(policy: &Outputs, reference: &Outputs) -> Result<Results> {
    Ok(Results(vec![
        ("token-logps", policy.token_logps()?),
        ("reference", reference.token_logps()?),
        ("predictions", policy.predictions()?),
        ("entropies", policy.entropies()?),
        ("mean-logits", policy.mean_logits()?),
        ("logits", policy.logits()?),
        ("vocab-size", numbers(&[policy.vocab_size()? as f64])),
        ("hidden", policy.hidden()?),
        ("last-hidden", policy.last_hidden()?),
        ("scores", policy.scores()?),
        ("token-scores", policy.token_scores()?),
    ]))
}

/// What the callback has seen.
#[derive(Default, Serialize, Deserialize)]
pub struct Seen {
    events: u64,
}

impl Callback for Operations {
    type State = Seen;

    fn on_event(&self, seen: &mut Seen, event: Event, run: &Run) -> Result<Vec<Action>> {
        seen.events += 1;
        let names = run.parameter_names();
        let Some(value) = names.first().and_then(|name| run.parameter(name)) else { bail!("nothing is trained") };
        let norm = value.pow(2.0).sum_all().sqrt().to_list()?;
        let loss = run.metric("loss").unwrap_or(f64::NAN);
        Ok(match event {
            Event::TrainBegin => vec![Action::Evaluate],
            Event::StepEnd => vec![Action::LogMetric(("norm".to_owned(), norm.iter().sum()))],
            Event::Log => vec![Action::LogMetric(("twice".to_owned(), 2.0 * loss))],
            Event::Evaluate => vec![Action::Save],
            Event::Save => vec![],
            Event::EpochEnd => vec![Action::Save, Action::Evaluate],
            Event::TrainEnd => vec![Action::Stop(format!(
                "{} events, step {} of {}, epoch {}, rate {}",
                seen.events, run.step, run.max_steps, run.epoch, run.learning_rate
            ))],
        })
    }
}

export!(Operations: Loss + Callback, name = "operations");
