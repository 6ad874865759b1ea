//! `_license`, `_xpack`: what clients ask before they use a feature.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::error::Result;
use crate::http::{Identity, Request, Response, Route};
use crate::node::Node;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::get("/_license", license),
        Route::get("/_license/basic_status", basic_status),
        Route::get("/_license/trial_status", trial_status),
        Route::get("/_xpack", xpack),
    ]
}

/// 2026-01-01T00:00:00Z: the node has no licence file; Elasticsearch's shape has a date.
const ISSUED_MS: i64 = 1_767_225_600_000;

async fn license(node: Arc<Node>, mut request: Request) -> Result<Response> {
    request.params.bool("accept_enterprise", true)?;
    request.params.bool("local", false)?;
    request.finish()?;
    Ok(Response::ok(json!({
        "license": {
            "status": "active",
            "uid": node.cluster_uuid,
            "type": "basic",
            "issue_date": "2026-01-01T00:00:00.000Z",
            "issue_date_in_millis": ISSUED_MS,
            "max_nodes": 1000,
            "max_resource_units": null,
            "issued_to": node.cluster_name,
            "issuer": "elasticsearch",
            "start_date_in_millis": -1,
        }
    }))
    .pretty_by_default())
}

async fn basic_status(_node: Arc<Node>, request: Request) -> Result<Response> {
    request.finish()?;
    Ok(Response::ok(json!({ "eligible_to_start_basic": false })))
}

async fn trial_status(_node: Arc<Node>, request: Request) -> Result<Response> {
    request.finish()?;
    Ok(Response::ok(json!({ "eligible_to_start_trial": false })))
}

/// Only what exists is available.
async fn xpack(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let categories = request.params.list("categories").unwrap_or_default();
    request.params.bool("accept_enterprise", true)?;
    let secured = request.identity != Identity::Anonymous;
    request.finish()?;
    let feature = |available: bool, enabled: bool| json!({ "available": available, "enabled": enabled });
    let mut answer = json!({
        "build": { "hash": env!("CARGO_PKG_VERSION"), "date": "2026-01-01T00:00:00.000000Z" },
        "license": { "uid": node.cluster_uuid, "type": "basic", "mode": "basic", "status": "active" },
        "features": {
            "analytics": feature(false, false),
            "enterprise_search": feature(true, true),
            "graph": feature(false, false),
            "ilm": feature(false, false),
            "ml": feature(false, false),
            "monitoring": feature(false, false),
            "rollup": feature(false, false),
            "security": feature(true, secured),
            "transform": feature(false, false),
            "watcher": feature(false, false),
        },
        "tagline": "You know, for X",
    });
    let all = categories.is_empty() || categories.iter().any(|category| category == "_all");
    if let Value::Object(members) = &mut answer
        && !all
    {
        members.retain(|name, _| name == "tagline" || categories.contains(name));
    }
    Ok(Response::ok(answer))
}
