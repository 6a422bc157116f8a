//! From arguments to what the libraries take: open defaults are filled in, and what contradicts itself is refused.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use serde_json::Value;
use swift_data::{PackingStrategy, PlanOptions, TemplateOptions, TrainedParts};
use swift_infer::SamplingOptions;
use swift_model::{AdapterOptions, ModelConfig, Quantisation};
use swift_runtime::{Input, Limits, Requirements};
use swift_tensor::{AdamW, DType};
use swift_train::{RolloutOptions, ScheduleOptions, TrainerOptions, Warmup, When, row_shape};

use crate::arguments::{
    Dtype, ESTIMATORS, Packing, Precision, RolloutArguments, RunArguments, SCALES, Strategy, Truncation,
    Tuner,
};
use crate::directories;
use crate::report::UsageError;

/// The template that leaves texts as they are.
const NO_TEMPLATE: &str = "dummy";

/// What logits are divided by before a token is chosen, by default.
const DEFAULT_TEMPERATURE: f64 = 0.9;

/// How much of the divergence from the reference is taken from rewards by default where there is a value function.
const DEFAULT_KL_COEFFICIENT: f64 = 0.05;

/// Rows that an optimiser step has by default.
const DEFAULT_WINDOW: usize = 16;

/// Everything that a run is told, in the words of the libraries.
pub(crate) struct Settings {
    /// The arguments with all defaults filled in, for `args.json`.
    pub(crate) arguments: RunArguments,
    pub(crate) dtype: DType,
    /// Whether products of linear layers are taken in 8 bits.
    pub(crate) float8: bool,
    pub(crate) quantisation: Option<Quantisation>,
    pub(crate) adapter: AdapterOptions,
    /// Outputs of the score head, if there is one.
    pub(crate) score_outputs: Option<u32>,
    pub(crate) template: TemplateOptions,
    /// Rules for the weights of words, joined by `+`; none if empty.
    pub(crate) loss_scale_rules: String,
    pub(crate) data: swift_data::LoadOptions,
    pub(crate) plan: PlanOptions,
    pub(crate) trainer: TrainerOptions,
    /// For a loss that learns from answers of the model. What only the model's folder and the rewards tell is missing.
    pub(crate) rollouts: Option<RolloutOptions>,
}

/// What plugins may use.
pub(crate) fn limits(arguments: &RunArguments) -> Result<Limits, UsageError> {
    let call_time = Duration::try_from_secs_f64(arguments.plugins.plugin_timeout)
        .map_err(|error| UsageError::new("`--plugin-timeout` is no time").caused_by(error))?;
    let memory_bytes = arguments.plugins.plugin_memory.saturating_mul(1 << 20);
    Ok(Limits { call_time, memory_bytes, seed: arguments.training.seed, ..Limits::default() })
}

/// Refuses what cannot be done whatever the model and the loss are.
pub(crate) fn check(arguments: &RunArguments) -> Result<(), UsageError> {
    if arguments.adapter.tuner_type == Tuner::Full && arguments.adapter.adapters.is_some() {
        return Err(UsageError::new("`--tuner-type full` trains no adapter, but `--adapters` names one")
            .hint("leave one of them out"));
    }
    if arguments.adapter.tuner_type == Tuner::Full && arguments.model.quantisation.quantisation()?.is_some() {
        return Err(UsageError::new(
            "`--tuner-type full` trains all weights, but `--quant-bits` freezes them",
        )
        .hint("train an adapter beside them: `--tuner-type lora`"));
    }
    if arguments.model.dtype == Some(Precision::Fp8) && arguments.model.quantisation.quantisation()?.is_some()
    {
        return Err(UsageError::new(
            "`--dtype fp8` rounds dense weights for each product, but `--quant-bits` keeps them in few bits",
        )
        .hint("leave one of them out"));
    }
    let evaluates = arguments.output.eval_strategy.is_some_and(|strategy| strategy != Strategy::No);
    if evaluates && arguments.data.val_dataset.is_empty() {
        return Err(UsageError::new(
            "`--eval-strategy` asks for evaluations, but there is no validation set",
        )
        .hint("name its files with `--val-dataset`"));
    }
    Ok(())
}

