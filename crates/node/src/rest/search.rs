//! `_search`, `_count`, `_msearch` and `_validate/query`.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::cluster::IndicesOptions;
use crate::error::{ApiError, Result, token};
use crate::http::{Identity, Params, Request, Response, Route};
use crate::node::Node;
use crate::search::execute::Target;
use crate::search::request::{
    ParsedQuery, StoredFields, TrackTotal, from, locate, size, terminate_after, validation,
};
use crate::search::source::SourceFilter;
use crate::search::{Format, SearchRequest, SearchResponse, execute, fields::FieldPattern, response, sort};
use crate::security::{check_context, narrow};

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::get("/_search", search),
        Route::post("/_search", search),
        Route::get("/{index}/_search", search),
        Route::post("/{index}/_search", search),
        Route::get("/_count", count),
        Route::post("/_count", count),
        Route::get("/{index}/_count", count),
        Route::post("/{index}/_count", count),
        Route::get("/_msearch", multi_search),
        Route::post("/_msearch", multi_search),
        Route::get("/{index}/_msearch", multi_search),
        Route::post("/{index}/_msearch", multi_search),
        Route::get("/_validate/query", validate),
        Route::post("/_validate/query", validate),
        Route::get("/{index}/_validate/query", validate),
        Route::post("/{index}/_validate/query", validate),
    ]
}

/// The indices of an expression as a search sees them now.
pub(super) async fn targets(node: &Node, expression: &str, options: IndicesOptions) -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    for resolved in node.cluster.resolve(expression, options)? {
        let mut target = Target::new(resolved.index.view().await?, resolved.filter);
        target.window = resolved.index.settings().max_result_window();
        target.index = Some(resolved.index);
        targets.push(target);
    }
    Ok(targets)
}

/// Runs `work` on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)?
}

/// What the URL of a search says beside the search itself.
#[derive(Debug, Default)]
struct UrlOptions {
    scroll: Option<Duration>,
    format: Format,
}

async fn search(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let expression = request.segment("index").map(str::to_owned);
    let body = request.json()?;
    let options = IndicesOptions::default().of(&mut request.params)?;
    let mut search = match &body {
        Some(body) => SearchRequest::parse(body).map_err(|error| locate(error, request.body()))?,
        None => SearchRequest::default(),
    };
    let url = apply(&mut request.params, &mut search)?;
    request.finish()?;
    search.validate(url.scroll.is_some())?;
    let identity = &request.identity;
    let answer = run(&node, identity, expression.as_deref(), options, search, url.scroll).await?;
    Ok(Response::raw_json(StatusCode::OK, answer.to_json(url.format)?))
}

/// The action a search is.
const SEARCH: &str = "indices:data/read/search";

/// Answers one search, whichever way its indices are named.
async fn run(
    node: &Arc<Node>,
    identity: &Identity,
    expression: Option<&str>,
    options: IndicesOptions,
    search: SearchRequest,
    scroll: Option<Duration>,
) -> Result<SearchResponse> {
    if let Some(pit) = &search.pit {
        if expression.is_some() {
            validation(&[
                "[indices] cannot be used with point in time. Do not specify any index with point in time.",
            ])?;
        }
        check_context(identity, SEARCH, &pit.id)?;
        let keep_alive =
            pit.keep_alive.as_deref().map(|text| crate::http::duration("keep_alive", text)).transpose()?;
        let targets = node.contexts.pit(&pit.id, keep_alive)?;
        let id = pit.id.clone();
        let mut answer = blocking(move || execute(&targets, &search)).await?;
        answer.pit_id = Some(id);
        return Ok(answer);
    }
    let expression = narrow(&node.cluster, identity, SEARCH, expression, options)?;
    let targets = targets(node, expression.as_deref().unwrap_or_default(), options).await?;
    match scroll {
        Some(keep_alive) => {
            let contexts = node.contexts.clone();
            let answer = blocking(move || contexts.open_scroll(targets, search, keep_alive)).await?;
            if let Some(id) = &answer.scroll_id {
                identity.opened(id);
            }
            Ok(answer)
        }
        None => blocking(move || execute(&targets, &search)).await,
    }
}

