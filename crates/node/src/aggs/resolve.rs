//! The field an aggregation reads, in the mapping of one index.

use axum::http::StatusCode;
use serde_json::Value;

use super::parse::Source;
use crate::dates;
use crate::error::{ApiError, Result};
use crate::index::IndexView;
use crate::mapping::{FieldMapping, FieldType};
use crate::search::keys::{check_doc_values, fielddata_of_id};
use crate::search::{bare, shard_failure};

/// How keys and values of a field are written in the answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Style {
    /// The index has no such field.
    Unmapped,
    /// Keywords and addresses.
    Text,
    Integer,
    /// `single`: of type `float` or `half_float`, written with as few digits as name the same `f32`.
    Float {
        single: bool,
    },
    Boolean,
    /// Written in this format; `None` is the default format.
    Date {
        format: Option<String>,
    },
}

/// The value documents without one are given (`missing`).
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Substitute {
    Text(String),
    Integer(i64),
    Float(f64),
}

/// A field of one index.
#[derive(Debug, Clone)]
pub(super) struct Field {
    /// Path of its columns; `None` when the index has no such field.
    pub path: Option<String>,
    pub style: Style,
    pub substitute: Option<Substitute>,
    /// Every document has this value: `_index`.
    pub constant: Option<String>,
}

/// Types an aggregation can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accept {
    Any,
    Numbers,
}

impl Field {
    /// Resolves `source` for the aggregation type `type_name`.
    pub fn resolve(source: &Source, view: &IndexView, type_name: &str, accept: Accept) -> Result<Self> {
        Self::find(source, view, type_name, accept).map_err(|error| shard_failure(&view.name, error))
    }

    fn find(source: &Source, view: &IndexView, type_name: &str, accept: Accept) -> Result<Self> {
        let name = source.field.as_str();
        if name == "_index" && accept == Accept::Any {
            let constant = Some(view.name.to_string());
            return Ok(Self { path: None, style: Style::Text, substitute: None, constant });
        }
        if name == "_index" {
            return Err(ApiError::illegal_argument(format!(
                "Field [_index] of type [_index] is not supported for aggregation [{type_name}]"
            )));
        }
        if name == "_id" {
            return Err(fielddata_of_id());
        }
        if name.starts_with('_') && !view.table.fields.contains_key(name) {
            return Err(ApiError::illegal_argument(format!(
                "Field [{name}] is not supported for aggregation [{type_name}] by this node"
            )));
        }
        let Some(mapping) = view.table.get(name) else {
            let (style, substitute) = unmapped(source.missing.as_ref());
            return Ok(Self { path: None, style, substitute, constant: None });
        };
        check_doc_values(mapping, &view.name)?;
        let style = style(mapping, source);
        if accept == Accept::Numbers && style == Style::Text {
            return Err(ApiError::illegal_argument(format!(
                "Field [{name}] of type [{}] is not supported for aggregation [{type_name}]",
                mapping.type_name
            )));
        }
        if source.format.is_some() && !matches!(style, Style::Date { .. }) {
            return Err(ApiError::illegal_argument(format!(
                "[format] of a field of type [{}] is not supported by this node",
                mapping.type_name
            )));
        }
        let substitute = match &source.missing {
            Some(missing) => Some(substitute(missing, mapping)?),
            None => None,
        };
        Ok(Self { path: Some(mapping.path.clone()), style, substitute, constant: None })
    }
}

fn style(mapping: &FieldMapping, source: &Source) -> Style {
    match &mapping.kind {
        FieldType::Integer { .. } => Style::Integer,
        FieldType::Float { .. } => {
            Style::Float { single: matches!(mapping.type_name.as_str(), "float" | "half_float") }
        }
        FieldType::Boolean => Style::Boolean,
        FieldType::Date { format } => {
            Style::Date { format: source.format.clone().or_else(|| format.clone()) }
        }
        _ => Style::Text,
    }
}

fn unmapped(missing: Option<&Value>) -> (Style, Option<Substitute>) {
    match missing {
        None | Some(Value::Null) => (Style::Unmapped, None),
        Some(Value::Bool(flag)) => (Style::Boolean, Some(Substitute::Integer(i64::from(*flag)))),
        Some(Value::Number(number)) => match number.as_i64() {
            Some(integer) => (Style::Integer, Some(Substitute::Integer(integer))),
            None => (Style::Float { single: false }, number.as_f64().map(Substitute::Float)),
        },
        Some(text) => (Style::Text, Some(Substitute::Text(bare(text)))),
    }
}

fn substitute(missing: &Value, mapping: &FieldMapping) -> Result<Substitute> {
    let text = bare(missing);
    let refuse = || {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "number_format_exception",
            format!("For input string: \"{text}\""),
        )
    };
    Ok(match &mapping.kind {
        FieldType::Integer { .. } => {
            #[allow(clippy::cast_possible_truncation)]
            let whole = |text: &str| text.parse::<f64>().ok().map(|float| float as i64);
            Substitute::Integer(text.parse().ok().or_else(|| whole(&text)).ok_or_else(refuse)?)
        }
        FieldType::Boolean => Substitute::Integer(i64::from(matches!(text.as_str(), "true" | "1"))),
        FieldType::Date { format } => Substitute::Integer(dates::parse(&text, format.as_deref())?),
        FieldType::Float { .. } => Substitute::Float(text.parse().map_err(|_| refuse())?),
        _ => Substitute::Text(text),
    })
}