impl Settings {
    /// Whether something was asked for that the model's own chat template has no part in.
    pub(crate) fn needs_named_template(&self) -> bool {
        let data = &self.arguments.data;
        data.agent_template.is_some() || data.response_prefix.is_some() || !self.loss_scale_rules.is_empty()
    }

    /// Resolves arguments for a model and a loss.
    pub(crate) fn resolve(
        mut arguments: RunArguments,
        config: &ModelConfig,
        loss: Requirements,
    ) -> Result<Self, UsageError> {
        let has_rollouts = loss.input == Input::Rollouts;
        let has_values = has_rollouts && loss.score_head.is_some();
        let kl_coefficient =
            arguments.rollout.kl_coef.unwrap_or(if has_values { DEFAULT_KL_COEFFICIENT } else { 0.0 });
        let with_reference = loss.reference || (has_rollouts && kl_coefficient != 0.0);
        if arguments.model.ref_model.is_some() && !with_reference {
            return Err(UsageError::new(
                "`--ref-model` names a reference model, but the loss has no use for one",
            )
            .hint("leave it out, or choose another loss with `--plugin`"));
        }
        if arguments.model.teacher_model.is_some() && !loss.teacher {
            return Err(UsageError::new(
                "`--teacher-model` names a teacher, but the loss has no use for one",
            )
            .hint("leave it out, or choose another loss with `--plugin`"));
        }
        if has_rollouts && arguments.data.packing {
            return Err(UsageError::new(
                "`--packing` is for rows with answers, and the loss learns from prompts",
            )
            .hint("leave it out"));
        }
        if arguments.data.truncation_strategy == Truncation::Split && loss.input != Input::Causal {
            return Err(UsageError::new(
                "`--truncation-strategy split` makes several samples of a long row, and the loss judges rows as a whole",
            )
            .hint("take `delete`, `left` or `right`, or choose another loss with `--plugin`"));
        }
        let score_outputs = match (loss.score_head, arguments.model.num_labels) {
            (None, Some(_)) => {
                return Err(UsageError::new("`--num-labels` is for losses that score texts")
                    .hint("leave it out, or choose another loss with `--plugin`"));
            }
            (Some(0), None) => {
                return Err(UsageError::new("The loss scores texts, but does not say by how many numbers")
                    .hint("give it as `--num-labels N`"));
            }
            (Some(0), Some(labels)) => Some(labels.get()),
            (outputs, _) => outputs,
        };
        let quantisation = arguments.model.quantisation.quantisation()?;
        let RunArguments { model, data, adapter, training, rollout, output, .. } = &mut arguments;
        let precision = *model.dtype.get_or_insert_with(|| Precision::Of(Dtype::of(config)));
        let data_seed = *data.data_seed.get_or_insert(training.seed);
        let context = longest_context(config);
        if data.max_length.is_none() {
            data.max_length = match context {
                Some(context) if has_rollouts => Some(room_for_prompts(context, rollout)?),
                context => context,
            };
        }
        let loss_scale = data.loss_scale.get_or_insert_with(|| {
            let name = match loss.trained_parts {
                swift_runtime::TrainedParts::Answers => "default",
                swift_runtime::TrainedParts::LastRound => "last_round",
                swift_runtime::TrainedParts::Everything => "all",
            };
            name.to_owned()
        });
        let (trained_parts, loss_scale_rules) = TrainedParts::split(loss_scale);
        let use_chat_template = *data
            .use_chat_template
            .get_or_insert(loss.trained_parts != swift_runtime::TrainedParts::Everything);
        if !use_chat_template {
            data.template = Some(NO_TEMPLATE.to_owned());
        }
        let packing = match (data.packing, data.packing_length.or(data.max_length)) {
            (false, _) => None,
            (true, Some(length)) => {
                data.packing_length = Some(length);
                let strategy = match data.packing_strategy {
                    Packing::Binpack => PackingStrategy::BinPack,
                    Packing::Sequential => PackingStrategy::Sequential,
                };
                Some(swift_data::Packing { length, strategy })
            }
            (true, None) => {
                return Err(UsageError::new(
                    "`--packing` needs a length, and the model does not say how much it can read",
                )
                .hint("give it as `--packing-length TOKENS`"));
            }
        };
        let batch_size = training.per_device_train_batch_size.get();
        let accumulation = *training.gradient_accumulation_steps.get_or_insert(
            NonZeroUsize::new(match has_rollouts {
                true => whole_groups(batch_size, rollout.num_generations.get()),
                false => DEFAULT_WINDOW.div_ceil(batch_size),
            })
            .unwrap_or(NonZeroUsize::MIN),
        );
        let rollouts = match has_rollouts {
            true => {
                rollout.kl_coef = Some(kl_coefficient);
                let options = rollout_options(rollout, batch_size, accumulation, context);
                Some(options)
            }
            false => None,
        };
        let prompts = rollouts
            .as_ref()
            .map(RolloutOptions::prompts)
            .transpose()
            .map_err(|error| UsageError::new(error.to_string()))?;
        let learning_rate = *training.learning_rate.get_or_insert(match adapter.tuner_type {
            Tuner::Lora => 1e-4,
            Tuner::Full => 1e-5,
        });
        let eval_strategy = *output.eval_strategy.get_or_insert(match data.val_dataset.is_empty() {
            true => Strategy::No,
            false => Strategy::Steps,
        });
        let eval_steps = *output.eval_steps.get_or_insert(output.save_steps);
        let greater_is_better =
            *output.greater_is_better.get_or_insert(!output.metric_for_best_model.ends_with("loss"));
        Ok(Self {
            dtype: precision.dtype().into(),
            float8: precision == Precision::Fp8,
            quantisation,
            adapter: AdapterOptions {
                rank: adapter.lora_rank,
                alpha: adapter.lora_alpha,
                dropout: adapter.lora_dropout,
                rslora: adapter.use_rslora,
                dora: adapter.use_dora,
                target_modules: adapter.target_modules.clone(),
                target_parameters: adapter.target_parameters.clone(),
                seed: training.seed,
            },
            score_outputs,
            loss_scale_rules: loss_scale_rules.to_owned(),
            template: TemplateOptions {
                system: data.system.clone(),
                enable_thinking: data.enable_thinking,
                response_prefix: data.response_prefix.clone(),
                agent_template: data.agent_template.clone(),
                chat_template_kwargs: data.chat_template_kwargs.clone().unwrap_or_default(),
                preserve_thinking: data.preserve_thinking,
                add_non_thinking_prefix: data.add_non_thinking_prefix,
                now: Some(data.template_date.into()),
            },
            data: swift_data::LoadOptions {
                columns: data.columns.clone().unwrap_or_default(),
                shape: row_shape(loss.input),
                trained_parts,
                max_length: data.max_length,
                truncation: match data.truncation_strategy {
                    Truncation::Delete => swift_data::Truncation::Delete,
                    Truncation::Left => swift_data::Truncation::Left,
                    Truncation::Right => swift_data::Truncation::Right,
                    Truncation::Split => swift_data::Truncation::Split,
                },
                seed: data_seed,
                cache_directory: directories::cache("tokens"),
            },
            plan: PlanOptions {
                // A window has the prompts of a generation.
                batch_size: prompts.unwrap_or(batch_size),
                gradient_accumulation_steps: if has_rollouts { 1 } else { accumulation.get() },
                shuffle_dataset: data.dataset_shuffle,
                shuffle: data.train_dataloader_shuffle,
                seed: data_seed,
                packing,
            },
            trainer: TrainerOptions {
                num_train_epochs: training.num_train_epochs,
                max_steps: u64::try_from(training.max_steps).ok().and_then(NonZeroU64::new),
                learning_rate,
                schedule: ScheduleOptions {
                    name: training.lr_scheduler_type.clone(),
                    settings: training.lr_scheduler_kwargs.clone().unwrap_or_default(),
                    warmup: match training.warmup_steps {
                        0 => Warmup::Ratio(training.warmup_ratio),
                        steps => Warmup::Steps(steps),
                    },
                },
                weight_decay: training.weight_decay,
                adam: AdamW {
                    beta1: training.adam_beta1,
                    beta2: training.adam_beta2,
                    epsilon: training.adam_epsilon,
                },
                lorap_lr_ratio: adapter.lorap_lr_ratio,
                max_grad_norm: training.max_grad_norm,
                recompute: training.gradient_checkpointing,
                model_adds_loss: training.router_aux_loss_coef != 0.0,
                seed: training.seed,
                logging_steps: output.logging_steps,
                logging_first_step: output.logging_first_step,
                save: when(output.save_strategy, output.save_steps),
                save_total_limit: output.save_total_limit,
                evaluate: when(eval_strategy, eval_steps),
                eval_on_start: output.eval_on_start,
                eval_batch_size: training.per_device_eval_batch_size,
                metric_for_best_model: output.metric_for_best_model.clone(),
                greater_is_better,
            },
            rollouts,
            arguments,
        })
    }

