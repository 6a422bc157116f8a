//! An HTTP server with OpenAI's interface, and vLLM's additions to it, over the engine of [`swift_infer`].
//!
//! A [`Service`] is what is served: a [`Generator`] (the engine at work on its own thread), the tokeniser and the chat
//! template if the model has them, and limits ([`ServeOptions`]). [`Server::start`] binds a port; each request is read
//! ([`fields`](self), table by table), becomes one or several requests to the engine, and is answered as a whole or as a
//! stream of events. Whoever hangs up gives the cache's blocks back at once.

mod adapters;
mod answer;
mod app;
mod chat;
mod completions;
mod embeddings;
mod error;
mod fields;
mod form;
mod generation;
mod generator;
mod logprobs;
mod messages;
mod metrics;
mod models;
mod options;
mod parser;
mod prompt;
mod routes;
mod sampling;
mod server;
mod stream;
mod tokens;
mod tool_parser;
mod words;

pub use app::Service;
pub use generator::{Generator, Reply};
pub use options::ServeOptions;
pub use parser::{REASONING_PARSERS, ReasoningParser, TOOL_CALL_PARSERS, ToolCallParser};
pub use server::Server;
pub use tool_parser::ToolParser;
