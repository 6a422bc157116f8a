//! What plugins are granted beyond the sandbox: `--grant NAME.KEY=VALUE`, or a table `[grants.NAME]` of a recipe.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value, json};
use swift_runtime::{Access, GrantedDirectory, Grants, Limits, Plugin};

use crate::plugins::Selection;
use crate::report::UsageError;

/// What divides the place of a directory from the name that the plugin knows it by.
pub(crate) const AS: &str = "::";

/// Takes the value of a grant in, or says what it should be.
type Take = fn(&mut Grants, &str) -> Result<(), &'static str>;

/// The keys of grants.
const KEYS: [(&str, Take); 6] = [
    ("read", |grants, value| directory(grants, value, Access::Read)),
    ("write", |grants, value| directory(grants, value, Access::Write)),
    ("env", |grants, value| {
        if value.is_empty() || value.contains('=') {
            return Err("the name of a variable; its value is that of the environment");
        }
        grants.environment.push(value.to_owned());
        Ok(())
    }),
    ("hosts", |grants, value| match value.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
            grants.hosts.push(value.to_owned());
            Ok(())
        }
        _ => Err("HOST:PORT"),
    }),
    ("memory", |grants, value| {
        let mebibytes: u64 = value.parse().map_err(|_| "a number of MiB")?;
        grants.memory_bytes = Some(mebibytes.saturating_mul(1 << 20));
        Ok(())
    }),
    ("timeout", |grants, value| {
        let seconds = value.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        grants.call_time = Some(seconds.ok_or("a number of seconds")?);
        Ok(())
    }),
];

/// `DIRECTORY` or `DIRECTORY::NAME`: without a name of its own the plugin knows it by the same path.
fn directory(grants: &mut Grants, value: &str, access: Access) -> Result<(), &'static str> {
    let (host, guest) = value.split_once(AS).unwrap_or((value, value));
    if host.is_empty() || guest.is_empty() {
        return Err("DIRECTORY or DIRECTORY::NAME");
    }
    grants.directories.push(GrantedDirectory { host: PathBuf::from(host), guest: guest.to_owned(), access });
    Ok(())
}

/// What each plugin is granted, and what all may take.
#[derive(Debug, Default)]
pub(crate) struct GrantTable(BTreeMap<String, Grants>);

impl GrantTable {
    /// Reads `NAME.KEY=VALUE`; several of the same key add up, and of a memory or a time the last one counts.
    pub(crate) fn parse(arguments: &[String], selection: &Selection) -> Result<Self, UsageError> {
        let mut table = BTreeMap::<String, Grants>::new();
        for argument in arguments {
            let (name, key, value) = argument
                .split_once('=')
                .and_then(|(words, value)| {
                    let (name, key) = words.rsplit_once('.')?;
                    Some((name, key, value))
                })
                .ok_or_else(|| {
                    UsageError::new(format!("`--grant {argument}` is not of the form `NAME.KEY=VALUE`"))
                        .hint(format!("the keys of grants are {}", keys()))
                })?;
            if !selection.has(name) {
                let names: Vec<String> =
                    selection.plugins().map(|plugin| format!("`{}`", plugin.name())).collect();
                return Err(UsageError::new(format!(
                    "`{name}` is granted something, but no plugin of this name takes part in this run"
                ))
                .hint(format!("it has {}; name others with `--plugin`", names.join(", "))));
            }
            let take =
                KEYS.iter().find_map(|(known, take)| (*known == key).then_some(take)).ok_or_else(|| {
                    UsageError::new(format!("`{key}` is nothing that `{name}` could be granted"))
                        .hint(format!("the keys of grants are {}", keys()))
                })?;
            take(table.entry(name.to_owned()).or_default(), value).map_err(|expected| {
                UsageError::new(format!("The grant `{key}` of `{name}` can't be `{value}`"))
                    .hint(format!("it takes {expected}"))
            })?;
        }
        Ok(Self(table))
    }

    /// What a plugin is granted, if anything.
    pub(crate) fn of(&self, plugin: &Plugin) -> Option<&Grants> {
        self.0.get(plugin.name())
    }

    /// For the files of a run, by plugin.
    pub(crate) fn to_json(&self) -> Map<String, Value> {
        self.0.iter().map(|(name, grants)| (name.clone(), object(grants).into())).collect()
    }
}

fn keys() -> String {
    KEYS.map(|(key, _)| format!("`{key}`")).join(", ")
}

/// What all plugins may take and what some were granted.
pub(crate) struct Allowances<'a> {
    pub(crate) limits: Limits,
    pub(crate) grants: &'a GrantTable,
}

impl Allowances<'_> {
    /// What a plugin may take and reach.
    pub(crate) fn of(&self, plugin: &Plugin) -> Limits {
        self.grants.of(plugin).map_or_else(|| self.limits.clone(), |grants| self.limits.granting(grants))
    }
}

