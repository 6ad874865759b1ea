//! `_ingest/pipeline`: keep, show, delete and try pipelines.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::cluster::{PIPELINE, blocking};
use crate::error::{ApiError, Result};
use crate::http::{Request, Response, Route};
use crate::ingest::{IngestDocument, Pipeline, java_type};
use crate::node::Node;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::get("/_ingest/pipeline", get),
        Route::get("/_ingest/pipeline/{id}", get),
        Route::put("/_ingest/pipeline/{id}", put),
        Route::delete("/_ingest/pipeline/{id}", delete),
        Route::get("/_ingest/pipeline/_simulate", simulate),
        Route::post("/_ingest/pipeline/_simulate", simulate),
        Route::get("/_ingest/pipeline/{id}/_simulate", simulate),
        Route::post("/_ingest/pipeline/{id}/_simulate", simulate),
    ]
}

async fn get(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let summary = request.params.bool("summary", false)?;
    request.params.duration("master_timeout")?;
    request.params.bool("local", false)?;
    request.finish()?;
    let id = request.segment("id").unwrap_or("*");
    let patterns: Vec<&str> =
        id.split(',').map(|pattern| if pattern == "_all" { "*" } else { pattern }).collect();
    let found: Map<String, Value> = node
        .cluster
        .pipelines()
        .matching(&patterns)
        .iter()
        .map(|pipeline| {
            let definition = if summary { Map::new() } else { pipeline.definition().clone() };
            (pipeline.id.clone(), Value::Object(definition))
        })
        .collect();
    let status = if found.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::OK };
    Ok(Response::json(status, Value::Object(found)))
}

async fn put(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let id = request.required_segment("id")?.to_owned();
    request.params.duration("master_timeout")?;
    request.params.duration("timeout")?;
    let required = match request.params.get("if_version") {
        None => None,
        Some(text) => Some(text.parse::<i64>().map_err(|_| {
            let reason =
                format!("invalid value [{text}] specified for [if_version]. must be an integer value");
            ApiError::illegal_argument(reason)
        })?),
    };
    let Some(mut body) = request.json()? else {
        let reason = "request body or source parameter is required";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "parse_exception", reason));
    };
    request.finish()?;
    let pipelines = Arc::clone(node.cluster.pipelines());
    if let Some(required) = required {
        check_version(&id, required, pipelines.get(&id).as_deref(), &body)?;
        if let Value::Object(definition) = &mut body {
            definition.entry("version").or_insert_with(|| json!(required + 1));
        }
    }
    let pipeline = pipelines.prepare(&id, &body)?;
    let definition = Value::Object(pipeline.definition().clone());
    let cluster = Arc::clone(&node.cluster);
    blocking(move || cluster.put_meta(PIPELINE, &id, &definition)).await?;
    pipelines.insert(pipeline);
    Ok(Response::acknowledged())
}

/// `if_version`: the version the caller believes is there.
fn check_version(id: &str, required: i64, current: Option<&Pipeline>, body: &Value) -> Result<()> {
    let current = current
        .ok_or_else(|| {
            ApiError::illegal_argument(format!(
                "version conflict, required version [{required}] for pipeline [{id}] but no pipeline was found"
            ))
        })?
        .definition()
        .get("version")
        .and_then(Value::as_i64);
    if current != Some(required) {
        let current = current.map_or_else(|| "null".to_owned(), |version| version.to_string());
        return Err(ApiError::illegal_argument(format!(
            "version conflict, required version [{required}] for pipeline [{id}] but current version is [{current}]"
        )));
    }
    if body["version"].as_i64() == Some(required) {
        return Err(ApiError::illegal_argument(format!(
            "cannot update pipeline [{id}] with the same version [{required}]"
        )));
    }
    Ok(())
}

async fn delete(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let pattern = request.required_segment("id")?.to_owned();
    request.params.duration("master_timeout")?;
    request.params.duration("timeout")?;
    request.finish()?;
    let pipelines = Arc::clone(node.cluster.pipelines());
    let found = pipelines.matching(&[&pattern]);
    if found.is_empty() && pattern != "*" {
        let reason = format!("pipeline [{pattern}] is missing");
        return Err(ApiError::new(StatusCode::NOT_FOUND, "resource_not_found_exception", reason));
    }
    for pipeline in &found {
        check_unused(&node, &pipeline.id)?;
    }
    for pipeline in found {
        let (cluster, id) = (Arc::clone(&node.cluster), pipeline.id.clone());
        blocking(move || cluster.delete_meta(PIPELINE, &id)).await?;
        pipelines.remove(&pipeline.id);
    }
    Ok(Response::acknowledged())
}