/// Takes the parameters of a search URL; they win over the body.
fn apply(params: &mut Params, search: &mut SearchRequest) -> Result<UrlOptions> {
    // Where a search runs and how it is divided has no meaning on one node; no answer depends on it.
    params.accept(&["preference", "routing", "request_cache", "timeout"]);
    for number in ["batched_reduce_size", "max_concurrent_shard_requests", "pre_filter_shard_size"] {
        if params.int(number)?.is_some_and(|value| value < 1) {
            return Err(ApiError::illegal_argument(format!("{number} must be >= 1")));
        }
    }
    for flag in ["ccs_minimize_roundtrips", "allow_partial_search_results"] {
        params.opt_bool(flag)?;
    }
    if let Some(query) = uri_query(params)? {
        search.query = Some(query);
    }
    if let Some(value) = params.int("from")? {
        search.from = from(value)?;
    }
    if let Some(value) = params.int("size")? {
        search.size = size(value)?;
    }
    if let Some(text) = params.get("sort") {
        search.sort = sort::parse_url(text)?;
    }
    let (source, includes, excludes) =
        (params.string("_source"), params.string("_source_includes"), params.string("_source_excludes"));
    if let Some(filter) = SourceFilter::parse_url(source.as_deref(), includes.as_deref(), excludes.as_deref())
    {
        search.source = Some(filter);
    }
    if let Some(names) = params.list("stored_fields") {
        search.stored_fields = if names == ["_none_"] { StoredFields::Nothing } else { StoredFields::Listed };
        if names.iter().any(|name| name == "_source") && search.source.is_none() {
            search.source = Some(SourceFilter::All);
        }
    }
    if let Some(names) = params.list("docvalue_fields") {
        search.docvalue_fields =
            names.into_iter().map(|field| FieldPattern { field, format: None }).collect();
    }
    search.track_scores = params.bool("track_scores", search.track_scores)?;
    search.version = params.bool("version", search.version)?;
    search.seq_no_primary_term = params.bool("seq_no_primary_term", search.seq_no_primary_term)?;
    if let Some(value) = params.int("terminate_after")? {
        search.terminate_after = terminate_after(value)?;
    }
    match params.get("track_total_hits") {
        None => {}
        Some("true" | "") => search.track_total_hits = Some(TrackTotal::Exact),
        Some("false") => search.track_total_hits = Some(TrackTotal::Off),
        Some(_) => {
            let limit = params.int("track_total_hits")?.unwrap_or(-1);
            search.track_total_hits = Some(crate::search::request::track_total_hits(&limit.into())?);
        }
    }
    for flag in ["explain", "profile"] {
        if params.bool(flag, false)? {
            return Err(ApiError::illegal_argument(format!(
                "[{flag}] of a search is not supported by this node"
            )));
        }
    }
    match params.get("search_type") {
        None | Some("query_then_fetch") => {}
        Some("dfs_query_then_fetch") => {
            return Err(ApiError::illegal_argument("[dfs_query_then_fetch] is not supported by this node"));
        }
        Some(other) => return Err(ApiError::illegal_argument(format!("No search type for [{other}]"))),
    }
    let format = format(params, search)?;
    Ok(UrlOptions { scroll: params.duration("scroll")?, format })
}

/// Takes `typed_keys` and `rest_total_hits_as_int`.
fn format(params: &mut Params, search: &mut SearchRequest) -> Result<Format> {
    search.typed_keys = params.bool("typed_keys", false)?;
    let total_as_int = params.bool("rest_total_hits_as_int", false)?;
    if total_as_int {
        total_as_number(search)?;
    }
    Ok(Format { total_as_int, with_status: false })
}

fn total_as_number(search: &mut SearchRequest) -> Result<()> {
    match search.track_total_hits {
        None => search.track_total_hits = Some(TrackTotal::Exact),
        Some(TrackTotal::UpTo(limit)) => {
            return Err(ApiError::illegal_argument(format!(
                "[rest_total_hits_as_int] cannot be used if the tracking of total hits is not accurate, got {limit}"
            )));
        }
        Some(TrackTotal::Exact | TrackTotal::Off) => {}
    }
    Ok(())
}

/// The query of `q`, `df`, `default_operator`, `analyzer`, `analyze_wildcard` and `lenient`.
pub(super) fn uri_query(params: &mut Params) -> Result<Option<ParsedQuery>> {
    let mut options = Map::new();
    for (name, option) in [
        ("q", "query"),
        ("df", "default_field"),
        ("default_operator", "default_operator"),
        ("analyzer", "analyzer"),
    ] {
        if let Some(text) = params.get(name) {
            options.insert(option.to_owned(), text.into());
        }
    }
    for name in ["analyze_wildcard", "lenient"] {
        if let Some(flag) = params.opt_bool(name)? {
            options.insert(name.to_owned(), flag.into());
        }
    }
    if options.contains_key("query") {
        ParsedQuery::parse(&json!({ "query_string": options })).map(Some)
    } else {
        Ok(None)
    }
}

