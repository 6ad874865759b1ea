//! `_delete_by_query` and `_update_by_query` (without scripts).
//!
//! Both walk a view taken at the start, page by page, and write with the sequence number each document had in it: what
//! changed meanwhile is a version conflict.

use std::sync::Arc;
use std::time::Instant;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::search::{blocking, targets, uri_query};
use crate::cluster::{Action, BulkOp, IndicesOptions, ItemResult, Outcome, Refresh};
use crate::error::{ApiError, Result, token};
use crate::http::{Identity, Params, Request, Response, Route};
use crate::node::Node;
use crate::search::SearchRequest;
use crate::search::execute::{self, Continuation, Target};
use crate::search::request::{ParsedQuery, TrackTotal, integer, locate, validation};
use crate::search::response::Hit;
use crate::search::source::SourceFilter;
use crate::security::{NOTHING, check_names, narrow};
use crate::store::Condition;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::post("/{index}/_delete_by_query", delete_by_query),
        Route::post("/{index}/_update_by_query", update_by_query),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Delete,
    Update,
}

/// What is to be done, read from URL and body.
#[derive(Debug)]
struct Task {
    kind: Kind,
    query: Option<ParsedQuery>,
    /// `conflicts=proceed`.
    proceed: bool,
    refresh: bool,
    max_docs: Option<u64>,
    page: usize,
    pipeline: Option<String>,
    by: Identity,
}

/// What was done so far.
#[derive(Debug, Default)]
struct Done {
    total: u64,
    updated: u64,
    deleted: u64,
    batches: u64,
    conflicts: u64,
    noops: u64,
    failures: Vec<Value>,
    /// Status of the worst failure.
    status: Option<StatusCode>,
}

async fn delete_by_query(node: Arc<Node>, request: Request) -> Result<Response> {
    by_query(node, request, Kind::Delete).await
}

async fn update_by_query(node: Arc<Node>, request: Request) -> Result<Response> {
    by_query(node, request, Kind::Update).await
}

async fn by_query(node: Arc<Node>, mut request: Request, kind: Kind) -> Result<Response> {
    let started = Instant::now();
    let expression = request.required_segment("index")?.to_owned();
    let body = request.json()?;
    let options = IndicesOptions::default().of(&mut request.params)?;
    let mut task = Task::from_params(kind, &mut request.params)?;
    if let Some(body) = &body {
        task.read_body(body).map_err(|error| locate(error, request.body()))?;
    }
    request.finish()?;
    if kind == Kind::Delete && task.query.is_none() {
        validation(&["query is missing"])?;
    }
    let (identity, cluster) = (&request.identity, &node.cluster);
    let search = "indices:data/read/search";
    let expression = narrow(cluster, identity, search, Some(&expression), options)?.unwrap_or(expression);
    let write = if kind == Kind::Delete {
        "indices:data/write/delete"
    } else {
        "indices:data/write/index:op_type/index"
    };
    // The search found nothing the sender may see: there is nothing to change either.
    if expression != NOTHING {
        check_names(cluster, identity, write, std::slice::from_ref(&expression))?;
    }
    task.by = identity.clone();
    let resolved = node.cluster.resolve(&expression, options)?;
    let targets = Arc::new(targets(&node, &expression, options).await?);
    let done = task.run(&node, targets).await?;
    if task.refresh {
        for resolved in resolved {
            resolved.index.refresh().await?;
        }
    }
    let status = done.status.unwrap_or(StatusCode::OK);
    Ok(Response::json(status, done.answer(kind, started)))
}

impl Task {
    fn from_params(kind: Kind, params: &mut Params) -> Result<Self> {
        // How the work is scheduled changes nothing in what is done.
        params.accept(&["preference", "routing", "request_cache", "timeout", "search_timeout", "scroll"]);
        params.accept(&["wait_for_active_shards"]);
        if !params.bool("wait_for_completion", true)? {
            return Err(ApiError::illegal_argument(
                "[wait_for_completion=false] is not supported by this node",
            ));
        }
        if params.float("requests_per_second")?.is_some_and(|rate| rate > 0.0) {
            return Err(ApiError::illegal_argument("[requests_per_second] is not supported by this node"));
        }
        if params.get("slices") != Some("auto") && params.int("slices")?.is_some_and(|slices| slices < 1) {
            return Err(ApiError::illegal_argument("[slices] must be at least 1"));
        }
        let proceed = conflicts(params.get("conflicts").unwrap_or("abort"))?;
        let page = match params.int("scroll_size")? {
            None => 1000,
            Some(size) => usize::try_from(size)
                .ok()
                .filter(|size| (1..=10_000).contains(size))
                .ok_or_else(|| ApiError::illegal_argument(format!("[scroll_size] cannot be [{size}]")))?,
        };
        let refresh = match params.get("refresh") {
            Some("wait_for") => {
                return Err(ApiError::illegal_argument("[refresh=wait_for] is not supported here"));
            }
            _ => params.bool("refresh", false)?,
        };
        let mut task = Self {
            kind,
            query: uri_query(params)?,
            proceed,
            refresh,
            max_docs: None,
            page,
            by: Identity::Anonymous,
            pipeline: if kind == Kind::Update { params.string("pipeline") } else { None },
        };
        if let Some(number) = params.int("max_docs")? {
            task.limit(number)?;
        }
        Ok(task)
    }

    fn limit(&mut self, number: i64) -> Result<()> {
        match u64::try_from(number) {
            Ok(number) if number > 0 => self.max_docs = Some(number),
            _ if number == -1 => {}
            _ => {
                return validation(&[&format!(
                    "maxDocs should be greater than 0 if the request is limited to some number of documents or -1 if it \
                     isn't but it was [{number}]"
                )]);
            }
        }
        Ok(())
    }

