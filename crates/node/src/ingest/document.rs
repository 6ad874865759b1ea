//! The document a pipeline works on: its source, its metadata, and what pipelines say about themselves.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::error::{ApiError, Result};

/// A document before and after a pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct IngestDocument {
    /// Index it is meant for; a pipeline may change it.
    pub index: String,
    /// `_id`, if the request has one.
    pub id: Option<String>,
    /// `_routing`, if the request has one.
    pub routing: Option<String>,
    /// `_source`.
    pub source: Map<String, Value>,
}

/// The document while pipelines run, addressed by dotted paths as Elasticsearch does: `a.b`, `list.0`, `_source.a`,
/// `_index`, `_id`, `_routing`, `_ingest.timestamp`.
#[derive(Debug, Clone)]
pub struct Fields {
    source: Value,
    metadata: Value,
    ingest: Value,
}

/// Metadata a pipeline can read and write here.
const METADATA: [&str; 3] = ["_index", "_id", "_routing"];
/// Metadata of Elasticsearch that this node does not let pipelines touch.
const OTHER_METADATA: [&str; 6] =
    ["_version", "_version_type", "_if_seq_no", "_if_primary_term", "_dynamic_templates", "_type"];

impl Fields {
    /// Starts with a document; `timestamp` is `_ingest.timestamp`.
    pub fn new(document: IngestDocument, timestamp: &str) -> Self {
        let mut metadata = Map::new();
        metadata.insert("_index".into(), document.index.into());
        if let Some(id) = document.id {
            metadata.insert("_id".into(), id.into());
        }
        if let Some(routing) = document.routing {
            metadata.insert("_routing".into(), routing.into());
        }
        Self {
            source: Value::Object(document.source),
            metadata: Value::Object(metadata),
            ingest: json!({ "timestamp": timestamp }),
        }
    }

    /// The document as the pipelines left it.
    pub fn into_document(self) -> IngestDocument {
        let text = |name: &str| self.metadata.get(name).and_then(Value::as_str).map(str::to_owned);
        IngestDocument {
            index: text("_index").unwrap_or_default(),
            id: text("_id"),
            routing: text("_routing"),
            source: match self.source {
                Value::Object(source) => source,
                _ => Map::new(),
            },
        }
    }

    /// `_source` as it stands.
    pub fn source(&self) -> &Value {
        &self.source
    }

    /// `_source`, to add members at its top.
    pub fn source_mut(&mut self) -> &mut Value {
        &mut self.source
    }

    /// `_index`, `_id` and `_routing`.
    pub fn metadata(&self) -> &Value {
        &self.metadata
    }

    /// `_ingest`.
    pub fn ingest(&self) -> &Value {
        &self.ingest
    }

    /// Sets a member of `_ingest`.
    pub fn set_ingest(&mut self, name: &str, value: Value) {
        if let Value::Object(members) = &mut self.ingest {
            members.insert(name.to_owned(), value);
        }
    }

    /// Removes a member of `_ingest`.
    pub fn remove_ingest(&mut self, name: &str) {
        if let Value::Object(members) = &mut self.ingest {
            members.shift_remove(name);
        }
    }

