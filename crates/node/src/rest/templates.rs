//! Index templates and component templates.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::indices::timeouts;
use crate::cluster::blocking;
use crate::error::Result;
use crate::http::{Request, Response, Route};
use crate::node::Node;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::get("/_index_template", get),
        Route::get("/_index_template/{name}", get),
        Route::head("/_index_template/{name}", exists),
        Route::put("/_index_template/{name}", put),
        Route::post("/_index_template/{name}", put),
        Route::delete("/_index_template/{name}", delete),
        Route::get("/_component_template", get_component),
        Route::get("/_component_template/{name}", get_component),
        Route::head("/_component_template/{name}", component_exists),
        Route::put("/_component_template/{name}", put_component),
        Route::post("/_component_template/{name}", put_component),
        Route::delete("/_component_template/{name}", delete_component),
    ]
}

/// The name of a read, with its parameters.
fn named(request: &mut Request) -> Result<Option<String>> {
    timeouts(&mut request.params)?;
    request.params.bool("local", false)?;
    request.params.bool("flat_settings", false)?;
    request.finish()?;
    Ok(request.segment("name").map(str::to_owned))
}

fn list(found: Vec<(String, Value)>, all: &str, one: &str) -> Response {
    let items: Vec<Value> =
        found.into_iter().map(|(name, body)| json!({ "name": name, one: body })).collect();
    Response::ok(json!({ all: items }))
}

fn found<T>(result: Result<Vec<T>>) -> Result<Response> {
    match result {
        Ok(found) if !found.is_empty() => Ok(Response::empty(StatusCode::OK)),
        Ok(_) => Ok(Response::empty(StatusCode::NOT_FOUND)),
        Err(error) if error.status == StatusCode::NOT_FOUND => Ok(Response::empty(StatusCode::NOT_FOUND)),
        Err(error) => Err(error),
    }
}

async fn get(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let name = named(&mut request)?;
    Ok(list(node.cluster.templates(name.as_deref())?, "index_templates", "index_template"))
}

async fn exists(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let name = named(&mut request)?;
    found(node.cluster.templates(name.as_deref()))
}

/// Name, body and `create` of a write.
fn definition(request: &mut Request) -> Result<(String, Value, bool)> {
    let name = request.required_segment("name")?.to_owned();
    timeouts(&mut request.params)?;
    let create = request.params.bool("create", false)?;
    request.params.accept(&["cause"]);
    let body = request.required_json()?;
    request.finish()?;
    Ok((name, body, create))
}

async fn put(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let (name, body, create) = definition(&mut request)?;
    blocking(move || node.cluster.put_template(&name, &body, create)).await?;
    Ok(Response::acknowledged())
}

async fn delete(node: Arc<Node>, mut request: Request) -> Result<Response> {
    timeouts(&mut request.params)?;
    let name = request.required_segment("name")?.to_owned();
    request.finish()?;
    blocking(move || node.cluster.delete_template(&name)).await?;
    Ok(Response::acknowledged())
}

async fn get_component(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let name = named(&mut request)?;
    Ok(list(node.cluster.components(name.as_deref())?, "component_templates", "component_template"))
}

async fn component_exists(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let name = named(&mut request)?;
    found(node.cluster.components(name.as_deref()))
}

async fn put_component(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let (name, body, create) = definition(&mut request)?;
    blocking(move || node.cluster.put_component(&name, &body, create)).await?;
    Ok(Response::acknowledged())
}

async fn delete_component(node: Arc<Node>, mut request: Request) -> Result<Response> {
    timeouts(&mut request.params)?;
    let name = request.required_segment("name")?.to_owned();
    request.finish()?;
    blocking(move || node.cluster.delete_component(&name)).await?;
    Ok(Response::acknowledged())
}
