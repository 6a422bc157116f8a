//! `swift-host infer`: answers to a dataset, or a chat in the terminal.

mod batch;
mod chat;
mod commands;
mod input;
mod results;
mod sampling;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use swift_data::{Adapter, DatasetSpec, LoadOptions, Questions, TemplateOptions};
use swift_infer::Backend as _;
use swift_runtime::{Kind, Limits};

use crate::answer_plugins::AnswerPluginArguments;
use crate::arguments::{ColumnNames, JsonObject, column_names, json_object};
use crate::console::Console;
use crate::dataset_adapter::DatasetAdapter;
use crate::engine_flags::EngineArguments;
use crate::plugins::Plugins;
use crate::report::UsageError;
use sampling::SamplingArguments;

/// Flags of ms-swift that change nothing here, with the reason.
const WITHOUT_EFFECT: [(&str, &str); 4] = [
    ("infer-backend", "there is one engine"),
    ("max-batch-size", "`--max-num-seqs` says how many sequences are computed at once"),
    ("write-batch-size", "each answer is written when it is there"),
    ("merge-lora", "adapters are used as they are; `swift-host export --merge-lora` writes a merged model"),
];

/// The arguments of `swift-host infer`.
#[derive(Debug, Clone, Args)]
pub(crate) struct InferArguments {
    #[command(flatten)]
    pub(crate) engine: EngineArguments,
    #[command(flatten)]
    pub(crate) data: QuestionArguments,
    #[command(flatten)]
    pub(crate) sampling: SamplingArguments,
    #[command(flatten)]
    plugins: AnswerPluginArguments,
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true")]
    infer_backend: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true")]
    max_batch_size: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true")]
    write_batch_size: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true")]
    merge_lora: Option<String>,
}

/// What is answered.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Questions and answers")]
pub(crate) struct QuestionArguments {
    /// Files with rows to answer: JSON, JSONL or CSV. `#N` takes N rows. Without a file, questions are asked in
    /// the terminal, or in the lines of stdin
    #[arg(long, value_name = "PATH[#N]", num_args = 1.., requires = "result_path")]
    val_dataset: Vec<String>,
    /// The file for the answers, a JSON object a line. What is there already is not answered again
    #[arg(long, value_name = "FILE.jsonl", requires = "val_dataset")]
    result_path: Option<PathBuf>,
    /// Other names for columns of the files, as a JSON object: `{"chat": "messages"}` reads `chat` as `messages`
    #[arg(long, value_name = "JSON", value_parser = column_names)]
    columns: Option<ColumnNames>,
    /// System prompt of conversations that bring none [default: the template's]
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    system: Option<String>,
    /// Ask for thoughts before answers, where the template has a form for it [default: as the template does it]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true",
          action = clap::ArgAction::Set)]
    enable_thinking: Option<bool>,
    /// Variables for the chat template, as a JSON object: `{"enable_thinking": false}`
    #[arg(long, value_name = "JSON", value_parser = json_object)]
    chat_template_kwargs: Option<JsonObject>,
    /// The adapter that answers where a row or the chat names none; `none` for the model alone [default: the first of
    /// --adapters]
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// In the terminal, show an answer while it grows
    #[arg(long, value_name = "BOOL", default_value = "true", num_args = 0..=1, default_missing_value = "true",
          action = clap::ArgAction::Set)]
    stream: bool,
}

