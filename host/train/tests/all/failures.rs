use std::fs;

use swift_tensor::DType;
use swift_train::{Error, When, last_checkpoint};

use crate::losses::{BreaksAfter, Imitates, NegativeLogLikelihood, StaysClose};
use crate::support::{Setup, steps};

#[test]
fn a_loss_that_is_not_finite_is_reported_with_its_step_and_first_operation() {
    let mut setup = Setup::new();
    setup.options.save = When::Steps(steps(2));
    let loss = BreaksAfter { steps: 3, only_gradient: false };
    let error = setup.run_with(loss, Vec::new(), None).0.unwrap_err().to_string();
    assert!(error.starts_with("The loss of step 4 is not finite: "), "{error}");
    assert!(error.contains("`log` gave a value that is not finite"), "{error}");
    // The last checkpoint is from before.
    assert!(last_checkpoint(&setup.run).unwrap().path.ends_with("checkpoint-2"));
    assert_eq!(setup.log().len(), 3);
}

#[test]
fn a_gradient_that_is_not_finite_is_reported_with_its_operation() {
    let setup = Setup::new();
    let loss = BreaksAfter { steps: 1, only_gradient: true };
    let error = setup.run_with(loss, Vec::new(), None).0.unwrap_err();
    assert!(matches!(error, Error::NotFinite { step: 2, .. }), "{error}");
    let error = error.to_string();
    assert!(error.starts_with("The gradient of `embed.weight` of step 2 is not finite: "), "{error}");
    assert!(error.contains("`sqrt` gave a value that is not finite in its gradient"), "{error}");
}

#[test]
fn a_parameter_that_takes_no_part_is_named() {
    let mut setup = Setup::new();
    setup.idle_parameter = true;
    let error = setup.run_with(NegativeLogLikelihood, Vec::new(), None).0.unwrap_err();
    assert_eq!(error.to_string(), "The trainable parameter `idle.weight` got no gradient");
}

#[test]
fn what_can_be_known_before_is_refused_before_anything_is_written() {
    let setup = Setup::new();
    let error = setup.run_with(StaysClose, Vec::new(), None).0.unwrap_err();
    assert!(matches!(error, Error::ReferenceMissing));
    assert!(!setup.run.exists());

    let error = setup.run_with(Imitates, Vec::new(), None).0.unwrap_err();
    assert!(matches!(error, Error::TeacherMissing));
    assert!(!setup.run.exists());

    let mut setup = Setup::new();
    setup.dtype = DType::F64;
    let error = setup.run_with(NegativeLogLikelihood, Vec::new(), None).0.unwrap_err();
    assert_eq!(error.to_string(), "`--dtype` leads to parameters in `f64`, which are not trained");
    assert!(!setup.run.exists());

    let mut setup = Setup::new();
    setup.options.learning_rate = -1.0;
    let error = setup.run_with(NegativeLogLikelihood, Vec::new(), None).0.unwrap_err();
    assert_eq!(error.to_string(), "`--learning-rate` is `-1`, but must be 0 or more");
    assert!(!setup.run.exists());
}

#[test]
fn a_run_that_fails_in_its_first_step_leaves_nothing() {
    let setup = Setup::new();
    let broken = || BreaksAfter { steps: 0, only_gradient: false };
    assert!(setup.run_with(broken(), Vec::new(), None).0.is_err());
    assert!(!setup.run.exists());
    // A folder that was there stays, and is as empty as it was.
    fs::create_dir(&setup.run).unwrap();
    assert!(setup.run_with(broken(), Vec::new(), None).0.is_err());
    assert_eq!(fs::read_dir(&setup.run).unwrap().count(), 0);
}

#[test]
fn a_folder_with_something_in_it_is_left_alone() {
    let setup = Setup::new();
    fs::create_dir(&setup.run).unwrap();
    fs::write(setup.run.join("notes"), "mine").unwrap();
    let error = setup.run_with(NegativeLogLikelihood, Vec::new(), None).0.unwrap_err();
    assert!(matches!(error, Error::OutputNotEmpty(_)));
    assert_eq!(fs::read_dir(&setup.run).unwrap().count(), 1);
}

#[test]
fn a_model_that_was_told_to_add_a_loss_and_adds_none_is_refused() {
    let mut setup = Setup::new();
    setup.options.model_adds_loss = true;
    let error = setup.run_with(NegativeLogLikelihood, Vec::new(), None).0.unwrap_err();
    assert!(matches!(error, Error::ModelLossMissing), "{error}");
    assert!(error.hint().unwrap().starts_with("leave it out"));
    (setup.own_loss, setup.run) = (Some(0.5), setup.root.join("with a loss"));
    setup.run_with(NegativeLogLikelihood, Vec::new(), None).0.unwrap();
}

#[test]
fn a_metric_that_is_not_reported_is_refused_with_those_that_are() {
    let mut setup = Setup::new();
    setup.validate = true;
    setup.options.evaluate = When::Epoch;
    setup.options.metric_for_best_model = "reward".into();
    let error = setup.run_with(NegativeLogLikelihood, Vec::new(), None).0.unwrap_err();
    assert_eq!(error.to_string(), "The evaluation reports no `eval_reward`");
    assert_eq!(error.hint().unwrap(), "it reports `eval_loss`, `eval_token_acc`");
}
