//! Single documents: `_doc`, `_create`, `_source`, `_update`, `_mget`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::write::{ack_params, condition, refresh, validations};
use crate::cluster::{Action, BulkOp, ItemResult, Outcome, UpdateBody, WriteResult, blocking, validation};
use crate::error::{ApiError, Result};
use crate::http::{Params, Request, Response, Route};
use crate::index::{Index, StoredDocument};
use crate::node::Node;
use crate::search::source::SourceFilter;
use crate::security::{check_index, check_write};
use crate::store::Condition;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::put("/{index}/_doc/{id}", index),
        Route::post("/{index}/_doc/{id}", index),
        Route::post("/{index}/_doc", index),
        Route::put("/{index}/_create/{id}", create),
        Route::post("/{index}/_create/{id}", create),
        Route::get("/{index}/_doc/{id}", get),
        Route::head("/{index}/_doc/{id}", exists),
        Route::get("/{index}/_source/{id}", source),
        Route::head("/{index}/_source/{id}", source_exists),
        Route::delete("/{index}/_doc/{id}", delete),
        Route::post("/{index}/_update/{id}", update),
        Route::get("/_mget", mget),
        Route::post("/_mget", mget),
        Route::get("/{index}/_mget", mget),
        Route::post("/{index}/_mget", mget),
    ]
}

/// Ids longer than this are refused.
pub(super) const MAX_ID_BYTES: usize = 512;

pub(super) fn check_id(id: &str) -> Option<String> {
    (id.len() > MAX_ID_BYTES).then(|| {
        format!("id [{id}] is too long, must be no longer than {MAX_ID_BYTES} bytes but was: {}", id.len())
    })
}

async fn index(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let create = match request.params.get("op_type") {
        None | Some("index") => false,
        Some("create") => true,
        Some(other) => {
            return Err(ApiError::illegal_argument(format!(
                "opType must be 'create' or 'index', found: [{other}]"
            )));
        }
    };
    write(node, request, create).await
}

async fn create(node: Arc<Node>, request: Request) -> Result<Response> {
    write(node, request, true).await
}

async fn write(node: Arc<Node>, mut request: Request, create: bool) -> Result<Response> {
    let target = request.required_segment("index")?.to_owned();
    let id = request.segment("id").map(str::to_owned);
    let refresh = refresh(&mut request.params)?;
    let condition = condition(&mut request.params)?;
    ack_params(&mut request.params)?;
    let source = request.body().clone();
    let action = if create { Action::Create(source) } else { Action::Index(source) };
    let mut op = BulkOp::new(target, id, action);
    op.condition = condition;
    op.routing = request.params.string("routing");
    op.pipeline = request.params.string("pipeline");
    op.require_alias = request.params.bool("require_alias", false)?;
    request.finish()?;
    if request.body().iter().all(u8::is_ascii_whitespace) {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "parse_exception", "request body is required"));
    }
    if let Some(problem) = op.id.as_deref().and_then(check_id) {
        return Err(validation(&problem));
    }
    check_write(&node.cluster, &request.identity, &op, false)?;
    op.by = request.identity.clone();
    let (item, result) = node.cluster.write_one(op, refresh).await?;
    let response = Response::json(result.outcome.status(), written(&item, &result));
    Ok(if result.outcome == Outcome::Created { located(response, &item) } else { response })
}

/// `Location` of a new document.
fn located(response: Response, item: &ItemResult) -> Response {
    let encode = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let location =
        format!("/{}/_doc/{}", encode(&item.index).replace("%2D", "-").replace("%2E", "."), encode(&item.id));
    match HeaderValue::from_str(&location) {
        Ok(value) => response.with_header(header::LOCATION, value),
        Err(_) => response,
    }
}

/// The answer to a single write.
fn written(item: &ItemResult, result: &WriteResult) -> Value {
    if result.outcome == Outcome::Dropped {
        // As Elasticsearch writes what was never there.
        return json!({
            "_index": item.index,
            "_id": item.id,
            "_version": -3,
            "result": "noop",
            "_shards": { "total": 0, "successful": 0, "failed": 0 },
            "_seq_no": -2,
            "_primary_term": 0,
        });
    }
    let mut body = json!({
        "_index": item.index,
        "_id": item.id,
        "_version": result.version,
        "result": result.outcome.name(),
    });
    // `_bulk` says so of an update that changed nothing too.
    if result.forced_refresh && result.outcome != Outcome::Noop {
        body["forced_refresh"] = true.into();
    }
    body["_shards"] = if result.outcome == Outcome::Noop {
        json!({ "total": 0, "successful": 0, "failed": 0 })
    } else {
        json!({ "total": result.copies, "successful": 1, "failed": 0 })
    };
    body["_seq_no"] = result.seq_no.into();
    body["_primary_term"] = 1.into();
    body
}