/// Answers what is asked.
pub(crate) fn infer(
    arguments: &InferArguments,
    plugins: &Plugins,
    console: &Console,
) -> anyhow::Result<ExitCode> {
    let InferArguments { data, sampling, .. } = arguments;
    let given = [
        arguments.infer_backend.is_some(),
        arguments.max_batch_size.is_some(),
        arguments.write_batch_size.is_some(),
        arguments.merge_lora.is_some(),
    ];
    for ((flag, reason), _) in WITHOUT_EFFECT.iter().zip(given).filter(|(_, given)| *given) {
        console.note(&format!("`--{flag}` has no effect: {reason}"));
    }
    let mut engine = arguments.engine.clone();
    let names = named_adapters(&mut engine.adapters)?;
    let adapter = match data.adapter.as_deref() {
        Some("none") => None,
        Some(name) if names.iter().any(|known| known == name) => Some(name.to_owned()),
        Some(name) => return Err(unknown_adapter(name, &names).into()),
        None => names.first().cloned(),
    };
    let mut variables = data.chat_template_kwargs.clone().unwrap_or_default();
    if let Some(thinks) = data.enable_thinking {
        variables.insert("enable_thinking".into(), thinks.into());
    }
    let said = TemplateOptions {
        // A chat may change it.
        system: data.system.clone().filter(|_| data.result_path.is_some()),
        enable_thinking: data.enable_thinking,
        chat_template_kwargs: variables,
        ..TemplateOptions::default()
    };
    let mut ready = engine.start_with(plugins, said)?;
    ready.note_length(console);
    let vocab_size = ready.engine.backend().vocab_size();
    let samplers = arguments.plugins.start(plugins, vocab_size, None)?.samplers;
    let defaults = sampling.over(&ready.generation, samplers)?;
    let (Some(template), Some(tokenizer)) = (ready.template.take(), ready.tokenizer.take()) else {
        return Err(UsageError::new("The model has no chat template")
            .hint("name one with `--template NAME`, which needs a tokeniser in the model's folder")
            .into());
    };
    let Some(result_path) = &data.result_path else {
        let chat = chat::Chat::new(ready.engine, template, defaults, names, adapter, data.system.clone());
        return chat.hold(data.stream, console);
    };
    let mut template = template;
    let questions = {
        let selection = plugins.select(&engine.plugin)?;
        let standard = plugins.of_kinds(&[Kind::Dataset])?;
        let mut adapters = selection
            .candidates(Kind::Dataset, &standard)
            .map(
                |plugin| Ok(Box::new(DatasetAdapter::start(plugin, &Limits::default())?) as Box<dyn Adapter>),
            )
            .collect::<anyhow::Result<Vec<_>>>()?;
        let specifications =
            data.val_dataset.iter().map(|file| file.parse()).collect::<Result<Vec<DatasetSpec>, _>>()?;
        let options = LoadOptions {
            columns: data.columns.clone().unwrap_or_default(),
            // An answer needs room for a token at least.
            max_length: Some(ready.engine.context_length().saturating_sub(1)),
            seed: sampling.seed,
            ..LoadOptions::default()
        };
        Questions::load(&specifications, &mut adapters, &mut template, &options)?
    };
    console.line(&questions.to_string());
    let job = batch::Job {
        engine: ready.engine,
        tokenizer,
        questions: questions.questions,
        defaults,
        names,
        adapter,
        most_waiting: engine.max_num_waiting.get(),
    };
    job.run(result_path, console)
}

/// Gives every adapter a name: `NAME=DIR`, or that of its folder.
fn named_adapters(adapters: &mut [String]) -> Result<Vec<String>, UsageError> {
    let mut names: Vec<String> = Vec::new();
    for adapter in adapters {
        let folder = std::path::Path::new(adapter.as_str());
        if folder.is_dir() || !adapter.contains('=') {
            let name = folder.file_name().map_or_else(|| "adapter".into(), |name| name.to_string_lossy());
            *adapter = format!("{name}={adapter}");
        }
        let name = adapter.split_once('=').map_or("", |(name, _)| name).to_owned();
        if name == "none" || names.contains(&name) {
            return Err(UsageError::new(format!(
                "`--adapters` can't have `{name}` as a name twice or at all"
            ))
            .hint("give each adapter a name of its own: `--adapters NAME=DIR`; `none` is the model alone"));
        }
        names.push(name);
    }
    Ok(names)
}

fn unknown_adapter(name: &str, names: &[String]) -> UsageError {
    let error = UsageError::new(format!("There is no adapter `{name}`"));
    match names {
        [] => error.hint("`--adapters NAME=DIR` loads one"),
        names => error.hint(format!("there are `{}` and `none`", names.join("`, `"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapters_are_called_by_their_folders_unless_they_are_named() {
        let mut adapters = vec!["out/checkpoint-3".to_owned(), "polite=x".to_owned()];
        assert_eq!(named_adapters(&mut adapters).unwrap(), ["checkpoint-3", "polite"]);
        assert_eq!(adapters, ["checkpoint-3=out/checkpoint-3", "polite=x"]);
        assert!(named_adapters(&mut ["a/x".to_owned(), "b/x".to_owned()]).is_err());
        assert!(named_adapters(&mut ["none=x".to_owned()]).is_err());
    }
}
