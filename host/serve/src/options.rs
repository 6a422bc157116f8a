use std::path::PathBuf;
use std::time::Duration;

use swift_infer::SamplingOptions;

use crate::{ReasoningParser, ToolCallParser};

/// Where and how is served. The defaults are those of `swift-host deploy`.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// The address that is listened on.
    pub host: String,
    /// The port; 0 takes one that is free.
    pub port: u16,
    /// The name that requests call the model by.
    pub model: String,
    /// What `Authorization: Bearer` must give; without one, everybody is let in.
    pub api_key: Option<String>,
    /// The folder from which adapters may be loaded; none allows none.
    pub adapters_dir: Option<PathBuf>,
    /// The most bytes of a request.
    pub max_body_bytes: usize,
    /// How long the body of a request may take to arrive.
    pub body_timeout: Duration,
    /// The most tokens of a prompt, beside what the model's context has room for.
    pub max_prompt_tokens: Option<usize>,
    /// The most tokens of an answer, whatever a request says.
    pub max_output_tokens: Option<usize>,
    /// The most requests that are answered at the same time, running or waiting.
    pub max_concurrent_requests: usize,
    /// How long running answers may go on after the server was told to end.
    pub shutdown_timeout: Duration,
    /// How calls of tools are found in answers.
    pub tool_call_parser: Option<&'static ToolCallParser>,
    /// How thoughts are found in answers.
    pub reasoning_parser: Option<&'static ReasoningParser>,
    /// How tokens are chosen where a request does not say.
    pub sampling: SamplingOptions,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: 8000,
            model: "model".into(),
            api_key: None,
            adapters_dir: None,
            max_body_bytes: 8 << 20,
            body_timeout: Duration::from_secs(60),
            max_prompt_tokens: None,
            max_output_tokens: None,
            max_concurrent_requests: 1024,
            shutdown_timeout: Duration::from_secs(30),
            tool_call_parser: crate::TOOL_CALL_PARSERS.first(),
            reasoning_parser: None,
            sampling: SamplingOptions::default(),
        }
    }
}
