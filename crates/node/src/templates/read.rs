//! What definitions of templates have in common.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::error::ApiError;

/// 400 `invalid_index_template_exception`.
pub(super) fn invalid(name: &str, cause: &str) -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "invalid_index_template_exception",
        format!("index_template [{name}] invalid, cause [{cause}]"),
    )
}

/// `Validation Failed: 1: ..;2: ..;`; `None` when there is no problem.
pub(super) fn validation(problems: &[String]) -> Option<String> {
    if problems.is_empty() {
        return None;
    }
    let numbered = problems.iter().enumerate().map(|(at, problem)| format!("{}: {problem};", at + 1));
    Some(format!("Validation Failed: {}", numbered.collect::<String>()))
}

/// 400 `action_request_validation_exception` with one problem.
pub(super) fn bad_request(problem: &str) -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "action_request_validation_exception",
        format!("Validation Failed: 1: {problem};"),
    )
}

/// The dates a definition is kept with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Dates {
    pub created_ms: i64,
    pub modified_ms: i64,
}

impl Dates {
    /// Reads the dates of a saved definition.
    pub fn read(saved: &Value) -> Self {
        let date = |key: &str| saved.get(key).and_then(Value::as_i64).unwrap_or_default();
        Self { created_ms: date("created_date_millis"), modified_ms: date("modified_date_millis") }
    }

    pub fn print(self, out: &mut Map<String, Value>) {
        out.insert("created_date_millis".to_owned(), json!(self.created_ms));
        out.insert("modified_date_millis".to_owned(), json!(self.modified_ms));
    }
}
