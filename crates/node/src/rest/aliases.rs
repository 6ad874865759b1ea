//! Aliases.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::indices::timeouts;
use crate::cluster::{Alias, AliasAction, IndicesOptions, blocking};
use crate::error::{ApiError, Result};
use crate::http::{Reader, Request, Response, Route};
use crate::mapping::simple_match;
use crate::node::Node;
use crate::security::check_names;

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

/// What the body of `PUT /{index}/_alias/{name}` may say.
const ALIAS_KEYS: [&str; 6] =
    ["filter", "routing", "index_routing", "search_routing", "is_write_index", "is_hidden"];

/// The action of a change.
const CHANGE: &str = "indices:admin/aliases";

fn done(results: Option<Vec<Value>>) -> Response {
    Response::ok(match results {
        None => json!({ "acknowledged": true, "errors": false }),
        Some(results) => json!({ "acknowledged": true, "errors": true, "action_results": results }),
    })
}

const BODY: Reader = Reader("aliases");
const ACTION: Reader = Reader("alias_action");

async fn change(node: Arc<Node>, mut request: Request) -> Result<Response> {
    timeouts(&mut request.params)?;
    let body = request.required_json()?;
    request.finish()?;
    let mut actions = Vec::new();
    for (key, value) in BODY.object(&body)? {
        match (key.as_str(), value) {
            ("actions", Value::Array(items)) => {
                for item in items {
                    actions.push(action(item).map_err(|error| BODY.failed(key, &error))?);
                }
            }
            ("actions", other) => return Err(BODY.unsupported(key, other)),
            _ => return Err(BODY.unknown(key)),
        }
    }
    if actions.is_empty() {
        return Err(ApiError::illegal_argument("No action specified"));
    }
    for action in &actions {
        let (change, indices, aliases) = match action {
            AliasAction::Add { indices, aliases, .. } | AliasAction::Remove { indices, aliases, .. } => {
                (CHANGE, indices, aliases.as_slice())
            }
            AliasAction::RemoveIndex { indices } => ("indices:admin/delete", indices, [].as_slice()),
        };
        check_names(&node.cluster, &request.identity, change, indices)?;
        check_names(&node.cluster, &request.identity, change, aliases)?;
    }
    let results = blocking(move || node.cluster.change_aliases(&actions)).await?;
    Ok(done(results))
}

fn action(value: &Value) -> Result<AliasAction> {
    let members = ACTION.object(value)?;
    let mut entries = members.iter();
    let (Some((kind, body)), None) = (entries.next(), entries.next()) else {
        return Err(ApiError::illegal_argument("an action entry has exactly one operation"));
    };
    let reader = match kind.as_str() {
        "add" => Reader("add"),
        "remove" => Reader("remove"),
        "remove_index" => Reader("remove_index"),
        other => return Err(ACTION.unknown(other)),
    };
    if !body.is_object() {
        return Err(ACTION.unsupported(kind, body));
    }
    let read = Operation::read(reader, body).map_err(|error| ACTION.failed(kind, &error))?;
    read.into_action()
}

/// The members of one action.
struct Operation {
    kind: Reader,
    indices: Vec<String>,
    aliases: Vec<String>,
    alias: Alias,
    must_exist: Option<bool>,
}

impl Operation {
    fn read(kind: Reader, body: &Value) -> Result<Self> {
        let mut read = Self {
            kind,
            indices: Vec::new(),
            aliases: Vec::new(),
            alias: Alias::default(),
            must_exist: None,
        };
        for (key, value) in kind.object(body)? {
            match key.as_str() {
                "index" | "indices" => names(kind, ("index", "indices"), key, value, &mut read.indices)?,
                "alias" | "aliases" if kind.0 == "remove_index" => {
                    let reason = format!("[{key}] is unsupported for [REMOVE_INDEX]");
                    return Err(kind.failed(key, &ApiError::illegal_argument(reason)));
                }
                "alias" | "aliases" => names(kind, ("alias", "aliases"), key, value, &mut read.aliases)?,
                "must_exist" if kind.0 == "remove" => read.must_exist = Some(kind.boolean(key, value)?),
                "filter" if kind.0 == "add" && !value.is_object() => {
                    return Err(kind.unsupported(key, value));
                }
                "filter" | "routing" | "index_routing" | "search_routing" | "is_write_index"
                | "is_hidden"
                    if kind.0 == "add" =>
                {
                    read.alias.set("", key, value).map_err(|error| kind.failed(key, &error))?;
                }
                _ => return Err(kind.unknown(key)),
            }
        }
        Ok(read)
    }

