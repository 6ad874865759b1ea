//! Aggregations: own collectors over the fast fields, whose state is merged over segments and indices, so that every
//! count is exact whatever number of indices is searched.
//!
//! `parse` reads the request, `collect` gathers, `partial` merges, `render` writes the answer.

mod buckets;
mod collect;
mod interval;
mod parse;
mod partial;
mod render;
mod resolve;
#[cfg(test)]
mod tests;

pub use collect::ShardCollector;
pub use parse::Aggregations;
pub use partial::Partials;

use axum::http::StatusCode;
use serde_json::json;

use crate::error::ApiError;

/// Most buckets an answer may have (`search.max_buckets`).
const MAX_BUCKETS: usize = 65_536;

/// Most distinct keys collected before the best are chosen: what bounds the memory of a request.
const MAX_COLLECTED: usize = 1_000_000;

fn too_many_buckets() -> ApiError {
    let cause = json!({
        "type": "too_many_buckets_exception",
        "reason": format!(
            "Trying to create too many buckets. Must be less than or equal to: [{MAX_BUCKETS}] but this number of \
             buckets was exceeded. This limit can be set by changing the [search.max_buckets] cluster level setting."
        ),
        "max_buckets": MAX_BUCKETS,
    });
    reduce_failure(cause)
}

/// A fault found when the parts of an answer are put together.
fn reduce_failure(cause: serde_json::Value) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "search_phase_execution_exception", "")
        .with("root_cause", json!([]))
        .with("phase", "fetch".into())
        .with("grouped", true.into())
        .with("failed_shards", json!([]))
        .with("caused_by", cause)
}
