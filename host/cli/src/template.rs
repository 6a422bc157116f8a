//! The template of a run, and template plugins and rules for loss weights as the data crate wants them.

use swift_data::{
    AdapterFailure, Message, PieceContent, RenderOptions, Rendered, RenderedPiece, Renderer, Template,
    Tokenizer, TrainedParts, Unfit, Weigher,
};
use swift_runtime::{Kind, Limits, LossScalePlugin, Plugin, RenderedTraining, TemplatePlugin};

use crate::dataset_adapter::failure;
use crate::grants::Allowances;
use crate::plugins::Selection;
use crate::report::UsageError;
use crate::settings::Settings;

/// Where a template may come from.
pub(crate) struct TemplateSource<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) selection: &'a Selection,
    pub(crate) standard: &'a [Plugin],
    pub(crate) allowances: &'a Allowances<'a>,
}

impl<'a> TemplateSource<'a> {
    /// The template that the user names, with the rules for loss weights; or the model's own.
    pub(crate) fn template(
        &self,
        tokenizer: &Tokenizer,
        values_of: impl Fn(&'a Plugin) -> &'a serde_json::Map<String, serde_json::Value>,
    ) -> anyhow::Result<Template> {
        let TemplateSource { settings, selection, standard, allowances } = *self;
        let options = settings.template.clone();
        let rules = settings.loss_scale_rules.as_str();
        let mut candidates = selection.candidates(Kind::LossScale, standard);
        let chosen = selection.of_kind(Kind::LossScale).next();
        let weigher = match (chosen, rules) {
            (Some(plugin), "") => {
                Some(LossScaleRule::start(plugin, values_of(plugin), &allowances.of(plugin))?)
            }
            (None, "") => None,
            _ => {
                let mut arguments = serde_json::Map::new();
                arguments.insert("rules".into(), rules.into());
                let plugin = candidates.next();
                plugin
                    .map(|plugin| LossScaleRule::start(plugin, &arguments, &allowances.of(plugin)))
                    .transpose()?
            }
        };
        let weigher = weigher.map(|weigher| Box::new(weigher) as Box<dyn Weigher>);
        let Some(name) = &settings.arguments.data.template else {
            if weigher.is_some() || !rules.is_empty() {
                return Err(UsageError::new("Rules for loss weights are for templates by name")
                    .hint("name the model's template with `--template`")
                    .into());
            }
            return Ok(Template::of_model(tokenizer, options)?);
        };
        let renderers = selection.candidates(Kind::Template, standard).map(|plugin| {
            Ok(Box::new(ChatTemplates::start(plugin, &allowances.of(plugin))?) as Box<dyn Renderer>)
        });
        let renderers = renderers.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Template::new(name, renderers, weigher, tokenizer, options)?)
    }
}

/// A running set of chat templates.
pub(crate) struct ChatTemplates {
    plugin: TemplatePlugin,
    digest: String,
}

impl ChatTemplates {
    pub(crate) fn start(plugin: &Plugin, limits: &Limits) -> swift_runtime::Result<Self> {
        Ok(Self { plugin: plugin.template(limits)?, digest: plugin.digest().to_owned() })
    }
}

impl Renderer for ChatTemplates {
    fn name(&self) -> &str {
        self.plugin.name()
    }

    fn digest(&self) -> &str {
        &self.digest
    }

    fn names(&mut self) -> Result<Vec<String>, AdapterFailure> {
        self.plugin.names().map_err(failure)
    }

    fn render(
        &mut self,
        name: &str,
        messages: &[Message],
        tools: Option<&serde_json::Value>,
        options: &RenderOptions,
    ) -> Result<Result<Rendered, Unfit>, AdapterFailure> {
        let messages: Vec<_> = messages.iter().cloned().map(message).collect();
        let tools = tools.map(ToString::to_string);
        let rendered = self.plugin.render(name, &messages, tools.as_deref(), &self::options(options));
        Ok(rendered.map_err(failure)?.map(self::rendered).map_err(|reason| Unfit::new(reason, "")))
    }
}

fn message(message: Message) -> swift_runtime::Message {
    let Message { role, content, train, loss_scale } = message;
    swift_runtime::Message { role, content, train, loss_scale }
}

fn options(options: &RenderOptions) -> swift_runtime::RenderOptions {
    let options = options.clone();
    swift_runtime::RenderOptions {
        training: match options.training {
            TrainedParts::None => RenderedTraining::None,
            TrainedParts::Answers => RenderedTraining::Answers,
            TrainedParts::LastRound => RenderedTraining::LastRound,
            TrainedParts::Everything => RenderedTraining::Everything,
        },
        system: options.system,
        enable_thinking: options.enable_thinking,
        preserve_thinking: options.preserve_thinking,
        add_non_thinking_prefix: options.add_non_thinking_prefix,
        response_prefix: options.response_prefix,
        agent_template: options.agent_template,
        date: options.date,
        special_tokens: options.special_tokens,
    }
}

fn rendered(rendered: swift_runtime::Rendered) -> Rendered {
    let piece = |piece: swift_runtime::Piece| RenderedPiece {
        content: content(piece.content),
        weight: piece.weight,
        answer_to: piece.answer_to,
    };
    Rendered {
        pieces: rendered.pieces.into_iter().map(piece).collect(),
        suffix: rendered.suffix.into_iter().map(content).collect(),
    }
}

fn content(content: swift_runtime::PieceContent) -> PieceContent {
    match content {
        swift_runtime::PieceContent::Text(text) => PieceContent::Text(text),
        swift_runtime::PieceContent::TokenId(id) => PieceContent::TokenId(id),
        swift_runtime::PieceContent::TokenName(name) => PieceContent::TokenName(name),
        swift_runtime::PieceContent::TextBegin => PieceContent::TextBegin,
        swift_runtime::PieceContent::TextEnd => PieceContent::TextEnd,
    }
}

/// A running rule for loss weights.
pub(crate) struct LossScaleRule {
    plugin: LossScalePlugin,
    digest: String,
}

impl LossScaleRule {
    pub(crate) fn start(
        plugin: &Plugin,
        arguments: &serde_json::Map<String, serde_json::Value>,
        limits: &Limits,
    ) -> swift_runtime::Result<Self> {
        let digest = format!("{} {}", plugin.digest(), serde_json::Value::from(arguments.clone()));
        Ok(Self { plugin: plugin.loss_scale(arguments, limits)?, digest })
    }
}

impl Weigher for LossScaleRule {
    fn name(&self) -> &str {
        self.plugin.name()
    }

    fn digest(&self) -> &str {
        &self.digest
    }

    fn weigh(&mut self, answer: &str, question: Option<&str>) -> Result<Vec<(String, f64)>, AdapterFailure> {
        self.plugin.weigh(answer, question).map_err(failure)
    }
}
