//! `swift-host deploy`: a model behind OpenAI's interface.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use swift_infer::{Backend as _, GrammarLimits, Grammars, Worker};
use swift_serve::{REASONING_PARSERS, ServeOptions, Server, Service, TOOL_CALL_PARSERS};
use tokio::signal::unix::{SignalKind, signal};

use crate::answer_plugins::{AnswerPluginArguments, AnswerPlugins};
use crate::console::Console;
use crate::engine_flags::{EngineArguments, Ready};
use crate::plugins::Plugins;
use crate::report::{INTERRUPTED, UsageError};

/// The environment variable with the API key.
const KEY_VARIABLE: &str = "SWIFT_API_KEY";

/// The arguments of `swift-host deploy`.
#[derive(Debug, Clone, Args)]
pub(crate) struct DeployArguments {
    #[command(flatten)]
    pub(crate) engine: EngineArguments,
    #[command(flatten)]
    plugins: AnswerPluginArguments,
    #[command(flatten)]
    pub(crate) server: ServerArguments,
}

/// The server.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct ServerArguments {
    /// Address to listen on; everybody who can reach it is served
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: String,
    /// Port to listen on; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value = "8000")]
    port: u16,
    /// The name that requests call the model by [default: that of its folder]
    #[arg(long, value_name = "NAME")]
    served_model_name: Option<String>,
    /// What clients must give as `Authorization: Bearer KEY`. Others on this machine can see arguments: the variable
    /// `SWIFT_API_KEY` or `--api-key-file` say it more quietly
    #[arg(long, value_name = "KEY", conflicts_with = "api_key_file")]
    api_key: Option<String>,
    /// A file with the API key, white space around it aside
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// The folder below which `/v1/adapters` may load adapters from [default: none may be loaded]
    #[arg(long, value_name = "DIR")]
    adapters_dir: Option<PathBuf>,
    /// How calls of tools are found in answers: `hermes` or `none`
    #[arg(long, value_name = "NAME", default_value = "hermes")]
    tool_call_parser: String,
    /// A plugin that finds calls of tools in answers, in the place of --tool-call-parser; forced calls go on to have the form
    /// of that
    #[arg(long, value_name = "NAME|PATH|REFERENCE")]
    tool_parser_plugin: Option<String>,
    /// How thoughts are found in answers: `qwen3`, `deepseek_r1` or `none`
    #[arg(long, value_name = "NAME", default_value = "none")]
    reasoning_parser: String,
    /// The most bytes of a request
    #[arg(long, value_name = "BYTES", default_value = "8388608")]
    max_body_bytes: usize,
    /// The most tokens of a prompt [default: what the model has room for]
    #[arg(long, value_name = "TOKENS")]
    max_prompt_tokens: Option<usize>,
    /// The most tokens of an answer [default: what the model has room for]
    #[arg(long, value_name = "TOKENS")]
    max_output_tokens: Option<usize>,
    /// The most bytes of a schema, an expression or a grammar that answers are to follow
    #[arg(long, value_name = "BYTES", default_value = "262144")]
    max_grammar_bytes: usize,
    /// The most symbols that it may become
    #[arg(long, value_name = "N", default_value = "200000")]
    max_grammar_symbols: usize,
    /// The most states that its words may have, of one or two kilobytes each
    #[arg(long, value_name = "N", default_value = "50000")]
    max_grammar_states: usize,
    /// The most requests that are answered at the same time; more are refused
    #[arg(long, value_name = "N", default_value = "1024")]
    max_concurrent_requests: usize,
    /// Seconds that the body of a request may take to arrive
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    body_timeout: f64,
    /// Seconds that running answers may go on for after SIGTERM or Ctrl-C
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    shutdown_timeout: f64,
}

/// A time that a flag gives.
fn seconds(flag: &str, seconds: f64) -> Result<Duration, UsageError> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|error| UsageError::new(format!("`--{flag}` is no time")).caused_by(error))
}

