use std::path::{Path, PathBuf};

use crate::{Result, build, c};

/// A language that plugins are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// With the SDK in `sdk/rust`.
    Rust,
    /// With the SDK in `sdk/python`.
    Python,
    /// With the SDK in `sdk/javascript`.
    JavaScript,
    /// With the SDK in `sdk/javascript`.
    TypeScript,
    /// With the SDK in `sdk/c`.
    C,
}

/// A file of a project: its path, in which names are replaced, and its text.
pub(crate) type File = (&'static str, &'static str);

/// A project to begin with: the kind of its plugin, and the files that only this kind has.
pub(crate) type Beginning = (&'static str, &'static [File]);

macro_rules! rust {
    ($($kind:literal)*) => {
        &[$(($kind, &[("src/lib.rs", include_str!(concat!("../templates/rust/", $kind, ".rs")))])),*]
    };
}

macro_rules! python {
    ($($kind:literal)*) => {
        &[$(($kind, &[
            ("plugin_name.py", include_str!(concat!("../templates/python/", $kind, ".py"))),
            ("test_plugin_name.py", include_str!(concat!("../templates/python/test_", $kind, ".py"))),
        ])),*]
    };
}

/// Beginnings for every kind that there is.
macro_rules! every_kind {
    ($language:ident) => {
        $language!("loss" "model" "callback" "dataset" "metric" "schedule" "optimizer" "reward" "template" "loss-scale" "sampler" "tool-parser")
    };
    ($language:ident $ending:literal [$loss:expr]) => {
        $language!($ending: "loss" [$loss] "model" "callback" "dataset" "metric" "schedule" "optimizer" "reward" "template" "loss-scale" "sampler" "tool-parser")
    };
}

/// What the loss that a project begins with gives on seeded data.
const LOSS_GOLDEN: File = ("plugin-name.golden.json", include_str!("../templates/loss.golden.json"));

macro_rules! javascript {
    ($ending:literal: $($kind:literal $([$more:expr])?)*) => {
        &[$(($kind, &[
            (
                concat!("plugin_name.", $ending),
                include_str!(concat!("../templates/", $ending, "/", $kind, ".", $ending)),
            ),
            ("plugin_name.test.js", include_str!(concat!("../templates/", $ending, "/", $kind, ".test.js"))),
            $($more)?
        ])),*]
    };
}

macro_rules! c {
    ($($kind:literal $([$more:expr])?)*) => {
        &[$(($kind, &[
            ("plugin_name.c", include_str!(concat!("../templates/c/", $kind, ".c"))),
            $($more)?
        ])),*]
    };
}

/// What is known of a language.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    /// How the names of its sources end; none for Rust, whose projects are known by their `Cargo.toml`.
    pub(crate) ending: Option<&'static str>,
    /// The SDK's folder in `sdk`.
    pub(crate) sdk: &'static str,
    /// What a project says of the SDK that it depends on: in a folder, or else the published one of a version.
    pub(crate) dependency: fn(folder: Option<&Path>, version: &str) -> String,
    /// Makes a component, beside the source or where it is told, and says where.
    pub(crate) build: fn(source: &Path, output: Option<&Path>) -> Result<PathBuf>,
    /// Files of every project.
    pub(crate) common: &'static [File],
    pub(crate) beginnings: &'static [Beginning],
}

const RUST: Entry = Entry {
    name: "rust",
    ending: None,
    sdk: "rust",
    dependency: |folder, version| match folder {
        Some(folder) => format!("{{ path = {:?} }}", folder.display().to_string()),
        None => format!("{version:?}"),
    },
    build: build::rust,
    common: &[
        ("Cargo.toml", include_str!("../templates/rust/Cargo.toml.template")),
        (".gitignore", "/target\n*.wasm\n"),
    ],
    beginnings: every_kind!(rust),
};

const PYTHON: Entry = Entry {
    name: "python",
    ending: Some("py"),
    sdk: "python",
    dependency: |folder, version| match folder {
        Some(folder) => format!("swift-plugin[build,testing] @ file://{}", folder.display()),
        None => format!("swift-plugin[build,testing]=={version}"),
    },
    build: build::python,
    common: &[("requirements.txt", "SWIFT_SDK\n"), (".gitignore", "__pycache__\n.venv\n*.wasm\n")],
    beginnings: every_kind!(python),
};

/// What npm calls a package in a folder, or one of a version.
fn npm(folder: Option<&Path>, version: &str) -> String {
    folder.map_or_else(|| version.to_owned(), |folder| format!("file:{}", folder.display()))
}

/// A package in a folder is copied, with what it depends on, as a published one would be.
const NPM_SETTINGS: &str = "install-links=true\n";

const JAVASCRIPT: Entry = Entry {
    name: "js",
    ending: Some("js"),
    sdk: "javascript",
    dependency: npm,
    build: build::javascript,
    common: &[
        ("package.json", include_str!("../templates/js/package.json.template")),
        (".npmrc", NPM_SETTINGS),
        (".gitignore", "node_modules\n*.wasm\n"),
    ],
    beginnings: every_kind!(javascript "js" [LOSS_GOLDEN]),
};

const TYPESCRIPT: Entry = Entry {
    name: "ts",
    ending: Some("ts"),
    sdk: "javascript",
    dependency: npm,
    build: build::javascript,
    common: &[
        ("package.json", include_str!("../templates/ts/package.json.template")),
        ("tsconfig.json", include_str!("../templates/ts/tsconfig.json.template")),
        (".npmrc", NPM_SETTINGS),
        (".gitignore", "node_modules\n*.wasm\n"),
    ],
    beginnings: every_kind!(javascript "ts" [LOSS_GOLDEN]),
};

const C: Entry = Entry {
    name: "c",
    ending: Some("c"),
    sdk: "c",
    // The executable brings it, and puts it beside what it builds.
    dependency: |_, _| String::new(),
    build: c::build,
    common: &[
        ("Makefile", include_str!("../templates/c/Makefile.template")),
        ("compile_flags.txt", include_str!("../templates/c/compile_flags.txt")),
        (".gitignore", "*.build\n*.wasm\n"),
    ],
    beginnings: c!("loss" [LOSS_GOLDEN] "metric" "reward" "schedule"),
};

impl Language {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Rust, Self::Python, Self::JavaScript, Self::TypeScript, Self::C];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// The language of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.name() == name)
    }

    /// The kinds of plugins that there are projects for.
    pub fn kinds(self) -> impl Iterator<Item = &'static str> {
        self.entry().beginnings.iter().map(|(kind, _)| *kind)
    }

    pub(crate) fn entry(self) -> &'static Entry {
        match self {
            Self::Rust => &RUST,
            Self::Python => &PYTHON,
            Self::JavaScript => &JAVASCRIPT,
            Self::TypeScript => &TYPESCRIPT,
            Self::C => &C,
        }
    }
}
