//! `json`: a text that is JSON becomes what it says.

use serde_json::{Map, Value};

use super::{Change, Step};
use crate::error::{ApiError, Result};
use crate::http::json as reader;
use crate::ingest::config::Config;
use crate::ingest::document::{Fields, plain};

#[derive(Debug)]
struct Json {
    field: String,
    target: Target,
    allow_duplicates: bool,
}

#[derive(Debug)]
enum Target {
    Field(String),
    Root { merge: bool },
}

pub fn json(config: &mut Config) -> Result<Box<dyn Step>> {
    let field = config.string("field")?;
    let target = config.optional_string("target_field")?;
    let root = config.boolean("add_to_root", false)?;
    let strategy = config.optional_string("add_to_root_conflict_strategy")?;
    let merge = match strategy.as_deref() {
        None | Some("replace") => false,
        Some("merge") => true,
        Some(other) => {
            return Err(config.error(
                "add_to_root_conflict_strategy",
                format!("conflict strategy [{other}] not supported, cannot convert field."),
            ));
        }
    };
    if strategy.is_some() && !root {
        return Err(config.error(
            "add_to_root_conflict_strategy",
            "Cannot set `add_to_root_conflict_strategy` if `add_to_root` is false",
        ));
    }
    if root && target.is_some() {
        return Err(config
            .error("target_field", "Cannot set a target field while also setting `add_to_root` to true"));
    }
    let allow_duplicates = config.boolean("allow_duplicate_keys", false)?;
    if !config.boolean("strict_json_parsing", true)? {
        return Err(config.error("strict_json_parsing", "[false] is not supported"));
    }
    let target =
        if root { Target::Root { merge } } else { Target::Field(target.unwrap_or_else(|| field.clone())) };
    Ok(Box::new(Json { field, target, allow_duplicates }))
}

impl Change for Json {
    fn change(&self, fields: &mut Fields) -> Result<()> {
        let text = plain(fields.get(&self.field)?);
        let parsed = if self.allow_duplicates {
            serde_json::from_str(&text).map_err(|error| reader::parse_error(&error))
        } else {
            reader::parse(text.as_bytes())
        };
        let value = parsed.map_err(|error| ApiError::illegal_argument(error.reason))?;
        match &self.target {
            Target::Field(target) => fields.set(target, value),
            Target::Root { merge } => {
                let Value::Object(members) = value else {
                    return Err(ApiError::illegal_argument("cannot add non-map fields to root of document"));
                };
                if let Value::Object(root) = fields.source_mut() {
                    if *merge {
                        merge_into(root, members);
                    } else {
                        root.extend(members);
                    }
                }
                Ok(())
            }
        }
    }
}

/// Objects are merged member by member; anything else replaces.
fn merge_into(target: &mut Map<String, Value>, source: Map<String, Value>) {
    for (name, value) in source {
        match (target.get_mut(&name), value) {
            (Some(Value::Object(old)), Value::Object(new)) => merge_into(old, new),
            (_, value) => {
                target.insert(name, value);
            }
        }
    }
}