async fn delete(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let target = request.required_segment("index")?.to_owned();
    let id = request.required_segment("id")?.to_owned();
    let refresh = refresh(&mut request.params)?;
    let mut op = BulkOp::new(target, Some(id), Action::Delete);
    op.condition = condition(&mut request.params)?;
    op.routing = request.params.string("routing");
    ack_params(&mut request.params)?;
    request.finish()?;
    check_write(&node.cluster, &request.identity, &op, false)?;
    op.by = request.identity.clone();
    let (item, result) = node.cluster.write_one(op, refresh).await?;
    Ok(Response::json(result.outcome.status(), written(&item, &result)))
}

async fn update(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let target = request.required_segment("index")?.to_owned();
    let id = request.required_segment("id")?.to_owned();
    let refresh = refresh(&mut request.params)?;
    let condition = condition(&mut request.params)?;
    ack_params(&mut request.params)?;
    let retries = request.params.int("retry_on_conflict")?.unwrap_or(0);
    let filter = source_params(&mut request.params);
    let routing = request.params.string("routing");
    let require_alias = request.params.bool("require_alias", false)?;
    request.params.accept(&["lang"]);
    let mut body = UpdateBody::parse(request.required_json()?)?;
    request.finish()?;
    body.retry_on_conflict = u32::try_from(retries).unwrap_or(0);
    let filter = match (&body.source, filter) {
        (_, Some(filter)) => Some(filter),
        (Some(source), None) => Some(SourceFilter::parse(source)?),
        (None, None) => None,
    };
    let filter = filter.filter(|filter| *filter != SourceFilter::Nothing);
    body.source = filter.is_some().then(|| true.into());
    if let Some(problem) = check_id(&id) {
        return Err(validation(&problem));
    }
    if matches!(condition, Condition::At { .. }) {
        let problems = body.conditional_problems();
        if !problems.is_empty() {
            return Err(validations(&problems));
        }
    }
    let mut op = BulkOp::new(target, Some(id), Action::Update(body));
    op.condition = condition;
    op.routing = routing;
    op.require_alias = require_alias;
    check_write(&node.cluster, &request.identity, &op, false)?;
    op.by = request.identity.clone();
    let (item, result) = node.cluster.write_one(op, refresh).await?;
    let mut answer = written(&item, &result);
    if let (Some(filter), Some(source)) = (filter, &result.source) {
        answer["get"] = update_get(&result, &filter, source)?;
    }
    let response = Response::json(result.outcome.status(), answer);
    Ok(if result.outcome == Outcome::Created { located(response, &item) } else { response })
}

/// `get` of an update's answer.
pub(super) fn update_get(result: &WriteResult, filter: &SourceFilter, source: &[u8]) -> Result<Value> {
    let source: Value = serde_json::from_slice(source).map_err(ApiError::internal)?;
    let mut get = json!({ "_seq_no": result.seq_no, "_primary_term": 1, "found": true });
    if let Some(source) = filter.apply(&source) {
        get["_source"] = source;
    }
    Ok(get)
}

/// `_source`, `_source_includes` and `_source_excludes` of the URL.
pub(super) fn source_params(params: &mut Params) -> Option<SourceFilter> {
    let source = params.string("_source");
    let includes = params.string("_source_includes");
    let excludes = params.string("_source_excludes");
    SourceFilter::parse_url(source.as_deref(), includes.as_deref(), excludes.as_deref())
}

/// A realtime read with the parameters all reads share.
async fn read(
    node: &Node,
    request: &mut Request,
) -> Result<(Arc<Index>, String, Option<StoredDocument>, SourceFilter)> {
    let target = request.required_segment("index")?.to_owned();
    let id = request.required_segment("id")?.to_owned();
    let filter = source_params(&mut request.params).unwrap_or_default();
    let refresh = request.params.bool("refresh", false)?;
    let realtime = request.params.bool("realtime", true)?;
    let version = request.params.long("version")?;
    let version_type = request.params.one_of("version_type", &["internal", "external", "external_gte"])?;
    request.params.accept(&["routing", "preference"]);
    if request.params.get("stored_fields").is_some() {
        return Err(ApiError::illegal_argument("[stored_fields] is not supported by this node"));
    }
    request.finish()?;
    let index = node.cluster.single(&target)?;
    if refresh {
        index.refresh().await?;
    }
    let found = if realtime { get_one(&index, &id).await? } else { get_seen(&index, &id).await? };
    if let (Some(wanted), Some(found)) = (version, &found) {
        let current = i64::try_from(found.version).unwrap_or(i64::MAX);
        let fits = match version_type {
            Some("external_gte") => current >= wanted,
            _ => current == wanted,
        };
        if !fits {
            return Err(crate::store::conflict(
                &index,
                &id,
                &format!("current version [{current}] is different than the one provided [{wanted}]"),
            ));
        }
    }
    Ok((index, id, found, filter))
}