    fn root<'a>(&self, path: &'a str) -> Result<(&Value, Vec<&'a str>)> {
        let (root, keys) = split(path)?;
        Ok((
            match root {
                Root::Source => &self.source,
                Root::Metadata => &self.metadata,
                Root::Ingest => &self.ingest,
            },
            keys,
        ))
    }

    fn root_mut<'a>(&mut self, path: &'a str) -> Result<(&mut Value, Vec<&'a str>)> {
        let (root, keys) = split(path)?;
        Ok((
            match root {
                Root::Source => &mut self.source,
                Root::Metadata => &mut self.metadata,
                Root::Ingest => &mut self.ingest,
            },
            keys,
        ))
    }

    /// The value at `path`.
    ///
    /// # Errors
    /// 400 when there is none.
    pub fn get(&self, path: &str) -> Result<&Value> {
        let (mut at, keys) = self.root(path)?;
        for key in keys {
            at = match at {
                Value::Object(members) => members.get(key).ok_or_else(|| {
                    ApiError::illegal_argument(format!("field [{key}] not present as part of path [{path}]"))
                })?,
                Value::Array(items) => &items[index(key, items.len(), path)?],
                Value::Null => {
                    return Err(ApiError::illegal_argument(format!(
                        "cannot resolve [{key}] from null as part of path [{path}]"
                    )));
                }
                other => {
                    return Err(ApiError::illegal_argument(format!(
                        "cannot resolve [{key}] from object of type [{}] as part of path [{path}]",
                        java_type(other)
                    )));
                }
            };
        }
        Ok(at)
    }

    /// The value at `path`, if there is one.
    pub fn find(&self, path: &str) -> Option<&Value> {
        let (mut at, keys) = self.root(path).ok()?;
        for key in keys {
            at = match at {
                Value::Object(members) => members.get(key)?,
                Value::Array(items) => items.get(key.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(at)
    }

    /// Writes `value` at `path`, making the objects on the way.
    ///
    /// # Errors
    /// 400 when a value on the way is no object or list.
    pub fn set(&mut self, path: &str, value: Value) -> Result<()> {
        check_metadata(path, &value)?;
        let (mut at, keys) = self.root_mut(path)?;
        let Some((last, parents)) = keys.split_last() else { return Ok(()) };
        for key in parents {
            at = match at {
                Value::Object(members) => {
                    members.entry((*key).to_owned()).or_insert_with(|| Value::Object(Map::new()))
                }
                Value::Array(items) => {
                    let position = index(key, items.len(), path)?;
                    &mut items[position]
                }
                other => return Err(parent_error(key, other, path)),
            };
        }
        match at {
            Value::Object(members) => {
                members.insert((*last).to_owned(), value);
            }
            Value::Array(items) => {
                let position = index(last, items.len(), path)?;
                items[position] = value;
            }
            other => return Err(parent_error(last, other, path)),
        }
        Ok(())
    }

    /// Adds to the list at `path`; a value that is no list becomes the first item of one.
    ///
    /// # Errors
    /// As [`Fields::set`].
    pub fn append(&mut self, path: &str, values: Vec<Value>, allow_duplicates: bool) -> Result<()> {
        let mut list = match self.find(path) {
            None => Vec::new(),
            Some(Value::Array(items)) => items.clone(),
            Some(other) => vec![other.clone()],
        };
        for value in values {
            if allow_duplicates || !list.contains(&value) {
                list.push(value);
            }
        }
        self.set(path, Value::Array(list))
    }

    /// Takes the value at `path` out.
    ///
    /// # Errors
    /// 400 when there is none.
    pub fn remove(&mut self, path: &str) -> Result<Value> {
        let (mut at, keys) = self.root_mut(path)?;
        let Some((last, parents)) = keys.split_last() else { return Ok(Value::Null) };
        for key in parents {
            at = match at {
                Value::Object(members) => members.get_mut(*key).ok_or_else(|| {
                    ApiError::illegal_argument(format!("field [{key}] not present as part of path [{path}]"))
                })?,
                Value::Array(items) => {
                    let position = index(key, items.len(), path)?;
                    &mut items[position]
                }
                Value::Null => {
                    return Err(ApiError::illegal_argument(format!(
                        "cannot resolve [{key}] from null as part of path [{path}]"
                    )));
                }
                other => {
                    return Err(ApiError::illegal_argument(format!(
                        "cannot resolve [{key}] from object of type [{}] as part of path [{path}]",
                        java_type(other)
                    )));
                }
            };
        }
        match at {
            // `shift_remove` keeps the order of the members that stay.
            Value::Object(members) => members.shift_remove(*last).ok_or_else(|| {
                ApiError::illegal_argument(format!("field [{last}] not present as part of path [{path}]"))
            }),
            Value::Array(items) => {
                let position = index(last, items.len(), path)?;
                Ok(items.remove(position))
            }
            Value::Null => Err(ApiError::illegal_argument(format!(
                "cannot remove [{last}] from null as part of path [{path}]"
            ))),
            other => Err(ApiError::illegal_argument(format!(
                "cannot remove [{last}] from object of type [{}] as part of path [{path}]",
                java_type(other)
            ))),
        }
    }
}

enum Root {
    Source,
    Metadata,
    Ingest,
}

fn split(path: &str) -> Result<(Root, Vec<&str>)> {
    if path.is_empty() {
        return Err(ApiError::illegal_argument("path cannot be null nor empty"));
    }
    if METADATA.contains(&path) {
        return Ok((Root::Metadata, vec![path]));
    }
    let (root, rest) = match (path.strip_prefix("_ingest."), path.strip_prefix("_source.")) {
        (Some(rest), _) => (Root::Ingest, rest),
        (_, Some(rest)) => (Root::Source, rest),
        _ => (Root::Source, path),
    };
    // As Java's `split`: dots at the end do not count.
    let keys: Vec<&str> = rest.trim_end_matches('.').split('.').collect();
    if keys.iter().any(|key| key.is_empty()) {
        return Err(ApiError::illegal_argument(format!("path [{path}] is not valid")));
    }
    Ok((root, keys))
}

fn check_metadata(path: &str, value: &Value) -> Result<()> {
    if OTHER_METADATA.contains(&path) {
        return Err(ApiError::illegal_argument(format!(
            "pipelines of this node cannot write the metadata field [{path}], only [{}]",
            METADATA.join(", ")
        )));
    }
    if METADATA.contains(&path) && !value.is_string() {
        return Err(ApiError::illegal_argument(format!(
            "{path} [{}] is wrong type, expected assignable to [java.lang.String], not [{}]",
            plain(value),
            java_type(value)
        )));
    }
    Ok(())
}

fn index(key: &str, length: usize, path: &str) -> Result<usize> {
    let Ok(position) = key.parse::<i32>() else {
        return Err(ApiError::illegal_argument(format!(
            "[{key}] is not an integer, cannot be used as an index as part of path [{path}]"
        ))
        .with(
            "caused_by",
            json!({ "type": "number_format_exception", "reason": format!("For input string: \"{key}\"") }),
        ));
    };
    usize::try_from(position).ok().filter(|position| *position < length).ok_or_else(|| {
        ApiError::illegal_argument(format!(
            "[{position}] is out of bounds for array with length [{length}] as part of path [{path}]"
        ))
    })
}

fn parent_error(key: &str, parent: &Value, path: &str) -> ApiError {
    ApiError::illegal_argument(match parent {
        Value::Null => format!("cannot set [{key}] with null parent as part of path [{path}]"),
        other => format!(
            "cannot set [{key}] with parent object of type [{}] as part of path [{path}]",
            java_type(other)
        ),
    })
}

/// `field [a] of type [..] cannot be cast to [..]`.
pub fn cast_error(path: &str, value: &Value, wanted: &str) -> ApiError {
    ApiError::illegal_argument(format!(
        "field [{path}] of type [{}] cannot be cast to [{wanted}]",
        java_type(value)
    ))
}

/// 400 `illegal_argument_exception` of a field that is null.
pub fn null_error(path: &str, what: &str) -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "illegal_argument_exception",
        format!("field [{path}] is null, cannot {what}."),
    )
}

/// How Elasticsearch's messages name the type of a JSON value.
pub fn java_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "java.lang.Boolean",
        Value::Number(number) => match number.as_i64() {
            Some(number) if i32::try_from(number).is_ok() => "java.lang.Integer",
            Some(_) => "java.lang.Long",
            None if number.is_u64() => "java.math.BigInteger",
            None => "java.lang.Double",
        },
        Value::String(_) => "java.lang.String",
        Value::Array(_) => "java.util.ArrayList",
        Value::Object(_) => "java.util.HashMap",
    }
}

/// A value as text, as Java's `toString` gives it.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(", "))
        }
        Value::Object(members) => {
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("{name}={}", plain(value))).collect();
            format!("{{{}}}", members.join(", "))
        }
        other => other.to_string(),
    }
}
