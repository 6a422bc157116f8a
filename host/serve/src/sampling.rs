//! How tokens are chosen and when an answer ends, as requests say it.

use serde_json::{Map, Value};
use swift_infer::{BeamOptions, Constraint, EarlyStopping, Sampler, SamplingOptions, StopOptions};

use crate::app::App;
use crate::error::{ApiError, Result};
use crate::fields::Fields;
use crate::form::Form;

/// Numbers of a request and where they go.
type Number = (&'static str, fn(&mut SamplingOptions) -> &mut f64);

const NUMBERS: [Number; 6] = [
    ("temperature", |options| &mut options.temperature),
    ("top_p", |options| &mut options.top_p),
    ("min_p", |options| &mut options.min_p),
    ("repetition_penalty", |options| &mut options.repetition_penalty),
    ("presence_penalty", |options| &mut options.presence_penalty),
    ("frequency_penalty", |options| &mut options.frequency_penalty),
];

/// The options that completions and chat have in common.
pub(crate) struct Options {
    pub(crate) sampling: SamplingOptions,
    pub(crate) stop: StopOptions,
    pub(crate) n: u32,
    pub(crate) best_of: Option<u32>,
    pub(crate) beams: Option<BeamOptions>,
    pub(crate) prompt_logprobs: Option<u32>,
    /// Of longer prompts only so many last tokens count.
    pub(crate) truncate_prompt_tokens: Option<usize>,
    pub(crate) skip_special_tokens: bool,
    pub(crate) return_token_ids: bool,
    /// Whether the answer is a stream, and whether that ends with the usage.
    pub(crate) stream: Option<bool>,
    /// The form that answers are asked to have.
    pub(crate) form: Option<Form>,
    /// What makes them have it, once that is known.
    pub(crate) constraint: Option<Constraint>,
    /// What else changes how tokens are chosen, in this order.
    pub(crate) samplers: Vec<Sampler>,
}

impl Options {
    pub(crate) fn read(fields: &mut Fields, app: &App) -> Result<Self> {
        let mut sampling = app.options.sampling.clone();
        for (name, place) in NUMBERS {
            if let Some(number) = fields.take(name)? {
                *place(&mut sampling) = number;
            }
        }
        // Both stand for all tokens.
        match fields.take::<i64>("top_k")? {
            None => {}
            Some(0 | -1) => sampling.top_k = None,
            Some(count) => {
                let count = u32::try_from(count);
                sampling.top_k =
                    Some(count.map_err(|_| ApiError::field("top_k", "must be at least 1, or -1"))?);
            }
        }
        sampling.seed = fields.take::<i64>("seed")?.map(i64::cast_unsigned).or(sampling.seed);
        if let Some(bias) = fields.take::<Map<String, Value>>("logit_bias")? {
            sampling.logit_bias = bias.iter().map(bias_of).collect::<Option<_>>().ok_or_else(|| {
                ApiError::field("logit_bias", "must have token ids as names and numbers as values")
            })?;
        }
        if let Some(allowed) = fields.take("allowed_token_ids")? {
            sampling.allowed_token_ids = Some(allowed);
        }
        let stop = StopOptions {
            max_tokens: max_tokens(fields, app)?,
            min_tokens: fields.take("min_tokens")?.unwrap_or(0),
            strings: fields.take("stop")?.unwrap_or_default(),
            token_ids: fields.take("stop_token_ids")?.unwrap_or_default(),
            ignore_eos: fields.flag("ignore_eos")?,
            include_in_output: fields.flag("include_stop_str_in_output")?,
        };
        if !stop.strings.is_empty() && app.tokenizer.is_none() {
            return Err(ApiError::field("stop", "needs a tokeniser, which the model's folder does not have"));
        }
        let n = fields.take("n")?.unwrap_or(1);
        let mut best_of = fields.take("best_of")?.filter(|best_of| *best_of != n);
        let beams = beams(fields, best_of.unwrap_or(n))?;
        if beams.is_some() {
            best_of = None;
        }
        let stream = fields.flag("stream")?.then_some(false);
        let stream = match (stream, fields.take::<Map<String, Value>>("stream_options")?) {
            (None, Some(_)) => return Err(ApiError::field("stream_options", "is for `stream` only")),
            (Some(_), Some(options)) => {
                Some(options.get("include_usage").and_then(Value::as_bool).unwrap_or(false))
            }
            (stream, None) => stream,
        };
        if stream.is_some() && best_of.is_some() {
            return Err(ApiError::field("best_of", "greater than `n` cannot be streamed"));
        }
        if stream.is_some() && beams.is_some() {
            return Err(ApiError::field("use_beam_search", "cannot be streamed"));
        }
        Ok(Self {
            sampling,
            stop,
            n,
            best_of,
            beams,
            prompt_logprobs: fields.take("prompt_logprobs")?,
            truncate_prompt_tokens: truncate_prompt_tokens(fields, app)?,
            skip_special_tokens: fields.take("skip_special_tokens")?.unwrap_or(true),
            // Where there is no text, tokens are all that can be given.
            return_token_ids: fields.take("return_token_ids")?.unwrap_or(app.tokenizer.is_none()),
            stream,
            form: Form::read(fields)?,
            constraint: None,
            samplers: samplers(fields, app)?,
        })
    }
}

/// How many tokens of a prompt count; -1 stands for as many as there is room for.
pub(crate) fn truncate_prompt_tokens(fields: &mut Fields, app: &App) -> Result<Option<usize>> {
    let name = "truncate_prompt_tokens";
    match fields.take::<i64>(name)? {
        None => Ok(None),
        Some(-1) => Ok(Some(app.context_length.saturating_sub(1))),
        Some(count) => match usize::try_from(count) {
            Ok(count) if count > 0 => Ok(Some(count)),
            _ => Err(ApiError::field(name, "must be at least 1, or -1")),
        },
    }
}

/// How beams are searched, if they are: by the names that vLLM and transformers have for it.
fn beams(fields: &mut Fields, width: u32) -> Result<Option<BeamOptions>> {
    let mut options = BeamOptions::new(width);
    if let Some(penalty) = fields.take("length_penalty")? {
        options.length_penalty = penalty;
    }
    options.early_stopping = match fields.take::<Value>("early_stopping")? {
        None | Some(Value::Bool(false)) => EarlyStopping::Heuristic,
        Some(Value::Bool(true)) => EarlyStopping::Always,
        Some(Value::String(text)) if text == "never" => EarlyStopping::Never,
        Some(_) => return Err(ApiError::field("early_stopping", "must be `true`, `false` or `\"never\"`")),
    };
    Ok(fields.flag("use_beam_search")?.then_some(options))
}

/// The samplers that a request names, of those that were loaded.
fn samplers(fields: &mut Fields, app: &App) -> Result<Vec<Sampler>> {
    let named = fields.take::<Vec<String>>("sampler")?.unwrap_or_default();
    let (wanted, known) = (named.len(), app.samplers.len());
    // One is said to be unknown below, and by its name.
    if wanted > known.max(1) {
        let rule = format!("names {wanted} samplers, and this server has {known}");
        return Err(ApiError::field("sampler", &rule));
    }
    let sampler = |name: &String| {
        app.samplers.iter().find(|sampler| sampler.name() == name).cloned().ok_or_else(|| {
            let known: Vec<String> = app.samplers.iter().map(|known| format!("`{}`", known.name())).collect();
            let known = if known.is_empty() { "no sampler".to_owned() } else { known.join(", ") };
            ApiError::field("sampler", &format!("names `{name}`, and this server has {known}"))
        })
    };
    named.iter().map(sampler).collect()
}

fn bias_of((id, bias): (&String, &Value)) -> Option<(u32, f32)> {
    Some((id.parse().ok()?, bias.as_f64()? as f32))
}

/// The most tokens of the answer: the older and the newer name of the same, and the server's own limit.
fn max_tokens(fields: &mut Fields, app: &App) -> Result<Option<usize>> {
    let (old, new) = (fields.take::<usize>("max_tokens")?, fields.take::<usize>("max_completion_tokens")?);
    if old.zip(new).is_some_and(|(old, new)| old != new) {
        return Err(ApiError::field("max_completion_tokens", "and `max_tokens` say different numbers"));
    }
    let limit = app.options.max_output_tokens;
    match (new.or(old), limit) {
        (Some(given), Some(limit)) if given > limit => {
            let rule = format!("must be at most {limit} on this server");
            Err(ApiError::field(if new.is_some() { "max_completion_tokens" } else { "max_tokens" }, &rule))
        }
        (given, limit) => Ok(given.or(limit)),
    }
}
