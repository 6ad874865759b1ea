//! Indexes: create, get, delete, mappings, settings, refresh.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::write::ack_params;
use crate::cluster::{IndicesOptions, Resolved, blocking};
use crate::error::{ApiError, Result};
use crate::http::{Params, Request, Response, Route};
use crate::index::Index;
use crate::node::Node;
use crate::security::check_names;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::put("/{index}", create),
        Route::get("/{index}", get),
        Route::head("/{index}", exists),
        Route::delete("/{index}", delete),
        Route::get("/_mapping", mapping),
        Route::get("/{index}/_mapping", mapping),
        Route::put("/{index}/_mapping", put_mapping),
        Route::post("/{index}/_mapping", put_mapping),
        Route::get("/_mapping/field/{fields}", field_mapping),
        Route::get("/{index}/_mapping/field/{fields}", field_mapping),
        Route::get("/_settings", settings),
        Route::get("/_settings/{name}", settings),
        Route::get("/{index}/_settings", settings),
        Route::get("/{index}/_settings/{name}", settings),
        Route::put("/_settings", put_settings),
        Route::put("/{index}/_settings", put_settings),
        Route::get("/_refresh", refresh),
        Route::post("/_refresh", refresh),
        Route::get("/{index}/_refresh", refresh),
        Route::post("/{index}/_refresh", refresh),
        Route::get("/_flush", flush),
        Route::post("/_flush", flush),
        Route::get("/{index}/_flush", flush),
        Route::post("/{index}/_flush", flush),
        Route::post("/_forcemerge", forcemerge),
        Route::post("/{index}/_forcemerge", forcemerge),
        Route::post("/{index}/_close", close),
        Route::post("/{index}/_open", open),
    ]
}

/// `master_timeout` and `timeout`: nothing waits for other nodes.
pub(super) fn timeouts(params: &mut Params) -> Result<()> {
    params.duration("master_timeout")?;
    params.duration("timeout")?;
    Ok(())
}

async fn create(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let name = request.required_segment("index")?.to_owned();
    ack_params(&mut request.params)?;
    timeouts(&mut request.params)?;
    let body = request.json()?;
    request.finish()?;
    // An alias is a second name of the index, which other requests may be allowed to use.
    let aliases = body.as_ref().and_then(|body| body.get("aliases")).and_then(Value::as_object);
    let aliases: Vec<String> = aliases.into_iter().flat_map(|aliases| aliases.keys().cloned()).collect();
    if !aliases.is_empty() {
        let change = "indices:admin/aliases";
        check_names(&node.cluster, &request.identity, change, std::slice::from_ref(&name))?;
        check_names(&node.cluster, &request.identity, change, &aliases)?;
    }
    let created = name.clone();
    blocking(move || node.cluster.create(&created, body.as_ref()).map(drop)).await?;
    Ok(Response::ok(json!({ "acknowledged": true, "shards_acknowledged": true, "index": name })))
}

fn resolved(node: &Node, request: &mut Request, options: IndicesOptions) -> Result<Vec<Resolved>> {
    let options = options.of(&mut request.params)?;
    request.params.bool("local", false)?;
    timeouts(&mut request.params)?;
    request.finish()?;
    node.cluster.resolve(request.segment("index").unwrap_or("_all"), options)
}

/// Refuses `include_defaults=true`: defaults are not listed here.
fn no_defaults(params: &mut Params) -> Result<()> {
    if params.bool("include_defaults", false)? {
        return Err(ApiError::illegal_argument("[include_defaults] is not supported by this node"));
    }
    Ok(())
}

async fn get(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let flat = request.params.bool("flat_settings", false)?;
    no_defaults(&mut request.params)?;
    let features = request.params.list("features");
    let wants = |feature: &str| {
        features.as_ref().is_none_or(|features| {
            features
                .iter()
                .any(|known| known == feature || known.trim_end_matches('s') == feature.trim_end_matches('s'))
        })
    };
    let mut out = Map::new();
    for Resolved { index, .. } in resolved(&node, &mut request, IndicesOptions::default())? {
        let state = index.state();
        let mut body = Map::new();
        // Parts that are not wanted are printed empty, but for settings.
        let part = |wanted: bool, full: &dyn Fn() -> Value| if wanted { full() } else { json!({}) };
        body.insert("aliases".into(), part(wants("aliases"), &|| state.meta.aliases_json()));
        body.insert("mappings".into(), part(wants("mappings"), &|| state.mapping.to_json()));
        if wants("settings") {
            body.insert("settings".into(), state.meta.settings_json(index.name(), flat, None));
        }
        out.insert(index.name().to_owned(), body.into());
    }
    Ok(Response::ok(out.into()))
}

async fn exists(node: Arc<Node>, mut request: Request) -> Result<Response> {
    request.params.bool("flat_settings", false)?;
    request.params.bool("include_defaults", false)?;
    let options = IndicesOptions { allow_no_indices: false, ..IndicesOptions::default() };
    match resolved(&node, &mut request, options) {
        Ok(_) => Ok(Response::empty(StatusCode::OK)),
        Err(error) if error.status == StatusCode::NOT_FOUND => Ok(Response::empty(StatusCode::NOT_FOUND)),
        Err(error) => Err(error),
    }
}

