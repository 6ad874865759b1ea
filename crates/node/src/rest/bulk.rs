//! `_bulk`.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use axum::http::StatusCode;
use bytes::Bytes;

use super::documents::{check_id, source_params, update_get};
use super::write::{ack_params, conditions, refresh, validations};
use crate::cluster::{Action, BulkOp, ItemResult, Outcome, UpdateBody, blocking};
use crate::error::{ApiError, Result};
use crate::http::{self, Identity, Request, Response, Route};
use crate::mapping::{Json, read_json};
use crate::node::Node;
use crate::search::source::SourceFilter;
use crate::security::check_write;
use crate::store::Condition;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::post("/_bulk", bulk),
        Route::put("/_bulk", bulk),
        Route::post("/{index}/_bulk", bulk),
        Route::put("/{index}/_bulk", bulk),
    ]
}

/// What the URL says for operations that say nothing.
#[derive(Clone)]
struct Defaults {
    index: Option<String>,
    routing: Option<String>,
    pipeline: Option<String>,
    require_alias: bool,
    filter: Option<SourceFilter>,
}

/// An operation, or why it cannot be one, with what its answer shows of the source.
struct Line {
    op: BulkOp,
    refused: Option<ApiError>,
    filter: Option<SourceFilter>,
}

async fn bulk(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let started = Instant::now();
    let defaults = Defaults {
        index: request.segment("index").map(str::to_owned),
        routing: request.params.string("routing"),
        pipeline: request.params.string("pipeline"),
        require_alias: request.params.bool("require_alias", false)?,
        filter: source_params(&mut request.params),
    };
    let refresh = refresh(&mut request.params)?;
    ack_params(&mut request.params)?;
    for unsupported in ["list_executed_pipelines", "require_data_stream", "include_source_on_error"] {
        if request.params.bool(unsupported, false)? && unsupported != "include_source_on_error" {
            return Err(ApiError::illegal_argument(format!("[{unsupported}] is not supported by this node")));
        }
    }
    let body = request.body().clone();
    request.finish()?;
    let identity = request.identity.clone();
    drop(request);
    if body.is_empty() {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "parse_exception", "request body is required"));
    }
    let lines = if body.len() > 256 * 1024 {
        blocking(move || parse(&body, &defaults)).await?
    } else {
        parse(&body, &defaults)?
    };
    let (mut ops, mut refused, mut filters) = (Vec::with_capacity(lines.len()), Vec::new(), Vec::new());
    for (at, mut line) in lines.into_iter().enumerate() {
        filters.push(line.filter);
        if line.refused.is_none() {
            line.refused = check_write(&node.cluster, &identity, &line.op, true).err();
        }
        if matches!(identity, Identity::Key(_)) {
            line.op.by = identity.clone();
        }
        match line.refused {
            None => ops.push(line.op),
            Some(error) => refused.push((
                at,
                ItemResult {
                    action: line.op.action.name(),
                    index: line.op.index,
                    id: line.op.id.unwrap_or_default(),
                    result: Err(error),
                    piped: false,
                },
            )),
        }
    }
    let mut items = node.cluster.bulk(ops, refresh).await?;
    for (at, item) in refused {
        items.insert(at, item);
    }
    let body = answer(&items, &filters, started)?;
    Ok(Response::raw_json(StatusCode::OK, body))
}

fn answer(items: &[ItemResult], filters: &[Option<SourceFilter>], started: Instant) -> Result<Vec<u8>> {
    let errors = items.iter().any(|item| item.result.is_err());
    let mut out = Vec::with_capacity(items.len() * 180);
    write!(out, "{{\"errors\":{errors},\"took\":{}", started.elapsed().as_millis())
        .map_err(ApiError::internal)?;
    if items.iter().any(|item| item.piped) {
        // Pipelines run while documents are read; their share is not measured apart.
        out.extend_from_slice(b",\"ingest_took\":0");
    }
    out.extend_from_slice(b",\"items\":[");
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_item(&mut out, item, filters.get(at).and_then(Option::as_ref))?;
    }
    out.extend_from_slice(b"]}");
    Ok(out)
}