    fn read_body(&mut self, body: &Value) -> Result<()> {
        let Value::Object(members) = body else {
            return Err(ApiError::parsing(format!("Expected [START_OBJECT] but found [{}]", token(body))));
        };
        for (key, value) in members {
            match (key.as_str(), value) {
                ("query", value) if self.query.is_none() => self.query = Some(ParsedQuery::parse(value)?),
                ("query", value) => {
                    ParsedQuery::parse(value)?;
                }
                ("conflicts", Value::String(text)) => self.proceed = conflicts(text)?,
                ("max_docs", value) => self.limit(integer(value)?)?,
                ("script" | "slice" | "sort", _) => {
                    let api = if self.kind == Kind::Update { "_update_by_query" } else { "_delete_by_query" };
                    return Err(ApiError::illegal_argument(format!(
                        "[{key}] of [{api}] is not supported by this node"
                    )));
                }
                (other, value) => {
                    return Err(ApiError::parsing(format!(
                        "Unknown key for a {} in [{other}].",
                        token(value)
                    )));
                }
            }
        }
        Ok(())
    }

    async fn run(&self, node: &Arc<Node>, targets: Arc<Vec<Target>>) -> Result<Done> {
        let mut done = Done::default();
        let mut request = SearchRequest {
            query: self.query.clone(),
            size: self.page,
            source: (self.kind == Kind::Delete).then_some(SourceFilter::Nothing),
            track_total_hits: Some(TrackTotal::Exact),
            seq_no_primary_term: true,
            ..SearchRequest::default()
        };
        let mut continuation = Continuation { scroll: true, ..Continuation::default() };
        let mut left = self.max_docs.unwrap_or(u64::MAX);
        loop {
            request.size = self.page.min(usize::try_from(left).unwrap_or(usize::MAX));
            let (views, page, from) = (targets.clone(), request.clone(), continuation.clone());
            let (response, after) = blocking(move || execute::page(&views, &page, &from)).await?;
            // Half of the indices is not what was asked for.
            if let Some(failure) = response.failures.into_iter().next() {
                return Err(failure);
            }
            if continuation.first.is_none() {
                let found = response.total.map_or(0, |total| total.value);
                done.total = found.min(left);
                continuation.first = Some((response.total, response.max_score));
            }
            if response.hits.is_empty() {
                return Ok(done);
            }
            left -= response.hits.len() as u64;
            let full = response.hits.len() == request.size;
            done.batches += 1;
            let ops = response.hits.into_iter().map(|hit| self.operation(hit)).collect::<Result<Vec<_>>>()?;
            for result in node.cluster.bulk(ops, Refresh::No).await? {
                self.count(&mut done, result);
            }
            if !done.failures.is_empty() || left == 0 || !full {
                return Ok(done);
            }
            continuation.after = after;
        }
    }

    fn operation(&self, hit: Hit) -> Result<BulkOp> {
        let action = match (self.kind, hit.source) {
            (Kind::Delete, _) => Action::Delete,
            (Kind::Update, Some(source)) => Action::Index(source),
            (Kind::Update, None) => return Err(ApiError::internal("a document without source")),
        };
        let seq_no = hit.seq_no.ok_or_else(|| ApiError::internal("a hit without sequence number"))?;
        let mut operation = BulkOp::new(hit.index.as_ref(), hit.id, action);
        operation.condition = Condition::At { seq_no, primary_term: 1 };
        operation.routing = hit.routing;
        operation.pipeline.clone_from(&self.pipeline);
        operation.by = self.by.clone();
        Ok(operation)
    }

    fn count(&self, done: &mut Done, item: ItemResult) {
        match item.result {
            Ok(written) => match written.outcome {
                Outcome::Deleted => done.deleted += 1,
                Outcome::Updated | Outcome::Created => done.updated += 1,
                Outcome::Noop | Outcome::NotFound | Outcome::Dropped => done.noops += 1,
            },
            Err(error) => {
                // The document was deleted meanwhile, or written again.
                let conflict = error.status == StatusCode::CONFLICT;
                done.conflicts += u64::from(conflict);
                if conflict && self.proceed {
                    return;
                }
                if done.status.is_none_or(|status| status < error.status) {
                    done.status = Some(error.status);
                }
                done.failures.push(json!({
                    "index": item.index,
                    "id": item.id,
                    "cause": error.cause(),
                    "status": error.status.as_u16(),
                }));
            }
        }
    }
}

fn conflicts(text: &str) -> Result<bool> {
    match text {
        "abort" => Ok(false),
        "proceed" => Ok(true),
        other => Err(ApiError::illegal_argument(format!(
            "conflicts may only be \"proceed\" or \"abort\" but was [{other}]"
        ))),
    }
}

impl Done {
    fn answer(self, kind: Kind, started: Instant) -> Value {
        let mut answer = Map::new();
        let took = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        answer.insert("took".into(), took.into());
        answer.insert("timed_out".into(), false.into());
        answer.insert("total".into(), self.total.into());
        if kind == Kind::Update {
            answer.insert("updated".into(), self.updated.into());
        }
        answer.insert("deleted".into(), self.deleted.into());
        answer.insert("batches".into(), self.batches.into());
        answer.insert("version_conflicts".into(), self.conflicts.into());
        answer.insert("noops".into(), self.noops.into());
        answer.insert("retries".into(), json!({ "bulk": 0, "search": 0 }));
        answer.insert("throttled_millis".into(), 0.into());
        answer.insert("requests_per_second".into(), (-1.0).into());
        answer.insert("throttled_until_millis".into(), 0.into());
        answer.insert("failures".into(), self.failures.into());
        Value::Object(answer)
    }
}
