//! Connectors: create, get, list, delete.

use std::sync::Arc;

use axum::http::StatusCode;
use connectors_protocol::connector::{ConnectorDocument, ConnectorStatus};
use serde_json::{Map, Value, json};

use super::body::{Body, now};
use super::documents::{CONNECTORS, SYNC_JOBS, without_nulls};
use super::{no_connector, refused, shown};
use crate::cluster::{Outcome, check_index_name, validation};
use crate::error::{ApiError, Result};
use crate::http::{Params, Request, Response, Route};
use crate::node::Node;

/// Content indices of connectors that Elastic runs start with this.
const MANAGED_PREFIX: &str = "content-";

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::put("/_connector/{connector_id}", put),
        Route::put("/_connector", put),
        Route::post("/_connector", put),
        Route::get("/_connector", list),
        Route::get("/_connector/{connector_id}", get),
        Route::delete("/_connector/{connector_id}", delete),
    ]
}

/// As Elasticsearch, a second PUT starts the connector anew.
async fn put(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let id = request.segment("connector_id").map(str::to_owned);
    let known = ["description", "index_name", "is_native", "language", "name", "service_type"];
    let mut body = Body::optional(&mut request, "connector_put_request", &known)?;
    let now = now();
    let index_name = body.nullable_text("index_name")?.and_then(|name| name.as_str().map(str::to_owned));
    let mut connector = ConnectorDocument::new(
        body.text("service_type")?.as_deref(),
        index_name.as_deref(),
        Some(body.text("name")?.as_deref().unwrap_or_default()),
        now,
    );
    connector.description = body.text("description")?;
    connector.language = body.text("language")?;
    connector.is_native = body.boolean("is_native")?.unwrap_or(false);
    if connector.is_native {
        connector.status = ConnectorStatus::NeedsConfiguration;
    }
    request.finish()?;
    if let Some(name) = &index_name {
        check_index(name)?;
        if connector.is_native && !is_managed(name) {
            return Err(validation(&not_managed(name)));
        }
    }
    let _held = node.connector_names.0.lock().await;
    check_free(&node, index_name.as_deref(), id.as_deref()).await?;
    let (id, outcome) = CONNECTORS.put(&node, id, &document(&connector)?).await?;
    let status = if outcome == Outcome::Created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(Response::json(status, json!({ "result": outcome.name(), "id": id })))
}

/// A new connector as it is stored.
fn document(connector: &ConnectorDocument) -> Result<Map<String, Value>> {
    let Value::Object(mut source) = serde_json::to_value(connector).map_err(ApiError::internal)? else {
        return Err(ApiError::internal("a connector is an object"));
    };
    // Unset, not "none": a service writes what its source can do.
    source.remove("features");
    source.insert("sync_now".to_owned(), false.into());
    source.insert("deleted".to_owned(), false.into());
    Ok(without_nulls(source))
}

/// Checks the name of a content index.
pub(super) fn check_index(name: &str) -> Result<()> {
    check_index_name(name).map_err(|error| validation(&error.reason))
}

/// Whether Elastic may run a connector with this content index.
pub(super) fn is_managed(index_name: &str) -> bool {
    index_name.starts_with(MANAGED_PREFIX)
}

/// Why a connector that Elastic runs cannot have this content index.
pub(super) fn not_managed(index_name: &str) -> String {
    format!(
        "Index attached to an Elastic-managed connector must start with the prefix: [{MANAGED_PREFIX}]. The index name in \
         the payload [{index_name}] doesn't comply with this requirement."
    )
}

/// Refuses an index that another connector writes to. The caller holds the node's `connector_names`.
pub(super) async fn check_free(node: &Arc<Node>, index_name: Option<&str>, id: Option<&str>) -> Result<()> {
    let Some(index_name) = index_name else { return Ok(()) };
    let mut without = vec![json!({ "term": { "deleted": true } })];
    if let Some(id) = id {
        without.push(json!({ "ids": { "values": [id] } }));
    }
    let query =
        json!({ "bool": { "must": [{ "term": { "index_name": index_name } }], "must_not": without } });
    match CONNECTORS.search(node, &json!({ "query": query, "size": 0 })).await?.total {
        0 => Ok(()),
        _ => Err(refused(format!("Index name [{index_name}] is used by another connector."))),
    }
}