fn write_item(out: &mut Vec<u8>, item: &ItemResult, filter: Option<&SourceFilter>) -> Result<()> {
    let text = |out: &mut Vec<u8>, text: &str| serde_json::to_writer(out, text).map_err(ApiError::internal);
    write!(out, "{{\"{}\":{{\"_index\":", item.action).map_err(ApiError::internal)?;
    text(out, &item.index)?;
    out.extend_from_slice(b",\"_id\":");
    text(out, &item.id)?;
    match &item.result {
        Ok(result) if result.outcome == Outcome::Dropped => {
            out.extend_from_slice(
                b",\"_version\":-3,\"result\":\"noop\",\"_shards\":{\"total\":0,\"successful\":0,\"failed\":0},\
                  \"_seq_no\":-2,\"_primary_term\":0,\"status\":200}}",
            );
        }
        Ok(result) => {
            let forced = if result.forced_refresh { ",\"forced_refresh\":true" } else { "" };
            write!(
                out,
                ",\"_version\":{},\"result\":\"{}\"{forced},\"_shards\":{{\"total\":{},\"successful\":1,\"failed\":0}},\
                 \"_seq_no\":{},\"_primary_term\":1",
                result.version,
                result.outcome.name(),
                result.copies,
                result.seq_no,
            )
            .map_err(ApiError::internal)?;
            if let (Some(filter), Some(source)) = (filter, &result.source) {
                out.extend_from_slice(b",\"get\":");
                let get = update_get(result, filter, source)?;
                serde_json::to_writer(&mut *out, &get).map_err(ApiError::internal)?;
            }
            write!(out, ",\"status\":{}}}}}", result.outcome.status().as_u16())
                .map_err(ApiError::internal)?;
        }
        Err(error) => {
            write!(out, ",\"status\":{},\"error\":", error.status.as_u16()).map_err(ApiError::internal)?;
            serde_json::to_writer(&mut *out, &error.cause()).map_err(ApiError::internal)?;
            out.extend_from_slice(b"}}");
        }
    }
    Ok(())
}

/// Lines of a body: `\n` ends each, the last too.
struct Lines<'a> {
    body: &'a Bytes,
    at: usize,
    number: usize,
}

impl Lines<'_> {
    fn next(&mut self) -> Result<Option<Bytes>> {
        if self.at >= self.body.len() {
            return Ok(None);
        }
        let rest = &self.body[self.at..];
        let Some(length) = memchr(rest) else {
            return Err(ApiError::illegal_argument("The bulk request must be terminated by a newline [\\n]"));
        };
        let end = if length > 0 && rest[length - 1] == b'\r' { length - 1 } else { length };
        let line = self.body.slice(self.at..self.at + end);
        self.at += length + 1;
        self.number += 1;
        Ok(Some(line))
    }
}

fn memchr(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'\n')
}

fn parse(body: &Bytes, defaults: &Defaults) -> Result<Vec<Line>> {
    let mut lines = Lines { body, at: 0, number: 0 };
    let mut found = Vec::new();
    while let Some(line) = lines.next()? {
        if line.is_empty() {
            continue;
        }
        let mut operation = action(&line, lines.number, defaults)?;
        if !matches!(operation.op.action, Action::Delete) {
            // Elasticsearch forgets an operation whose source is missing.
            let Some(source) = lines.next()? else { break };
            match &mut operation.op.action {
                Action::Index(into) | Action::Create(into) => *into = source,
                Action::Update(update) => {
                    let retries = update.retry_on_conflict;
                    *update = UpdateBody::parse(http::json::parse(&source)?)?;
                    update.retry_on_conflict = retries;
                    if let Some(own) = update.source.take() {
                        operation.filter = Some(SourceFilter::parse(&own)?);
                    }
                    operation.filter = operation.filter.filter(|filter| *filter != SourceFilter::Nothing);
                    update.source = operation.filter.is_some().then(|| true.into());
                }
                Action::Delete => {}
            }
        }
        found.push(operation);
    }
    let mut problems = Vec::new();
    for line in &found {
        if line.op.index.is_empty() {
            problems.push("index is missing".to_owned());
        }
        let needs_id = matches!(line.op.action, Action::Delete | Action::Update(_));
        if needs_id && line.op.id.as_deref().is_none_or(str::is_empty) {
            problems.push("id is missing".to_owned());
        }
        problems.extend(line.op.id.as_deref().and_then(check_id));
        if let (Action::Update(update), Condition::At { .. }) = (&line.op.action, line.op.condition) {
            problems.extend(update.conditional_problems());
        }
    }
    if found.is_empty() {
        problems.push("no requests added".to_owned());
    }
    if problems.is_empty() { Ok(found) } else { Err(validations(&problems)) }
}

fn malformed(number: usize, detail: &str) -> ApiError {
    ApiError::illegal_argument(format!("Malformed action/metadata line [{number}], {detail}"))
}

