use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::{executable, shown, swift_host};

/// A page that is followed to the letter.
///
/// Blocks of the language `console` are transcripts: `$ ` begins a command, which a `\` at its end continues on the next
/// line, and what stands below it is what it prints. There, a line `…` stands for any lines, and `…` in a line for any text;
/// blanks count as one; numbers may differ in the fourth digit, and times and speeds altogether. Where the text before another
/// block ends in a colon and says `` Write `FILE` `` or `` Replace `FILE` ``, the block is that file's new text. All other
/// blocks are for the reader.
#[derive(Debug)]
pub struct Guide(Vec<Step>);

#[derive(Debug)]
enum Step {
    Command { text: String, shown: Vec<String> },
    File { path: String, text: String },
}

/// A command of a guide and the time that it took.
pub type Timed = (String, Duration);

/// Projects take the versions that the workspace has, for these are there already, and what was built for others.
const TAKE: &str = "for project in . *; do
    if [ -f $project/Cargo.toml ] && [ ! -f $project/Cargo.lock ]; then
        cp \"$LOCK\" $project
        ln -s \"$BUILT\" $project/target
    fi
done";

/// Begins the lines that a shell prints for us, between those of the commands.
const MARK: &str = "@@guide";

impl Guide {
    /// The guide on a page.
    ///
    /// # Errors
    /// If it can't be read, or there is nothing to do on it.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("can't read `{}`", path.display()))?;
        let guide = Self::parse(&text);
        ensure!(!guide.0.is_empty(), "there is nothing to do in `{}`", path.display());
        Ok(guide)
    }

    /// The guide in a text.
    pub fn parse(text: &str) -> Self {
        let (mut steps, mut before, mut lines) = (Vec::new(), String::new(), text.lines());
        while let Some(line) = lines.next() {
            let Some(language) = line.strip_prefix("```") else {
                if line.is_empty() && !before.ends_with(':') {
                    before.clear();
                }
                before = format!("{before} {line}").trim().to_owned();
                continue;
            };
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            if language == "console" {
                steps.extend(commands(&block));
            } else if let Some(path) = file(&before) {
                steps.push(Step::File { path: path.to_owned(), text: block.join("\n") + "\n" });
            }
            before.clear();
        }
        Self(steps)
    }

    /// Does everything in a [`workplace`], with variables for the environment. Nothing is downloaded by cargo.
    ///
    /// # Errors
    /// If a command fails or prints something else than the guide shows.
    pub fn follow(&self, folder: &Path, variables: &[(&str, String)]) -> Result<Vec<Timed>> {
        let host = swift_host(folder)?;
        let mut paths = vec![Path::new(host.get_program()).parent().unwrap_or(folder).to_owned()];
        paths.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let mut shell = Command::new("sh");
        shell.args(["-c", &self.script()]).current_dir(folder).env("PATH", std::env::join_paths(paths)?);
        shell
            .env("CARGO_NET_OFFLINE", "true")
            .env("CARGO_TARGET_DIR", target()?)
            .env("LOCK", root().join("Cargo.lock"))
            .env("BUILT", built()?);
        shell.envs(host.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.envs(variables.iter().map(|(name, value)| (name, value)));
        let mut shell =
            shell.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("can't run `sh`")?;
        let output = shell.stdout.take().context("the shell has no output")?;
        let mut lines = BufReader::new(output).lines();
        let mut times = Vec::new();
        for step in &self.0 {
            let Step::Command { text, shown } = step else { continue };
            let start = Instant::now();
            let mut printed = Vec::new();
            let status = loop {
                let line = lines.next().context("the shell ended")??;
                match line.strip_prefix(MARK) {
                    Some(status) => break status.trim().to_owned(),
                    None => printed.push(line.trim_end().to_owned()),
                }
            };
            let time = start.elapsed();
            let printed = trimmed(printed);
            if status != "0" {
                bail!("`{text}` ended with {status}:\n{}", printed.join("\n"));
            }
            if !shown::is(shown, &printed) {
                let (shown, printed) = (shown.join("\n"), printed.join("\n"));
                bail!("`{text}` prints\n{printed}\n\nand the guide shows\n{shown}");
            }
            times.push((text.clone(), time));
        }
        shell.wait()?;
        Ok(times)
    }

    /// What the shell does. A command prints a line at its end; its last line may be unfinished.
    fn script(&self) -> String {
        let mut script = "exec 2>&1\n".to_owned();
        for step in &self.0 {
            script += &match step {
                Step::Command { text, .. } => {
                    format!("{{\n{text}\n}}\nstatus=$?\n{TAKE}\nprintf '\\n{MARK} %s\\n' $status\n")
                }
                Step::File { path, text } => format!("cat > '{path}' <<'{MARK}'\n{text}{MARK}\n"),
            };
        }
        script
    }
}

/// An empty folder to follow a guide in. Cargo builds there as in the workspace, and shares what is built.
///
/// # Errors
/// If it can't be made.
pub fn workplace(name: &str) -> Result<PathBuf> {
    let folder = target()?.join("tmp/guides").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(folder.join(".cargo"))?;
    let manifest = fs::read_to_string(root().join("Cargo.toml"))?;
    let profiles = manifest.split("\n[").filter(|section| section.starts_with("profile.dev"));
    let profiles: String = profiles.map(|section| format!("[{section}\n")).collect();
    fs::write(folder.join(".cargo/config.toml"), profiles)?;
    Ok(folder)
}

/// Where what projects in Rust depend on is built as a component, once for all whose `target` is a link to it. Of two projects
/// with the same name only one may be built at a time.
///
/// # Errors
/// If it can't be made.
pub fn built() -> Result<PathBuf> {
    let folder = target()?.join("tmp/projects");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

fn target() -> Result<PathBuf> {
    let executable = executable()?;
    Ok(executable.ancestors().nth(2).context("the executable has no build folder")?.to_owned())
}

/// The commands of a transcript.
fn commands(block: &[&str]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = block.iter().copied().peekable();
    while let Some(line) = lines.next() {
        let Some(command) = line.strip_prefix("$ ") else { continue };
        let mut text = command.to_owned();
        while let Some(next) = text.ends_with('\\').then(|| lines.next()).flatten() {
            text = format!("{text}\n{next}");
        }
        let mut shown = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with("$ ")) {
            shown.push(line.trim_end().to_owned());
        }
        steps.push(Step::Command { text, shown: trimmed(shown) });
    }
    steps
}

/// The file that a text says the block after it is.
fn file(before: &str) -> Option<&str> {
    let said = before.strip_suffix(':')?;
    let (_, named) = said.rsplit_once("Write `").or_else(|| said.rsplit_once("Replace `"))?;
    Some(named.split_once('`')?.0)
}

/// Without empty lines at the end.
fn trimmed(mut lines: Vec<String>) -> Vec<String> {
    while lines.pop_if(|line| line.is_empty()).is_some() {}
    lines
}
