//! `_stats`: documents, sizes and segments of indices.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::health::{IndexSummary, Level, level, summaries};
use super::table::human_bytes;
use crate::cluster::IndicesOptions;
use crate::error::{ApiError, Result};
use crate::http::{Request, Response, Route, suggestion};
use crate::node::Node;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::get("/_stats", stats),
        Route::get("/_stats/{metric}", stats),
        Route::get("/{index}/_stats", stats),
        Route::get("/{index}/_stats/{metric}", stats),
    ]
}

/// Metrics with an answer.
const METRICS: [&str; 4] = ["docs", "store", "segments", "shard_stats"];

/// Metrics of Elasticsearch that nothing is counted for here.
const OTHER_METRICS: [&str; 18] = [
    "indexing",
    "get",
    "search",
    "merge",
    "refresh",
    "flush",
    "warmer",
    "query_cache",
    "fielddata",
    "completion",
    "translog",
    "request_cache",
    "recovery",
    "bulk",
    "dense_vector",
    "sparse_vector",
    "suggest",
    "node_mappings",
];

async fn stats(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let metrics = metrics(&request)?;
    let human = request.human;
    let params = &mut request.params;
    let level = level(params.get("level"), Level::Indices)?;
    params.bool("forbid_closed_indices", true)?;
    let options = IndicesOptions::default().of(params)?;
    request.finish()?;
    let indices = summaries(&node, request.segment("index"), options, true).await?;
    let shards: u64 = indices.iter().map(|index| index.shards).sum();
    let wanted: u64 = shards + indices.iter().map(IndexSummary::unassigned).sum::<u64>();
    let total = if indices.is_empty() { json!({}) } else { figures(&indices, &metrics, human) };
    let mut answer = json!({
        "_shards": { "total": wanted, "successful": shards, "failed": 0 },
        "_all": { "primaries": total, "total": total },
    });
    if level != Level::Cluster {
        let members: Map<String, Value> = indices
            .iter()
            .map(|index| (index.name.clone(), of_index(&node, index, &metrics, human, level)))
            .collect();
        answer["indices"] = Value::Object(members);
    }
    Ok(Response::ok(answer))
}

fn metrics(request: &Request) -> Result<Vec<&'static str>> {
    let Some(text) = request.segment("metric") else { return Ok(METRICS.to_vec()) };
    let names: Vec<&str> = text.split(',').filter(|name| !name.is_empty()).collect();
    if names.contains(&"_all") {
        return Ok(METRICS.to_vec());
    }
    let all: Vec<&str> = METRICS.iter().chain(&OTHER_METRICS).copied().collect();
    let mut unknown: Vec<&str> = names.iter().copied().filter(|name| !all.contains(name)).collect();
    if !unknown.is_empty() {
        unknown.sort_unstable();
        let plural = if unknown.len() > 1 { "s" } else { "" };
        let shown: Vec<String> = unknown
            .iter()
            .map(|name| match suggestion(name, &all) {
                None => format!("[{name}]"),
                Some(near) => format!("[{name}] -> did you mean {near}?"),
            })
            .collect();
        return Err(ApiError::illegal_argument(format!(
            "request [{}] contains unrecognized metric{plural}: {}",
            request.path,
            shown.join(", ")
        )));
    }
    if let Some(name) = names.iter().find(|name| OTHER_METRICS.contains(name)) {
        return Err(ApiError::illegal_argument(format!(
            "metric [{name}] is not supported by this node, only [{}]",
            METRICS.join(", ")
        )));
    }
    Ok(METRICS.iter().copied().filter(|metric| names.contains(metric)).collect())
}

fn figures(indices: &[IndexSummary], metrics: &[&str], human: bool) -> Value {
    let sum = |figure: fn(&IndexSummary) -> u64| indices.iter().map(figure).sum::<u64>();
    let bytes = sum(|index| index.bytes);
    let mut out = Map::new();
    for metric in metrics {
        let value = match *metric {
            "docs" => {
                let mut docs =
                    json!({ "count": sum(|index| index.docs), "deleted": sum(|index| index.deleted) });
                sized(&mut docs, "total_size", bytes, human);
                docs
            }
            "store" => {
                let mut store = json!({});
                sized(&mut store, "size", bytes, human);
                sized(&mut store, "total_data_set_size", bytes, human);
                sized(&mut store, "reserved", 0, human);
                store
            }
            "segments" => json!({ "count": sum(|index| index.segments) }),
            _ => json!({ "total_count": sum(|index| index.shards) }),
        };
        out.insert((*metric).to_owned(), value);
    }
    Value::Object(out)
}

/// `{name}_in_bytes`, and `{name}` in words where that is asked for.
fn sized(target: &mut Value, name: &str, bytes: u64, human: bool) {
    if human {
        target[name] = json!(human_bytes(bytes));
    }
    target[format!("{name}_in_bytes")] = json!(bytes);
}

fn of_index(node: &Node, index: &IndexSummary, metrics: &[&str], human: bool, level: Level) -> Value {
    let figures = figures(std::slice::from_ref(index), metrics, human);
    let mut value = json!({
        "uuid": index.uuid,
        "health": index.health(),
        "status": "open",
        "primaries": figures,
        "total": figures,
    });
    if level == Level::Shards {
        let mut shard = json!({
            "routing": { "state": "STARTED", "primary": true, "node": node.node_id, "relocating_node": null },
        });
        if let (Value::Object(shard), Value::Object(figures)) = (&mut shard, figures) {
            shard.extend(figures);
        }
        value["shards"] = json!({ "0": [shard] });
    }
    value
}
