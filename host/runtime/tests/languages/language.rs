//! The languages as data.

use swift_runtime::{Kind, Plugin};

use crate::plugins;

/// What is another thing in each language.
pub(crate) struct Language {
    name: &'static str,
    /// The source of the plugin of each kind.
    sources: [(Kind, &'static str); 12],
    /// Lines of the loss: where shapes don't fit, where it crashes, and where it fails with a text.
    pub(crate) lines: [u32; 3],
    /// What a crash in the loss, and one for a missing column, begin with.
    pub(crate) crashes: [&'static str; 2],
    /// Whether tensors are released while a call goes on.
    pub(crate) releases: bool,
    /// What the callback has to be told for it to stop.
    pub(crate) callback: &'static str,
    /// The parameters of the callback, with their defaults.
    pub(crate) parameters: [&'static str; 2],
    /// What the callback remembers at first, and after one event.
    pub(crate) states: [&'static str; 2],
    /// Stages of the model.
    pub(crate) stages: u32,
}

const LANGUAGES: [Language; 2] = [
    Language {
        name: "python",
        sources: [
            (Kind::Loss, "everything.py"),
            (Kind::Model, "everything.py"),
            (Kind::Callback, "everything.py"),
            (Kind::Dataset, "everything.py"),
            (Kind::Metric, "everything.py"),
            (Kind::Schedule, "everything.py"),
            (Kind::Optimizer, "everything.py"),
            (Kind::Reward, "everything.py"),
            (Kind::Template, "everything.py"),
            (Kind::LossScale, "everything.py"),
            (Kind::Sampler, "everything.py"),
            (Kind::ToolParser, "everything.py"),
        ],
        lines: [88, 90, 92],
        crashes: ["KeyError: 'missing'", "KeyError: 'a'"],
        releases: true,
        callback: "{}",
        parameters: ["mode=\"mean\"", "power=null"],
        states: [r#"{"events": [], "seen": 0.0}"#, r#"{"events": ["STEP_END"], "seen": 0.0}"#],
        stages: 2,
    },
    Language {
        name: "javascript",
        sources: [
            (Kind::Loss, "mistakes.ts"),
            (Kind::Model, "tiny.js"),
            (Kind::Callback, "halting.js"),
            (Kind::Dataset, "questions.js"),
            (Kind::Metric, "mean.js"),
            (Kind::Schedule, "falling.js"),
            (Kind::Optimizer, "momentum.js"),
            (Kind::Reward, "solved.js"),
            (Kind::Template, "plain.ts"),
            (Kind::LossScale, "halves.js"),
            (Kind::Sampler, "counting.js"),
            (Kind::ToolParser, "lines.js"),
        ],
        lines: [19, 20, 21],
        crashes: ["TypeError: ", "TypeError: "],
        releases: false,
        callback: r#"{"target_loss": 0.6}"#,
        parameters: ["target_loss=0.5", "note=null"],
        states: [r#"{"events":[]}"#, r#"{"events":["step-end"]}"#],
        stages: 3,
    },
];

/// The language that is tested.
pub(crate) fn language() -> &'static Language {
    let name = std::env::var("SWIFT_SDK_LANGUAGE")
        .unwrap_or_else(|_| panic!("SWIFT_SDK_LANGUAGE is not set to a language of the table"));
    let known = LANGUAGES.iter().find(|language| language.name == name);
    known.unwrap_or_else(|| panic!("the table has no language `{name}`"))
}

impl Language {
    /// The file that a plugin is written in.
    pub(crate) fn source(&self, kind: Kind) -> &'static str {
        self.sources.iter().find(|(known, _)| *known == kind).unwrap().1
    }

    /// The name of a component.
    pub(crate) fn component(&self, kind: Kind) -> &'static str {
        self.source(kind).split_once('.').unwrap().0
    }

    /// All kinds that are in the component of one.
    pub(crate) fn kinds_beside(&self, kind: Kind) -> Vec<Kind> {
        let source = self.source(kind);
        Kind::all().filter(|kind| self.source(*kind) == source).collect()
    }
}

/// The plugin of a kind in the language that is tested.
pub(crate) fn plugin(kind: Kind) -> Plugin {
    plugins::plugin(language().component(kind))
}
