//! Index templates and component templates. Legacy templates (`_template`) are refused: there are none.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::indices::timeouts;
use crate::cluster::blocking;
use crate::error::{ApiError, Result};
use crate::http::{Request, Response, Route};
use crate::node::Node;
use crate::templates::Templates;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::get("/_index_template", get_index),
        Route::get("/_index_template/{name}", get_index),
        Route::head("/_index_template/{name}", get_index),
        Route::put("/_index_template/{name}", put_index),
        Route::post("/_index_template/{name}", put_index),
        Route::delete("/_index_template/{name}", delete_index),
        Route::post("/_index_template/_simulate", simulate),
        Route::post("/_index_template/_simulate/{name}", simulate),
        Route::post("/_index_template/_simulate_index/{name}", simulate_index),
        Route::get("/_component_template", get_component),
        Route::get("/_component_template/{name}", get_component),
        Route::head("/_component_template/{name}", get_component),
        Route::put("/_component_template/{name}", put_component),
        Route::post("/_component_template/{name}", put_component),
        Route::delete("/_component_template/{name}", delete_component),
        Route::get("/_template", get_legacy),
        Route::get("/_template/{name}", get_legacy),
        Route::head("/_template/{name}", get_legacy),
        Route::put("/_template/{name}", put_legacy),
        Route::post("/_template/{name}", put_legacy),
        Route::delete("/_template/{name}", delete_legacy),
    ]
}

/// Finds templates by name and prints them, with full names of settings or not.
type Print = fn(&Templates, Option<&str>, bool) -> Result<Vec<(String, Value)>>;

/// Answers a read: all templates found, each by `print`; 404 when a name or pattern was given and nothing is found.
async fn listed(
    node: Arc<Node>,
    mut request: Request,
    all: &'static str,
    one: &'static str,
    print: Print,
) -> Result<Response> {
    timeouts_of_read(&mut request)?;
    let flat = request.params.bool("flat_settings", false)?;
    // Templates print what they were given either way; the defaults are those of the index.
    request.params.bool("include_defaults", false)?;
    request.finish()?;
    let name = request.segment("name").map(str::to_owned);
    let named = name.is_some();
    let found = blocking(move || print(&node.cluster.templates()?, name.as_deref(), flat)).await?;
    let status = if named && found.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::OK };
    let found: Vec<Value> =
        found.into_iter().map(|(name, template)| json!({ "name": name, one: template })).collect();
    Ok(Response::json(status, json!({ all: found })))
}

fn timeouts_of_read(request: &mut Request) -> Result<()> {
    request.params.duration("master_timeout")?;
    request.params.bool("local", false)?;
    Ok(())
}

async fn get_index(node: Arc<Node>, request: Request) -> Result<Response> {
    listed(node, request, "index_templates", "index_template", |templates, name, flat| {
        let found = templates.find_index(name)?.into_iter();
        Ok(found.map(|(name, template)| (name.to_owned(), template.to_json(flat))).collect())
    })
    .await
}

async fn get_component(node: Arc<Node>, request: Request) -> Result<Response> {
    listed(node, request, "component_templates", "component_template", |templates, name, flat| {
        let found = templates.find_components(name)?.into_iter();
        Ok(found.map(|(name, template)| (name.to_owned(), template.to_json(flat))).collect())
    })
    .await
}

/// Name, body and `create` of a write.
fn definition(request: &mut Request) -> Result<(String, Value, bool)> {
    let name = request.required_segment("name")?.to_owned();
    request.params.duration("master_timeout")?;
    let create = request.params.bool("create", false)?;
    request.params.accept(&["cause"]);
    let body = request.required_json()?;
    request.finish()?;
    Ok((name, body, create))
}

async fn put_index(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let (name, body, create) = definition(&mut request)?;
    blocking(move || node.cluster.put_index_template(&name, &body, create)).await?;
    Ok(Response::acknowledged())
}

async fn put_component(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let (name, body, create) = definition(&mut request)?;
    blocking(move || node.cluster.put_component_template(&name, &body, create)).await?;
    Ok(Response::acknowledged())
}

/// The expression of a delete.
fn expression(request: &mut Request) -> Result<String> {
    request.params.duration("master_timeout")?;
    request.finish()?;
    request.required_segment("name").map(str::to_owned)
}

async fn delete_index(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let expression = expression(&mut request)?;
    blocking(move || node.cluster.delete_index_templates(&expression)).await?;
    Ok(Response::acknowledged())
}

async fn delete_component(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let expression = expression(&mut request)?;
    blocking(move || node.cluster.delete_component_templates(&expression)).await?;
    Ok(Response::acknowledged())
}

/// Name and body of a simulation.
fn simulation(request: &mut Request) -> Result<(Option<String>, Option<Value>, bool)> {
    request.params.duration("master_timeout")?;
    request.params.bool("include_defaults", false)?;
    let create = request.params.bool("create", false)?;
    request.params.accept(&["cause"]);
    let body = request.json()?;
    request.finish()?;
    Ok((request.segment("name").map(str::to_owned), body, create))
}

async fn simulate(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let (name, body, create) = simulation(&mut request)?;
    blocking(move || node.cluster.templates()?.simulate(name.as_deref(), body.as_ref(), create))
        .await
        .map(Response::ok)
}

async fn simulate_index(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let (name, body, _) = simulation(&mut request)?;
    let index = name.unwrap_or_default();
    blocking(move || node.cluster.templates()?.simulate_index(&index, body.as_ref())).await.map(Response::ok)
}

/// There are no legacy templates: all of them is none, and any name is missing.
async fn get_legacy(_: Arc<Node>, mut request: Request) -> Result<Response> {
    timeouts_of_read(&mut request)?;
    request.params.bool("flat_settings", false)?;
    request.finish()?;
    let status = if request.segment("name").is_some() { StatusCode::NOT_FOUND } else { StatusCode::OK };
    Ok(Response::json(status, json!({})))
}

async fn put_legacy(_: Arc<Node>, _: Request) -> Result<Response> {
    Err(ApiError::illegal_argument(
        "legacy index templates [_template] are not supported by this node, use composable ones [_index_template]",
    ))
}

async fn delete_legacy(_: Arc<Node>, mut request: Request) -> Result<Response> {
    timeouts(&mut request.params)?;
    request.finish()?;
    let name = request.required_segment("name")?;
    Err(crate::templates::missing(name))
}
