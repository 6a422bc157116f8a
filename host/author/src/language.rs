/// A language that plugins are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// With the SDK in `sdk/rust`.
    Rust,
    /// With the SDK in `sdk/python`.
    Python,
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
        $language!("loss" "model" "callback" "dataset" "metric" "schedule" "optimizer" "reward" "template" "loss-scale")
    };
}

/// What is known of a language.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    /// Files of every project.
    pub(crate) common: &'static [File],
    pub(crate) beginnings: &'static [Beginning],
}

const RUST: Entry = Entry {
    name: "rust",
    common: &[
        ("Cargo.toml", include_str!("../templates/rust/Cargo.toml.template")),
        (".gitignore", "/target\n*.wasm\n"),
    ],
    beginnings: every_kind!(rust),
};

const PYTHON: Entry = Entry {
    name: "python",
    common: &[("requirements.txt", "SWIFT_PLUGIN\n"), (".gitignore", "__pycache__\n.venv\n*.wasm\n")],
    beginnings: every_kind!(python),
};

impl Language {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Rust, Self::Python];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// The language of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.name() == name)
    }

    pub(crate) fn entry(self) -> &'static Entry {
        match self {
            Self::Rust => &RUST,
            Self::Python => &PYTHON,
        }
    }
}