fn action(line: &[u8], number: usize, defaults: &Defaults) -> Result<Line> {
    let json = read_json(line).map_err(|error| http::json::parse_error(&error))?;
    let Json::Object(mut members) = json else {
        return Err(malformed(number, "expected START_OBJECT but found [VALUE]"));
    };
    if members.len() > 1 {
        return Err(malformed(number, "expected END_OBJECT but found [FIELD_NAME]"));
    }
    let Some((name, meta)) = members.pop() else {
        return Err(malformed(number, "expected FIELD_NAME but found [END_OBJECT]"));
    };
    let mut action = match &*name {
        "index" => Action::Index(Bytes::new()),
        "create" => Action::Create(Bytes::new()),
        "delete" => Action::Delete,
        "update" => Action::Update(UpdateBody {
            doc: None,
            upsert: None,
            doc_as_upsert: false,
            detect_noop: true,
            source: None,
            retry_on_conflict: 0,
        }),
        other => {
            return Err(malformed(
                number,
                &format!("expected field [create], [delete], [index] or [update] but found [{other}]"),
            ));
        }
    };
    let Json::Object(meta) = meta else {
        return Err(malformed(number, "expected START_OBJECT but found [VALUE]"));
    };
    let mut op = BulkOp::new(defaults.index.clone().unwrap_or_default(), None, Action::Delete);
    op.routing.clone_from(&defaults.routing);
    op.pipeline.clone_from(&defaults.pipeline);
    op.require_alias = defaults.require_alias;
    let mut filter = defaults.filter.clone();
    let (mut seq_no, mut term, mut version, mut version_type) = (None, None, None, None);
    for (key, value) in meta {
        let text = |value: &Json<'_>| match value {
            Json::Null => None,
            other => Some(other.to_string()),
        };
        let number_of = |value: &Json<'_>| match value {
            Json::Integer(number) => Ok(Some(*number)),
            Json::Text(text) => text
                .parse()
                .map(Some)
                .map_err(|_| ApiError::illegal_argument(format!("For input string: \"{text}\""))),
            other => Err(ApiError::illegal_argument(format!("[{key}] must be a number, got [{other}]"))),
        };
        let flag = |value: &Json<'_>| match value.to_string().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(ApiError::illegal_argument(format!(
                "Failed to parse value [{other}] as only [true] or [false] are allowed."
            ))),
        };
        match &*key {
            "_source" => filter = Some(SourceFilter::parse(&value.to_value())?),
            _ if matches!(value, Json::Array(_) | Json::Object(_)) => {
                return Err(malformed(
                    number,
                    &format!("expected a simple value for field [{key}] but found [{}]", value.token()),
                ));
            }
            "_index" => op.index = text(&value).unwrap_or_default(),
            "_id" => op.id = text(&value),
            "routing" | "_routing" => op.routing = text(&value),
            "pipeline" => op.pipeline = text(&value),
            "require_alias" => op.require_alias = flag(&value)?,
            "if_seq_no" => seq_no = number_of(&value)?,
            "if_primary_term" => term = number_of(&value)?,
            "version" | "_version" => version = number_of(&value)?,
            "version_type" | "_version_type" => version_type = text(&value),
            "retry_on_conflict" | "_retry_on_conflict" => {
                let retries = number_of(&value)?.and_then(|retries| u32::try_from(retries).ok()).unwrap_or(0);
                if let Action::Update(update) = &mut action {
                    update.retry_on_conflict = retries;
                }
            }
            "op_type" => match (&mut action, value.to_string().as_str()) {
                (Action::Index(_), "create") => action = Action::Create(Bytes::new()),
                (Action::Index(_), "index") | (Action::Create(_), "create") => {}
                (_, other) => {
                    return Err(ApiError::illegal_argument(format!(
                        "opType must be 'create' or 'index', found: [{other}]"
                    )));
                }
            },
            _ => {
                return Err(ApiError::illegal_argument(format!(
                    "Action/metadata line [{number}] contains an unknown parameter [{key}]"
                )));
            }
        }
    }
    op.condition = conditions(seq_no, term, version, version_type.as_deref())?;
    let mut refused = None;
    if op.id.as_deref() == Some("") && matches!(action, Action::Index(_) | Action::Create(_)) {
        refused = Some(ApiError::illegal_argument("if _id is specified it must not be empty"));
    }
    op.action = action;
    Ok(Line { op, refused, filter })
}