/// A realtime read of one document.
pub(super) async fn get_one(index: &Arc<Index>, id: &str) -> Result<Option<StoredDocument>> {
    index.counters.gets.fetch_add(1, Ordering::Relaxed);
    let (index, id) = (index.clone(), id.to_owned());
    blocking(move || index.rows().get(&id)).await
}

/// `realtime=false`: the document as searches see it.
async fn get_seen(index: &Arc<Index>, id: &str) -> Result<Option<StoredDocument>> {
    let (view, id) = (index.view().await?, id.to_owned());
    blocking(move || {
        let term = tantivy::Term::from_field_text(view.fields.id, &id);
        for segment in view.searcher.segment_readers() {
            let postings = segment
                .inverted_index(view.fields.id)?
                .read_postings(&term, tantivy::schema::IndexRecordOption::Basic)
                .map_err(ApiError::internal)?;
            let Some(mut postings) = postings else { continue };
            let seq_nos = segment.fast_fields().u64("_seq_no")?;
            let alive = segment.alive_bitset();
            let mut at = tantivy::DocSet::doc(&postings);
            while at != tantivy::TERMINATED {
                if alive.is_none_or(|alive| alive.is_alive(at))
                    && let Some(seq_no) = seq_nos.first(at)
                {
                    return view.documents.read(seq_no).map(Some);
                }
                at = tantivy::DocSet::advance(&mut postings);
            }
        }
        Ok(None)
    })
    .await
}

async fn get(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let (index, id, found, filter) = read(&node, &mut request).await?;
    let status = if found.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let mut body = Vec::new();
    write_get(&mut body, index.name(), &id, found.as_ref(), &filter)?;
    Ok(Response::raw_json(status, body))
}

/// Writes a document as `GET _doc` answers it; its source byte for byte when it is not filtered.
fn write_get(
    out: &mut Vec<u8>,
    index: &str,
    id: &str,
    found: Option<&StoredDocument>,
    filter: &SourceFilter,
) -> Result<()> {
    let text = |out: &mut Vec<u8>, text: &str| serde_json::to_writer(out, text).map_err(ApiError::internal);
    out.extend_from_slice(b"{\"_index\":");
    text(out, index)?;
    out.extend_from_slice(b",\"_id\":");
    text(out, id)?;
    let Some(found) = found else {
        out.extend_from_slice(b",\"found\":false}");
        return Ok(());
    };
    let numbers = format!(",\"_version\":{},\"_seq_no\":{},\"_primary_term\":1", found.version, found.seq_no);
    out.extend_from_slice(numbers.as_bytes());
    if let Some(routing) = &found.routing {
        out.extend_from_slice(b",\"_routing\":");
        text(out, routing)?;
    }
    out.extend_from_slice(b",\"found\":true");
    match filter {
        SourceFilter::Nothing => {}
        SourceFilter::All => {
            out.extend_from_slice(b",\"_source\":");
            out.extend_from_slice(&found.source);
        }
        SourceFilter::Parts { .. } => {
            let source: Value = serde_json::from_slice(&found.source).map_err(ApiError::internal)?;
            if let Some(source) = filter.apply(&source) {
                out.extend_from_slice(b",\"_source\":");
                serde_json::to_writer(&mut *out, &source).map_err(ApiError::internal)?;
            }
        }
    }
    out.push(b'}');
    Ok(())
}

async fn exists(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let (_, _, found, _) = read(&node, &mut request).await?;
    Ok(Response::empty(if found.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND }))
}

async fn source(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let (index, id, found, filter) = read(&node, &mut request).await?;
    let Some(found) = found else {
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "resource_not_found_exception",
            format!("Document not found [{}]/[{id}]", index.name()),
        ));
    };
    if filter == SourceFilter::All {
        return Ok(Response::raw_json(StatusCode::OK, found.source));
    }
    let source: Value = serde_json::from_slice(&found.source).map_err(ApiError::internal)?;
    Ok(Response::ok(filter.apply(&source).unwrap_or_else(|| json!({}))))
}