/// Reads a body that may only hold a query.
pub(super) fn only_query(body: Option<&Value>) -> Result<Option<ParsedQuery>> {
    let Some(body) = body else { return Ok(None) };
    let Value::Object(members) = body else {
        return Err(ApiError::parsing(format!("Expected [START_OBJECT] but found [{}]", token(body))));
    };
    let mut query = None;
    for (key, value) in members {
        if key != "query" {
            return Err(ApiError::parsing(format!("request does not support [{key}]")));
        }
        query = Some(ParsedQuery::parse(value)?);
    }
    Ok(query)
}

async fn count(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let expression = request.segment("index").unwrap_or_default().to_owned();
    let body = request.json()?;
    let params = &mut request.params;
    let options = IndicesOptions::default().of(params)?;
    params.accept(&["preference", "routing"]);
    let query = match uri_query(params)? {
        Some(query) => Some(query),
        None => only_query(body.as_ref())?,
    };
    let mut search = SearchRequest { query, ..SearchRequest::default() };
    #[allow(clippy::cast_possible_truncation)]
    let least = |score: f64| score as f32;
    search.min_score = params.float("min_score")?.map(least);
    if let Some(value) = params.int("terminate_after")? {
        search.terminate_after = terminate_after(value)?;
    }
    request.finish()?;
    let targets = targets(&node, &expression, options).await?;
    let searched = targets.len();
    let limited = search.terminate_after > 0;
    let counted = blocking(move || execute::count(&targets, &search)).await?;
    let mut answer = Map::new();
    if limited {
        answer.insert("terminated_early".into(), counted.terminated.into());
    }
    answer.insert("count".into(), counted.total.into());
    answer.insert("_shards".into(), response::shards(searched, &counted.failures));
    Ok(Response::ok(Value::Object(answer)))
}

async fn validate(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let expression = request.segment("index").unwrap_or_default().to_owned();
    let body = request.json()?;
    let params = &mut request.params;
    let options = IndicesOptions::default().of(params)?;
    for flag in ["explain", "rewrite", "all_shards"] {
        if params.bool(flag, false)? {
            return Err(ApiError::illegal_argument(format!(
                "[{flag}] of [_validate/query] is not supported by this node"
            )));
        }
    }
    let query = uri_query(params);
    request.finish()?;
    if matches!(query, Ok(None)) && body.as_ref().is_some_and(|body| body.get("query").is_none()) {
        validation(&["query cannot be null"])?;
    }
    let targets = targets(&node, &expression, options).await?;
    let query = query.and_then(|query| match query {
        Some(query) => Ok(Some(query)),
        None => only_query(body.as_ref()),
    });
    let valid = query.and_then(|query| {
        let now = execute::now_ms();
        targets.iter().try_for_each(|target| target.compile(query.as_ref(), now).map(|_| ()))
    });
    Ok(Response::ok(match valid {
        Ok(()) => {
            let shards = json!({ "total": targets.len(), "successful": targets.len(), "failed": 0 });
            json!({ "_shards": shards, "valid": true })
        }
        Err(error) if error.status.is_server_error() => return Err(error),
        Err(_) => json!({ "valid": false }),
    }))
}

/// One search of an `_msearch`.
struct Item {
    expression: Option<String>,
    options: IndicesOptions,
    search: SearchRequest,
}

async fn multi_search(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let started = std::time::Instant::now();
    let expression = request.segment("index").map(str::to_owned);
    let params = &mut request.params;
    let options = IndicesOptions::default().of(params)?;
    let typed_keys = params.bool("typed_keys", false)?;
    let total_as_int = params.bool("rest_total_hits_as_int", false)?;
    for number in ["max_concurrent_searches", "max_concurrent_shard_requests", "pre_filter_shard_size"] {
        if params.int(number)?.is_some_and(|value| value < 1) {
            return Err(ApiError::illegal_argument(format!("{number} must be >= 1")));
        }
    }
    params.opt_bool("ccs_minimize_roundtrips")?;
    check_search_type(params.get("search_type"))?;
    params.accept(&["routing"]);
    let mut items = read_items(request.body(), expression.as_deref(), options)?;
    request.finish()?;
    validation(if items.is_empty() { &["no requests added"] } else { &[] })?;
    for item in &mut items {
        item.search.typed_keys = typed_keys;
        if total_as_int {
            total_as_number(&mut item.search)?;
        }
    }
    let format = Format { total_as_int, with_status: true };
    let mut responses = Vec::new();
    for item in items {
        if !responses.is_empty() {
            responses.push(b',');
        }
        let answer = match item.search.validate(false) {
            Ok(()) => {
                run(&node, &request.identity, item.expression.as_deref(), item.options, item.search, None)
                    .await
            }
            Err(error) => Err(error),
        };
        match answer.and_then(|answer| answer.to_json(format)) {
            Ok(json) => responses.extend(json),
            Err(error) => responses.extend(error.body().to_string().into_bytes()),
        }
    }
    let mut body = format!("{{\"took\":{},\"responses\":[", started.elapsed().as_millis()).into_bytes();
    body.extend(responses);
    body.extend_from_slice(b"]}");
    Ok(Response::raw_json(StatusCode::OK, body))
}

