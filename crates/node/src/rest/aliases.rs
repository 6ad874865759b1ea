//! Aliases.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::indices::{listed, timeouts};
use crate::cluster::{Alias, AliasAction, IndicesOptions, blocking};
use crate::error::{ApiError, Result};
use crate::http::{Request, Response, Route};
use crate::mapping::parse_boolean;
use crate::node::Node;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::post("/_aliases", change),
        Route::get("/_alias", get),
        Route::get("/_alias/{name}", get),
        Route::head("/_alias/{name}", exists),
        Route::get("/{index}/_alias", get),
        Route::get("/{index}/_alias/{name}", get),
        Route::head("/{index}/_alias/{name}", exists),
        Route::put("/{index}/_alias/{name}", put),
        Route::post("/{index}/_alias/{name}", put),
        Route::put("/{index}/_aliases/{name}", put),
        Route::post("/{index}/_aliases/{name}", put),
        Route::delete("/{index}/_alias/{name}", delete),
        Route::delete("/{index}/_aliases/{name}", delete),
    ]
}

fn done(results: Option<Vec<Value>>) -> Response {
    Response::ok(match results {
        None => json!({ "acknowledged": true, "errors": false }),
        Some(results) => json!({ "acknowledged": true, "errors": true, "action_results": results }),
    })
}

fn failed(reason: &str) -> ApiError {
    let cause = ApiError::new(StatusCode::BAD_REQUEST, "x_content_parse_exception", reason);
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "x_content_parse_exception",
        "[1:1] [aliases] failed to parse field [actions]",
    )
    .caused_by(&cause)
}

async fn change(node: Arc<Node>, mut request: Request) -> Result<Response> {
    timeouts(&mut request.params)?;
    let body = request.required_json()?;
    request.finish()?;
    let actions = match &body {
        Value::Object(members) => match members.get("actions") {
            Some(Value::Array(actions)) if members.len() == 1 => actions,
            _ => {
                let unknown = members.keys().find(|key| *key != "actions");
                return Err(match unknown {
                    Some(key) => ApiError::new(
                        StatusCode::BAD_REQUEST,
                        "x_content_parse_exception",
                        format!("[1:1] [aliases] unknown field [{key}]"),
                    ),
                    None => ApiError::illegal_argument("No action specified"),
                });
            }
        },
        _ => return Err(ApiError::illegal_argument("No action specified")),
    };
    if actions.is_empty() {
        return Err(ApiError::illegal_argument("No action specified"));
    }
    let actions: Vec<AliasAction> = actions.iter().map(action).collect::<Result<_>>()?;
    let results = blocking(move || node.cluster.change_aliases(&actions)).await?;
    Ok(done(results))
}

fn action(value: &Value) -> Result<AliasAction> {
    let Some((kind, Value::Object(members))) =
        value.as_object().filter(|action| action.len() == 1).and_then(|action| action.iter().next())
    else {
        return Err(failed("[1:1] [alias_action] an action with its members is expected"));
    };
    let (mut indices, mut aliases) = (Vec::new(), Vec::new());
    let (mut alias, mut must_exist) = (Alias::default(), None);
    for (key, value) in members {
        match key.as_str() {
            "index" | "indices" => indices.extend(texts(key, value)?),
            "alias" | "aliases" if kind != "remove_index" => aliases.extend(texts(key, value)?),
            "must_exist" if kind != "add" => must_exist = Some(parse_boolean(key, value)?),
            "filter" | "routing" | "index_routing" | "search_routing" | "is_write_index" | "is_hidden"
                if kind == "add" =>
            {
                let name = aliases.first().map_or("", String::as_str).to_owned();
                alias.set(&name, key, value)?;
            }
            _ => return Err(failed(&format!("[1:1] [{kind}] unknown field [{key}]"))),
        }
    }
    if indices.is_empty() {
        return Err(ApiError::illegal_argument("One of [index] or [indices] is required"));
    }
    if aliases.is_empty() && kind != "remove_index" {
        return Err(ApiError::illegal_argument("One of [alias] or [aliases] is required"));
    }
    match kind.as_str() {
        "add" => Ok(AliasAction::Add { indices, aliases, alias }),
        "remove" => Ok(AliasAction::Remove { indices, aliases, must_exist }),
        "remove_index" => Ok(AliasAction::RemoveIndex { indices }),
        other => Err(failed(&format!("[1:1] [alias_action] unknown field [{other}]"))),
    }
}

