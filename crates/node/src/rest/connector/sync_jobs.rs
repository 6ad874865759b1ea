//! Sync jobs: create, get, list, delete.

use std::sync::Arc;

use axum::http::StatusCode;
use connectors_protocol::connector::ConnectorDocument;
use connectors_protocol::sync_job::{JobStatus, JobType, SyncJobDocument, TriggerMethod};
use serde_json::{Map, Value, json};

use super::body::{Body, now};
use super::connectors::{is_deleted, page};
use super::documents::{CONNECTORS, SYNC_JOBS, typed, without_nulls};
use super::{no_sync_job, not_found, refused, shown};
use crate::cluster::validation;
use crate::error::{ApiError, Result};
use crate::http::{Request, Response, Route};
use crate::node::Node;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::post("/_connector/_sync_job", post),
        Route::get("/_connector/_sync_job", list),
        Route::get("/_connector/_sync_job/{connector_sync_job_id}", get),
        Route::delete("/_connector/_sync_job/{connector_sync_job_id}", delete),
    ]
}

/// The sync job a request is for.
pub(super) fn id_of(request: &Request) -> Result<String> {
    Ok(request.required_segment("connector_sync_job_id")?.to_owned())
}

fn unknown_type(name: &str) -> String {
    format!("Unknown sync job type '{name}'.")
}

async fn post(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let known = ["id", "job_type", "trigger_method"];
    let mut body = Body::required(&mut request, "connector_sync_job_post_request", &known)?;
    let job_type = |name: &str| JobType::from_name(&name.to_lowercase());
    let job_type = body.named("job_type", job_type, unknown_type)?.unwrap_or_default();
    let trigger = body
        .named("trigger_method", TriggerMethod::from_name, |name| {
            format!("Unknown sync job trigger method '{name}'.")
        })?
        .unwrap_or_default();
    let id = body.text("id")?.ok_or_else(|| ApiError::illegal_argument("Required [id]"))?;
    request.finish()?;
    if id.is_empty() {
        return Err(validation("[id] of the connector cannot be null or empty"));
    }
    let source = CONNECTORS.get(&node, &id).await?.filter(|source| !is_deleted(source));
    let source = source.ok_or_else(|| not_found(format!("Connector with id '{id}' does not exist.")))?;
    let connector: ConnectorDocument = typed("connector", &id, Value::Object(source))?;
    let mut job = SyncJobDocument::new(&id, &connector, job_type, trigger, now()).map_err(|_| {
        refused(format!(
            "Cannot start a sync for connector [{id}] with no index attached. Set the [index_name] property for the \
             connector to enable syncing data."
        ))
    })?;
    if connector.service_type.as_deref().is_none_or(str::is_empty) {
        return Err(refused(format!(
            "Cannot start a sync for connector [{id}] with [service_type] not defined. Set the service type of your \
             connector before starting the sync."
        )));
    }
    job.total_document_count = Some(0);
    let (id, _) = SYNC_JOBS.put(&node, None, &document(&job)?).await?;
    Ok(Response::json(StatusCode::CREATED, json!({ "id": id })))
}

/// A new job as it is stored.
fn document(job: &SyncJobDocument) -> Result<Map<String, Value>> {
    let Value::Object(mut source) = serde_json::to_value(job).map_err(ApiError::internal)? else {
        return Err(ApiError::internal("a sync job is an object"));
    };
    if let Some(Value::Object(connector)) = source.get_mut("connector") {
        *connector = without_nulls(std::mem::take(connector));
    }
    Ok(without_nulls(source))
}

async fn get(node: Arc<Node>, request: Request) -> Result<Response> {
    let id = id_of(&request)?;
    request.finish()?;
    let source = SYNC_JOBS.get(&node, &id).await?.ok_or_else(|| no_sync_job(&id))?;
    Ok(Response::ok(shown(&id, source)))
}

/// The newest first.
async fn list(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let params = &mut request.params;
    let (from, size) = page(params)?;
    let mut must = Vec::new();
    if let Some(id) = params.string("connector_id") {
        must.push(json!({ "term": { "connector.id": id } }));
    }
    if let Some(name) = params.string("status") {
        let status = JobStatus::from_name(&name)
            .ok_or_else(|| ApiError::illegal_argument(format!("Unknown SyncStatus: {name}")))?;
        must.push(json!({ "term": { "status": status.name() } }));
    }
    if let Some(names) = params.list("job_type")
        && !names.is_empty()
    {
        let types = names
            .iter()
            .map(|name| {
                JobType::from_name(&name.to_lowercase())
                    .map(JobType::name)
                    .ok_or_else(|| ApiError::illegal_argument(unknown_type(name)))
            })
            .collect::<Result<Vec<_>>>()?;
        must.push(json!({ "terms": { "job_type": types } }));
    }
    request.finish()?;
    let query = json!({ "bool": { "must": must } });
    let sort = json!([{ "created_at": { "order": "desc" } }]);
    let search = json!({ "query": query, "from": from, "size": size, "sort": sort });
    let found = SYNC_JOBS.search(&node, &search).await?;
    let results: Vec<Value> = found.hits.into_iter().map(|(id, source)| shown(&id, source)).collect();
    Ok(Response::ok(json!({ "count": found.total, "results": results })))
}

async fn delete(node: Arc<Node>, request: Request) -> Result<Response> {
    let id = id_of(&request)?;
    request.finish()?;
    if SYNC_JOBS.delete(&node, &id).await? { Ok(Response::acknowledged()) } else { Err(no_sync_job(&id)) }
}
