//! The documents behind the API: reading, guarded changes, searching.

use std::sync::Arc;

use axum::http::StatusCode;
use bytes::Bytes;
use connectors_protocol::indices;
use serde_json::{Map, Value, json};

use super::super::documents::{check_id, get_one};
use super::super::search::targets;
use crate::cluster::{Action, BulkOp, IndicesOptions, Outcome, Refresh, blocking, validation};
use crate::error::{ApiError, Result};
use crate::node::Node;
use crate::search::{SearchRequest, execute};
use crate::store::Condition;

/// What a service writes again and again while it runs. Searches see it at the next refresh: made for each, with hundreds of
/// connectors, refreshes would take longer than everything else.
const SIGNS_OF_LIFE: [&str; 6] = [
    "last_seen",
    "indexed_document_count",
    "indexed_document_volume",
    "deleted_document_count",
    "total_document_count",
    "metadata",
];

/// How often a change is computed again after somebody else was quicker. Each round somebody made progress.
const ROUNDS: usize = 50;

/// Held while a content index is given to a connector: that no other connector writes to it is checked by a search, and
/// the write must follow before the next check.
#[derive(Debug, Default)]
pub struct NameLock(pub(super) tokio::sync::Mutex<()>);

/// One of the API's indices.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    /// The name programs use.
    alias: &'static str,
    /// The index behind it.
    concrete: &'static str,
    /// What it is created with.
    body: fn() -> Value,
}

/// Connectors.
pub(super) const CONNECTORS: Table = Table {
    alias: indices::CONNECTORS_INDEX,
    concrete: indices::CONCRETE_CONNECTORS_INDEX,
    body: indices::connectors_index_body,
};

/// Sync jobs.
pub(super) const SYNC_JOBS: Table = Table {
    alias: indices::JOBS_INDEX,
    concrete: indices::CONCRETE_JOBS_INDEX,
    body: indices::jobs_index_body,
};

/// Secrets of connectors, in the index Elasticsearch uses for them.
pub(super) const SECRETS: Table =
    Table { alias: ".connector-secrets", concrete: ".connector-secrets-1", body: secrets_index_body };

fn secrets_index_body() -> Value {
    json!({
        "settings": {"index": {"hidden": true, "number_of_shards": 1, "auto_expand_replicas": "0-1"}},
        // Nobody searches for a secret.
        "mappings": {"dynamic": false, "properties": {"value": {"type": "object", "enabled": false}}},
        "aliases": {".connector-secrets": {"is_hidden": true}},
    })
}

/// What a search found.
pub(super) struct Found {
    /// All matches, not only those of the page.
    pub(super) total: u64,
    /// Ids and sources of the page.
    pub(super) hits: Vec<(String, Map<String, Value>)>,
}

