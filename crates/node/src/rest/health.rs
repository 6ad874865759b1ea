//! Health of indices: a node alone has every primary and no replica.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::cluster::{IndicesOptions, Resolved};
use crate::error::{ApiError, Result};
use crate::index::Index;
use crate::node::Node;

/// What health, cat and stats show of an index.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexSummary {
    /// Name.
    pub name: String,
    /// UUID.
    pub uuid: String,
    /// `number_of_shards`; all of them are here, as one.
    pub shards: u64,
    /// `number_of_replicas`; none of them can be assigned.
    pub replicas: u64,
    /// Documents searches see.
    pub docs: u64,
    /// Deleted documents whose segments are not merged yet.
    pub deleted: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Segments of the search index.
    pub segments: u64,
    /// When it was made, epoch milliseconds.
    pub created_ms: i64,
}

/// Summaries of the indices an expression (none: all) stands for, in order of their names. With `counts` their documents
/// and sizes are read, which waits for an index that is still catching up; without they are 0.
///
/// # Errors
/// 404 for names that do not exist.
pub async fn summaries(
    node: &Node,
    expression: Option<&str>,
    options: IndicesOptions,
    counts: bool,
) -> Result<Vec<IndexSummary>> {
    let found = node.cluster.resolve(expression.unwrap_or("_all"), options)?;
    let mut all = Vec::with_capacity(found.len());
    for Resolved { index, .. } in found {
        match summary(&index, counts).await {
            Ok(summary) => all.push(summary),
            // Deleted since it was found.
            Err(error) if error.status == StatusCode::NOT_FOUND => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

async fn summary(index: &Index, counts: bool) -> Result<IndexSummary> {
    let meta = index.settings();
    let mut summary = IndexSummary {
        name: index.name().to_owned(),
        uuid: meta.uuid.clone(),
        shards: meta.shards() as u64,
        replicas: meta.replicas() as u64,
        docs: 0,
        deleted: 0,
        bytes: 0,
        segments: 0,
        created_ms: meta.created_ms,
    };
    if counts {
        let stats = index.stats().await?;
        summary.docs = stats.documents;
        summary.deleted = stats.deleted_documents;
        summary.bytes = stats.bytes;
        summary.segments = stats.segments;
    }
    Ok(summary)
}

impl IndexSummary {
    /// `green`, or `yellow` when it wants replicas.
    pub fn health(&self) -> &'static str {
        if self.replicas == 0 { "green" } else { "yellow" }
    }

    /// Replicas wanted, of all shards.
    pub fn unassigned(&self) -> u64 {
        self.shards * self.replicas
    }
}

/// How much `_cluster/health` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// One summary.
    Cluster,
    /// And each index.
    Indices,
    /// And each shard.
    Shards,
}

/// `level` in Elasticsearch's words.
///
/// # Errors
/// 400 for other texts.
pub fn level(text: Option<&str>, default: Level) -> Result<Level> {
    match text {
        None => Ok(default),
        Some("cluster") => Ok(Level::Cluster),
        Some("indices") => Ok(Level::Indices),
        Some("shards") => Ok(Level::Shards),
        Some(other) => Err(ApiError::illegal_argument(format!(
            "level parameter must be one of [cluster] or [indices] or [shards] but was [{other}]"
        ))),
    }
}

/// The body of `_cluster/health`.
pub fn body(cluster_name: &str, indices: &[IndexSummary], level: Level) -> Map<String, Value> {
    let (active, unassigned) = shards(indices);
    let status = if unassigned == 0 { "green" } else { "yellow" };
    let mut body = Map::new();
    for (name, value) in [
        ("cluster_name", json!(cluster_name)),
        ("status", json!(status)),
        ("timed_out", json!(false)),
        ("number_of_nodes", json!(1)),
        ("number_of_data_nodes", json!(1)),
        ("active_primary_shards", json!(active)),
        ("active_shards", json!(active)),
        ("relocating_shards", json!(0)),
        ("initializing_shards", json!(0)),
        ("unassigned_shards", json!(unassigned)),
        ("unassigned_primary_shards", json!(0)),
        ("delayed_unassigned_shards", json!(0)),
        ("number_of_pending_tasks", json!(0)),
        ("number_of_in_flight_fetch", json!(0)),
        ("task_max_waiting_in_queue_millis", json!(0)),
        ("active_shards_percent_as_number", json!(active_percent(active, unassigned))),
    ] {
        body.insert(name.to_owned(), value);
    }
    if level != Level::Cluster {
        let members = indices.iter().map(|index| (index.name.clone(), of_index(index, level)));
        body.insert("indices".into(), Value::Object(members.collect()));
    }
    body
}

/// Shards that are there, and those that cannot be.
pub fn shards(indices: &[IndexSummary]) -> (u64, u64) {
    (indices.iter().map(|index| index.shards).sum(), indices.iter().map(IndexSummary::unassigned).sum())
}

/// Share of shards that are there, in percent; all of none is 100.
pub fn active_percent(active: u64, unassigned: u64) -> f64 {
    if active + unassigned == 0 { 100.0 } else { active as f64 * 100.0 / (active + unassigned) as f64 }
}

fn of_index(index: &IndexSummary, level: Level) -> Value {
    let mut value = json!({
        "status": index.health(),
        "number_of_shards": index.shards,
        "number_of_replicas": index.replicas,
        "active_primary_shards": index.shards,
        "active_shards": index.shards,
        "relocating_shards": 0,
        "initializing_shards": 0,
        "unassigned_shards": index.unassigned(),
        "unassigned_primary_shards": 0,
    });
    if level == Level::Shards {
        let shards = (0..index.shards).map(|shard| {
            let state = json!({
                "status": index.health(),
                "primary_active": true,
                "active_shards": 1,
                "relocating_shards": 0,
                "initializing_shards": 0,
                "unassigned_shards": index.replicas,
                "unassigned_primary_shards": 0,
            });
            (shard.to_string(), state)
        });
        value["shards"] = Value::Object(shards.collect());
    }
    value
}