    fn into_action(self) -> Result<AliasAction> {
        let Self { kind, indices, aliases, alias, must_exist } = self;
        if indices.is_empty() {
            return Err(ApiError::illegal_argument("One of [index] or [indices] is required"));
        }
        if aliases.is_empty() && kind.0 != "remove_index" {
            return Err(ApiError::illegal_argument("One of [alias] or [aliases] is required"));
        }
        Ok(match kind.0 {
            "add" => AliasAction::Add { indices, aliases, alias },
            "remove" => AliasAction::Remove { indices, aliases, must_exist },
            _ => AliasAction::RemoveIndex { indices },
        })
    }
}

/// Reads `index` (one name) or `indices` (names), of which an action has one.
fn names(
    kind: Reader,
    (one, many): (&str, &str),
    key: &str,
    value: &Value,
    into: &mut Vec<String>,
) -> Result<()> {
    if !into.is_empty() {
        let reason = format!("Only one of [{one}] and [{many}] is supported");
        return Err(kind.failed(key, &ApiError::illegal_argument(reason)));
    }
    if !value.is_string() && (key == one || !value.is_array()) {
        return Err(kind.unsupported(key, value));
    }
    *into = kind.texts(key, value)?;
    if into.iter().any(String::is_empty) {
        let reason = format!("[{key}] can't be empty string");
        return Err(kind.failed(key, &ApiError::illegal_argument(reason)));
    }
    Ok(())
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
            .filter(|(name, _)| names.as_ref().is_none_or(|names| selected(names, name)))
            .map(|(name, alias)| (name.clone(), alias.to_json()))
            .collect();
        if names.is_none() || !aliases.is_empty() {
            out.insert(resolved.index.name().to_owned(), json!({ "aliases": aliases }));
        }
    }
    let missing = names
        .iter()
        .flat_map(|names| asked(names))
        .filter(|(name, excluded)| !excluded && !name.contains('*') && *name != "_all")
        .map(|(name, _)| name)
        .filter(|name| !out.values().any(|body| body["aliases"].get(*name).is_some()))
        .map(str::to_owned)
        .collect();
    Ok((out, missing))
}

/// Names and patterns between commas. After the first pattern, a `-` in front takes names out again.
fn asked(names: &str) -> impl Iterator<Item = (&str, bool)> {
    names.split(',').scan(false, |wildcard, name| {
        let part = match name.strip_prefix('-') {
            Some(rest) if *wildcard => (rest, true),
            _ => (name, false),
        };
        *wildcard |= name.contains('*');
        Some(part)
    })
}

/// Whether a list of names and patterns stands for `name`.
fn selected(names: &str, name: &str) -> bool {
    asked(names).fold(false, |selected, (pattern, excluded)| {
        if pattern == "_all" || simple_match(pattern, name) { !excluded } else { selected }
    })
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
    let body = request.json()?;
    request.finish()?;
    check_names(&node.cluster, &request.identity, CHANGE, std::slice::from_ref(&name))?;
    let mut alias = Alias::default();
    for (key, value) in body.iter().filter_map(Value::as_object).flatten() {
        if !ALIAS_KEYS.contains(&key.as_str()) {
            return Err(ApiError::illegal_argument(format!("Unsupported field [{key}]")));
        }
        alias.set(&name, key, value)?;
    }
    let action = AliasAction::Add { indices: vec![index], aliases: vec![name], alias };
    let results = blocking(move || node.cluster.change_aliases(&[action])).await?;
    Ok(done(results))
}

async fn delete(node: Arc<Node>, mut request: Request) -> Result<Response> {
    timeouts(&mut request.params)?;
    let index = request.required_segment("index")?.to_owned();
    let names = request.required_segment("name")?.to_owned();
    request.finish()?;
    check_names(&node.cluster, &request.identity, CHANGE, std::slice::from_ref(&names))?;
    let aliases = names.split(',').map(|name| if name == "_all" { "*" } else { name }.to_owned()).collect();
    let action = AliasAction::Remove { indices: vec![index], aliases, must_exist: None };
    let results = blocking(move || node.cluster.change_aliases(&[action])).await?;
    Ok(done(results))
}