impl Table {
    /// The name under which the index can be reached now: an index made without its alias counts too.
    fn name(self, node: &Node) -> Option<&'static str> {
        [self.alias, self.concrete]
            .into_iter()
            .find(|name| matches!(node.cluster.existing_write_target(name, false), Ok(Some(_))))
    }

    /// As [`Table::name`]; creates the index when there is none.
    async fn made(self, node: &Arc<Node>) -> Result<&'static str> {
        if let Some(name) = self.name(node) {
            return Ok(name);
        }
        let cluster = node.cluster.clone();
        blocking(move || match cluster.create(self.concrete, Some(&(self.body)())) {
            // Another request was quicker.
            Err(error) if error.kind == "resource_already_exists_exception" => Ok(()),
            made => made.map(|_| ()),
        })
        .await?;
        Ok(self.name(node).unwrap_or(self.concrete))
    }

    /// The source of a document with its sequence number.
    async fn read(self, node: &Node, id: &str) -> Result<Option<(Map<String, Value>, u64)>> {
        let Some(name) = self.name(node) else { return Ok(None) };
        let index = node.cluster.single(name)?;
        let Some(found) = get_one(&index, id).await? else { return Ok(None) };
        Ok(Some((parse(&found.source, name, id)?, found.seq_no)))
    }

    /// The source of a document.
    pub(super) async fn get(self, node: &Node, id: &str) -> Result<Option<Map<String, Value>>> {
        Ok(self.read(node, id).await?.map(|(source, _)| source))
    }

    /// Writes a whole document; `None` gets a new id. Creates the index when there is none.
    pub(super) async fn put(
        self,
        node: &Arc<Node>,
        id: Option<String>,
        source: &impl serde::Serialize,
    ) -> Result<(String, Outcome)> {
        if let Some(problem) = id.as_deref().and_then(check_id) {
            return Err(validation(&problem));
        }
        let name = self.made(node).await?;
        let op = BulkOp::new(name, id, Action::Index(written(source)?));
        let (item, result) = node.cluster.write_one(op, Refresh::Now).await?;
        Ok((item.id, result.outcome))
    }

    /// Computes a document's new content from its present one, and writes it unless somebody else wrote meanwhile: then
    /// all over again. `missing` is the answer when there is no document.
    pub(super) async fn change(
        self,
        node: &Arc<Node>,
        id: &str,
        missing: impl Fn(&str) -> ApiError,
        change: impl Fn(&mut Map<String, Value>) -> Result<()>,
    ) -> Result<Outcome> {
        for _ in 0..ROUNDS {
            let Some(name) = self.name(node) else { return Err(missing(id)) };
            let Some((mut source, seq_no)) = self.read(node, id).await? else { return Err(missing(id)) };
            let before = source.clone();
            change(&mut source)?;
            if source == before {
                return Ok(Outcome::Noop);
            }
            let mut op = BulkOp::new(name, Some(id.to_owned()), Action::Index(written(&source)?));
            op.condition = Condition::At { seq_no, primary_term: 1 };
            let refresh = if only_alive(&before, &source) { Refresh::No } else { Refresh::Now };
            match node.cluster.write_one(op, refresh).await {
                Ok((_, result)) => return Ok(result.outcome),
                Err(error) if error.status == StatusCode::CONFLICT => {}
                Err(error) => return Err(error),
            }
        }
        Err(ApiError::new(
            StatusCode::CONFLICT,
            "version_conflict_engine_exception",
            format!(
                "[{id}]: other requests changed the document {ROUNDS} times while it was being changed; try again"
            ),
        ))
    }

    /// Deletes a document; false when there was none.
    pub(super) async fn delete(self, node: &Arc<Node>, id: &str) -> Result<bool> {
        let Some(name) = self.name(node) else { return Ok(false) };
        let op = BulkOp::new(name, Some(id.to_owned()), Action::Delete);
        let (_, result) = node.cluster.write_one(op, Refresh::Now).await?;
        Ok(result.outcome == Outcome::Deleted)
    }

    /// Runs a search, given as its body.
    pub(super) async fn search(self, node: &Arc<Node>, body: &Value) -> Result<Found> {
        let mut search = SearchRequest::parse(body)?;
        search.track_total_hits = Some(crate::search::request::TrackTotal::Exact);
        let Some(name) = self.name(node) else { return Ok(Found { total: 0, hits: Vec::new() }) };
        search.validate(false)?;
        let targets = targets(node, name, IndicesOptions::default()).await?;
        let response = blocking(move || execute(&targets, &search)).await?;
        // Half an answer is not what was asked for.
        if let Some(failure) = response.failures.into_iter().next() {
            return Err(failure);
        }
        let mut hits = Vec::with_capacity(response.hits.len());
        for hit in response.hits {
            let (Some(id), Some(source)) = (hit.id, hit.source) else {
                return Err(ApiError::internal("a hit without id or source"));
            };
            let source = parse(&source, name, &id)?;
            hits.push((id, source));
        }
        Ok(Found { total: response.total.map_or(0, |total| total.value), hits })
    }
}

/// Whether nothing but signs of life differs.
fn only_alive(before: &Map<String, Value>, after: &Map<String, Value>) -> bool {
    let same = |key: &String| before.get(key) == after.get(key) || SIGNS_OF_LIFE.contains(&key.as_str());
    before.keys().chain(after.keys()).all(same)
}

fn parse(source: &[u8], index: &str, id: &str) -> Result<Map<String, Value>> {
    serde_json::from_slice(source)
        .map_err(|error| ApiError::internal(format!("document [{id}] of [{index}] cannot be read: {error}")))
}

fn written(source: &impl serde::Serialize) -> Result<Bytes> {
    serde_json::to_vec(source).map(Bytes::from).map_err(ApiError::internal)
}

/// A stored document as the type the protocol has for it.
///
/// # Errors
/// 400 naming the document: some other program stored what the protocol does not allow.
pub(super) fn typed<T: serde::de::DeserializeOwned>(what: &str, id: &str, value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "parsing_exception",
            format!(
                "{what} [{id}] is stored in a form that cannot be read: {error}; correct it in its index"
            ),
        )
    })
}

/// Without members that are null, which mean the same as absent ones: Elasticsearch writes none.
pub(super) fn without_nulls(source: Map<String, Value>) -> Map<String, Value> {
    source.into_iter().filter(|(_, value)| !value.is_null()).collect()
}
