//! The `template` member: settings, mappings, aliases.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::cluster::{Alias, check_alias_name, flat_settings, settings_text, settings_tree};
use crate::error::{ApiError, Result};
use crate::http::Reader;

/// Settings by full name (`index.refresh_interval`). Scalars are text; `null` takes back what a part before has set.
pub type Settings = BTreeMap<String, Value>;

const READER: Reader = Reader("template");

/// What a template gives an index. Absent and empty parts are told apart, as they are printed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Template {
    /// `settings`.
    pub settings: Option<Settings>,
    /// `mappings`, as given: they are merged with others before they mean something.
    pub mappings: Option<Map<String, Value>>,
    /// `aliases`. A name may hold `{index}`.
    pub aliases: Option<BTreeMap<String, Alias>>,
}

impl Template {
    /// Reads `{"settings", "mappings", "aliases"}`. Whether settings and fields exist is checked later.
    ///
    /// # Errors
    /// 400 as Elasticsearch words it.
    pub fn parse(value: &Value) -> Result<Self> {
        let mut template = Self::default();
        for (key, value) in READER.object(value)? {
            match key.as_str() {
                "settings" => template.settings = Some(settings(value)?),
                "mappings" => template.mappings = mappings(value)?,
                "aliases" => template.aliases = Some(aliases(value)?),
                "lifecycle" | "data_stream_options" => {
                    return Err(ApiError::illegal_argument(format!(
                        "[{key}] is not supported by this node: it has no data streams"
                    )));
                }
                other => return Err(READER.unknown(other)),
            }
        }
        Ok(template)
    }

    /// As Elasticsearch prints it; with `flat`, settings by their full names.
    pub fn to_json(&self, flat: bool) -> Value {
        let mut out = Map::new();
        if let Some(settings) = &self.settings {
            out.insert("settings".to_owned(), settings_tree(settings.clone(), flat));
        }
        if let Some(mappings) = &self.mappings {
            out.insert("mappings".to_owned(), Value::Object(mappings.clone()));
        }
        if let Some(aliases) = &self.aliases {
            out.insert("aliases".to_owned(), aliases_json(aliases));
        }
        Value::Object(out)
    }
}

/// Aliases as Elasticsearch prints them.
pub(super) fn aliases_json(aliases: &BTreeMap<String, Alias>) -> Value {
    aliases.iter().map(|(name, alias)| (name.clone(), alias.to_json())).collect::<Map<_, _>>().into()
}

fn settings(value: &Value) -> Result<Settings> {
    if !value.is_object() {
        return Err(READER.unsupported("settings", value));
    }
    let flat = flat_settings(value)?;
    flat.into_iter()
        .map(|(name, value)| match &value {
            Value::Null => Ok((name, value)),
            Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
                let cause = ApiError::new(
                    StatusCode::BAD_REQUEST,
                    "illegal_state_exception",
                    "only value lists are allowed in serialized settings",
                );
                Err(READER.failed("settings", &cause))
            }
            _ => Ok((name, settings_text(&value))),
        })
        .collect()
}

/// The mapping without the type name old clients send; nothing when it is empty.
fn mappings(value: &Value) -> Result<Option<Map<String, Value>>> {
    let Value::Object(members) = value else {
        let cause = ApiError::illegal_argument(format!("a mapping must be an object, got [{value}]"));
        return Err(READER.failed("mappings", &cause));
    };
    match members.get("_doc") {
        Some(Value::Object(inner)) if members.len() == 1 => Ok(Some(inner.clone())),
        _ if members.is_empty() => Ok(None),
        _ => Ok(Some(members.clone())),
    }
}

fn aliases(value: &Value) -> Result<BTreeMap<String, Alias>> {
    READER
        .map("aliases", value)?
        .into_iter()
        .map(|(name, body)| {
            check_alias_name(&name)?;
            let alias = Alias::parse(&name, &body)?;
            if alias.index_routing.as_ref().is_some_and(|routing| routing.contains(',')) {
                return Err(ApiError::illegal_argument(format!(
                    "alias [{name}] has several index routing values associated with it"
                )));
            }
            Ok((name, alias))
        })
        .collect()
}

/// A part of a definition that is only printed when it was given.
pub(super) fn print_given(out: &mut Map<String, Value>, key: &str, value: Option<impl serde::Serialize>) {
    if let Some(value) = value {
        out.insert(key.to_owned(), json!(value));
    }
}
