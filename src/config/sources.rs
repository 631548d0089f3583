//! Where values come from, weakest first: defaults, the TOML file, environment variables, flags. Every key of every
//! source is looked up before the sources are merged, so that a message can name the source.

use std::fmt;
use std::path::Path;

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde::de::DeserializeOwned;

use super::ConfigError;
use super::keys::{self, ENV_PREFIX, Key, Role, Takes};

/// The variables of this process that set keys. One that is not UTF-8 is kept with replacement characters, and so
/// fails the check of its key rather than being passed over.
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, _)| name.starts_with(ENV_PREFIX))
        .collect()
}

/// One key from one place.
struct Single {
    origin: Origin,
    key: String,
    value: Value,
}

impl Provider for Single {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.to_string())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let nested = figment::util::nest(&self.key, self.value.clone());
        let dict = nested.into_dict().ok_or_else(|| figment::Error::from("a key has a name".to_owned()))?;
        Ok(Profile::Default.collect(dict))
    }
}

/// Names a source in messages.
enum Origin {
    Default,
    Variable(String),
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the defaults"),
            Self::Variable(name) => write!(f, "the environment variable {name}"),
            Self::Flag(text) => write!(f, "the flag `{text}`"),
        }
    }
}

/// Merges the sources and reads them as `T`.
pub(super) fn load<T: DeserializeOwned>(
    role: Role,
    path: &Path,
    env: impl IntoIterator<Item = (String, String)>,
    flags: &[String],
) -> Result<T, ConfigError> {
    let mut problems = Vec::new();
    let mut figment = Figment::new();
    for key in role.keys() {
        if let keys::DefaultValue::Value(text) = key.default {
            let value =
                read_text(key, text).map_err(|why| ConfigError::one(format!("default of {}: {why}", key.name)))?;
            figment = figment.merge(Single { origin: Origin::Default, key: key.name.to_owned(), value });
        }
    }

    let file = read_file(path)?;
    if file.contains_key(role.other().section()) && !file.contains_key(role.section()) {
        let (other, command) = (role.other().noun(), role.other().command());
        return Err(ConfigError::one(format!(
            "{file} is the configuration of a {other}, not of a {}: start it with `ringmaster {command} --config {file}`",
            role.noun(),
            file = path.display(),
        )));
    }
    let shown = path.display().to_string();
    unknown_keys(role, &file, "", &shown, &mut problems);
    figment = figment.merge(Toml::file_exact(path));

    for (name, text) in env {
        let Some(rest) = name.strip_prefix(ENV_PREFIX) else { continue };
        let key = rest.to_lowercase().replace("__", ".");
        figment = add(figment, role, Origin::Variable(name.clone()), &key, &text, &mut problems);
    }
    for flag in flags {
        let Some((key, text)) = flag.split_once('=') else {
            problems.push(format!("the flag `{flag}` is not of the form key=value, as in replication.interval=5s"));
            continue;
        };
        figment = add(figment, role, Origin::Flag(flag.clone()), key.trim(), text, &mut problems);
    }
    if !problems.is_empty() {
        return Err(ConfigError(problems));
    }

    for key in role.keys().iter().filter(|key| key.default == keys::DefaultValue::Required) {
        if !figment.contains(key.name) {
            let (section, name) = key.name.split_once('.').unwrap_or(("", key.name));
            problems.push(format!(
                "`{}` is missing: set `{name}` under [{section}] in {shown} to {}, or set the environment variable {}",
                key.name,
                key.takes.expected(),
                key.variable()
            ));
        }
    }
    if !problems.is_empty() {
        return Err(ConfigError(problems));
    }
    figment.extract().map_err(|error| ConfigError(error.into_iter().map(|error| describe(role, &error)).collect()))
}

fn add(figment: Figment, role: Role, origin: Origin, key: &str, text: &str, problems: &mut Vec<String>) -> Figment {
    let Some(known) = role.key(key) else {
        problems.push(unknown(role, key, &origin.to_string()));
        return figment;
    };
    match read_text(known, text) {
        Ok(value) => figment.merge(Single { origin, key: key.to_owned(), value }),
        Err(why) => {
            problems.push(format!("{origin} {why}"));
            figment
        }
    }
}

