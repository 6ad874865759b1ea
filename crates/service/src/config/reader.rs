//! Typed reads of a flat configuration, which note what was asked for: what remains is unknown.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;

use super::document::{Document, Entry};
use super::{ConfigError, Warning};

/// Reads keys of one document. Every key that is read, present or not, becomes a known key.
pub(super) struct Reader<'a> {
    document: &'a Document,
    known: BTreeSet<String>,
    open: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(document: &'a Document) -> Self {
        Self { document, known: BTreeSet::new(), open: Vec::new() }
    }

    fn entry(&mut self, key: &str) -> Option<&'a Entry> {
        self.known.insert(key.to_owned());
        self.document.entries.get(key).filter(|entry| !entry.value.is_null())
    }

    pub(super) fn error(&self, key: &str, expected: &str) -> ConfigError {
        let (line, found) = match self.document.entries.get(key) {
            Some(entry) => (entry.line, describe(&entry.value)),
            None => (0, "nothing".to_owned()),
        };
        ConfigError::Type {
            path: self.document.path.clone(),
            line,
            key: key.to_owned(),
            expected: expected.to_owned(),
            found,
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.document.entries.contains_key(key)
            || self
                .document
                .entries
                .keys()
                .any(|k| k.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')))
    }

    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>, ConfigError> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(_) => Err(self.error(key, "text")),
        }
    }

    pub(super) fn secret(&mut self, key: &str) -> Result<Option<SecretString>, ConfigError> {
        match self.text(key) {
            Ok(text) => Ok(text.map(SecretString::from)),
            // The value itself must not reach the message.
            Err(_) => Err(ConfigError::Type {
                path: self.document.path.clone(),
                line: self.document.entries.get(key).map_or(0, |entry| entry.line),
                key: key.to_owned(),
                expected: "text".to_owned(),
                found: "another type".to_owned(),
            }),
        }
    }

    pub(super) fn flag(&mut self, key: &str, default: bool) -> Result<bool, ConfigError> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" => Ok(true),
                "false" | "no" | "off" => Ok(false),
                _ => Err(self.error(key, "true or false")),
            },
            Some(_) => Err(self.error(key, "true or false")),
        }
    }

    fn number(&mut self, key: &str, default: f64) -> Result<f64, ConfigError> {
        let Some(entry) = self.entry(key) else { return Ok(default) };
        let number = match &entry.value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.filter(|n| n.is_finite() && *n >= 0.0).ok_or_else(|| self.error(key, "a number, 0 or more"))
    }

    /// A whole number, 0 or more.
    pub(super) fn count(&mut self, key: &str, default: u64) -> Result<u64, ConfigError> {
        let Some(entry) = self.entry(key) else { return Ok(default) };
        let number = match &entry.value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| self.error(key, "a whole number, 0 or more"))
    }

    /// A whole number, 1 or more.
    pub(super) fn positive(&mut self, key: &str, default: u64) -> Result<usize, ConfigError> {
        let number = self.count(key, default)?;
        usize::try_from(number)
            .ok()
            .filter(|n| *n > 0)
            .ok_or_else(|| self.error(key, "a whole number, 1 or more"))
    }

    /// Seconds, fractions allowed.
    pub(super) fn seconds(&mut self, key: &str, default: f64) -> Result<Duration, ConfigError> {
        let seconds = self.number(key, default)?;
        Duration::try_from_secs_f64(seconds).map_err(|_| self.error(key, "a number of seconds"))
    }

    /// A fraction or factor.
    pub(super) fn factor(&mut self, key: &str, default: f64) -> Result<f64, ConfigError> {
        self.number(key, default)
    }

    /// MiB in the file, bytes in the answer.
    pub(super) fn mebibytes(&mut self, key: &str, default: f64) -> Result<u64, ConfigError> {
        let mebibytes = self.number(key, default)?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // not negative; saturates
        Ok((mebibytes * 1024.0 * 1024.0) as u64)
    }

    pub(super) fn texts(&mut self, key: &str) -> Result<Vec<String>, ConfigError> {
        match self.entry(key).map(|entry| &entry.value) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => {
                Ok(text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned).collect())
            }
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| {
                    item.as_str().map(str::to_owned).ok_or_else(|| self.error(key, "a list of texts"))
                })
                .collect(),
            Some(_) => Err(self.error(key, "a list of texts")),
        }
    }

    /// All keys below `key`, as text: an open map such as `sources`.
    pub(super) fn text_map(&mut self, key: &str) -> Result<BTreeMap<String, String>, ConfigError> {
        self.open.push(format!("{key}."));
        self.known.insert(key.to_owned());
        let prefix = format!("{key}.");
        let document = self.document;
        let mut map = BTreeMap::new();
        for (full, entry) in document.entries.range(prefix.clone()..) {
            let Some(name) = full.strip_prefix(&prefix) else { break };
            match &entry.value {
                Value::String(text) => map.insert(name.to_owned(), text.clone()),
                Value::Number(number) => map.insert(name.to_owned(), number.to_string()),
                _ => return Err(self.error(full, "text")),
            };
        }
        Ok(map)
    }

    /// A list of mappings, each with its line.
    pub(super) fn objects(&mut self, key: &str) -> Result<Vec<(usize, &'a Value)>, ConfigError> {
        match self.entry(key) {
            None => Ok(Vec::new()),
            Some(entry) => match &entry.value {
                Value::Array(items) => Ok(items.iter().map(|item| (entry.line, item)).collect()),
                _ => Err(self.error(key, "a list")),
            },
        }
    }

    /// What stands in the file and was never asked for.
    pub(super) fn unknown(&self) -> Vec<Warning> {
        let document = self.document;
        document
            .entries
            .iter()
            .filter(|(key, _)| {
                !self.known.contains(*key) && !self.open.iter().any(|open| key.starts_with(open.as_str()))
            })
            .map(|(key, entry)| Warning::unknown_key(&document.path, entry.line, key, self.nearest(key)))
            .collect()
    }

    pub(super) fn into_known(self) -> BTreeSet<String> {
        self.known
    }

    /// The known key most like `key`, if any is alike at all.
    fn nearest(&self, key: &str) -> Option<&str> {
        self.known
            .iter()
            .map(|known| (strsim::jaro_winkler(known, key), known.as_str()))
            .filter(|(likeness, _)| *likeness > 0.85)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, known)| known)
    }
}

fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("\"{text}\""),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}
