//! Parameters of fields: which exist for which type, what they must look like, and their defaults.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::tree::{bad_mapping, java};
use super::types::FieldType;
use crate::dates::DateFormat;
use crate::error::{ApiError, Result};

/// What a parameter's value must be.
#[derive(Clone, Copy)]
enum Kind {
    /// A boolean with its default.
    Flag(bool),
    /// A whole number.
    Count,
    /// A number.
    Number,
    /// Text.
    Name,
    /// One of a list; the first is the default.
    OneOf(&'static [&'static str]),
    /// Any value of the field's type.
    Any,
    /// A date format.
    Format,
    /// Text or a list of it.
    Names,
    /// An object of texts.
    Meta,
    /// An object, kept as it is.
    Object,
}

const OPTIONS: &[&str] = &["positions", "docs", "freqs", "offsets"];
const VECTORS: &[&str] = &[
    "no",
    "yes",
    "with_positions",
    "with_offsets",
    "with_positions_offsets",
    "with_positions_payloads",
    "with_positions_offsets_payloads",
];

/// The parameter `name` of `type_name`, and whether it may change once the field exists.
fn parameter(type_name: &str, name: &str) -> Option<(Kind, bool)> {
    use Kind::{Any, Count, Flag, Format, Meta, Name, Names, Number, Object, OneOf};
    let text = matches!(type_name, "text" | "match_only_text");
    let keyword = type_name == "keyword";
    let whole = matches!(type_name, "long" | "integer" | "short" | "byte");
    let number = whole || matches!(type_name, "double" | "float" | "half_float" | "scaled_float");
    let date = type_name == "date";
    let simple = number || date || matches!(type_name, "boolean" | "ip");
    Some(match name {
        "meta" if type_name != "alias" => (Meta, true),
        "copy_to" if type_name != "alias" => (Names, true),
        "path" if type_name == "alias" => (Name, true),
        "store" if !matches!(type_name, "alias" | "constant_keyword" | "wildcard") => (Flag(false), false),
        "index" if type_name == "text" || keyword || simple => (Flag(true), false),
        "doc_values" if keyword || simple => (Flag(true), false),
        "doc_values" if type_name == "binary" => (Flag(false), false),
        "null_value" if keyword || simple || type_name == "wildcard" => (Any, false),
        "ignore_malformed" if simple => (Flag(false), true),
        "coerce" if number => (Flag(true), true),
        "scaling_factor" if type_name == "scaled_float" => (Number, true),
        "format" if date => (Format, false),
        "ignore_above" if keyword || type_name == "wildcard" => (Count, true),
        "locale" if date => (Name, false),
        "value" if type_name == "constant_keyword" => (Name, false),
        "analyzer" if text => (Name, false),
        "search_analyzer" | "search_quote_analyzer" if text => (Name, true),
        "index_options" if type_name == "text" => (OneOf(OPTIONS), false),
        "index_options" if keyword => (OneOf(&["docs", "freqs"]), false),
        "norms" if type_name == "text" => (Flag(true), true),
        "norms" if keyword => (Flag(false), true),
        "similarity" if type_name == "text" || keyword => (OneOf(&["BM25"]), false),
        "term_vector" if type_name == "text" => (OneOf(VECTORS), false),
        "position_increment_gap" if type_name == "text" => (Count, false),
        "index_phrases" if type_name == "text" => (Flag(false), false),
        "index_prefixes" if type_name == "text" => (Object, false),
        "fielddata" if text => (Flag(false), true),
        "eager_global_ordinals" if text || keyword => (Flag(false), true),
        "split_queries_on_whitespace" if keyword => (Flag(false), true),
        _ => return None,
    })
}

/// What a type name means, with the parameters that are part of it.
pub fn kind(type_name: &str, params: &Map<String, Value>) -> Option<FieldType> {
    let text = |name: &str| params.get(name).and_then(Value::as_str).map(str::to_owned);
    let whole = |min: i64, max: i64| Some(FieldType::Integer { min, max });
    match type_name {
        "text" | "match_only_text" => Some(FieldType::Text),
        "keyword" | "wildcard" | "constant_keyword" => Some(FieldType::Keyword),
        "long" => whole(i64::MIN, i64::MAX),
        "integer" => whole(i32::MIN.into(), i32::MAX.into()),
        "short" => whole(i16::MIN.into(), i16::MAX.into()),
        "byte" => whole(i8::MIN.into(), i8::MAX.into()),
        "double" | "float" | "half_float" => Some(FieldType::Float { scaling_factor: None }),
        "scaled_float" => {
            Some(FieldType::Float { scaling_factor: params.get("scaling_factor").and_then(Value::as_f64) })
        }
        "boolean" => Some(FieldType::Boolean),
        "date" => Some(FieldType::Date { format: text("format") }),
        "ip" => Some(FieldType::Ip),
        "binary" => Some(FieldType::Binary),
        "alias" => Some(FieldType::Alias { path: text("path").unwrap_or_default() }),
        _ => None,
    }
}

/// Whether there is a field type of this name.
pub fn exists(type_name: &str) -> bool {
    kind(type_name, &Map::new()).is_some()
}