async fn delete(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let expression = request.required_segment("index")?.to_owned();
    let options =
        IndicesOptions { allow_no_indices: false, ..IndicesOptions::default() }.of(&mut request.params)?;
    timeouts(&mut request.params)?;
    request.finish()?;
    let names: Vec<&str> = expression.split(',').filter(|name| !name.is_empty()).collect();
    if names.iter().any(|name| name.contains('*') || *name == "_all") {
        return Err(ApiError::illegal_argument("Wildcard expressions or all indices are not allowed"));
    }
    let mut indexes: Vec<Arc<Index>> = Vec::new();
    for name in names {
        if let Some(excluded) = name.strip_prefix('-') {
            indexes.retain(|index| index.name() != excluded);
            continue;
        }
        match node.cluster.index(name) {
            Some(index) => indexes.push(index),
            None => match node.cluster.resolve(name, IndicesOptions { allow_no_indices: true, ..options }) {
                Ok(found) if found.is_empty() => {}
                Ok(_) => {
                    return Err(ApiError::illegal_argument(format!(
                        "The provided expression [{name}] matches an alias, specify the corresponding concrete indices \
                         instead."
                    )));
                }
                Err(error) => return Err(error),
            },
        }
    }
    blocking(move || node.cluster.delete(&indexes)).await?;
    Ok(Response::acknowledged())
}

async fn mapping(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let mut out = Map::new();
    for Resolved { index, .. } in resolved(&node, &mut request, IndicesOptions::default())? {
        out.insert(index.name().to_owned(), json!({ "mappings": index.mapping().to_json() }));
    }
    Ok(Response::ok(out.into()))
}

async fn field_mapping(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let fields = request.required_segment("fields")?.to_owned();
    no_defaults(&mut request.params)?;
    let patterns: Vec<&str> = fields.split(',').collect();
    let mut out = Map::new();
    for Resolved { index, .. } in resolved(&node, &mut request, IndicesOptions::default())? {
        out.insert(index.name().to_owned(), json!({ "mappings": index.mapping().fields_json(&patterns) }));
    }
    Ok(Response::ok(out.into()))
}

async fn put_mapping(node: Arc<Node>, mut request: Request) -> Result<Response> {
    request.params.bool("write_index_only", false)?;
    let body = request.required_json()?;
    let options = IndicesOptions { allow_no_indices: false, ..IndicesOptions::default() };
    let indexes = resolved(&node, &mut request, options)?;
    blocking(move || {
        for Resolved { index, .. } in indexes {
            node.cluster.put_mapping(&index, &body)?;
        }
        Ok(())
    })
    .await?;
    Ok(Response::acknowledged())
}

async fn settings(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let flat = request.params.bool("flat_settings", false)?;
    no_defaults(&mut request.params)?;
    let patterns: Option<Vec<String>> =
        request.segment("name").map(|names| names.split(',').map(str::to_owned).collect());
    let mut out = Map::new();
    for Resolved { index, .. } in resolved(&node, &mut request, IndicesOptions::default())? {
        let body = index.settings().settings_json(index.name(), flat, patterns.as_deref());
        if body.as_object().is_some_and(|body| !body.is_empty()) {
            out.insert(index.name().to_owned(), json!({ "settings": body }));
        }
    }
    Ok(Response::ok(out.into()))
}

async fn put_settings(node: Arc<Node>, mut request: Request) -> Result<Response> {
    request.params.bool("flat_settings", false)?;
    let preserve = request.params.bool("preserve_existing", false)?;
    if request.params.bool("reopen", false)? {
        return Err(ApiError::illegal_argument("[reopen] is not supported by this node"));
    }
    let body = request.required_json()?;
    let options = IndicesOptions { allow_no_indices: false, ..IndicesOptions::default() };
    let indexes = resolved(&node, &mut request, options)?;
    blocking(move || {
        for Resolved { index, .. } in indexes {
            node.cluster.put_settings(&index, &body, preserve)?;
        }
        Ok(())
    })
    .await?;
    Ok(Response::acknowledged())
}

/// `_shards` of an operation on whole indexes.
pub(super) fn shards(indexes: &[Arc<Index>]) -> Value {
    let total: usize = indexes.iter().map(|index| 1 + index.settings().replicas()).sum();
    json!({ "_shards": { "total": total, "successful": indexes.len(), "failed": 0 } })
}

async fn refresh(node: Arc<Node>, mut request: Request) -> Result<Response> {
    refreshed(resolved(&node, &mut request, IndicesOptions::default())?).await
}

async fn refreshed(resolved: Vec<Resolved>) -> Result<Response> {
    let indexes: Vec<Arc<Index>> = resolved.into_iter().map(|resolved| resolved.index).collect();
    for index in &indexes {
        match index.refresh().await {
            // Deleted meanwhile.
            Err(_) if index.is_deleted() => {}
            result => result?,
        }
    }
    Ok(Response::ok(shards(&indexes)))
}

/// Every acknowledged write is on disk already; what is left is to save the search index.
async fn flush(node: Arc<Node>, mut request: Request) -> Result<Response> {
    request.params.bool("force", false)?;
    request.params.bool("wait_if_ongoing", true)?;
    refreshed(resolved(&node, &mut request, IndicesOptions::default())?).await
}

/// Segments merge by themselves; the parameters are read, and the answer is given once everything is searchable.
async fn forcemerge(node: Arc<Node>, mut request: Request) -> Result<Response> {
    request.params.int("max_num_segments")?;
    for flag in ["only_expunge_deletes", "flush", "wait_for_completion"] {
        request.params.bool(flag, false)?;
    }
    refreshed(resolved(&node, &mut request, IndicesOptions::default())?).await
}

async fn close(_node: Arc<Node>, _request: Request) -> Result<Response> {
    Err(ApiError::illegal_argument("closing indices is not supported by this node"))
}

async fn open(node: Arc<Node>, mut request: Request) -> Result<Response> {
    ack_params(&mut request.params)?;
    // Every index is open.
    let options = IndicesOptions { allow_no_indices: false, ..IndicesOptions::default() };
    resolved(&node, &mut request, options)?;
    Ok(Response::ok(json!({ "acknowledged": true, "shards_acknowledged": true })))
}
