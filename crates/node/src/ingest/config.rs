//! Reading the configuration of one processor, with Elasticsearch's complaints.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::document::java_type;
use super::template::{Template, ValueTemplate};
use crate::error::{ApiError, Result};

/// The members of one processor that nobody has asked for yet.
#[derive(Debug)]
pub struct Config {
    kind: String,
    tag: Option<String>,
    /// Complaints name the processor: not while the options of all processors are read, as in Elasticsearch.
    named: bool,
    members: Map<String, Value>,
}

impl Config {
    /// Starts reading the configuration of a processor of type `kind`.
    pub fn new(kind: &str, members: Map<String, Value>) -> Self {
        Self { kind: kind.to_owned(), tag: None, named: false, members }
    }

    /// Later complaints name the processor's type and tag.
    pub fn name_processor(&mut self, tag: Option<String>) {
        self.tag = tag;
        self.named = true;
    }

    /// A complaint about one property.
    pub fn error(&self, property: &str, reason: impl std::fmt::Display) -> ApiError {
        let error =
            ApiError::new(StatusCode::BAD_REQUEST, "parse_exception", format!("[{property}] {reason}"))
                .with("property_name", json!(property));
        self.named(error)
    }

    /// Adds type and tag to a complaint.
    pub fn named(&self, error: ApiError) -> ApiError {
        let error = match &self.tag {
            Some(tag) => error.with("processor_tag", json!(tag)),
            None => error,
        };
        if self.named { error.with("processor_type", json!(self.kind)) } else { error }
    }

    /// Takes a member; null counts as absent.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.members.shift_remove(name).filter(|value| !value.is_null())
    }

    /// Takes a member that must be there.
    ///
    /// # Errors
    /// 400 `[x] required property is missing`.
    pub fn required(&mut self, name: &str) -> Result<Value> {
        self.take(name).ok_or_else(|| self.error(name, "required property is missing"))
    }

    /// A text, if given.
    ///
    /// # Errors
    /// 400 when it is no text.
    pub fn optional_string(&mut self, name: &str) -> Result<Option<String>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong_type(name, "a string", &other)),
        }
    }

    /// A text.
    ///
    /// # Errors
    /// 400 when it is missing or no text.
    pub fn string(&mut self, name: &str) -> Result<String> {
        self.optional_string(name)?.ok_or_else(|| self.error(name, "required property is missing"))
    }

    /// A template.
    ///
    /// # Errors
    /// As [`Config::string`], and for Mustache this node does not have.
    pub fn template(&mut self, name: &str) -> Result<Template> {
        let text = self.string(name)?;
        Template::compile(&text).map_err(|error| self.error(name, error.reason))
    }

    /// A value whose texts are templates.
    ///
    /// # Errors
    /// As [`Config::required`], and for Mustache this node does not have.
    pub fn value_template(&mut self, name: &str) -> Result<ValueTemplate> {
        let value = self.required(name)?;
        ValueTemplate::compile(&value).map_err(|error| self.error(name, error.reason))
    }

    /// A boolean.
    ///
    /// # Errors
    /// 400 for anything else.
    pub fn boolean(&mut self, name: &str, default: bool) -> Result<bool> {
        match self.take(name) {
            None => Ok(default),
            Some(Value::Bool(value)) => Ok(value),
            Some(other) => Err(self.wrong_type(name, "a boolean", &other)),
        }
    }

    /// An integer, also as text.
    ///
    /// # Errors
    /// 400 for anything else.
    pub fn integer(&mut self, name: &str) -> Result<Option<i64>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let number = match &value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        number
            .map(Some)
            .ok_or_else(|| self.error(name, format!("property cannot be converted to an int [{value}]")))
    }

    /// A text or a list of texts.
    ///
    /// # Errors
    /// 400 for anything else.
    pub fn strings(&mut self, name: &str) -> Result<Option<Vec<String>>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(vec![text])),
            Some(Value::Array(items)) => items
                .into_iter()
                .map(|item| match item {
                    Value::String(text) => Ok(text),
                    other => Err(self.wrong_type(name, "a string", &other)),
                })
                .collect::<Result<_>>()
                .map(Some),
            Some(other) => Err(self.wrong_type(name, "a list", &other)),
        }
    }

    /// `[x] property isn't a string, but of type [..]`.
    pub fn wrong_type(&self, name: &str, wanted: &str, found: &Value) -> ApiError {
        self.error(name, format!("property isn't {wanted}, but of type [{}]", java_type(found)))
    }

    /// Refuses what nobody asked for.
    ///
    /// # Errors
    /// 400 naming it.
    pub fn finish(self) -> Result<()> {
        if self.members.is_empty() {
            return Ok(());
        }
        let mut names: Vec<&str> = self.members.keys().map(String::as_str).collect();
        names.sort_unstable();
        let reason = format!(
            "processor [{}] doesn't support one or more provided configuration parameters [{}]",
            self.kind,
            names.join(", ")
        );
        Err(self.named(ApiError::new(StatusCode::BAD_REQUEST, "parse_exception", reason)))
    }
}
