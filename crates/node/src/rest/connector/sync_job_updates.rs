//! What happens to a sync job: claimed, seen, counted, failed, cancelled.

use std::sync::Arc;

use connectors_protocol::PartialDocument;
use connectors_protocol::sync_job::{IllegalJobTransition, SyncJobDocument};
use connectors_protocol::{merge, timestamp};
use serde_json::{Map, Value};

use super::body::{Body, now};
use super::documents::{SYNC_JOBS, typed};
use super::settings::impossible;
use super::sync_jobs::id_of;
use super::{no_sync_job, result};
use crate::cluster::new_uuid;
use crate::error::{ApiError, Result};
use crate::http::{Request, Response, Route};
use crate::node::Node;
use crate::rest::write::validations;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::put("/_connector/_sync_job/{connector_sync_job_id}/_cancel", cancel),
        Route::put("/_connector/_sync_job/{connector_sync_job_id}/_check_in", check_in),
        Route::put("/_connector/_sync_job/{connector_sync_job_id}/_claim", claim),
        Route::put("/_connector/_sync_job/{connector_sync_job_id}/_error", error),
        Route::put("/_connector/_sync_job/{connector_sync_job_id}/_stats", stats),
    ]
}

fn impossible_transition(error: IllegalJobTransition) -> ApiError {
    impossible(
        error.from.name(),
        error.to.name(),
        "ConnectorSyncStatus",
        "connector_sync_job_invalid_status_transition_exception",
    )
}

/// Changes a job by a rule of the protocol.
async fn change(
    node: &Arc<Node>,
    id: &str,
    rule: impl Fn(&SyncJobDocument) -> Result<PartialDocument>,
) -> Result<Response> {
    SYNC_JOBS
        .change(node, id, no_sync_job, |source| {
            let job: SyncJobDocument = typed("sync job", id, Value::Object(source.clone()))?;
            merge(source, rule(&job)?);
            Ok(())
        })
        .await
        .map(result)
}

/// A job that runs is `canceling` until its service has stopped it; one that nobody runs is `canceled` at once.
async fn cancel(node: Arc<Node>, request: Request) -> Result<Response> {
    use connectors_protocol::sync_job::JobStatus::Canceling;
    let id = id_of(&request)?;
    request.finish()?;
    change(&node, &id, |job| {
        let update = job.request_cancel(now()).map_err(impossible_transition)?;
        update.ok_or_else(|| impossible_transition(IllegalJobTransition { from: job.status, to: Canceling }))
    })
    .await
}

async fn check_in(node: Arc<Node>, request: Request) -> Result<Response> {
    let id = id_of(&request)?;
    request.finish()?;
    change(&node, &id, |_| Ok(Map::from_iter([("last_seen".to_owned(), timestamp::format(now()).into())])))
        .await
}

/// Of several claims of a job one succeeds. Elasticsearch lets a second claim take the job from the first; here the
/// protocol's own rule decides, that only a `pending` or `suspended` job can be claimed.
async fn claim(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let id = id_of(&request)?;
    let known = ["worker_hostname", "sync_cursor"];
    let mut body = Body::required(&mut request, "claim_connector_sync_job", &known)?;
    let worker = body.text("worker_hostname")?;
    let worker = worker.ok_or_else(|| ApiError::illegal_argument("Required [worker_hostname]"))?;
    let cursor = body.object("sync_cursor")?.map(Value::Object);
    request.finish()?;
    let token = new_uuid();
    change(&node, &id, |job| {
        job.claim(&worker, &token, cursor.as_ref(), now()).map_err(impossible_transition)
    })
    .await
}

async fn error(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let id = id_of(&request)?;
    let mut body = Body::required(&mut request, "connector_sync_job_error", &["error"])?;
    let text = body.text("error")?.ok_or_else(|| ApiError::illegal_argument("Required [error]"))?;
    request.finish()?;
    if text.is_empty() {
        return Err(crate::cluster::validation("[error] of the connector sync job cannot be null or empty"));
    }
    change(&node, &id, |job| job.report_error(&text, now()).map_err(impossible_transition)).await
}

/// Counters are set, not added. `metadata` is merged into what is stored, as Elasticsearch's update does.
async fn stats(node: Arc<Node>, mut request: Request) -> Result<Response> {
    const NEEDED: [&str; 3] = ["deleted_document_count", "indexed_document_count", "indexed_document_volume"];
    const TOTAL: &str = "total_document_count";
    let id = id_of(&request)?;
    let known = [&NEEDED[..], &[TOTAL, "last_seen", "metadata"]].concat();
    let mut body = Body::required(&mut request, "connector_sync_job_update_ingestion_stats", &known)?;
    let mut members = Map::new();
    let (mut missing, mut negative) = (Vec::new(), Vec::new());
    for key in NEEDED.into_iter().chain([TOTAL]) {
        match body.long(key)? {
            None if key == TOTAL => {}
            None => missing.push(key),
            Some(count) => {
                if count < 0 {
                    negative.push(format!("[{key}] cannot be negative."));
                }
                members.insert(key.to_owned(), count.into());
            }
        }
    }
    if !missing.is_empty() {
        return Err(ApiError::illegal_argument(format!("Required [{}]", missing.join(", "))));
    }
    let seen = body.date("last_seen")?.filter(|seen| !seen.is_null());
    members.insert("last_seen".to_owned(), seen.unwrap_or_else(|| timestamp::format(now()).into()));
    let metadata = body.object("metadata")?;
    request.finish()?;
    if !negative.is_empty() {
        return Err(validations(&negative));
    }
    change(&node, &id, |job| {
        let mut update = members.clone();
        if let Some(metadata) = &metadata {
            let mut merged = job.metadata.clone();
            crate::cluster::merge_document(&mut merged, metadata);
            update.insert("metadata".to_owned(), merged.into());
        }
        Ok(update)
    })
    .await
}
