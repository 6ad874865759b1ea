//! What indexes and aliases may be called.

use axum::http::StatusCode;
use serde_json::json;

use crate::error::{ApiError, Result};

const FORBIDDEN: [char; 10] = [' ', '"', '*', ',', '/', '<', '>', '?', '\\', '|'];

fn problem(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("must not be empty".to_owned());
    }
    if name.contains(FORBIDDEN) || name.chars().any(char::is_control) {
        let shown: Vec<String> = FORBIDDEN.iter().map(|char| format!("'{char}'")).collect();
        return Some(format!("must not contain the following characters [{}]", shown.join(",")));
    }
    if name.contains('#') {
        return Some("must not contain '#'".to_owned());
    }
    if name.contains(':') {
        return Some("must not contain ':'".to_owned());
    }
    if name.starts_with(['_', '-', '+']) {
        return Some("must not start with '_', '-', or '+'".to_owned());
    }
    if name.len() > 255 {
        return Some(format!("index name is too long, ({} > 255)", name.len()));
    }
    if name == "." || name == ".." {
        return Some("must not be '.' or '..'".to_owned());
    }
    None
}

/// 400 `invalid_index_name_exception`.
pub fn invalid_index(name: &str, why: &str) -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "invalid_index_name_exception",
        format!("Invalid index name [{name}], {why}"),
    )
    .with("index_uuid", json!("_na_"))
    .with("index", json!(name))
}

/// Checks the name of a new index.
///
/// # Errors
/// 400 as Elasticsearch words it.
pub fn check_index(name: &str) -> Result<()> {
    if let Some(problem) = problem(name) {
        return Err(invalid_index(name, &problem));
    }
    if name.to_lowercase() != name {
        return Err(invalid_index(name, "must be lowercase"));
    }
    Ok(())
}

/// 400 `invalid_alias_name_exception`.
pub fn invalid_alias(name: &str, why: &str) -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "invalid_alias_name_exception",
        format!("Invalid alias name [{name}]: {why}"),
    )
}

/// Checks the name of a new alias.
///
/// # Errors
/// 400 as Elasticsearch words it.
pub fn check_alias(name: &str) -> Result<()> {
    match problem(name) {
        Some(problem) => Err(invalid_alias(name, &problem)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_elasticsearch_takes() {
        for name in ["a", ".hidden", "logs-2024.01.01", "été", "a_b-c+d"] {
            assert!(check_index(name).is_ok(), "{name}");
        }
        for (name, why) in [
            ("A", "must be lowercase"),
            ("_a", "must not start with '_', '-', or '+'"),
            ("a b", "must not contain the following characters [' ','\"','*',',','/','<','>','?','\\','|']"),
            ("a#b", "must not contain '#'"),
            ("a:b", "must not contain ':'"),
            ("..", "must not be '.' or '..'"),
        ] {
            assert_eq!(check_index(name).unwrap_err().reason, format!("Invalid index name [{name}], {why}"));
        }
        assert!(check_index(&"a".repeat(256)).is_err());
        assert!(check_alias("Upper").is_ok());
        assert!(check_alias("a b").unwrap_err().reason.starts_with("Invalid alias name [a b]: "));
    }
}
