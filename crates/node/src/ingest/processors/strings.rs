//! `trim`, `lowercase`, `uppercase`, `gsub`, `split`, `join`.

use regex::Regex;
use serde_json::Value;

use super::pattern::{Replacement, compile};
use super::{Change, Step};
use crate::error::{ApiError, Result};
use crate::ingest::config::Config;
use crate::ingest::document::{Fields, cast_error, java_type, null_error, plain};

/// A processor from text to text, which also works on each item of a list.
#[derive(Debug)]
struct OnText<F> {
    field: String,
    target: String,
    ignore_missing: bool,
    change: F,
}

trait TextMap: std::fmt::Debug + Send + Sync {
    fn map(&self, text: &str) -> Result<String>;
}

impl<F: TextMap> OnText<F> {
    fn compile(config: &mut Config, change: impl FnOnce(&mut Config) -> Result<F>) -> Result<Self> {
        let field = config.string("field")?;
        let ignore_missing = config.boolean("ignore_missing", false)?;
        let target = config.optional_string("target_field")?.unwrap_or_else(|| field.clone());
        Ok(Self { field, target, ignore_missing, change: change(config)? })
    }
}

impl<F: TextMap> Change for OnText<F> {
    fn change(&self, fields: &mut Fields) -> Result<()> {
        let Some(value) = present(fields, &self.field, self.ignore_missing, "process it")? else {
            return Ok(());
        };
        let mapped = match value {
            Value::String(text) => Value::String(self.change.map(text)?),
            Value::Array(items) => items
                .iter()
                .map(|item| match item {
                    Value::String(text) => self.change.map(text).map(Value::String),
                    other => Err(list_item_error(&self.field, other)),
                })
                .collect::<Result<_>>()?,
            other => return Err(cast_error(&self.field, other, "java.lang.String")),
        };
        fields.set(&self.target, mapped)
    }
}

fn list_item_error(field: &str, item: &Value) -> ApiError {
    let kind = java_type(item);
    ApiError::illegal_argument(format!(
        "value [{}] of type [{kind}] in list field [{field}] cannot be cast to [java.lang.String]",
        plain(item)
    ))
}

/// The value of a field; `None` where it is missing or null and that is ignored.
///
/// # Errors
/// 400 where it is not ignored.
pub(super) fn present<'a>(
    fields: &'a Fields,
    path: &str,
    ignore_missing: bool,
    what: &str,
) -> Result<Option<&'a Value>> {
    if ignore_missing {
        return Ok(fields.find(path).filter(|value| !value.is_null()));
    }
    match fields.get(path)? {
        Value::Null => Err(null_error(path, what)),
        value => Ok(Some(value)),
    }
}

#[derive(Debug)]
struct Trim;

impl TextMap for Trim {
    fn map(&self, text: &str) -> Result<String> {
        // As Java's `trim`: control characters and the space, not every Unicode space.
        Ok(text.trim_matches(|char: char| char <= ' ').to_owned())
    }
}

pub fn trim(config: &mut Config) -> Result<Box<dyn Step>> {
    Ok(Box::new(OnText::compile(config, |_| Ok(Trim))?))
}

#[derive(Debug)]
struct Lowercase;

impl TextMap for Lowercase {
    fn map(&self, text: &str) -> Result<String> {
        Ok(text.to_lowercase())
    }
}

pub fn lowercase(config: &mut Config) -> Result<Box<dyn Step>> {
    Ok(Box::new(OnText::compile(config, |_| Ok(Lowercase))?))
}

#[derive(Debug)]
struct Uppercase;

impl TextMap for Uppercase {
    fn map(&self, text: &str) -> Result<String> {
        Ok(text.to_uppercase())
    }
}

pub fn uppercase(config: &mut Config) -> Result<Box<dyn Step>> {
    Ok(Box::new(OnText::compile(config, |_| Ok(Uppercase))?))
}

#[derive(Debug)]
struct Gsub {
    pattern: Regex,
    replacement: Replacement,
}

impl TextMap for Gsub {
    fn map(&self, text: &str) -> Result<String> {
        self.replacement.replace_all(&self.pattern, text)
    }
}

pub fn gsub(config: &mut Config) -> Result<Box<dyn Step>> {
    Ok(Box::new(OnText::compile(config, |config| {
        let pattern = config.string("pattern")?;
        let replacement = config.string("replacement")?;
        Ok(Gsub {
            pattern: compile(&pattern)
                .map_err(|reason| config.error("pattern", format!("Invalid regex pattern. {reason}")))?,
            replacement: Replacement::parse(&replacement),
        })
    })?))
}

#[derive(Debug)]
struct Split {
    field: String,
    target: String,
    separator: Regex,
    ignore_missing: bool,
    preserve_trailing: bool,
}

pub fn split(config: &mut Config) -> Result<Box<dyn Step>> {
    let field = config.string("field")?;
    let separator = config.string("separator")?;
    let separator = compile(&separator).map_err(|reason| config.error("separator", reason))?;
    Ok(Box::new(Split {
        target: config.optional_string("target_field")?.unwrap_or_else(|| field.clone()),
        separator,
        ignore_missing: config.boolean("ignore_missing", false)?,
        preserve_trailing: config.boolean("preserve_trailing", false)?,
        field,
    }))
}

impl Change for Split {
    fn change(&self, fields: &mut Fields) -> Result<()> {
        let Some(value) = present(fields, &self.field, self.ignore_missing, "split")? else { return Ok(()) };
        let Value::String(text) = value else {
            return Err(cast_error(&self.field, value, "java.lang.String"));
        };
        let mut parts: Vec<&str> = self.separator.split(text).collect();
        // Java drops an empty first part that an empty match makes, and empty parts at the end.
        if parts.len() > 1
            && parts[0].is_empty()
            && self.separator.find(text).is_some_and(|found| found.start() == 0 && found.is_empty())
        {
            parts.remove(0);
        }
        while !self.preserve_trailing && parts.len() > 1 && parts.last().is_some_and(|part| part.is_empty()) {
            parts.pop();
        }
        fields.set(&self.target, parts.into())
    }
}

#[derive(Debug)]
struct Join {
    field: String,
    target: String,
    separator: String,
}

pub fn join(config: &mut Config) -> Result<Box<dyn Step>> {
    let field = config.string("field")?;
    Ok(Box::new(Join {
        target: config.optional_string("target_field")?.unwrap_or_else(|| field.clone()),
        separator: config.string("separator")?,
        field,
    }))
}

impl Change for Join {
    fn change(&self, fields: &mut Fields) -> Result<()> {
        let joined = match fields.get(&self.field)? {
            Value::Null => return Err(null_error(&self.field, "join")),
            Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(&self.separator),
            other => return Err(cast_error(&self.field, other, "java.util.List")),
        };
        fields.set(&self.target, joined.into())
    }
}
