//! `_nodes`: where the node listens (clients that sniff ask this) and what it has.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::error::{ApiError, Result};
use crate::http::{ELASTICSEARCH_VERSION, MAX_BODY_BYTES, Request, Response, Route};
use crate::ingest::processor_names;
use crate::node::Node;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::get("/_nodes", nodes),
        Route::get("/_nodes/{filter}", nodes),
        Route::get("/_nodes/{filter}/{metric}", nodes),
    ]
}

/// Metrics of Elasticsearch's node info. Those that speak of a JVM, a transport protocol or plugins have nothing to say here.
const METRICS: [&str; 14] = [
    "settings",
    "os",
    "process",
    "jvm",
    "thread_pool",
    "transport",
    "http",
    "remote_cluster_server",
    "plugins",
    "ingest",
    "aggregations",
    "indices",
    "search_pipelines",
    "_none",
];

const ROLES: [&str; 5] = ["data", "data_content", "data_hot", "ingest", "master"];

async fn nodes(node: Arc<Node>, mut request: Request) -> Result<Response> {
    request.params.bool("flat_settings", false)?;
    request.params.duration("timeout")?;
    request.finish()?;
    let split = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    let first = request.segment("filter").map(split).unwrap_or_default();
    let second = request.segment("metric").map(split);
    let is_metric = |name: &String| METRICS.contains(&name.as_str()) || name == "_all";
    let (filters, metrics) = match second {
        Some(metrics) => (first, metrics),
        None if first.iter().all(is_metric) => (Vec::new(), first),
        None => (first, Vec::new()),
    };
    for name in filters.iter().chain(&metrics) {
        if matches!(name.as_str(), "stats" | "usage" | "hot_threads" | "reload_secure_settings") {
            return Err(ApiError::illegal_argument(format!(
                "[/_nodes/{name}] is not supported by this node"
            )));
        }
    }
    let all = metrics.is_empty() || metrics.iter().any(|metric| metric == "_all");
    let wanted = |metric: &str| all || metrics.iter().any(|other| other == metric);
    let matched = filters.is_empty() || filters.iter().any(|filter| is_this(&node, filter));
    let count = u8::from(matched);
    let mut answer = json!({
        "_nodes": { "total": count, "successful": count, "failed": 0 },
        "cluster_name": node.cluster_name,
        "nodes": {},
    });
    if matched {
        answer["nodes"][&node.node_id] = describe(&node, &wanted);
    }
    Ok(Response::ok(answer))
}

fn is_this(node: &Node, filter: &str) -> bool {
    let address = node.address.ip().to_string();
    matches!(filter, "_all" | "_local" | "_master" | "*" | "master:true" | "data:true" | "ingest:true")
        || [&node.node_id, &node.name, &address].contains(&&filter.to_owned())
}

fn describe(node: &Node, wanted: &dyn Fn(&str) -> bool) -> Value {
    let host = node.address.ip().to_string();
    let address = node.address.to_string();
    let mut info = json!({
        "name": node.name,
        "host": host,
        "ip": host,
        "version": ELASTICSEARCH_VERSION,
        "build_flavor": "default",
        "build_type": "embedded",
        "build_hash": env!("CARGO_PKG_VERSION"),
        "roles": ROLES,
        "attributes": {},
    });
    if wanted("settings") {
        info["settings"] = json!({
            "cluster": { "name": node.cluster_name },
            "node": { "name": node.name },
            "discovery": { "type": "single-node" },
        });
    }
    if wanted("os") {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        info["os"] = json!({
            "name": std::env::consts::OS,
            "arch": std::env::consts::ARCH,
            "available_processors": processors,
            "allocated_processors": processors,
        });
    }
    if wanted("process") {
        info["process"] =
            json!({ "refresh_interval_in_millis": 1000, "id": std::process::id(), "mlockall": false });
    }
    if wanted("http") {
        info["http"] = json!({
            "bound_address": [address],
            "publish_address": address,
            "max_content_length_in_bytes": MAX_BODY_BYTES,
        });
    }
    if wanted("plugins") {
        info["plugins"] = json!([]);
        info["modules"] = json!([]);
    }
    if wanted("ingest") {
        let processors: Vec<Value> = processor_names().map(|name| json!({ "type": name })).collect();
        info["ingest"] = json!({ "processors": processors });
    }
    info
}