/// The grants as a recipe would say them. Of variables there are names and never values.
pub(crate) fn object(grants: &Grants) -> Map<String, Value> {
    let directories = |access| -> Value {
        let granted = grants.directories.iter().filter(|directory| directory.access == access);
        granted.map(|directory| spelled(directory).into()).collect::<Vec<Value>>().into()
    };
    let rows = [
        ("read", directories(Access::Read)),
        ("write", directories(Access::Write)),
        ("env", json!(grants.environment)),
        ("hosts", json!(grants.hosts)),
        ("memory", json!(grants.memory_bytes.map(|bytes| bytes >> 20))),
        ("timeout", json!(grants.call_time.map(|time| time.as_secs_f64()))),
    ];
    let given = |value: &Value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty());
    rows.into_iter().filter(|(_, value)| given(value)).map(|(key, value)| (key.to_owned(), value)).collect()
}

fn spelled(directory: &GrantedDirectory) -> String {
    let host = directory.host.display().to_string();
    if host == directory.guest { host } else { format!("{host}{AS}{}", directory.guest) }
}

/// The grants in words, to follow "the plugin may".
pub(crate) fn sentence(grants: &Grants) -> String {
    let directories = |access, verb: &str| {
        let granted = grants.directories.iter().filter(move |directory| directory.access == access);
        let verb = verb.to_owned();
        granted.map(move |directory| format!("{verb} `{}`", spelled(directory)))
    };
    let reads = directories(Access::Read, "read");
    let writes = directories(Access::Write, "read and write");
    let variables = grants.environment.iter().map(|name| format!("see the variable `{name}`"));
    let hosts = grants.hosts.iter().map(|host| format!("reach `{host}`"));
    let memory = grants.memory_bytes.map(|bytes| format!("use {} MiB of memory", bytes >> 20));
    let time = grants.call_time.map(|time| format!("take {} seconds in a call", time.as_secs_f64()));
    let all: Vec<String> =
        reads.chain(writes).chain(variables).chain(hosts).chain(memory).chain(time).collect();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::Plugins;

    fn parse(arguments: &[&str]) -> Result<GrantTable, UsageError> {
        let selection = Plugins::standard(swift_runtime::EngineOptions::default(), None)
            .unwrap()
            .select(&["dpo".to_owned()])
            .unwrap();
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        GrantTable::parse(&arguments, &selection)
    }

    #[test]
    fn grants_are_read_and_told() {
        let words = [
            "dpo.read=data",
            "dpo.write=out::/out",
            "dpo.env=API_KEY",
            "dpo.hosts=[::1]:80",
            "dpo.hosts=localhost:443",
            "dpo.memory=1024",
            "dpo.timeout=60",
            "dpo.timeout=0.5",
        ];
        let table = parse(&words).unwrap();
        let expected = json!({
            "read": ["data"],
            "write": ["out::/out"],
            "env": ["API_KEY"],
            "hosts": ["[::1]:80", "localhost:443"],
            "memory": 1024,
            "timeout": 0.5,
        });
        assert_eq!(Value::from(table.to_json()), json!({ "dpo": expected }));
        assert_eq!(
            sentence(&table.0["dpo"]),
            "read `data`, read and write `out::/out`, see the variable `API_KEY`, reach `[::1]:80`, \
             reach `localhost:443`, use 1024 MiB of memory, take 0.5 seconds in a call"
        );
    }

    #[test]
    fn what_is_no_grant_is_refused_with_what_would_be_one() {
        let keys = "`read`, `write`, `env`, `hosts`, `memory`, `timeout`";
        for (argument, message, hint) in [
            (
                "dpo.red=x",
                "`red` is nothing that `dpo` could be granted",
                &*format!("the keys of grants are {keys}"),
            ),
            (
                "dop.read=x",
                "`dop` is granted something, but no plugin of this name takes part in this run",
                "it has `dpo`; name others with `--plugin`",
            ),
            (
                "read=x",
                "`--grant read=x` is not of the form `NAME.KEY=VALUE`",
                &format!("the keys of grants are {keys}"),
            ),
            (
                "dpo.env=KEY=x",
                "The grant `env` of `dpo` can't be `KEY=x`",
                "it takes the name of a variable; its value is that of the environment",
            ),
            ("dpo.hosts=localhost", "The grant `hosts` of `dpo` can't be `localhost`", "it takes HOST:PORT"),
            ("dpo.memory=much", "The grant `memory` of `dpo` can't be `much`", "it takes a number of MiB"),
            ("dpo.timeout=-1", "The grant `timeout` of `dpo` can't be `-1`", "it takes a number of seconds"),
            (
                "dpo.read=::x",
                "The grant `read` of `dpo` can't be `::x`",
                "it takes DIRECTORY or DIRECTORY::NAME",
            ),
        ] {
            let error = format!("{:?}", parse(&[argument]).unwrap_err());
            assert_eq!(
                error,
                format!("UsageError {{ message: {message:?}, hints: [{hint:?}], source: None }}")
            );
        }
    }
}
