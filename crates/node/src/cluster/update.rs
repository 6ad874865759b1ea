//! Partial updates: the body of `_update`, and merging it into a document.

use serde_json::{Map, Value};

use axum::http::StatusCode;

use crate::error::{ApiError, Result, token};
use crate::mapping::parse_boolean;

/// The body of an update.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdateBody {
    /// `doc`.
    pub doc: Option<Map<String, Value>>,
    /// `upsert`.
    pub upsert: Option<Value>,
    /// `doc_as_upsert`.
    pub doc_as_upsert: bool,
    /// `detect_noop`.
    pub detect_noop: bool,
    /// `_source`: what of the new document is answered.
    pub source: Option<Value>,
    /// How often a conflict is tried again.
    pub retry_on_conflict: u32,
}

impl UpdateBody {
    /// Reads an update.
    ///
    /// # Errors
    /// 400 for unknown keys, scripts, and when there is nothing to do.
    pub fn parse(body: Value) -> Result<Self> {
        let Value::Object(members) = body else {
            return Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "x_content_parse_exception",
                "[1:1] [UpdateRequest] Expected START_OBJECT",
            ));
        };
        let mut update = Self {
            doc: None,
            upsert: None,
            doc_as_upsert: false,
            detect_noop: true,
            source: None,
            retry_on_conflict: 0,
        };
        for (key, value) in members {
            match (key.as_str(), value) {
                ("doc", Value::Object(doc)) => update.doc = Some(doc),
                ("upsert", value @ Value::Object(_)) => update.upsert = Some(value),
                ("doc_as_upsert", value) => {
                    update.doc_as_upsert = parse_boolean(&key, &value)?;
                }
                ("detect_noop", value) => update.detect_noop = parse_boolean(&key, &value)?,
                ("_source", value) => update.source = Some(value),
                ("script" | "scripted_upsert", _) => {
                    return Err(ApiError::illegal_argument("failed to execute script")
                        .because("illegal_argument_exception", "scripts are not supported by this node"));
                }
                ("doc" | "upsert", value) => {
                    return Err(ApiError::new(
                        StatusCode::BAD_REQUEST,
                        "x_content_parse_exception",
                        format!(
                            "[1:1] [UpdateRequest] {key} doesn't support values of type: {}",
                            token(&value)
                        ),
                    ));
                }
                _ => {
                    return Err(ApiError::new(
                        StatusCode::BAD_REQUEST,
                        "x_content_parse_exception",
                        format!("[1:1] [UpdateRequest] unknown field [{key}]"),
                    ));
                }
            }
        }
        if update.doc_as_upsert && update.doc.is_none() {
            return Err(validation("doc must be specified if doc_as_upsert is enabled"));
        }
        if update.doc.is_none() {
            return Err(validation("script or doc is missing"));
        }
        Ok(update)
    }

    /// What a demanded sequence number rules out, as Elasticsearch words it.
    pub fn conditional_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.retry_on_conflict > 0 {
            problems.push("compare and write operations can not be retried".to_owned());
        }
        if self.doc_as_upsert {
            problems.push("compare and write operations can not be used with upsert".to_owned());
        }
        if self.upsert.is_some() {
            problems.push("upsert requests don't support `if_seq_no` and `if_primary_term`".to_owned());
        }
        problems
    }

    /// The document an upsert writes; `None` when a missing document is an error.
    pub fn insert(&self) -> Option<Value> {
        match (&self.upsert, &self.doc) {
            (_, Some(doc)) if self.doc_as_upsert => Some(Value::Object(doc.clone())),
            (Some(upsert), _) => Some(upsert.clone()),
            _ => None,
        }
    }
}

/// 400 `action_request_validation_exception` with one problem.
pub fn validation(problem: &str) -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "action_request_validation_exception",
        format!("Validation Failed: 1: {problem};"),
    )
}

/// Merges `doc` into `source`: objects member by member, everything else replaced. Tells whether anything changed.
pub fn merge(source: &mut Map<String, Value>, doc: &Map<String, Value>) -> bool {
    let mut changed = false;
    for (key, value) in doc {
        match (source.get_mut(key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => changed |= merge(old, new),
            (Some(old), new) => {
                if old != new {
                    *old = new.clone();
                    changed = true;
                }
            }
            (None, new) => {
                source.insert(key.clone(), new.clone());
                changed = true;
            }
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_merge_and_everything_else_is_replaced() {
        let mut source = json!({ "a": { "b": 1, "c": [1, 2] }, "d": 1 }).as_object().unwrap().clone();
        let doc = |value: Value| value.as_object().unwrap().clone();
        assert!(!merge(&mut source, &doc(json!({ "a": { "b": 1 }, "d": 1 }))));
        assert!(merge(&mut source, &doc(json!({ "a": { "c": [3] }, "e": null }))));
        assert_eq!(Value::Object(source), json!({ "a": { "b": 1, "c": [3] }, "d": 1, "e": null }));
    }

    #[test]
    fn bodies_are_checked() {
        let reason = |body: Value| UpdateBody::parse(body).unwrap_err().reason;
        assert_eq!(reason(json!({})), "Validation Failed: 1: script or doc is missing;");
        assert_eq!(reason(json!({ "doc": {}, "bogus": 1 })), "[1:1] [UpdateRequest] unknown field [bogus]");
        assert_eq!(reason(json!({ "script": "x" })), "failed to execute script");
        let update = UpdateBody::parse(json!({ "doc": { "a": 1 }, "doc_as_upsert": true })).unwrap();
        assert_eq!(update.insert(), Some(json!({ "a": 1 })));
    }
}
