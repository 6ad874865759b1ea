//! The members of a connector that are changed one by one.

use std::sync::Arc;

use connectors_protocol::connector::{ConnectorDocument, ConnectorStatus, DEFAULT_INTERVAL};
use connectors_protocol::cron;
use connectors_protocol::sync_job::JobStatus;
use serde_json::{Map, Value, json};

use super::body::{Body, now};
use super::connectors::{check_free, check_index, is_deleted, is_managed, not_managed};
use super::documents::CONNECTORS;
use super::{no_connector, refused, result};
use crate::cluster::{merge_document, validation};
use crate::error::{ApiError, Result};
use crate::http::{Reader, Request, Response, Route};
use crate::node::Node;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::put("/_connector/{connector_id}/_check_in", check_in),
        Route::put("/_connector/{connector_id}/_api_key_id", api_key_id),
        Route::put("/_connector/{connector_id}/_error", error),
        Route::put("/_connector/{connector_id}/_features", features),
        Route::put("/_connector/{connector_id}/_index_name", index_name),
        Route::put("/_connector/{connector_id}/_last_sync", last_sync),
        Route::put("/_connector/{connector_id}/_name", name),
        Route::put("/_connector/{connector_id}/_native", native),
        Route::put("/_connector/{connector_id}/_pipeline", pipeline),
        Route::put("/_connector/{connector_id}/_scheduling", scheduling),
        Route::put("/_connector/{connector_id}/_service_type", service_type),
        Route::put("/_connector/{connector_id}/_status", status),
    ]
}

/// The connector a request is for.
pub(super) fn id_of(request: &Request) -> Result<String> {
    Ok(request.required_segment("connector_id")?.to_owned())
}

/// The status of a stored connector; one that none is stored for was just created.
pub(super) fn status_of(id: &str, source: &Map<String, Value>) -> Result<ConnectorStatus> {
    match source.get("status") {
        None | Some(Value::Null) => Ok(ConnectorStatus::Created),
        Some(Value::String(name)) => ConnectorStatus::from_name(name)
            .ok_or_else(|| refused(format!("connector [{id}] has the unknown status [{name}]"))),
        Some(other) => Err(refused(format!("connector [{id}] has the unknown status [{other}]"))),
    }
}

/// Changes a connector that is not deleted.
pub(super) async fn change(
    node: &Arc<Node>,
    id: &str,
    change: impl Fn(&mut Map<String, Value>) -> Result<()>,
) -> Result<Response> {
    let changed = CONNECTORS.change(node, id, no_connector, |source| {
        if is_deleted(source) { Err(no_connector(id)) } else { change(source) }
    });
    changed.await.map(result)
}

/// Sets members of a connector; objects in them are merged into what is stored, as `_update` does.
async fn merge(node: &Arc<Node>, id: &str, members: Map<String, Value>) -> Result<Response> {
    change(node, id, |source| {
        merge_document(source, &members);
        Ok(())
    })
    .await
}

async fn check_in(node: Arc<Node>, request: Request) -> Result<Response> {
    let id = id_of(&request)?;
    request.finish()?;
    merge(&node, &id, ConnectorDocument::seen(now())).await
}

async fn api_key_id(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let id = id_of(&request)?;
    let known = ["api_key_id", "api_key_secret_id"];
    let mut body = Body::required(&mut request, "connector_update_api_key_id_request", &known)?;
    let mut members = Map::new();
    for key in known {
        if let Some(text @ Value::String(_)) = body.nullable_text(key)? {
            members.insert(key.to_owned(), text);
        }
    }
    request.finish()?;
    merge(&node, &id, members).await
}

/// With an error the connector is in `error`, without one it is `connected`.
async fn error(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let id = id_of(&request)?;
    let mut body = Body::required(&mut request, "connector_update_error_request", &["error"])?;
    let error = match body.needed("error")? {
        Value::Null => None,
        Value::String(text) => Some(text).filter(|text| !text.is_empty()),
        other => return Err(body.reader().unsupported("error", &other)),
    };
    request.finish()?;
    let members = match error {
        Some(text) => ConnectorDocument::failed(&text),
        None => object(json!({ "status": ConnectorStatus::Connected, "error": null })),
    };
    merge(&node, &id, members).await
}

async fn features(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let id = id_of(&request)?;
    let mut body = Body::required(&mut request, "connector_update_features_request", &["features"])?;
    let features = body.needed("features")?;
    let reader = Reader("connector_features");
    let features_of = reader.object(&features)?;
    for (name, value) in features_of {
        match name.as_str() {
            "document_level_security" | "incremental_sync" | "native_connector_api_keys" => {
                enabled(name, value)?;
            }
            "sync_rules" => {
                for (kind, value) in Reader("sync_rules_features").object(value)? {
                    if !matches!(kind.as_str(), "advanced" | "basic") {
                        return Err(Reader("sync_rules_features").unknown(kind));
                    }
                    enabled(kind, value)?;
                }
            }
            unknown => return Err(reader.unknown(unknown)),
        }
    }
    request.finish()?;
    merge(&node, &id, object(json!({ "features": features }))).await
}

