//! Losses in native code.

use std::sync::Arc;

use swift_runtime::{BatchView, Input, LossReport, Metric, OutputsView, Requirements, TrainedParts};
use swift_tensor::Tensor;
use swift_train::{Loss, Result};

/// The mean over all labels of the window; token accuracy as its metric.
pub(crate) struct NegativeLogLikelihood;

const PLAIN: Requirements = Requirements {
    input: Input::Causal,
    trained_parts: TrainedParts::Answers,
    reference: false,
    teacher: false,
    score_head: None,
    disable_dropout: false,
};

fn nll(batch: &dyn BatchView, policy: &dyn OutputsView) -> swift_tensor::Result<LossReport> {
    let logps = policy.token_logps()?.mul(&batch.loss_weights())?;
    let right = policy.predictions()?.eq(&batch.labels())?.cast(swift_tensor::DType::F32)?;
    let accuracy = Metric { name: "token_acc".into(), values: right, weights: Some(batch.label_mask()) };
    let loss = logps.sum(&[], false)?.scale(-1.0 / batch.global_token_count() as f64)?;
    Ok(LossReport { loss, metrics: vec![accuracy] })
}

impl Loss for NegativeLogLikelihood {
    fn requirements(&self) -> Requirements {
        PLAIN
    }

    fn compute(
        &mut self,
        batch: Arc<dyn BatchView>,
        policy: Arc<dyn OutputsView>,
        _reference: Option<Arc<dyn OutputsView>>,
    ) -> Result<LossReport> {
        Ok(nll(&*batch, &*policy)?)
    }
}

/// As it, but from a step on with the logarithm of zero in it, in the value or only in the gradient.
pub(crate) struct BreaksAfter {
    pub(crate) steps: u64,
    pub(crate) only_gradient: bool,
}

impl Loss for BreaksAfter {
    fn requirements(&self) -> Requirements {
        PLAIN
    }

    fn compute(
        &mut self,
        batch: Arc<dyn BatchView>,
        policy: Arc<dyn OutputsView>,
        _reference: Option<Arc<dyn OutputsView>>,
    ) -> Result<LossReport> {
        let broken = |report: LossReport| -> swift_tensor::Result<LossReport> {
            if batch.step() < self.steps {
                return Ok(report);
            }
            let zero = report.loss.scale(0.0)?;
            let loss = match self.only_gradient {
                true => report.loss.add(&zero.sqrt()?)?,
                false => report.loss.add(&zero.log()?)?,
            };
            Ok(LossReport { loss, ..report })
        };
        Ok(nll(&*batch, &*policy).and_then(broken)?)
    }
}

/// As [`NegativeLogLikelihood`], times how often it has been asked: what it computes depends on what it remembers.
#[derive(Default)]
pub(crate) struct Remembers(u64);

impl Loss for Remembers {
    fn requirements(&self) -> Requirements {
        PLAIN
    }

    fn compute(
        &mut self,
        batch: Arc<dyn BatchView>,
        policy: Arc<dyn OutputsView>,
        _reference: Option<Arc<dyn OutputsView>>,
    ) -> Result<LossReport> {
        self.0 += 1;
        let report = nll(&*batch, &*policy)?;
        Ok(LossReport { loss: report.loss.scale(self.0 as f64)?, ..report })
    }

    fn save_state(&mut self) -> Result<String> {
        Ok(self.0.to_string())
    }

    fn restore_state(&mut self, state: &str) -> Result<()> {
        self.0 = state.parse().unwrap();
        Ok(())
    }
}

/// The squared distance to the teacher, plus the usual loss.
pub(crate) struct Imitates;

impl Loss for Imitates {
    fn requirements(&self) -> Requirements {
        Requirements { teacher: true, ..PLAIN }
    }

    fn compute(
        &mut self,
        batch: Arc<dyn BatchView>,
        policy: Arc<dyn OutputsView>,
        _reference: Option<Arc<dyn OutputsView>>,
    ) -> Result<LossReport> {
        let teacher = batch.teacher().unwrap().logits()?;
        assert!(!teacher.requires_grad());
        let distance = policy.logits()?.sub(&teacher)?.pow(2.0)?.sum(&[], false)?;
        let name = "distance".into();
        let metric = Metric { name, values: distance.detach(), weights: None };
        let report = nll(&*batch, &*policy)?;
        Ok(LossReport { loss: report.loss.add(&distance)?, metrics: vec![metric] })
    }
}

/// The squared distance to the reference, plus the usual loss.
pub(crate) struct StaysClose;

impl Loss for StaysClose {
    fn requirements(&self) -> Requirements {
        Requirements { reference: true, disable_dropout: true, ..PLAIN }
    }

    fn compute(
        &mut self,
        batch: Arc<dyn BatchView>,
        policy: Arc<dyn OutputsView>,
        reference: Option<Arc<dyn OutputsView>>,
    ) -> Result<LossReport> {
        let reference = reference.unwrap();
        let compute = || -> swift_tensor::Result<LossReport> {
            let mut report = nll(&*batch, &*policy)?;
            let reference: Tensor = reference.token_logps()?;
            assert!(!reference.requires_grad());
            let distance = policy.token_logps()?.sub(&reference)?.pow(2.0)?.sum(&[], false)?;
            let name = "distance".into();
            report.metrics.push(Metric { name, values: distance.detach(), weights: None });
            report.loss = report.loss.add(&distance)?;
            Ok(report)
        };
        Ok(compute()?)
    }
}