fn texts(key: &str, value: &Value) -> Result<Vec<String>> {
    let text = |value: &Value| {
        value
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| ApiError::illegal_argument(format!("[{key}] must be text")))
    };
    match value {
        Value::Array(items) => items.iter().map(text).collect(),
        other => Ok(vec![text(other)?]),
    }
}

async fn get(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let (found, missing) = find(&node, &mut request)?;
    if missing.is_empty() {
        return Ok(Response::ok(found.into()));
    }
    let what = if missing.len() == 1 { "alias" } else { "aliases" };
    let mut body = Map::new();
    body.insert("error".into(), format!("{what} [{}] missing", missing.join(",")).into());
    body.insert("status".into(), 404.into());
    body.extend(found);
    Ok(Response::json(StatusCode::NOT_FOUND, body.into()))
}

/// Aliases by index, and names that no index has.
fn find(node: &Node, request: &mut Request) -> Result<(Map<String, Value>, Vec<String>)> {
    let options =
        IndicesOptions { expand_hidden: true, ..IndicesOptions::default() }.of(&mut request.params)?;
    request.params.bool("local", false)?;
    timeouts(&mut request.params)?;
    request.finish()?;
    let names = request.segment("name").map(str::to_owned);
    let mut out = Map::new();
    for resolved in node.cluster.resolve(request.segment("index").unwrap_or("_all"), options)? {
        let meta = resolved.index.settings();
        let aliases: Map<String, Value> = meta
            .aliases
            .iter()
            .filter(|(name, _)| names.as_ref().is_none_or(|names| listed(names, name)))
            .map(|(name, alias)| (name.clone(), alias.to_json()))
            .collect();
        if names.is_none() || !aliases.is_empty() {
            out.insert(resolved.index.name().to_owned(), json!({ "aliases": aliases }));
        }
    }
    let missing = names
        .iter()
        .flat_map(|names| names.split(','))
        .filter(|name| !name.contains('*') && *name != "_all")
        .filter(|name| !out.values().any(|body| body["aliases"].get(*name).is_some()))
        .map(str::to_owned)
        .collect();
    Ok((out, missing))
}

async fn exists(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let (found, missing) = find(&node, &mut request)?;
    let status = if missing.is_empty() && !found.is_empty() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    Ok(Response::empty(status))
}

async fn put(node: Arc<Node>, mut request: Request) -> Result<Response> {
    timeouts(&mut request.params)?;
    let index = request.required_segment("index")?.to_owned();
    let name = request.required_segment("name")?.to_owned();
    let body = request.json()?.unwrap_or(Value::Null);
    request.finish()?;
    let alias = Alias::parse(&name, &body)?;
    let action = AliasAction::Add { indices: vec![index], aliases: vec![name], alias };
    let results = blocking(move || node.cluster.change_aliases(&[action])).await?;
    Ok(done(results))
}

async fn delete(node: Arc<Node>, mut request: Request) -> Result<Response> {
    timeouts(&mut request.params)?;
    let index = request.required_segment("index")?.to_owned();
    let names = request.required_segment("name")?.to_owned();
    request.finish()?;
    let aliases = names.split(',').map(|name| if name == "_all" { "*" } else { name }.to_owned()).collect();
    let action = AliasAction::Remove { indices: vec![index], aliases, must_exist: None };
    let results = blocking(move || node.cluster.change_aliases(&[action])).await?;
    Ok(done(results))
}