/// `{"enabled": true}`.
fn enabled(name: &str, value: &Value) -> Result<()> {
    if value.is_null() {
        return Ok(());
    }
    let mut body = Body::of("connector_feature_enabled", value, &["enabled"])?;
    match body.boolean("enabled")? {
        Some(_) => Ok(()),
        None => {
            Err(Reader("connector_features").failed(name, &ApiError::illegal_argument("Required [enabled]")))
        }
    }
}

async fn index_name(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let id = id_of(&request)?;
    let mut body = Body::required(&mut request, "connector_update_index_name_request", &["index_name"])?;
    let index_name = match body.needed("index_name")? {
        Value::Null => None,
        Value::String(name) => Some(name),
        other => return Err(body.reader().unsupported("index_name", &other)),
    };
    request.finish()?;
    if let Some(name) = &index_name {
        check_index(name)?;
    }
    let _held = node.connector_names.0.lock().await;
    check_free(&node, index_name.as_deref(), Some(&id)).await?;
    change(&node, &id, |source| {
        let native = source.get("is_native").and_then(Value::as_bool) == Some(true);
        if let Some(name) = index_name.as_deref().filter(|name| native && !is_managed(name)) {
            return Err(refused(not_managed(name)));
        }
        source.insert("index_name".to_owned(), index_name.clone().into());
        Ok(())
    })
    .await
}

/// A sync cursor is replaced whole: what a source no longer has in it means something.
async fn last_sync(node: Arc<Node>, mut request: Request) -> Result<Response> {
    const DATES: [&str; 4] = [
        "last_access_control_sync_scheduled_at",
        "last_incremental_sync_scheduled_at",
        "last_sync_scheduled_at",
        "last_synced",
    ];
    const TEXTS: [&str; 2] = ["last_access_control_sync_error", "last_sync_error"];
    const STATUSES: [&str; 2] = ["last_access_control_sync_status", "last_sync_status"];
    const COUNTS: [&str; 2] = ["last_deleted_document_count", "last_indexed_document_count"];
    let id = id_of(&request)?;
    let known: Vec<&str> = [&DATES[..], &TEXTS, &STATUSES, &COUNTS, &["last_seen", "sync_cursor"]].concat();
    let mut body = Body::required(&mut request, "connector_update_last_sync_stats_request", &known)?;
    let mut members = Map::new();
    for key in DATES.into_iter().chain(["last_seen"]) {
        members.extend(body.date(key)?.map(|date| (key.to_owned(), date)));
    }
    for key in TEXTS {
        members.extend(body.nullable_text(key)?.map(|text| (key.to_owned(), text)));
    }
    for key in STATUSES {
        match body.take(key) {
            None => {}
            Some(Value::Null) => drop(members.insert(key.to_owned(), Value::Null)),
            Some(Value::String(name)) => {
                let status = JobStatus::from_name(&name).ok_or_else(|| {
                    let unknown = ApiError::illegal_argument(format!("Unknown SyncStatus: {name}"));
                    body.reader().failed(key, &unknown)
                })?;
                members.insert(key.to_owned(), status.name().into());
            }
            Some(other) => return Err(body.reader().unsupported(key, &other)),
        }
    }
    for key in COUNTS {
        members.extend(body.long(key)?.map(|count| (key.to_owned(), count.into())));
    }
    match body.take("sync_cursor") {
        None => {}
        Some(cursor @ (Value::Null | Value::Object(_))) => {
            drop(members.insert("sync_cursor".to_owned(), cursor));
        }
        Some(other) => return Err(body.reader().unsupported("sync_cursor", &other)),
    }
    request.finish()?;
    change(&node, &id, |source| {
        source.extend(members.clone());
        Ok(())
    })
    .await
}

async fn name(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let id = id_of(&request)?;
    let known = ["name", "description"];
    let mut body = Body::required(&mut request, "connector_update_name_request", &known)?;
    let mut members = Map::new();
    for key in known {
        if let Some(text @ Value::String(_)) = body.nullable_text(key)? {
            members.insert(key.to_owned(), text);
        }
    }
    request.finish()?;
    if members.is_empty() {
        return Err(validation(
            "[name] and [description] cannot both be [null]. Please provide a value for at least one of them.",
        ));
    }
    merge(&node, &id, members).await
}

async fn native(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let id = id_of(&request)?;
    let mut body = Body::required(&mut request, "connector_update_native_request", &["is_native"])?;
    let native = body.boolean("is_native")?;
    request.finish()?;
    let native = native.ok_or_else(|| ApiError::illegal_argument("Required [is_native]"))?;
    change(&node, &id, |source| {
        let index_name = source.get("index_name").and_then(Value::as_str);
        if let Some(index_name) = index_name.filter(|name| native && !is_managed(name)) {
            return Err(refused(format!(
                "The index name [{index_name}] attached to the connector [{id}] must start with the required prefix: \
                 [content-] to be Elastic-managed. Please update the attached index first to comply with this requirement."
            )));
        }
        let status = status_of(&id, source)?.with_new_host();
        source.insert("is_native".to_owned(), native.into());
        source.insert("status".to_owned(), status.name().into());
        Ok(())
    })
    .await
}