/// Serves until a signal comes.
pub(crate) fn deploy(
    arguments: &DeployArguments,
    plugins: &Plugins,
    console: &Console,
) -> anyhow::Result<ExitCode> {
    let mut options = arguments.server.options(arguments)?;
    let ready = arguments.engine.start(plugins)?;
    ready.note_length(console);
    let Ready { mut engine, tokenizer, template, generation } = ready;
    options.sampling = generation.sampling;
    let context_length = engine.context_length();
    let vocab_size = engine.backend().vocab_size();
    let tool_parser = arguments.server.tool_parser_plugin.as_ref();
    let AnswerPlugins { samplers, tool_parser } =
        arguments.plugins.start(plugins, vocab_size, tool_parser)?;
    let limits = arguments.server.grammar_limits();
    let grammars = tokenizer
        .as_ref()
        .map(|tokenizer| Grammars::new(tokenizer, &generation.ends, vocab_size, limits))
        .transpose()
        .unwrap_or_else(|error| {
            console.line(&format!("answers can't be made to follow a grammar: {error}"));
            None
        })
        .map(Arc::new);
    // The thread ends with the process.
    let (worker, _) = Worker::start(engine)?;
    let generator = Arc::new(worker);
    let service = Service { generator, tokenizer, template, grammars, samplers, tool_parser, context_length };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(serve(service, options, console))?;
    // What waits for a template or a client that does not read is left behind.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

/// Serves until a signal comes, and ends in good order.
async fn serve(service: Service, options: ServeOptions, console: &Console) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (model, place) = (options.model.clone(), format!("{}:{}", options.host, options.port));
    let server = Server::start(service, options)
        .await
        .map_err(|error| UsageError::new(format!("`{place}` can't be listened on")).caused_by(error))?;
    println!("serving {model} at http://{}", server.address());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    console.line("shutting down: running answers are finished; a second signal ends at once");
    tokio::select! {
        result = server.shut_down() => Ok(result?),
        _ = terminate.recv() => std::process::exit(INTERRUPTED.into()),
        _ = interrupt.recv() => std::process::exit(INTERRUPTED.into()),
    }
}

impl ServerArguments {
    fn grammar_limits(&self) -> GrammarLimits {
        GrammarLimits {
            max_bytes: self.max_grammar_bytes,
            max_symbols: self.max_grammar_symbols,
            max_states: self.max_grammar_states,
        }
    }

    fn options(&self, arguments: &DeployArguments) -> anyhow::Result<ServeOptions> {
        let folder = std::path::absolute(&arguments.engine.model)?;
        let name = || folder.file_name().map(|name| name.to_string_lossy().into_owned());
        let tools = TOOL_CALL_PARSERS.iter().map(|parser| (parser.name, parser));
        let reasoning = REASONING_PARSERS.iter().map(|parser| (parser.name, parser));
        Ok(ServeOptions {
            host: self.host.clone(),
            port: self.port,
            model: self.served_model_name.clone().or_else(name).unwrap_or_else(|| "model".into()),
            api_key: self.key()?,
            adapters_dir: self.adapters_dir.clone(),
            max_body_bytes: self.max_body_bytes,
            max_prompt_tokens: self.max_prompt_tokens,
            max_output_tokens: self.max_output_tokens,
            max_concurrent_requests: self.max_concurrent_requests,
            body_timeout: seconds("body-timeout", self.body_timeout)?,
            shutdown_timeout: seconds("shutdown-timeout", self.shutdown_timeout)?,
            tool_call_parser: parser("tool-call-parser", &self.tool_call_parser, tools)?,
            reasoning_parser: parser("reasoning-parser", &self.reasoning_parser, reasoning)?,
            ..ServeOptions::default()
        })
    }

    /// The API key, wherever it is said.
    fn key(&self) -> Result<Option<String>, UsageError> {
        let from_file = |file: &PathBuf| {
            std::fs::read_to_string(file).map(|key| key.trim().to_owned()).map_err(|error| {
                UsageError::new(format!("Failed to read the API key in `{}`", file.display()))
                    .caused_by(error)
            })
        };
        let key = match (&self.api_key, &self.api_key_file) {
            (Some(key), _) => Some(key.clone()),
            (None, Some(file)) => Some(from_file(file)?),
            (None, None) => std::env::var(KEY_VARIABLE).ok(),
        };
        match key {
            // It would let everybody in who says nothing.
            Some(key) if key.is_empty() => Err(UsageError::new("The API key is empty")),
            key => Ok(key),
        }
    }
}

/// The parser of this name; none for `none`.
fn parser<T>(
    flag: &str,
    name: &str,
    mut known: impl Iterator<Item = (&'static str, T)> + Clone,
) -> Result<Option<T>, UsageError> {
    let names: Vec<&str> = known.clone().map(|(known, _)| known).collect();
    match known.find(|(known, _)| *known == name) {
        Some((_, parser)) => Ok(Some(parser)),
        None if name == "none" => Ok(None),
        None => Err(UsageError::new(format!("`--{flag} {name}` is not known"))
            .hint(format!("there are `{}` and `none`", names.join("`, `")))),
    }
}