    /// Whether a reference model takes part.
    pub(crate) fn with_reference(&self, loss: Requirements) -> bool {
        loss.reference || self.rollouts.as_ref().is_some_and(|rollouts| rollouts.kl_coefficient != 0.0)
    }
}

/// How many tokens prompts may have.
fn room_for_prompts(context: usize, rollout: &RolloutArguments) -> Result<usize, UsageError> {
    let answer = rollout.max_completion_length.get();
    context.checked_sub(answer).filter(|room| *room > 0).ok_or_else(|| {
        UsageError::new(format!(
            "`--max-completion-length {answer}` leaves no room for prompts: the model has {context} positions"
        ))
        .hint("make it smaller")
    })
}

/// Micro-batches that hold all answers to some prompts and at least as many answers as an optimiser step has rows by default.
fn whole_groups(batch_size: usize, num_generations: usize) -> usize {
    let least = DEFAULT_WINDOW.div_ceil(batch_size);
    (least..least + num_generations)
        .find(|count| (count * batch_size).is_multiple_of(num_generations))
        .unwrap_or(least)
}

/// How answers are generated and judged.
fn rollout_options(
    rollout: &mut RolloutArguments,
    batch_size: usize,
    accumulation: NonZeroUsize,
    context: Option<usize>,
) -> RolloutOptions {
    let temperature = *rollout.temperature.get_or_insert(DEFAULT_TEMPERATURE);
    let steps_per_generation = *rollout.steps_per_generation.get_or_insert(accumulation);
    RolloutOptions {
        num_generations: rollout.num_generations.get(),
        max_completion_length: rollout.max_completion_length.get(),
        sampling: SamplingOptions {
            temperature,
            top_p: rollout.top_p,
            top_k: u32::try_from(rollout.top_k).ok().filter(|count| *count > 0),
            ..SamplingOptions::default()
        },
        ends: Vec::new(),
        context_length: context.unwrap_or(usize::MAX),
        num_iterations: rollout.num_iterations.get(),
        steps_per_generation: steps_per_generation.get(),
        gradient_accumulation_steps: accumulation.get(),
        batch_size,
        estimator: meaning(&ESTIMATORS, &rollout.advantage_estimator),
        scale: meaning(&SCALES, &rollout.scale_rewards),
        reward_weights: rollout.reward_weights.clone(),
        kl_coefficient: rollout.kl_coef.unwrap_or(0.0),
        gamma: rollout.gamma,
        lambda: rollout.lam,
        whiten_rewards: rollout.whiten_rewards,
        log_completions: rollout.log_completions,
    }
}