async fn pipeline(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let id = id_of(&request)?;
    let mut body = Body::required(&mut request, "connector_update_pipeline_request", &["pipeline"])?;
    let given = body.needed("pipeline")?;
    let flags = ["extract_binary_content", "reduce_whitespace", "run_ml_inference"];
    let mut read = Body::of("connector_ingest_pipeline", &given, &[&["name"][..], &flags].concat())?;
    let mut pipeline = Map::new();
    let mut missing = Vec::new();
    for key in flags {
        match read.boolean(key)? {
            Some(flag) => drop(pipeline.insert(key.to_owned(), flag.into())),
            None => missing.push(key),
        }
    }
    match read.text("name")? {
        Some(text) => drop(pipeline.insert("name".to_owned(), text.into())),
        None => missing.push("name"),
    }
    if !missing.is_empty() {
        let needed = ApiError::illegal_argument(format!("Required [{}]", missing.join(", ")));
        return Err(body.reader().failed("pipeline", &needed));
    }
    request.finish()?;
    merge(&node, &id, object(json!({ "pipeline": pipeline }))).await
}

/// Schedules that are not given stay.
async fn scheduling(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let id = id_of(&request)?;
    let mut body = Body::required(&mut request, "connector_update_scheduling_request", &["scheduling"])?;
    let given = body.needed("scheduling")?;
    let kinds = ["access_control", "full", "incremental"];
    let mut read = Body::of("connector_scheduling", &given, &kinds)?;
    let mut schedules = Map::new();
    for kind in kinds {
        let Some(value) = read.take(kind) else { continue };
        let mut entry = Body::of("scheduling", &value, &["enabled", "interval"])?;
        let enabled = entry.boolean("enabled")?;
        let interval = entry.text("interval")?;
        let (Some(enabled), Some(interval)) = (enabled, interval.clone()) else {
            let key = if enabled.is_none() { "enabled" } else { "interval" };
            let needed = ApiError::illegal_argument(format!("Required [{key}]"));
            return Err(read.reader().failed(kind, &needed));
        };
        cron::Schedule::parse(&interval).map_err(|error| {
            let wrong = ApiError::illegal_argument(format!(
                "invalid cron expression [{interval}]: {error}; an example is [{DEFAULT_INTERVAL}]"
            ));
            Reader("scheduling").failed("interval", &wrong)
        })?;
        schedules.insert(kind.to_owned(), json!({ "enabled": enabled, "interval": interval }));
    }
    request.finish()?;
    if schedules.is_empty() {
        return Err(validation(
            "[scheduling] object needs to define at least one schedule type: [full | incremental | access_control]",
        ));
    }
    merge(&node, &id, object(json!({ "scheduling": schedules }))).await
}

async fn service_type(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let id = id_of(&request)?;
    let mut body = Body::required(&mut request, "connector_update_service_type_request", &["service_type"])?;
    let service_type = body.text("service_type")?;
    request.finish()?;
    let service_type = service_type.ok_or_else(|| ApiError::illegal_argument("Required [service_type]"))?;
    if service_type.is_empty() {
        return Err(validation("[service_type] cannot be [null] or [\"\"]."));
    }
    change(&node, &id, |source| {
        let status = status_of(&id, source)?.with_new_service_type();
        source.insert("service_type".to_owned(), service_type.clone().into());
        source.insert("status".to_owned(), status.name().into());
        Ok(())
    })
    .await
}

async fn status(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let id = id_of(&request)?;
    let mut body = Body::required(&mut request, "connector_update_status_request", &["status"])?;
    let status = body
        .named("status", ConnectorStatus::from_name, |name| format!("Unknown ConnectorStatus [{name}]."))?
        .ok_or_else(|| ApiError::illegal_argument("Required [status]"))?;
    request.finish()?;
    change(&node, &id, |source| {
        let current = status_of(&id, source)?;
        if !current.can_be_set_to(status) {
            return Err(impossible(
                current.name(),
                status.name(),
                "status",
                "connector_invalid_status_transition_exception",
            ));
        }
        source.insert("status".to_owned(), status.name().into());
        Ok(())
    })
    .await
}

/// 400 for a change of status that the protocol does not know. `what` is Elasticsearch's word for the status.
pub(super) fn impossible(from: &str, to: &str, what: &str, kind: &str) -> ApiError {
    let reason = format!(
        "Invalid transition attempt from [{from}] to [{to}]. Such a {what} transition is not supported by the Connector \
         Protocol."
    );
    refused(reason.clone()).because(kind, reason)
}

/// The members of an object.
pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
