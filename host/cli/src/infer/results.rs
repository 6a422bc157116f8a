//! The file with the answers, which a later start goes on with.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Map, Value, json};
use swift_data::Question;

use crate::report::UsageError;

/// A file with a line for each answer, in the order of the questions.
pub(crate) struct Results {
    file: File,
    path: PathBuf,
}

/// What a file has already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Whole lines.
    pub(crate) answers: usize,
    /// Questions up to the last of these lines: those between them failed.
    pub(crate) questions: usize,
    /// Whether a line that was half written has been taken away.
    pub(crate) repaired: bool,
}

impl Results {
    /// Opens the file or makes a new one, takes a half-written last line away, and finds the questions that the others
    /// answer. Nobody else writes to it from then on.
    ///
    /// # Errors
    /// If it can't be read or written, another process writes to it, or it has something else than answers to these
    /// questions.
    pub(crate) fn open(path: &Path, questions: &[Question]) -> anyhow::Result<(Self, Found)> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("Failed to make the folder `{}`", folder.display()))?;
        }
        let failed = || format!("Failed to open `{}`", path.display());
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .with_context(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(UsageError::new(format!("Another process writes to `{}`", path.display())).into());
            }
            Err(std::fs::TryLockError::Error(error)) => return Err(error).with_context(failed),
        }
        let (mut whole, mut found) = (0, Found::default());
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let length = reader.read_until(b'\n', &mut line).with_context(failed)?;
            if length == 0 {
                break;
            }
            if line.last() != Some(&b'\n') {
                found.repaired = true;
                break;
            }
            found.answers += 1;
            let rest = questions.get(found.questions..).unwrap_or_default();
            let place = answered(&line).and_then(|asked| rest.iter().position(|next| asks(next, &asked)));
            let Some(place) = place else {
                let message =
                    format!("Line {} of `{}` answers none of these questions", found.answers, path.display());
                return Err(UsageError::new(message).hint("name another file for the answers").into());
            };
            found.questions += place + 1;
            whole += length as u64;
        }
        file.set_len(whole).with_context(failed)?;
        file.seek(SeekFrom::End(0)).with_context(failed)?;
        Ok((Self { file, path: path.to_owned() }, found))
    }

    /// Adds an answer.
    ///
    /// # Errors
    /// If it can't be written.
    pub(crate) fn add(&mut self, question: &Question, response: &str, logprobs: Value) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(&row(question, response, logprobs))?;
        line.push(b'\n');
        self.file.write_all(&line).with_context(|| format!("Failed to write `{}`", self.path.display()))
    }

    /// Brings everything to the disk.
    ///
    /// # Errors
    /// If it can't be written.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        self.file.sync_all().with_context(|| format!("Failed to write `{}`", self.path.display()))
    }
}

/// A line as ms-swift writes it: the answer, what the row has in its place, log-probabilities, the conversation with the
/// answer, and the row's other columns.
fn row(question: &Question, response: &str, logprobs: Value) -> Map<String, Value> {
    let mut messages: Vec<Value> = question.messages.iter().map(|message| json!(message)).collect();
    messages.push(json!({ "role": "assistant", "content": response }));
    let mut row = Map::new();
    row.insert("response".into(), response.into());
    row.insert("labels".into(), json!(question.labels));
    row.insert("logprobs".into(), logprobs);
    row.insert("messages".into(), messages.into());
    for (name, value) in &question.columns {
        row.entry(name.clone()).or_insert_with(|| value.clone());
    }
    row
}

/// The conversation that a line answers.
fn answered(line: &[u8]) -> Option<Vec<Value>> {
    let row: Map<String, Value> = serde_json::from_slice(line).ok()?;
    let mut messages = row.get("messages")?.as_array()?.clone();
    messages.pop()?;
    Some(messages)
}

fn asks(question: &Question, messages: &[Value]) -> bool {
    question.messages.len() == messages.len()
        && question.messages.iter().zip(messages).all(|(own, other)| json!(own) == *other)
}

#[cfg(test)]
mod tests {
    use swift_data::Message;

    use super::*;

    fn questions() -> Vec<Question> {
        let question = |line: usize| Question {
            path: "rows.jsonl".into(),
            line,
            messages: vec![Message::new("user", format!("{line}?"))],
            labels: (line == 1).then(|| "one".to_owned()),
            columns: vec![("id".into(), line.into()), ("response".into(), "taken".into())],
            prompt: vec![1],
        };
        (1..5).map(question).collect()
    }

    #[test]
    fn lines_are_those_of_ms_swift() {
        let line = serde_json::to_string(&row(&questions()[0], "1!", Value::Null)).unwrap();
        assert_eq!(
            line,
            r#"{"response":"1!","labels":"one","logprobs":null,"messages":[{"role":"user","content":"1?"},{"role":"assistant","content":"1!"}],"id":1}"#
        );
    }

    #[test]
    fn a_file_is_gone_on_with_where_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let (path, questions) = (folder.path().join("new/out.jsonl"), questions());
        let (mut results, found) = Results::open(&path, &questions).unwrap();
        assert_eq!(found, Found::default());
        results.add(&questions[0], "a", Value::Null).unwrap();
        // The second one failed.
        results.add(&questions[2], "c", Value::Null).unwrap();
        assert!(Results::open(&path, &questions).is_err(), "two write at once");
        results.finish().unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in [0, 1, 20] {
            std::fs::write(&path, [&whole[..], &whole[..cut]].concat()).unwrap();
            let (_, found) = Results::open(&path, &questions).unwrap();
            assert_eq!(found, Found { answers: 2, questions: 3, repaired: cut > 0 });
            assert_eq!(std::fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn a_file_of_something_else_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        for content in [
            "{\"a\": 1}\nhalf",
            "no JSON\n",
            "{\"messages\": [{\"role\": \"user\", \"content\": \"9?\"}, {}]}\n",
        ] {
            std::fs::write(&path, content).unwrap();
            let error = Results::open(&path, &questions()).err().unwrap().to_string();
            assert!(error.starts_with("Line 1 of"), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
    }
}
