//! Secrets of connectors: a value stored under an id, which a connector's document names instead of the value.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::body::Body;
use super::documents::SECRETS;
use super::{not_found, result};
use crate::cluster::validation;
use crate::error::{ApiError, Result};
use crate::http::{Request, Response, Route};
use crate::node::Node;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::post("/_connector/_secret", post),
        Route::put("/_connector/_secret/{id}", put),
        Route::get("/_connector/_secret/{id}", get),
        Route::delete("/_connector/_secret/{id}", delete),
    ]
}

fn no_secret(id: &str) -> ApiError {
    not_found(format!("No secret with id [{id}]"))
}

/// The value a body brings.
fn value(request: &mut Request) -> Result<String> {
    let mut body = Body::required(request, "connector_secret_request", &["value"])?;
    let value = body.text("value")?.ok_or_else(|| ApiError::illegal_argument("Required [value]"))?;
    if value.is_empty() {
        return Err(validation("[value] of the connector secret cannot be [null] or [\"\"]"));
    }
    Ok(value)
}

async fn post(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let value = value(&mut request)?;
    request.finish()?;
    let (id, _) = SECRETS.put(&node, None, &json!({ "value": value })).await?;
    Ok(Response::ok(json!({ "id": id })))
}

async fn put(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let id = request.required_segment("id")?.to_owned();
    let value = value(&mut request)?;
    request.finish()?;
    let (_, outcome) = SECRETS.put(&node, Some(id), &json!({ "value": value })).await?;
    Ok(result(outcome))
}

async fn get(node: Arc<Node>, request: Request) -> Result<Response> {
    let id = request.required_segment("id")?.to_owned();
    request.finish()?;
    let found = SECRETS.get(&node, &id).await?.ok_or_else(|| no_secret(&id))?;
    match found.get("value") {
        Some(Value::String(value)) => Ok(Response::ok(json!({ "id": id, "value": value }))),
        _ => Err(ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "exception",
            format!("the secret [{id}] is stored without a value; store it again"),
        )),
    }
}

async fn delete(node: Arc<Node>, request: Request) -> Result<Response> {
    let id = request.required_segment("id")?.to_owned();
    request.finish()?;
    if SECRETS.delete(&node, &id).await? {
        Ok(Response::ok(json!({ "deleted": true })))
    } else {
        Err(no_secret(&id))
    }
}
