//! Elasticsearch's error shape.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

/// Result of every fallible operation of the node.
pub type Result<T, E = ApiError> = std::result::Result<T, E>;

/// Member of `extra` that holds another root cause than the error itself.
const ROOT_CAUSE: &str = "root_cause";

/// One error as Elasticsearch words it: a status, a snake-case `type`, a `reason`, and optional extra members
/// (`index`, `index_uuid`, `line`, `caused_by`, ...).
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{kind}: {reason}")]
pub struct ApiError {
    /// HTTP status of the answer.
    pub status: StatusCode,
    /// Elasticsearch's exception type, for example `index_not_found_exception`.
    pub kind: &'static str,
    /// Text for people; names the offending value.
    pub reason: String,
    /// Further members of the error object, in order.
    pub extra: Map<String, Value>,
}

impl ApiError {
    /// An error with no extra members.
    pub fn new(status: StatusCode, kind: &'static str, reason: impl Into<String>) -> Self {
        Self { status, kind, reason: reason.into(), extra: Map::new() }
    }

    /// 400 `illegal_argument_exception`: a value that is not allowed, or a feature this node does not have.
    pub fn illegal_argument(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "illegal_argument_exception", reason)
    }

    /// 400 `parsing_exception`: a body that cannot be read, such as an unknown query or key.
    pub fn parsing(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "parsing_exception", reason)
    }

    /// 404 `index_not_found_exception`.
    pub fn index_not_found(index: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "index_not_found_exception", format!("no such index [{index}]"))
            .with("resource.type", json!("index_or_alias"))
            .with("resource.id", json!(index))
            .with("index_uuid", json!("_na_"))
            .with("index", json!(index))
    }

    /// 500 for faults of the node itself (disk, index files).
    pub fn internal(reason: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "exception", reason.to_string())
    }

    /// Adds a member to the error object.
    #[must_use]
    pub fn with(mut self, key: &str, value: Value) -> Self {
        self.extra.insert(key.to_owned(), value);
        self
    }

    /// Wraps an error as Elasticsearch does while it unwinds: `cause`, or its own root
    /// cause, is shown as root cause, and `cause` as `caused_by`.
    #[must_use]
    pub fn caused_by(self, cause: &Self) -> Self {
        let mut own = cause.cause();
        if let Some(own) = own.as_object_mut() {
            own.remove("caused_by");
        }
        let root = cause.extra.get(ROOT_CAUSE).cloned().unwrap_or(own);
        self.with(ROOT_CAUSE, root).with("caused_by", cause.cause())
    }

    /// Adds a cause that is no Elasticsearch exception: the root cause stays this error.
    #[must_use]
    pub fn because(self, kind: &str, reason: impl Into<String>) -> Self {
        self.with("caused_by", json!({ "type": kind, "reason": reason.into() }))
    }

    /// `{"type", "reason", ...extra}`: the form inside bulk items and `root_cause`.
    pub fn cause(&self) -> Value {
        let mut object = Map::new();
        object.insert("type".into(), self.kind.into());
        object.insert("reason".into(), self.reason.clone().into());
        object.extend(self.extra.clone());
        object.remove(ROOT_CAUSE);
        Value::Object(object)
    }

    /// The whole answer body: `{"error": {"root_cause": [..], "type", "reason", ..}, "status": n}`.
    pub fn body(&self) -> Value {
        let mut error = Map::new();
        let mut root = self.cause();
        if let Some(root) = root.as_object_mut() {
            root.remove("caused_by");
        }
        let root = match self.extra.get(ROOT_CAUSE) {
            Some(Value::Array(causes)) => causes.clone(),
            Some(cause) => vec![cause.clone()],
            None => vec![root],
        };
        error.insert("root_cause".into(), root.into());
        if let Value::Object(cause) = self.cause() {
            error.extend(cause);
        }
        json!({ "error": error, "status": self.status.as_u16() })
    }
}

/// The name Elasticsearch's parser gives the first token of a value: what complaints call a value of the wrong kind.
pub fn token(value: &Value) -> &'static str {
    match value {
        Value::Null => "VALUE_NULL",
        Value::Bool(_) => "VALUE_BOOLEAN",
        Value::Number(_) => "VALUE_NUMBER",
        Value::String(_) => "VALUE_STRING",
        Value::Array(_) => "START_ARRAY",
        Value::Object(_) => "START_OBJECT",
    }
}

impl From<tantivy::TantivyError> for ApiError {
    fn from(error: tantivy::TantivyError) -> Self {
        Self::internal(error)
    }
}

impl From<fjall::Error> for ApiError {
    fn from(error: fjall::Error) -> Self {
        Self::internal(error)
    }
}