/// Reads the text of a variable or a flag as the value that its key takes.
fn read_text(key: &Key, text: &str) -> Result<Value, String> {
    let wrong = || format!("sets `{}` to \"{text}\", which is not {}", key.name, key.takes.expected());
    match key.takes {
        Takes::Integer => text.trim().parse::<u64>().map(Value::from).map_err(|_| wrong()),
        Takes::Boolean => text.trim().parse::<bool>().map(Value::from).map_err(|_| wrong()),
        Takes::Urls | Takes::Networks => {
            let urls: Vec<&str> = text.split(',').map(str::trim).filter(|url| !url.is_empty()).collect();
            Ok(Value::from(urls))
        }
        Takes::Members => match text.parse::<Value>() {
            Ok(list @ Value::Array(..)) => Ok(list),
            _ => Err(wrong()),
        },
        Takes::Text | Takes::Path | Takes::Address | Takes::Url | Takes::Duration | Takes::Size | Takes::Choice(_) => {
            Ok(Value::from(text))
        }
    }
}

fn read_file(path: &Path) -> Result<Dict, ConfigError> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        ConfigError::one(format!("cannot read the configuration {shown}: {error}; name another one with --config"))
    })?;
    Toml::from_str(&text).map_err(|error| ConfigError::one(format!("{shown} is not valid TOML: {error}")))
}

fn unknown_keys(role: Role, dict: &Dict, prefix: &str, source: &str, problems: &mut Vec<String>) {
    for (name, value) in dict {
        let full = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let is_section = role.keys().iter().any(|key| key.name.starts_with(&format!("{full}.")));
        match value {
            _ if role.key(&full).is_some() => {}
            Value::Dict(_, inner) if is_section || !inner.is_empty() => {
                unknown_keys(role, inner, &full, source, problems);
            }
            _ if is_section => problems.push(format!("`{full}` in {source} is a section: write [{full}]")),
            _ => problems.push(unknown(role, &full, source)),
        }
    }
}

fn unknown(role: Role, key: &str, source: &str) -> String {
    if role.other().key(key).is_some() {
        let (other, this) = (role.other().noun(), role.noun());
        return format!("`{key}`, set by {source}, is a key of a {other}; this is a {this}: take it out");
    }
    match nearest(key, role.keys().iter().filter(|key| !key.hidden).map(|key| key.name)) {
        Some(near) => format!("`{key}`, set by {source}, is not a key that is known: did you mean `{near}`?"),
        None => {
            let sections: Vec<&str> = role
                .keys()
                .iter()
                .filter(|key| !key.hidden)
                .filter_map(|key| Some(key.name.split_once('.')?.0))
                .collect();
            let mut sections: Vec<String> = sections.iter().map(|section| format!("[{section}]")).collect();
            sections.dedup();
            let sections = sections.join(", ");
            format!(
                "`{key}`, set by {source}, is not a key that is known: the sections are {sections}, the keys stand in the README"
            )
        }
    }
}

/// The known name that is meant most likely: the right last part under another section, or the fewest edits.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    known
        .map(|key| {
            (if last(key) == last(name) { edits(key, name).min(1) } else { edits(key, name) }, edits(key, name), key)
        })
        .min()
        .filter(|(weight, _, key)| *weight <= key.len().max(name.len()) / 3)
        .map(|(_, _, key)| key)
}

/// Levenshtein distance, one row at a time.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Says in one line which key of which source is wrong, why, and what it takes.
fn describe(role: Role, error: &figment::Error) -> String {
    use figment::error::Kind;
    let source = match &error.metadata {
        Some(metadata) => match metadata.source.as_ref().and_then(figment::Source::file_path) {
            Some(path) => path.display().to_string(),
            None => metadata.name.to_string(),
        },
        None => "the configuration".to_owned(),
    };
    let path = error.path.join(".");
    let key = role.keys().iter().find(|key| path == key.name || path.starts_with(&format!("{}.", key.name)));
    let expected = key.map(|key| format!("; it takes {}", key.takes.expected())).unwrap_or_default();
    match &error.kind {
        Kind::UnknownField(name, known) => {
            let hint = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it has {}", known.join(", ")),
            };
            format!("`{path}.{name}`, set by {source}, is not a key that is known: {hint}")
        }
        Kind::MissingField(name) => format!("`{path}.{name}`, in {source}, is missing{expected}"),
        Kind::Message(why) => format!("`{path}`, set by {source}, is wrong: {why}{expected}"),
        kind => format!("`{path}`, set by {source}, is wrong: {kind}{expected}"),
    }
}