async fn get(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let id = request.required_segment("connector_id")?.to_owned();
    let deleted_too = request.params.bool("include_deleted", false)?;
    request.finish()?;
    let found = CONNECTORS.get(&node, &id).await?;
    let source = found.filter(|source| deleted_too || !is_deleted(source));
    let source = source.ok_or_else(|| no_connector(&id))?;
    Ok(Response::ok(shown(&id, source)))
}

/// Whether a stored connector was deleted, and kept.
pub(super) fn is_deleted(source: &Map<String, Value>) -> bool {
    source.get("deleted").and_then(Value::as_bool) == Some(true)
}

/// `from` and `size` of a list, which is 100 long when nothing is said.
pub(super) fn page(params: &mut Params) -> Result<(i64, i64)> {
    let mut number = |name: &str, default: i64| match params.int(name)? {
        Some(negative) if negative < 0 => Err(ApiError::illegal_argument(format!(
            "[{name}] parameter cannot be negative but was [{negative}]"
        ))),
        given => Ok(given.unwrap_or(default)),
    };
    Ok((number("from", 0)?, number("size", 100)?))
}

async fn list(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let params = &mut request.params;
    let (from, size) = page(params)?;
    let mut must = Vec::new();
    for (param, field) in
        [("index_name", "index_name"), ("connector_name", "name"), ("service_type", "service_type")]
    {
        if let Some(names) = params.list(param)
            && !names.is_empty()
        {
            must.push(json!({ "terms": { field: names } }));
        }
    }
    if let Some(text) = params.string("query")
        && !text.is_empty()
    {
        let anywhere = |field: &str| json!({ "wildcard": { field: { "value": format!("*{text}*") } } });
        must.push(json!({ "bool": { "should": [anywhere("index_name"), anywhere("name"), anywhere("description")] } }));
    }
    let mut query = json!({ "must": must });
    if !params.bool("include_deleted", false)? {
        query["must_not"] = json!([{ "term": { "deleted": true } }]);
    }
    request.finish()?;
    let sort = json!([{ "index_name": { "order": "asc" } }]);
    let search = json!({ "query": { "bool": query }, "from": from, "size": size, "sort": sort });
    let found = CONNECTORS.search(&node, &search).await?;
    let results: Vec<Value> = found.hits.into_iter().map(|(id, source)| shown(&id, source)).collect();
    Ok(Response::ok(json!({ "count": found.total, "results": results })))
}

async fn delete(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let id = request.required_segment("connector_id")?.to_owned();
    let jobs_too = request.params.bool("delete_sync_jobs", false)?;
    let hard = request.params.bool("hard", false)?;
    request.finish()?;
    if hard {
        if !CONNECTORS.delete(&node, &id).await? {
            return Err(no_connector(&id));
        }
    } else {
        CONNECTORS
            .change(&node, &id, no_connector, |source| {
                if is_deleted(source) {
                    return Err(no_connector(&id));
                }
                source.insert("deleted".to_owned(), true.into());
                Ok(())
            })
            .await?;
    }
    if jobs_too {
        delete_jobs(&node, &id).await?;
    }
    Ok(Response::acknowledged())
}

/// Deletes all sync jobs of a connector.
async fn delete_jobs(node: &Arc<Node>, id: &str) -> Result<()> {
    let search = json!({ "query": { "term": { "connector.id": id } }, "size": 1000, "_source": ["status"] });
    loop {
        let found = SYNC_JOBS.search(node, &search).await?;
        if found.hits.is_empty() {
            return Ok(());
        }
        for (job, _) in found.hits {
            SYNC_JOBS.delete(node, &job).await?;
        }
    }
}
