//! Where the questions of a chat come from.

use std::io::{BufRead as _, IsTerminal as _};

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

/// A terminal with a line editor, or the lines of stdin.
pub(crate) enum Input {
    Terminal(Box<DefaultEditor>),
    Lines,
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Text(String),
    /// Ctrl-C: what was typed is forgotten.
    Dropped,
    /// Ctrl-D, or the end of stdin.
    End,
}

impl Input {
    /// What stdin is.
    ///
    /// # Errors
    /// If the terminal can't be used.
    pub(crate) fn start() -> anyhow::Result<Self> {
        match std::io::stdin().is_terminal() {
            true => Ok(Self::Terminal(Box::new(DefaultEditor::new()?))),
            false => Ok(Self::Lines),
        }
    }

    /// Whether somebody sits at it.
    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal(_))
    }

    /// The next line, without its end.
    ///
    /// # Errors
    /// If it can't be read, or is no UTF-8.
    pub(crate) fn read(&mut self, prompt: &str) -> anyhow::Result<Line> {
        match self {
            Self::Terminal(editor) => match editor.readline(prompt) {
                Ok(line) => {
                    // Without it in the history, the line is as good.
                    let _ = editor.add_history_entry(&line);
                    Ok(Line::Text(line))
                }
                Err(ReadlineError::Interrupted) => Ok(Line::Dropped),
                Err(ReadlineError::Eof) => Ok(Line::End),
                Err(error) => Err(error.into()),
            },
            Self::Lines => {
                let mut line = String::new();
                if std::io::stdin().lock().read_line(&mut line)? == 0 {
                    return Ok(Line::End);
                }
                Ok(Line::Text(line.trim_end_matches(['\n', '\r']).to_owned()))
            }
        }
    }
}
