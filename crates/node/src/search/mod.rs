//! Searching: request parsing, the query phase over several indices, sorting, pages, and what a hit carries.

pub mod collect;
pub mod columns;
pub mod contexts;
pub mod execute;
mod fetch;
pub mod fields;
pub mod keys;
mod plan;
pub mod request;
pub mod response;
mod runs;
pub mod sort;
pub mod source;
#[cfg(test)]
pub(crate) mod tests;

pub use contexts::Contexts;
pub use execute::{Target, execute};
pub use request::SearchRequest;
pub use response::{Format, SearchResponse};

use serde_json::{Value, json};

use crate::error::ApiError;

/// A fault in one index as the fault of the whole search: Elasticsearch reports what its shards say inside
/// `search_phase_execution_exception`, with the shard's error as root cause.
pub fn shard_failure(index: &str, error: ApiError) -> ApiError {
    if error.kind == "search_phase_execution_exception" {
        return error;
    }
    let cause = error.cause();
    let mut root = error.clone();
    root.extra.remove("caused_by");
    let mut failure = ApiError::new(error.status, "search_phase_execution_exception", "all shards failed")
        .with("root_cause", json!([root.cause()]))
        .with("phase", "query".into())
        .with("grouped", true.into())
        .with("failed_shards", json!([{ "shard": 0, "index": index, "reason": cause }]));
    // Java's own exceptions are wrapped once more than Elasticsearch's.
    if matches!(error.kind, "illegal_argument_exception" | "number_format_exception") {
        let mut wrapped = root.cause();
        wrapped["caused_by"] = cause;
        failure = failure.with("caused_by", wrapped);
    }
    failure
}

/// The entry of `failed_shards` for an error of [`shard_failure`].
pub(crate) fn failed_shard(error: &ApiError) -> Option<&Value> {
    error.extra.get("failed_shards")?.get(0)
}

/// Shows a value in a message the way Elasticsearch does: strings bare, the rest as JSON.
pub fn bare(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