/// Checks parameters and drops those that have their default, as Elasticsearch prints them.
///
/// # Errors
/// 400 for an unknown type, an unknown parameter, or a value that cannot be.
pub fn normalize(path: &str, type_name: &str, given: Map<String, Value>) -> Result<Map<String, Value>> {
    if kind(type_name, &given).is_none() {
        return Err(bad_mapping(format!(
            "The mapper type [{type_name}] declared on field [{path}] does not exist. It might have been created within \
             a future version or requires a plugin to be installed. Check the documentation."
        )));
    }
    let mut params = Map::new();
    for (name, value) in given {
        let Some((kind, _)) = parameter(type_name, &name) else {
            return Err(bad_mapping(format!(
                "unknown parameter [{name}] on mapper [{path}] of type [{type_name}]"
            )));
        };
        if value.is_null() && !matches!(name.as_str(), "null_value" | "normalizer") {
            return Err(bad_mapping(format!(
                "[{name}] on mapper [{path}] of type [{type_name}] must not have a [null] value"
            )));
        }
        if let Some(value) = checked(path, &name, kind, value)? {
            params.insert(name, value);
        }
    }
    if params.get("position_increment_gap").is_some_and(|gap| gap != 100) {
        return Err(unsupported(path, "position_increment_gap"));
    }
    if params.contains_key("fielddata") {
        return Err(unsupported(path, "fielddata"));
    }
    for (needed, of) in [("scaling_factor", "scaled_float"), ("path", "alias")] {
        if type_name == of && !params.contains_key(needed) {
            return Err(bad_mapping(format!(
                "Field [{needed}] is required on mapper [{path}] of type [{of}]"
            )));
        }
    }
    Ok(params)
}

fn unsupported(path: &str, name: &str) -> ApiError {
    bad_mapping(format!("[{name}] of field [{path}] is not supported by this node"))
}

fn checked(path: &str, name: &str, kind: Kind, value: Value) -> Result<Option<Value>> {
    Ok(match kind {
        Kind::Flag(default) => {
            let flag = boolean(&format!("{path}.{name}"), &value)?;
            (flag != default).then_some(Value::Bool(flag))
        }
        Kind::Count => {
            let text = java(&value);
            let count: u64 = text.parse().map_err(|_| {
                ApiError::new(
                    StatusCode::BAD_REQUEST,
                    "number_format_exception",
                    format!("For input string: \"{text}\""),
                )
            })?;
            Some(count.into())
        }
        Kind::Number => {
            let number = java(&value).parse::<f64>().ok().filter(|number| *number > 0.0);
            let number = number.ok_or_else(|| {
                ApiError::illegal_argument(format!(
                    "[{name}] must be a positive number, got [{}]",
                    java(&value)
                ))
            })?;
            Some(json!(number))
        }
        Kind::Name => Some(string(name, &value)?.into()),
        Kind::OneOf(allowed) => {
            let text = string(name, &value)?;
            if !allowed.contains(&text.as_str()) {
                return Err(bad_mapping(format!(
                    "Unknown value [{text}] for field [{name}] - accepted values are {allowed:?}"
                )));
            }
            (text != allowed[0]).then(|| text.into())
        }
        Kind::Any => (!value.is_null()).then_some(value),
        Kind::Format => {
            let text = string(name, &value)?;
            DateFormat::compile(&text).map_err(|error| {
                let outer = ApiError::illegal_argument(format!(
                    "Error parsing [format] on field [{path}]: {}",
                    error.reason
                ));
                outer.with("caused_by", error.cause())
            })?;
            (text != crate::dates::DEFAULT_FORMAT).then(|| text.into())
        }
        Kind::Names => {
            let names = match &value {
                Value::Array(items) => {
                    items.iter().map(|item| string(name, item)).collect::<Result<Vec<_>>>()?
                }
                other => vec![string(name, other)?],
            };
            (!names.is_empty()).then(|| names.into())
        }
        Kind::Meta => {
            let Value::Object(members) = &value else {
                return Err(bad_mapping(format!("[meta] must be an object, got {}", java(&value))));
            };
            if let Some((key, _)) = members.iter().find(|(_, value)| !value.is_string()) {
                return Err(bad_mapping(format!("[meta] values can only be strings, but got [{key}]")));
            }
            (!members.is_empty()).then_some(value)
        }
        Kind::Object => Some(value),
    })
}

/// What two definitions of one field cannot agree on, one line each.
pub fn conflicts(type_name: &str, old: &Map<String, Value>, new: &Map<String, Value>) -> Vec<String> {
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .filter(|name| old.get(*name) != new.get(*name))
        .filter_map(|name| {
            let (kind, changeable) = parameter(type_name, name)?;
            let reenabled = name == "norms" && new.get(name) != Some(&Value::Bool(false));
            if changeable && !(reenabled && type_name == "text") {
                return None;
            }
            let shown = |params: &Map<String, Value>| match (params.get(name), kind) {
                (Some(value), _) => java(value),
                (None, Kind::Flag(default)) => default.to_string(),
                (None, Kind::OneOf(allowed)) => allowed[0].to_owned(),
                (None, Kind::Format) => crate::dates::DEFAULT_FORMAT.to_owned(),
                (None, Kind::Name) => "default".to_owned(),
                (None, _) => "null".to_owned(),
            };
            Some(format!("Cannot update parameter [{name}] from [{}] to [{}]", shown(old), shown(new)))
        })
        .collect()
}

/// A boolean, also as text.
///
/// # Errors
/// 400 for anything else.
pub fn boolean(name: &str, value: &Value) -> Result<bool> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::String(text) if text == "true" => Ok(true),
        Value::String(text) if text == "false" => Ok(false),
        other => Err(ApiError::illegal_argument(format!("Could not convert [{name}] to boolean")).because(
            "illegal_argument_exception",
            format!("Failed to parse value [{}] as only [true] or [false] are allowed.", java(other)),
        )),
    }
}

/// Text; numbers and booleans are written out, as Elasticsearch does.
///
/// # Errors
/// 400 for objects, lists and null.
pub fn string(name: &str, value: &Value) -> Result<String> {
    match value {
        Value::String(_) | Value::Number(_) | Value::Bool(_) => Ok(java(value)),
        other => Err(bad_mapping(format!("[{name}] must be a string, got [{}]", java(other)))),
    }
}