/// What a word stands for in a table; a flag takes no other words than those of its table.
fn meaning<T: Copy + Default>(table: &[(&str, T)], word: &str) -> T {
    table.iter().find(|(known, _)| *known == word).map(|(_, meaning)| *meaning).unwrap_or_default()
}

fn when(strategy: Strategy, steps: NonZeroU64) -> When {
    match strategy {
        Strategy::No => When::Never,
        Strategy::Steps => When::Steps(steps),
        Strategy::Epoch => When::Epoch,
    }
}

/// The most tokens that a model has positions for.
fn longest_context(config: &ModelConfig) -> Option<usize> {
    let config: Value = serde_json::from_str(config.text()).ok()?;
    config.get("max_position_embeddings")?.as_u64()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::arguments::tests::arguments;

    const CAUSAL: Requirements = Requirements {
        input: Input::Causal,
        trained_parts: swift_runtime::TrainedParts::Answers,
        reference: false,
        teacher: false,
        score_head: None,
        disable_dropout: false,
    };
    const PAIRS: Requirements = Requirements {
        input: Input::PreferencePairs,
        trained_parts: swift_runtime::TrainedParts::LastRound,
        reference: true,
        ..CAUSAL
    };

    fn resolved(words: &[&str], loss: Requirements) -> Result<Settings, UsageError> {
        resolved_for("bfloat16", words, loss)
    }

    fn resolved_for(dtype: &str, words: &[&str], loss: Requirements) -> Result<Settings, UsageError> {
        let folder = tempfile::tempdir().unwrap();
        let config = json!({ "architectures": ["X"], "torch_dtype": dtype, "max_position_embeddings": 64 });
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        Settings::resolve(arguments(words), &ModelConfig::read(folder.path()).unwrap(), loss)
    }

    #[test]
    fn a_model_is_computed_in_the_type_that_its_configuration_names_or_the_flag() {
        let of = |config, words: &[&str]| resolved_for(config, words, CAUSAL).unwrap().dtype;
        for (name, dtype) in [("float16", DType::F16), ("float32", DType::F32), ("float64", DType::F64)] {
            assert_eq!(of(name, &[]), dtype);
            assert_eq!(of("bfloat16", &["--torch-dtype", name]), dtype);
        }
        assert_eq!(of("float8_e4m3fn", &[]), DType::F32);
        assert_eq!(of("float32", &["--dtype=fp16"]), DType::F16);
        let settings = resolved_for("float32", &["--dtype=fp8"], CAUSAL).unwrap();
        assert_eq!((settings.dtype, settings.float8), (DType::BF16, true));
        assert_eq!(json!(settings.arguments.model.dtype), "fp8");
        let settings = resolved_for("float32", &[], CAUSAL).unwrap();
        assert_eq!((json!(settings.arguments.model.dtype), settings.float8), (json!("float32"), false));
    }

    #[test]
    fn open_defaults_follow_from_what_is_known() {
        let settings =
            resolved(&["--per-device-train-batch-size=3", "--seed=7", "--save-steps=9"], CAUSAL).unwrap();
        assert_eq!(settings.trainer.learning_rate, 1e-4);
        assert_eq!(settings.plan.gradient_accumulation_steps, 6);
        assert_eq!(settings.plan.seed, 7);
        assert_eq!(settings.dtype, DType::BF16);
        assert_eq!(settings.data.max_length, Some(64));
        assert_eq!(settings.data.trained_parts, TrainedParts::Answers);
        assert_eq!(settings.trainer.evaluate, When::Never);
        assert_eq!(settings.arguments.training.learning_rate, Some(1e-4));
        let settings = resolved(&["--tuner-type=full", "--val-dataset=v", "--save-steps=9"], PAIRS).unwrap();
        assert_eq!(settings.trainer.learning_rate, 1e-5);
        assert_eq!(settings.trainer.evaluate, When::Steps(NonZeroU64::new(9).unwrap()));
        assert_eq!(settings.data.trained_parts, TrainedParts::LastRound);
    }

    #[test]
    fn packing_is_as_long_as_the_longest_row_may_be() {
        let packing =
            |words: &[&str]| resolved(words, CAUSAL).unwrap().plan.packing.map(|packing| packing.length);
        assert_eq!(packing(&[]), None);
        assert_eq!(packing(&["--packing", "--max-length=32"]), Some(32));
        assert_eq!(packing(&["--packing", "--packing-length=48"]), Some(48));
    }

    #[test]
    fn a_reference_model_is_for_losses_that_need_one() {
        assert!(resolved(&["--ref-model=r"], PAIRS).is_ok());
        assert!(resolved(&["--ref-model=r"], CAUSAL).is_err());
    }

    #[test]
    fn a_teacher_is_for_losses_that_need_one() {
        let taught = Requirements { teacher: true, ..CAUSAL };
        assert!(resolved(&["--teacher-model=t"], taught).is_ok());
        assert!(resolved(&["--teacher-model=t"], CAUSAL).is_err());
    }

    #[test]
    fn a_score_head_has_as_many_outputs_as_the_loss_or_else_the_run_says() {
        let outputs = |words: &[&str], score_head| {
            let settings = resolved(words, Requirements { score_head, ..CAUSAL })?;
            Ok::<_, UsageError>(settings.score_outputs)
        };
        assert_eq!(outputs(&[], None).unwrap(), None);
        assert_eq!(outputs(&[], Some(1)).unwrap(), Some(1));
        assert_eq!(outputs(&["--num-labels=3"], Some(0)).unwrap(), Some(3));
        assert!(outputs(&[], Some(0)).unwrap_err().to_string().contains("how many numbers"));
        assert!(outputs(&["--num-labels=3"], None).unwrap_err().to_string().contains("`--num-labels`"));
    }

    #[test]
    fn a_loss_scale_may_have_rules_and_every_token_needs_no_template() {
        let settings = resolved(&["--loss-scale=last_round+hermes"], CAUSAL).unwrap();
        assert_eq!(settings.data.trained_parts, TrainedParts::LastRound);
        assert_eq!(settings.loss_scale_rules, "hermes");
        assert_eq!(settings.arguments.data.template, None);
        let texts = Requirements { trained_parts: swift_runtime::TrainedParts::Everything, ..CAUSAL };
        let settings = resolved(&[], texts).unwrap();
        assert_eq!(settings.data.trained_parts, TrainedParts::Everything);
        assert_eq!(settings.arguments.data.template.as_deref(), Some("dummy"));
    }

    #[test]
    fn a_loss_that_learns_from_rollouts_has_windows_of_prompts() {
        let rollouts = Requirements { input: Input::Rollouts, ..CAUSAL };
        let settings =
            |words: &[&str]| resolved(&[&["--max-completion-length=48"], words].concat(), rollouts);
        let usual = settings(&[]).unwrap();
        assert_eq!((usual.plan.batch_size, usual.plan.gradient_accumulation_steps), (2, 1));
        assert_eq!(usual.data.max_length, Some(16));
        let options = usual.rollouts.unwrap();
        assert_eq!((options.gradient_accumulation_steps, options.steps_per_generation), (16, 16));
        assert_eq!((options.sampling.temperature, options.sampling.top_k), (0.9, None));
        let words = ["--per-device-train-batch-size=4", "--gradient-accumulation-steps=2"];
        let settings = |more: &[&str]| settings(&[&words, more].concat());
        assert_eq!(settings(&["--steps-per-generation=4"]).unwrap().plan.batch_size, 2);
        let refused = |more: &[&str]| settings(more).err().unwrap().to_string();
        assert!(refused(&["--num-generations=3"]).contains("must divide the 8 answers"));
        assert!(refused(&["--steps-per-generation=3"]).contains("must be a multiple"));
        assert!(refused(&["--packing"]).contains("`--packing`"));
        assert!(refused(&["--temperature=0"]).contains("must be above 0"));
        assert!(refused(&["--ref-model=r"]).contains("no use for one"));
        assert!(settings(&["--ref-model=r", "--kl-coef=0.1"]).is_ok());
        let long = resolved(&[], rollouts).err().unwrap().to_string();
        assert!(long.contains("leaves no room for prompts"), "{long}");
    }

    #[test]
    fn rows_are_split_for_losses_on_one_conversation() {
        let split = ["--truncation-strategy=split"];
        assert_eq!(resolved(&split, CAUSAL).unwrap().data.truncation, swift_data::Truncation::Split);
        let unpaired = Requirements { input: Input::UnpairedPreference, ..CAUSAL };
        for loss in [PAIRS, unpaired] {
            let refused = resolved(&split, loss).err().unwrap().to_string();
            assert!(refused.contains("`--truncation-strategy split`"), "{refused}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let refused = |words: &[&str]| check(&arguments(words)).unwrap_err().to_string();
        assert!(refused(&["--tuner-type=full", "--adapters=a"]).contains("`--adapters`"));
        assert!(refused(&["--eval-strategy=epoch"]).contains("validation set"));
        check(&arguments(&["--device=cpu", "--eval-strategy=no"])).unwrap();
    }
}