fn check_search_type(name: Option<&str>) -> Result<()> {
    match name {
        None | Some("query_then_fetch") => Ok(()),
        Some("dfs_query_then_fetch") => {
            Err(ApiError::illegal_argument("[dfs_query_then_fetch] is not supported by this node"))
        }
        Some(other) => Err(ApiError::illegal_argument(format!("No search type for [{other}]"))),
    }
}

fn read_items(body: &[u8], expression: Option<&str>, options: IndicesOptions) -> Result<Vec<Item>> {
    let Some(body) = body.strip_suffix(b"\n") else {
        return Err(if body.is_empty() {
            ApiError::new(
                StatusCode::BAD_REQUEST,
                "parse_exception",
                "request body or source parameter is required",
            )
        } else {
            ApiError::illegal_argument("The msearch request must be terminated by a newline [\n]")
        });
    };
    let mut items = Vec::new();
    let mut lines = body.split(|byte| *byte == b'\n');
    while let Some(header) = lines.next() {
        let Some(text) = lines.next() else {
            return Err(ApiError::illegal_argument(
                "The msearch request must be terminated by a newline [\n]",
            ));
        };
        let mut item =
            Item { expression: expression.map(str::to_owned), options, search: SearchRequest::default() };
        if !header.trim_ascii().is_empty() {
            read_header(&crate::http::json::parse(header)?, &mut item)?;
        }
        let search = crate::http::json::parse(text)?;
        item.search = SearchRequest::parse(&search).map_err(|error| locate(error, text))?;
        items.push(item);
    }
    Ok(items)
}

fn read_header(header: &Value, item: &mut Item) -> Result<()> {
    let Value::Object(members) = header else {
        return Err(ApiError::parsing(format!("Expected [START_OBJECT] but found [{}]", token(header))));
    };
    let flag = crate::search::request::boolean;
    for (key, value) in members {
        match (key.as_str(), value) {
            ("index" | "indices", Value::String(name)) => item.expression = Some(name.clone()),
            ("index" | "indices", Value::Array(names)) => {
                let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
                item.expression = Some(names.join(","));
            }
            ("ignore_unavailable" | "ignoreUnavailable", value) => {
                item.options.ignore_unavailable = flag(value)?;
            }
            ("allow_no_indices" | "allowNoIndices", value) => item.options.allow_no_indices = flag(value)?,
            ("expand_wildcards" | "expandWildcards", value) => {
                let names: Vec<&str> = match value {
                    Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
                    other => other.as_str().into_iter().flat_map(|names| names.split(',')).collect(),
                };
                expand_wildcards(&names, &mut item.options)?;
            }
            ("search_type" | "searchType", value) => check_search_type(value.as_str())?,
            ("preference" | "routing", Value::String(_)) => {}
            (
                "request_cache"
                | "requestCache"
                | "ccs_minimize_roundtrips"
                | "ccsMinimizeRoundtrips"
                | "allow_partial_search_results"
                | "allowPartialSearchResults",
                value,
            ) => {
                flag(value)?;
            }
            (other, _) => {
                return Err(ApiError::illegal_argument(format!(
                    "key [{other}] is not supported in the metadata section"
                )));
            }
        }
    }
    Ok(())
}

fn expand_wildcards(states: &[&str], options: &mut IndicesOptions) -> Result<()> {
    (options.expand_open, options.expand_hidden) = (false, false);
    for state in states {
        match *state {
            "open" => options.expand_open = true,
            "hidden" => options.expand_hidden = true,
            "all" => (options.expand_open, options.expand_hidden) = (true, true),
            "none" => (options.expand_open, options.expand_hidden) = (false, false),
            "closed" => {}
            other => {
                return Err(ApiError::illegal_argument(format!("No valid expand wildcard value [{other}]")));
            }
        }
    }
    Ok(())
}
