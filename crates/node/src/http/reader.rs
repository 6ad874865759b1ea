//! Reading the members of an object with Elasticsearch's complaints.

use axum::http::StatusCode;
use serde_json::{Map, Value};

use crate::error::{ApiError, Result, token};

/// 400 `x_content_parse_exception`. Elasticsearch puts `[line:column]` first; a parsed body has no positions.
fn complaint(reason: String) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "x_content_parse_exception", reason)
}

/// Reads the values of one kind of object, named in every complaint.
#[derive(Debug, Clone, Copy)]
pub struct Reader(pub &'static str);

impl Reader {
    /// The object itself.
    ///
    /// # Errors
    /// 400 for anything else.
    pub fn object(self, value: &Value) -> Result<&Map<String, Value>> {
        value
            .as_object()
            .ok_or_else(|| complaint(format!("[{}] Expected START_OBJECT but was: {}", self.0, token(value))))
    }

    /// 400 for a member there is none of.
    pub fn unknown(self, key: &str) -> ApiError {
        complaint(format!("[{}] unknown field [{key}]", self.0))
    }

    /// 400 for a value of the wrong type.
    pub fn unsupported(self, key: &str, value: &Value) -> ApiError {
        complaint(format!("[{}] {key} doesn't support values of type: {}", self.0, token(value)))
    }

    /// What is inside a member cannot be read. Causes that are no complaint of a parser are not root causes.
    pub fn failed(self, key: &str, cause: &ApiError) -> ApiError {
        let error = complaint(format!("[{}] failed to parse field [{key}]", self.0));
        if cause.kind == "x_content_parse_exception" {
            error.caused_by(cause)
        } else {
            error.with("caused_by", cause.cause())
        }
    }

    fn failed_text(self, key: &str, reason: String) -> ApiError {
        self.failed(key, &ApiError::illegal_argument(reason))
    }

    /// An object.
    ///
    /// # Errors
    /// 400 for anything else.
    pub fn map(self, key: &str, value: &Value) -> Result<Map<String, Value>> {
        value.as_object().cloned().ok_or_else(|| self.unsupported(key, value))
    }

    /// One text or a list of them; numbers and booleans are written out.
    ///
    /// # Errors
    /// 400 for anything else.
    pub fn texts(self, key: &str, value: &Value) -> Result<Vec<String>> {
        let text = |value: &Value| match value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
            _ => Err(self.unsupported(key, value)),
        };
        match value {
            Value::Array(items) => items.iter().map(text).collect(),
            other => Ok(vec![text(other)?]),
        }
    }

    /// A 64-bit integer, also as text; fractions are cut off.
    ///
    /// # Errors
    /// 400 for anything else.
    pub fn long(self, key: &str, value: &Value) -> Result<i64> {
        match value {
            Value::Number(number) => {
                let whole = number.as_i64().or_else(|| {
                    number.as_f64().and_then(|float| format!("{:.0}", float.trunc()).parse().ok())
                });
                whole.ok_or_else(|| {
                    let range = format!("{} - {}", i64::MIN, i64::MAX);
                    self.failed(
                        key,
                        &complaint(format!("Numeric value ({number}) out of range of long ({range})")),
                    )
                })
            }
            Value::String(text) => {
                text.parse().map_err(|_| self.failed_text(key, format!("For input string: \"{text}\"")))
            }
            other => Err(self.unsupported(key, other)),
        }
    }

    /// `true` or `false`, also as text.
    ///
    /// # Errors
    /// 400 for anything else.
    pub fn boolean(self, key: &str, value: &Value) -> Result<bool> {
        match value {
            Value::Bool(flag) => Ok(*flag),
            Value::String(text) if text == "true" => Ok(true),
            Value::String(text) if text == "false" => Ok(false),
            Value::String(text) => Err(self.failed_text(
                key,
                format!("Failed to parse value [{text}] as only [true] or [false] are allowed."),
            )),
            other => Err(self.unsupported(key, other)),
        }
    }
}
