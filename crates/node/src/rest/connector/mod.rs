//! The connector API: `_connector`, `_connector/_sync_job`, `_connector/_secret`.
//!
//! It is another way to the documents of the connector protocol's indices, which programs also read and write directly;
//! nothing is kept elsewhere. What may change into what are the rules of `connectors_protocol`. Every change is computed
//! from the stored document and written under its sequence number, so that of several writers none loses anything.

mod body;
mod configuration;
mod connectors;
mod documents;
mod filtering;
mod secrets;
mod settings;
mod sync_job_updates;
mod sync_jobs;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::cluster::Outcome;
use crate::error::ApiError;
use crate::http::{Response, Route};
use crate::node::Node;

pub use documents::NameLock;

pub(super) fn routes() -> Vec<Route<Node>> {
    [
        connectors::routes(),
        settings::routes(),
        configuration::routes(),
        filtering::routes(),
        sync_jobs::routes(),
        sync_job_updates::routes(),
        secrets::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// 404 for what is not there.
fn not_found(reason: String) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "resource_not_found_exception", reason)
}

/// 404 for a connector, also a deleted one.
fn no_connector(id: &str) -> ApiError {
    not_found(format!("connector [{id}] not found"))
}

/// 404 for a sync job.
fn no_sync_job(id: &str) -> ApiError {
    not_found(format!("connector sync job [{id}] not found"))
}

/// 400 for a request that is well formed, and that the present state of a document does not allow.
fn refused(reason: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "status_exception", reason)
}

/// `{"result": "updated"}`, or `noop` for a change that changed nothing.
fn result(outcome: Outcome) -> Response {
    Response::json(outcome.status(), json!({ "result": outcome.name() }))
}

/// The document as the API shows it: its id among its fields.
fn shown(id: &str, source: serde_json::Map<String, Value>) -> Value {
    let mut shown = serde_json::Map::new();
    shown.insert("id".to_owned(), id.into());
    shown.extend(source.into_iter().filter(|(key, _)| key != "id"));
    Value::Object(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_comes_first_and_is_the_documents_own() {
        let source = json!({"name": "a", "id": "stale"}).as_object().unwrap().clone();
        assert_eq!(shown("c", source).to_string(), r#"{"id":"c","name":"a"}"#);
    }
}
