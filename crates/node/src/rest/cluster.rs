//! `_cluster`: health and settings.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::health::{Level, body, level, summaries};
use crate::cluster::IndicesOptions;
use crate::error::{ApiError, Result};
use crate::http::{Params, Request, Response, Route};
use crate::node::Node;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::get("/_cluster/health", health),
        Route::get("/_cluster/health/{index}", health),
        Route::get("/_cluster/settings", settings),
        Route::get("/_cluster/pending_tasks", pending_tasks),
    ]
}

/// How often a waiting health request looks again.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// `wait_for_events`.
const PRIORITIES: [&str; 6] = ["IMMEDIATE", "URGENT", "HIGH", "NORMAL", "LOW", "LANGUID"];

/// What a health request waits for.
#[derive(Debug, PartialEq)]
struct Wait {
    /// `green` or `yellow`; a node alone is never red for indices that exist.
    status: Option<String>,
    active_shards: Shards,
    nodes: Nodes,
}

#[derive(Debug, PartialEq)]
enum Shards {
    AtLeast(u64),
    All,
}

/// How many nodes are waited for, compared with the one there is.
#[derive(Debug, PartialEq)]
struct Nodes {
    satisfied: bool,
}

async fn health(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let params = &mut request.params;
    let level = level(params.get("level"), Level::Cluster)?;
    let wait = Wait::read(params)?;
    let timeout = params.duration("timeout")?.unwrap_or(Duration::from_secs(30));
    params.duration("master_timeout")?;
    params.bool("local", false)?;
    let default = IndicesOptions { expand_hidden: true, ..IndicesOptions::default() };
    let options = default.of(params)?;
    request.finish()?;
    let expression = request.segment("index");
    let start = Instant::now();
    loop {
        let found = match summaries(&node, expression, options, false).await {
            Ok(found) => Some(found),
            // It may be made while we wait.
            Err(error) if error.kind == "index_not_found_exception" => None,
            Err(error) => return Err(error),
        };
        let mut answer = body(&node.cluster_name, found.as_deref().unwrap_or_default(), level);
        let done = found.is_some() && wait.is_over(&answer);
        if found.is_none() {
            answer.insert("status".into(), json!("red"));
        }
        if done {
            return Ok(Response::ok(Value::Object(answer)));
        }
        if start.elapsed() >= timeout {
            answer.insert("timed_out".into(), json!(true));
            return Ok(Response::json(StatusCode::REQUEST_TIMEOUT, Value::Object(answer)));
        }
        tokio::time::sleep(LOOK_EVERY.min(timeout.saturating_sub(start.elapsed()))).await;
    }
}

impl Wait {
    fn read(params: &mut Params) -> Result<Self> {
        let status = params.string("wait_for_status").map(|text| text.to_ascii_lowercase());
        if let Some(text) = status.as_deref().filter(|text| !matches!(*text, "green" | "yellow" | "red")) {
            return Err(ApiError::illegal_argument(format!(
                "No enum constant org.elasticsearch.cluster.health.ClusterHealthStatus.{}",
                text.to_ascii_uppercase()
            )));
        }
        // Nothing moves and nothing waits on a node alone, so these always hold.
        params.bool("wait_for_no_relocating_shards", false)?;
        params.bool("wait_for_no_initializing_shards", false)?;
        let event = params.string("wait_for_events").map(|text| text.to_ascii_uppercase());
        if let Some(event) = event.filter(|event| !PRIORITIES.contains(&event.as_str())) {
            return Err(ApiError::illegal_argument(format!(
                "No enum constant org.elasticsearch.common.Priority.{event}"
            )));
        }
        let active_shards = match params.get("wait_for_active_shards") {
            None => Shards::AtLeast(0),
            Some("all") => Shards::All,
            Some(text) => {
                let count: i64 = text.parse().map_err(|_| {
                    ApiError::illegal_argument(format!("cannot parse ActiveShardCount[{text}]"))
                        .because("number_format_exception", format!("For input string: \"{text}\""))
                })?;
                Shards::AtLeast(
                    u64::try_from(count)
                        .map_err(|_| ApiError::illegal_argument("shard count cannot be a negative value"))?,
                )
            }
        };
        let nodes = nodes(params.get("wait_for_nodes"))?;
        Ok(Self { status, active_shards, nodes })
    }

    fn is_over(&self, answer: &serde_json::Map<String, Value>) -> bool {
        let number = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or(0);
        let green = answer.get("status").and_then(Value::as_str) == Some("green");
        let status = match self.status.as_deref() {
            Some("green") => green,
            _ => true,
        };
        let shards = match self.active_shards {
            Shards::AtLeast(least) => number("active_shards") >= least,
            Shards::All => number("unassigned_shards") == 0,
        };
        status && shards && self.nodes.satisfied
    }
}

/// `3`, `>=3`, `<=3`, `>3`, `<3`, `ge(3)`, `le(3)`, `gt(3)`, `lt(3)`.
fn nodes(text: Option<&str>) -> Result<Nodes> {
    let Some(text) = text else { return Ok(Nodes { satisfied: true }) };
    let written = [(">=", "ge("), ("<=", "le("), (">", "gt("), ("<", "lt(")];
    let parts = written.iter().find_map(|(sign, word)| {
        let number = text
            .strip_prefix(sign)
            .or_else(|| text.strip_prefix(word).and_then(|rest| rest.strip_suffix(')')))?;
        Some((*sign, number))
    });
    let (sign, number) = parts.unwrap_or(("=", text));
    let number: i64 = number.trim().parse().map_err(|_| {
        let reason = format!("For input string: \"{}\"", number.trim());
        ApiError::new(StatusCode::BAD_REQUEST, "number_format_exception", reason)
    })?;
    let satisfied = match sign {
        ">=" => 1 >= number,
        "<=" => 1 <= number,
        ">" => 1 > number,
        "<" => 1 < number,
        _ => number == 1,
    };
    Ok(Nodes { satisfied })
}

/// There are none to change.
async fn settings(_node: Arc<Node>, mut request: Request) -> Result<Response> {
    let defaults = request.params.bool("include_defaults", false)?;
    request.params.bool("flat_settings", false)?;
    request.params.duration("master_timeout")?;
    request.params.duration("timeout")?;
    request.params.bool("local", false)?;
    request.finish()?;
    let mut answer = json!({ "persistent": {}, "transient": {} });
    if defaults {
        answer["defaults"] = json!({});
    }
    Ok(Response::ok(answer))
}

async fn pending_tasks(_node: Arc<Node>, mut request: Request) -> Result<Response> {
    request.params.duration("master_timeout")?;
    request.params.bool("local", false)?;
    request.finish()?;
    Ok(Response::ok(json!({ "tasks": [] })))
}