/// A pipeline that indices send their documents through stays.
fn check_unused(node: &Node, id: &str) -> Result<()> {
    for (setting, role) in [("default_pipeline", "default"), ("final_pipeline", "final")] {
        let users: Vec<String> = node
            .cluster
            .indexes()
            .iter()
            .filter(|(_, index)| index.settings().pipeline(setting).as_deref() == Some(id))
            .map(|(name, _)| name.clone())
            .collect();
        if !users.is_empty() {
            let shown = users.iter().take(3).cloned().collect::<Vec<_>>().join(",");
            let more = if users.len() > 3 { ",..." } else { "" };
            return Err(ApiError::illegal_argument(format!(
                "pipeline [{id}] cannot be deleted because it is the {role} pipeline for {} index(es) including [{shown}{more}]",
                users.len()
            )));
        }
    }
    Ok(())
}

async fn simulate(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let id = request.segment("id").map(str::to_owned);
    let verbose = request.params.bool("verbose", false)?;
    let body = request.json()?;
    request.finish()?;
    let Some(body) = body else {
        let reason = "request body or source parameter is required";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "parse_exception", reason));
    };
    // Elasticsearch reads anything else as an object without members.
    let mut body = body.as_object().cloned().unwrap_or_default();
    let pipelines = Arc::clone(node.cluster.pipelines());
    let pipeline = if let Some(id) = id {
        let found = pipelines.get(&id);
        found.ok_or_else(|| ApiError::illegal_argument(format!("pipeline [{id}] does not exist")))?
    } else {
        let definition = body.shift_remove("pipeline").ok_or_else(|| missing("pipeline"))?;
        if !definition.is_object() {
            return Err(wrong_type("pipeline", "a map", &definition));
        }
        Arc::new(Pipeline::parse("_simulate_pipeline", &definition)?)
    };
    let documents = documents(body.shift_remove("docs"))?;
    if let Some(name) = body.keys().next() {
        return Err(ApiError::illegal_argument(format!("[_simulate] unknown field [{name}]")));
    }
    // Extraction takes time.
    let results = tokio::task::spawn_blocking(move || {
        documents
            .into_iter()
            .map(|document| pipelines.simulate(&pipeline, document, verbose))
            .collect::<Vec<_>>()
    })
    .await
    .map_err(ApiError::internal)?;
    Ok(Response::ok(json!({ "docs": results })))
}

fn documents(docs: Option<Value>) -> Result<Vec<IngestDocument>> {
    let docs = match docs {
        None | Some(Value::Null) => return Err(missing("docs")),
        Some(Value::Array(docs)) if docs.is_empty() => {
            return Err(ApiError::illegal_argument("must specify at least one document in [docs]"));
        }
        Some(Value::Array(docs)) => docs,
        Some(other) => return Err(wrong_type("docs", "a list", &other)),
    };
    docs.into_iter().map(document).collect()
}

fn document(value: Value) -> Result<IngestDocument> {
    let Value::Object(mut members) = value else {
        return Err(ApiError::illegal_argument("malformed [docs] section, should include an inner object"));
    };
    let mut text = |name: &str| match members.shift_remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(other) => Err(wrong_type(name, "a string or int", &other)),
    };
    let index = text("_index")?.unwrap_or_else(|| "_index".to_owned());
    let id = text("_id")?.unwrap_or_else(|| "_id".to_owned());
    let routing = text("_routing")?;
    let source = match members.shift_remove("_source") {
        Some(Value::Object(source)) => source,
        None | Some(Value::Null) => return Err(missing("_source")),
        Some(other) => return Err(wrong_type("_source", "a map", &other)),
    };
    if let Some(name) = members.keys().next() {
        return Err(ApiError::illegal_argument(format!("[{name}] of a simulated document is not supported")));
    }
    Ok(IngestDocument { index, id: Some(id), routing, source })
}

fn wrong_type(name: &str, wanted: &str, found: &Value) -> ApiError {
    property(name, &format!("property isn't {wanted}, but of type [{}]", java_type(found)))
}

fn missing(name: &str) -> ApiError {
    property(name, "required property is missing")
}

fn property(name: &str, reason: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "parse_exception", format!("[{name}] {reason}"))
        .with("property_name", json!(name))
}