async fn source_exists(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let (_, _, found, _) = read(&node, &mut request).await?;
    Ok(Response::empty(if found.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND }))
}

/// One document of an `_mget`.
struct Wanted {
    index: Option<String>,
    id: Option<String>,
    filter: SourceFilter,
}

async fn mget(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let default = request.segment("index").map(str::to_owned);
    let filter = source_params(&mut request.params).unwrap_or_default();
    let refresh = request.params.bool("refresh", false)?;
    request.params.bool("realtime", true)?;
    request.params.accept(&["routing", "preference"]);
    if request.params.get("stored_fields").is_some() {
        return Err(ApiError::illegal_argument("[stored_fields] is not supported by this node"));
    }
    let body = request.required_json()?;
    request.finish()?;
    let wanted = wanted_documents(&body, default.as_deref(), &filter)?;
    let mut out = b"{\"docs\":[".to_vec();
    for (at, wanted) in wanted.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let (index, id) = (wanted.index.unwrap_or_default(), wanted.id.unwrap_or_default());
        let found = async {
            check_index(&request.identity, "indices:data/read/mget[shard]", &index)?;
            let index = node.cluster.single(&index)?;
            if refresh {
                index.refresh().await?;
            }
            let found = get_one(&index, &id).await?;
            Ok::<_, ApiError>((index, found))
        };
        match found.await {
            Ok((index, found)) => write_get(&mut out, index.name(), &id, found.as_ref(), &wanted.filter)?,
            Err(error) => {
                let body = json!({ "_index": index, "_id": id, "error": error.body()["error"] });
                serde_json::to_writer(&mut out, &body).map_err(ApiError::internal)?;
            }
        }
    }
    out.extend_from_slice(b"]}");
    Ok(Response::raw_json(StatusCode::OK, out))
}

fn wanted_documents(body: &Value, default: Option<&str>, filter: &SourceFilter) -> Result<Vec<Wanted>> {
    let bad = |reason: String| ApiError::new(StatusCode::BAD_REQUEST, "parse_exception", reason);
    let Value::Object(members) = body else {
        return Err(bad("unexpected token, expected an object".to_owned()));
    };
    let mut wanted = Vec::new();
    for (key, value) in members {
        let Value::Array(items) = value else {
            return Err(bad(format!("unexpected token, expected [START_ARRAY] in [{key}]")));
        };
        for item in items {
            match key.as_str() {
                "ids" => wanted.push(Wanted {
                    index: default.map(str::to_owned),
                    id: Some(text(item)?),
                    filter: filter.clone(),
                }),
                "docs" => wanted.push(wanted_document(item, default, filter)?),
                _ => {
                    return Err(bad(format!(
                        "unknown key [{key}] for a START_ARRAY, expected [docs] or [ids]"
                    )));
                }
            }
        }
    }
    let mut problems = Vec::new();
    for (at, wanted) in wanted.iter().enumerate() {
        if wanted.index.is_none() {
            problems.push(format!("index is missing for doc {at}"));
        }
        if wanted.id.is_none() {
            problems.push(format!("id is missing for doc {at}"));
        }
    }
    if wanted.is_empty() {
        problems.push("no documents to get".to_owned());
    }
    if problems.is_empty() { Ok(wanted) } else { Err(validations(&problems)) }
}

fn text(value: &Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(ApiError::illegal_argument("ids array element should only contain ids")),
    }
}

fn wanted_document(item: &Value, default: Option<&str>, filter: &SourceFilter) -> Result<Wanted> {
    let Value::Object(members) = item else {
        return Err(ApiError::illegal_argument("docs array element should include an object"));
    };
    let mut wanted = Wanted { index: default.map(str::to_owned), id: None, filter: filter.clone() };
    for (key, value) in members {
        match key.as_str() {
            "_index" => wanted.index = Some(text(value)?),
            "_id" => wanted.id = Some(text(value)?),
            "_source" => wanted.filter = SourceFilter::parse(value)?,
            "routing" | "_routing" => {
                text(value)?;
            }
            other => {
                return Err(ApiError::new(
                    StatusCode::BAD_REQUEST,
                    "parse_exception",
                    format!("failed to parse multi get request. unknown field [{other}]"),
                ));
            }
        }
    }
    Ok(wanted)
}
