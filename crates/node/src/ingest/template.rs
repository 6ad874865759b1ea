//! The part of Mustache that pipelines use: `{{field}}` (escaped for JSON) and `{{{field}}}`, `{{&field}}` (as it is).

use serde_json::{Map, Value};

use super::document::{Fields, plain};
use crate::error::{ApiError, Result};

/// A text with fields to fill in.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Field { path: String, escape: bool },
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// 400 for sections and other Mustache this node does not have, and for tags that do not end.
    pub fn compile(text: &str) -> Result<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let (close, escape, after) = match after.strip_prefix('{') {
                Some(after) => ("}}}", false, after),
                None => ("}}", true, after),
            };
            let Some((name, after)) = after.split_once(close) else {
                return Err(ApiError::illegal_argument(format!(
                    "template [{text}] has a tag that does not end"
                )));
            };
            let name = name.trim();
            let (name, escape) = match name.strip_prefix('&') {
                Some(name) => (name.trim(), false),
                None => (name, escape),
            };
            rest = after;
            match name.chars().next() {
                Some('!') => {}
                None | Some('#' | '^' | '/' | '>' | '=' | '<' | '$') => {
                    return Err(ApiError::illegal_argument(format!(
                        "template [{text}] uses [{{{{{name}}}}}]; only {{{{field}}}} and {{{{{{field}}}}}} are supported"
                    )));
                }
                Some(_) => parts.push(Part::Field { path: name.to_owned(), escape }),
            }
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// Fills the fields in; absent and null ones are empty.
    pub fn render(&self, fields: &Fields) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Field { path, escape } => match lookup(fields, path) {
                    None | Some(Value::Null) => {}
                    Some(value) if *escape => {
                        let quoted = Value::String(plain(value)).to_string();
                        out.push_str(&quoted[1..quoted.len() - 1]);
                    }
                    Some(value) => out.push_str(&plain(value)),
                },
            }
        }
        out
    }
}

fn lookup<'a>(fields: &'a Fields, path: &str) -> Option<&'a Value> {
    match path {
        "_ingest" => Some(fields.ingest()),
        "_source" | "." => Some(fields.source()),
        path => fields.find(path),
    }
}

/// A JSON value whose texts are templates.
#[derive(Debug, Clone, PartialEq)]
pub enum ValueTemplate {
    /// Numbers, booleans, null.
    Literal(Value),
    /// A text.
    Text(Template),
    /// A list.
    List(Vec<ValueTemplate>),
    /// An object; names are templates too.
    Object(Vec<(Template, ValueTemplate)>),
}

impl ValueTemplate {
    /// Compiles every text inside.
    ///
    /// # Errors
    /// As [`Template::compile`].
    pub fn compile(value: &Value) -> Result<Self> {
        Ok(match value {
            Value::String(text) => Self::Text(Template::compile(text)?),
            Value::Array(items) => Self::List(items.iter().map(Self::compile).collect::<Result<_>>()?),
            Value::Object(members) => Self::Object(
                members
                    .iter()
                    .map(|(name, value)| Ok((Template::compile(name)?, Self::compile(value)?)))
                    .collect::<Result<_>>()?,
            ),
            other => Self::Literal(other.clone()),
        })
    }

    /// Fills in all texts.
    pub fn render(&self, fields: &Fields) -> Value {
        match self {
            Self::Literal(value) => value.clone(),
            Self::Text(template) => Value::String(template.render(fields)),
            Self::List(items) => Value::Array(items.iter().map(|item| item.render(fields)).collect()),
            Self::Object(members) => Value::Object(
                members
                    .iter()
                    .map(|(name, value)| (name.render(fields), value.render(fields)))
                    .collect::<Map<_, _>>(),
            ),
        }
    }
}
