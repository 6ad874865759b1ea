//! `_security/_authenticate`.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::json;

use crate::error::Result;
use crate::http::{Identity, Request, Response, Route};
use crate::node::Node;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![Route::get("/_security/_authenticate", authenticate)]
}

/// Without credentials there is no security, and as in Elasticsearch then no such endpoint.
async fn authenticate(_node: Arc<Node>, request: Request) -> Result<Response> {
    request.finish()?;
    let owner = super::owner(&request.identity);
    let (realm, key) = match &request.identity {
        Identity::Anonymous => {
            let text = format!("no handler found for uri [{}] and method [GET]", request.path);
            return Ok(Response::json(StatusCode::BAD_REQUEST, json!({ "error": text })));
        }
        Identity::User(_) => ("file", None),
        Identity::ApiKey(id) => ("_es_api_key", Some((id.clone(), id.clone()))),
        Identity::Key(key) => ("_es_api_key", Some((key.id.clone(), key.name()))),
    };
    let roles = if matches!(request.identity, Identity::Key(_)) { json!([]) } else { json!(["superuser"]) };
    let realm = json!({ "name": realm, "type": realm });
    let mut answer = json!({
        "username": owner.username,
        "roles": roles,
        "full_name": null,
        "email": null,
        "metadata": {},
        "enabled": true,
        "authentication_realm": realm,
        "lookup_realm": realm,
        "authentication_type": if key.is_some() { "api_key" } else { "realm" },
    });
    if let Some((id, name)) = key {
        answer["api_key"] = json!({ "id": id, "name": name });
    }
    Ok(Response::ok(answer))
}
