//! `_search/scroll` and `_pit`.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::search::{blocking, targets};
use crate::cluster::IndicesOptions;
use crate::error::{ApiError, Result, token};
use crate::http::{Request, Response, Route, duration};
use crate::node::Node;
use crate::search::request::validation;
use crate::search::{Format, response};
use crate::security::{check_action, check_context};

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::get("/_search/scroll", scroll),
        Route::post("/_search/scroll", scroll),
        Route::get("/_search/scroll/{scroll_id}", scroll),
        Route::post("/_search/scroll/{scroll_id}", scroll),
        Route::delete("/_search/scroll", clear_scroll),
        Route::delete("/_search/scroll/{scroll_id}", clear_scroll),
        Route::post("/{index}/_pit", open_pit),
        Route::delete("/_pit", close_pit),
    ]
}

/// What a body of the scroll API says.
#[derive(Debug, Default)]
struct ScrollBody {
    ids: Vec<String>,
    keep_alive: Option<String>,
}

impl ScrollBody {
    /// `many`: several ids may be given, and no time to live.
    fn parse(body: Option<&Value>, many: bool) -> Result<Self> {
        let mut parsed = Self::default();
        let Some(body) = body else { return Ok(parsed) };
        let Value::Object(members) = body else {
            return Err(ApiError::illegal_argument("Malformed content, must start with an object"));
        };
        for (key, value) in members {
            match (key.as_str(), value) {
                ("scroll_id", Value::String(id)) => parsed.ids.push(id.clone()),
                ("scroll_id", Value::Array(ids)) if many && ids.iter().all(Value::is_string) => {
                    parsed.ids.extend(ids.iter().filter_map(Value::as_str).map(str::to_owned));
                }
                ("scroll", Value::String(text)) if !many => parsed.keep_alive = Some(text.clone()),
                (other, value) => {
                    return Err(ApiError::illegal_argument(format!(
                        "Unknown parameter [{other}] in request body or parameter is of the wrong type[{}] ",
                        token(value)
                    )));
                }
            }
        }
        Ok(parsed)
    }
}

async fn scroll(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let body = ScrollBody::parse(request.json()?.as_ref(), false)?;
    let path = request.segment("scroll_id").map(str::to_owned);
    let params = &mut request.params;
    let id = body.ids.into_iter().next().or(path).or_else(|| params.string("scroll_id"));
    params.accept(&["scroll_id"]);
    let keep_alive: Option<Duration> = match body.keep_alive {
        Some(text) => Some(duration("scroll", &text)?),
        None => params.duration("scroll")?,
    };
    params.accept(&["scroll"]);
    let format = Format { total_as_int: params.bool("rest_total_hits_as_int", false)?, with_status: false };
    request.finish()?;
    let Some(id) = id else {
        validation(&["scrollId is missing"])?;
        return Err(ApiError::internal("a scroll without id"));
    };
    check_context(&request.identity, "indices:data/read/scroll", &id)?;
    let contexts = node.contexts.clone();
    let answer = blocking(move || contexts.next_page(&id, keep_alive)).await?;
    Ok(Response::raw_json(StatusCode::OK, answer.to_json(format)?))
}

async fn clear_scroll(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let mut ids = ScrollBody::parse(request.json()?.as_ref(), true)?.ids;
    if ids.is_empty() {
        let named =
            request.segment("scroll_id").map(str::to_owned).or_else(|| request.params.string("scroll_id"));
        ids = named.iter().flat_map(|ids| ids.split(',')).map(str::to_owned).collect();
    }
    request.params.accept(&["scroll_id"]);
    request.finish()?;
    validation(if ids.is_empty() { &["no scroll ids specified"] } else { &[] })?;
    if ids == ["_all"] {
        check_action(&request.identity, "cluster:admin/indices/scroll/clear_all")?;
    } else {
        ids.iter()
            .try_for_each(|id| check_context(&request.identity, "indices:data/read/scroll/clear", id))?;
    }
    let freed = if ids == ["_all"] {
        node.contexts.close_all()
    } else {
        node.contexts.close_scrolls(ids.iter().map(String::as_str))?
    };
    let all = request.segment("scroll_id") == Some("_all");
    let status = if freed > 0 || all { StatusCode::OK } else { StatusCode::NOT_FOUND };
    Ok(Response::json(status, json!({ "succeeded": true, "num_freed": freed })))
}

async fn open_pit(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let expression = request.required_segment("index")?.to_owned();
    let params = &mut request.params;
    let options = IndicesOptions::default().of(params)?;
    params.accept(&["preference", "routing"]);
    params.opt_bool("allow_partial_search_results")?;
    let keep_alive = params.duration("keep_alive")?;
    if let Some(number) = params.int("max_concurrent_shard_requests")?
        && number < 1
    {
        return Err(ApiError::illegal_argument("max_concurrent_shard_requests must be >= 1"));
    }
    if let Some(body) = request.json()?
        && body.as_object().is_none_or(|members| !members.is_empty())
    {
        return Err(ApiError::illegal_argument(
            "[index_filter] of a point in time is not supported by this node",
        ));
    }
    request.finish()?;
    let Some(keep_alive) = keep_alive else {
        validation(&["[keep_alive] is not specified"])?;
        return Err(ApiError::internal("a point in time without time to live"));
    };
    let targets = targets(&node, &expression, options).await?;
    let shards = response::shards(targets.len(), &[]);
    let id = node.contexts.open_pit(targets, keep_alive)?;
    request.identity.opened(&id);
    Ok(Response::ok(json!({ "id": id, "_shards": shards })))
}

async fn close_pit(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let body = request.required_json()?;
    request.finish()?;
    let empty = Map::new();
    let mut id = None;
    for (key, value) in body.as_object().unwrap_or(&empty) {
        match (key.as_str(), value) {
            ("id", Value::String(text)) => id = Some(text),
            ("id", _) => return Err(ApiError::illegal_argument("the request must contain only [id field")),
            (other, _) => {
                return Err(ApiError::illegal_argument(format!(
                    "Unknown parameter [{other}] in request body or parameter is of the wrong type[FIELD_NAME] "
                )));
            }
        }
    }
    let id = id.ok_or_else(|| ApiError::illegal_argument("search context id is is not provided"))?;
    check_context(&request.identity, "indices:data/read/close_point_in_time", id)?;
    let closed = node.contexts.close_pit(id)?;
    let status = if closed { StatusCode::OK } else { StatusCode::NOT_FOUND };
    Ok(Response::json(status, json!({ "succeeded": closed, "num_freed": usize::from(closed) })))
}
