//! `POST /v1/chat/completions`.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value};

use crate::answer::{Calls, ChatAnswer};
use crate::app::App;
use crate::error::{ApiError, Result};
use crate::fields::Fields;
use crate::form::{ToolChoice, constraint};
use crate::generation::Generation;
use crate::messages::messages;
use crate::prompt::truncate;
use crate::sampling::Options;
use crate::stream::{events, whole};

/// Fields that are known to change nothing.
const WITHOUT_EFFECT: [&str; 3] = ["user", "store", "metadata"];

pub(crate) async fn chat(app: &Arc<App>, body: &[u8]) -> Result<Response> {
    let mut fields = Fields::parse(body)?;
    let model: Option<String> = fields.take("model")?;
    let adapter = app.adapter(model.clone()).await?;
    let mut options = Options::read(&mut fields, app)?;
    let logprobs = logprobs(&mut fields)?;
    let messages = fields.need("messages")?;
    let (tools, choice) = (tools(&mut fields)?, ToolChoice::read(&mut fields)?);
    let parallel = fields.take::<bool>("parallel_tool_calls")?.unwrap_or(true);
    let form = choice.form(&tools, app.options.tool_call_parser, parallel)?;
    if let (Some(_), Some(other)) = (&form, &options.form) {
        let rule = format!("forces a call, and `{}` another form", other.field);
        return Err(ApiError::field("tool_choice", &rule));
    }
    let tools = (!tools.is_empty() && choice != ToolChoice::None).then(|| Value::from(tools));
    // A forced call has the form of the parser in the options.
    let plugin = app.tool_parser.as_ref().filter(|_| form.is_none());
    let reader = plugin.zip(tools.as_ref()).map(|(plugin, tools)| plugin.reader(&tools.to_string()));
    let conversation = Conversation::read(&mut fields, messages)?;
    if options.stream.is_some() && options.prompt_logprobs.is_some() {
        return Err(ApiError::field("prompt_logprobs", "cannot be streamed"));
    }
    fields.finish(&WITHOUT_EFFECT)?;
    options.best_of = None;
    // What is asked to have another form has no calls in it.
    let parses_tools = tools.is_some() && options.form.is_none();
    options.constraint = constraint(app, form.or(options.form.take())).await?;
    let mut prompt = conversation.prompt(app, tools).await?;
    truncate(std::slice::from_mut(&mut prompt), options.truncate_prompt_tokens);
    let generation =
        Generation::start(app, vec![prompt.clone()], adapter.as_deref(), &options, logprobs).await?;
    let reader = reader.filter(|_| parses_tools);
    let parser = app.options.tool_call_parser.filter(|_| parses_tools && reader.is_none());
    let calls = Calls { parser, reader, parallel, is_named: matches!(choice, ToolChoice::Named(_)) };
    let model = model.unwrap_or_else(|| app.options.model.clone());
    let answer = ChatAnswer::new(app, model, prompt, calls, logprobs.is_some(), &options)?;
    match options.stream {
        None => whole(generation, answer).await,
        Some(_) => Ok(events(generation, answer)),
    }
}

/// How many alternatives are named at each position.
fn logprobs(fields: &mut Fields) -> Result<Option<u32>> {
    let (wanted, top) = (fields.flag("logprobs")?, fields.take::<u32>("top_logprobs")?);
    match (wanted, top) {
        (false, Some(1..)) => Err(ApiError::field("top_logprobs", "is for `logprobs` only")),
        (false, _) => Ok(None),
        (true, top) => Ok(Some(top.unwrap_or(0))),
    }
}

/// The tools that the template describes.
fn tools(fields: &mut Fields) -> Result<Vec<Value>> {
    let tools: Vec<Value> = fields.take("tools")?.unwrap_or_default();
    let named =
        |tool: &Value| tool.get("function").and_then(|function| function.get("name")?.as_str()).is_some();
    match tools.iter().all(named) {
        true => Ok(tools),
        false => Err(ApiError::field("tools", "must each have a `function` with a `name`")),
    }
}

/// What a chat template makes a prompt of.
pub(crate) struct Conversation {
    messages: Vec<Value>,
    variables: Map<String, Value>,
    /// Whether the answer goes on with the last message.
    continues: bool,
}

impl Conversation {
    /// Reads what else a request tells its template.
    pub(crate) fn read(fields: &mut Fields, given: Vec<Value>) -> Result<Self> {
        let messages = messages(given)?;
        let mut variables: Map<String, Value> = fields.take("chat_template_kwargs")?.unwrap_or_default();
        if let Some(effort) = fields.take::<String>("reasoning_effort")? {
            variables.insert("reasoning_effort".into(), effort.into());
        }
        let name = "continue_final_message";
        let (continues, mut begins) = (fields.flag(name)?, fields.take("add_generation_prompt")?);
        if continues {
            let role = messages.last().and_then(|message| message.get("role")?.as_str());
            if role != Some("assistant") {
                return Err(ApiError::field(name, "needs a last message that is the assistant's"));
            }
            if begins == Some(true) {
                return Err(ApiError::field(name, "and `add_generation_prompt` can't both be true"));
            }
            begins = Some(false);
        }
        variables.extend(begins.map(|begins| ("add_generation_prompt".to_owned(), begins.into())));
        Ok(Self { messages, variables, continues })
    }

    /// Has the template render it, on a thread that may wait.
    pub(crate) async fn prompt(self, app: &App, tools: Option<Value>) -> Result<Vec<u32>> {
        let Some(template) = app.template.clone() else {
            return Err(ApiError::invalid(
                "The model has no chat template; `/v1/completions` takes plain prompts",
            ));
        };
        // Its turn is waited for here: a thread for each conversation that waits would keep words of the tokeniser for itself.
        let mut template = template.lock_owned().await;
        let Self { messages, variables, continues } = self;
        let render = move || template.prompt(&messages, tools.as_ref(), &variables, continues);
        let failed = |message: String| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, message);
        match tokio::task::spawn_blocking(render).await {
            Ok(Ok(Ok(prompt))) => Ok(prompt),
            Ok(Ok(Err(unfit))) => Err(ApiError::field("messages", &format!("cannot be rendered: {unfit}"))),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}
