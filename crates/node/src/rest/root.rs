//! `GET /` and `HEAD /`: what clients look at first.

use std::sync::Arc;

use serde_json::json;

use crate::error::Result;
use crate::http::{ELASTICSEARCH_VERSION, Request, Response, Route};
use crate::node::Node;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![Route::get("/", info), Route::head("/", info)]
}

/// `build_flavor` and the version are what official clients check; `build_type` says what it really is.
async fn info(node: Arc<Node>, request: Request) -> Result<Response> {
    request.finish()?;
    Ok(Response::ok(json!({
        "name": node.name,
        "cluster_name": node.cluster_name,
        "cluster_uuid": node.cluster_uuid,
        "version": {
            "number": ELASTICSEARCH_VERSION,
            "build_flavor": "default",
            "build_type": "embedded",
            "build_hash": env!("CARGO_PKG_VERSION"),
            "build_date": "2026-01-01T00:00:00.000000000Z",
            "build_snapshot": false,
            "lucene_version": "10.5.1",
            "minimum_wire_compatibility_version": "8.19.0",
            "minimum_index_compatibility_version": "8.0.0",
        },
        "tagline": "You Know, for Search",
    }))
    .pretty_by_default())
}
