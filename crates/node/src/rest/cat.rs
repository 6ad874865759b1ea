//! `_cat`: tables for people.

use std::sync::Arc;

use jiff::Timestamp;

use super::health::{IndexSummary, active_percent, shards, summaries};
use super::table::{Cell, Column, View};
use crate::cluster::IndicesOptions;
use crate::error::{ApiError, Result};
use crate::http::{Request, Response, Route};
use crate::mapping::simple_match;
use crate::node::Node;
use crate::security::check_index;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::get("/_cat", list),
        Route::get("/_cat/indices", indices),
        Route::get("/_cat/indices/{index}", indices),
        Route::get("/_cat/count", count),
        Route::get("/_cat/count/{index}", count),
        Route::get("/_cat/health", health),
        Route::get("/_cat/aliases", aliases),
        Route::get("/_cat/aliases/{alias}", aliases),
    ]
}

async fn list(_node: Arc<Node>, request: Request) -> Result<Response> {
    request.finish()?;
    let mut text = "=^.^=\n".to_owned();
    for route in routes().iter().filter(|route| route.pattern() != "/_cat") {
        text.push_str(route.pattern());
        text.push('\n');
    }
    Ok(Response::text(text))
}

const fn column(
    name: &'static str,
    aliases: &'static [&'static str],
    about: &'static str,
    right: bool,
    shown: bool,
) -> Column {
    Column { name, aliases, about, right, shown }
}

const INDICES: [Column; 13] = [
    column("health", &["h"], "current health status", false, true),
    column("status", &["s"], "open/close status", false, true),
    column("index", &["i", "idx"], "index name", false, true),
    column("uuid", &["id", "uuid"], "index uuid", false, true),
    column("pri", &["p", "shards.primary", "shardsPrimary"], "number of primary shards", true, true),
    column("rep", &["r", "shards.replica", "shardsReplica"], "number of replica shards", true, true),
    column("docs.count", &["dc", "docsCount"], "available docs", true, true),
    column("docs.deleted", &["dd", "docsDeleted"], "deleted docs", true, true),
    column("creation.date", &["cd"], "index creation date (millisecond value)", false, false),
    column("creation.date.string", &["cds"], "index creation date (as string)", false, false),
    column("store.size", &["ss", "storeSize"], "store size of primaries & replicas", true, true),
    column("pri.store.size", &[], "store size of primaries", true, true),
    column("dataset.size", &[], "total size of dataset", true, true),
];

async fn indices(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let view = View::read(&mut request)?;
    let params = &mut request.params;
    let health = params.string("health").map(|text| text.to_ascii_lowercase());
    if let Some(text) = health.as_deref().filter(|text| !matches!(*text, "green" | "yellow" | "red")) {
        return Err(ApiError::illegal_argument(format!("unknown cluster health status [{text}]")));
    }
    // Primaries are all there is.
    params.bool("pri", false)?;
    params.bool("include_unloaded_segments", false)?;
    params.bool("local", false)?;
    params.duration("master_timeout")?;
    let options = IndicesOptions::default().of(params)?;
    request.finish()?;
    if let Some(help) = view.help(&INDICES) {
        return Ok(help);
    }
    let found = summaries(&node, request.segment("index"), options, true).await?;
    let rows = found
        .iter()
        .filter(|index| health.as_deref().is_none_or(|wanted| wanted == index.health()))
        .map(index_row)
        .collect();
    view.render(&INDICES, rows)
}

fn index_row(index: &IndexSummary) -> Vec<Cell> {
    let created = Timestamp::from_millisecond(index.created_ms)
        .map_or_else(|_| "-".to_owned(), |created| format!("{created:.3}"));
    vec![
        index.health().into(),
        "open".into(),
        index.name.as_str().into(),
        index.uuid.as_str().into(),
        index.shards.into(),
        index.replicas.into(),
        index.docs.into(),
        index.deleted.into(),
        index.created_ms.to_string().into(),
        created.into(),
        Cell::Bytes(index.bytes),
        Cell::Bytes(index.bytes),
        Cell::Bytes(index.bytes),
    ]
}

const EPOCH: Column = column("epoch", &["t", "time"], "seconds since 1970-01-01 00:00:00", false, true);
const TIMESTAMP: Column = column("timestamp", &["ts", "hms", "hhmmss"], "time in HH:MM:SS", false, true);

fn now() -> [Cell; 2] {
    let now = Timestamp::now();
    [now.as_second().to_string().into(), now.strftime("%H:%M:%S").to_string().into()]
}

const COUNT: [Column; 3] = [
    EPOCH,
    TIMESTAMP,
    column("count", &["dc", "docs.count", "docsCount"], "the document count", false, true),
];

async fn count(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let view = View::read(&mut request)?;
    request.finish()?;
    if let Some(help) = view.help(&COUNT) {
        return Ok(help);
    }
    let found = summaries(&node, request.segment("index"), IndicesOptions::default(), true).await?;
    let total: u64 = found.iter().map(|index| index.docs).sum();
    let [epoch, time] = now();
    view.render(&COUNT, vec![vec![epoch, time, total.into()]])
}

const HEALTH: [Column; 15] = [
    EPOCH,
    TIMESTAMP,
    column("cluster", &["cl"], "cluster name", false, true),
    column("status", &["st"], "health status", false, true),
    column("node.total", &["nt", "nodeTotal"], "total number of nodes", true, true),
    column("node.data", &["nd", "nodeData"], "number of nodes that can store data", true, true),
    column("shards", &["t", "sh", "shards.total", "shardsTotal"], "total number of shards", true, true),
    column("pri", &["p", "shards.primary", "shardsPrimary"], "number of primary shards", true, true),
    column("relo", &["r", "shards.relocating", "shardsRelocating"], "number of relocating nodes", true, true),
    column(
        "init",
        &["i", "shards.initializing", "shardsInitializing"],
        "number of initializing nodes",
        true,
        true,
    ),
    column(
        "unassign",
        &["u", "shards.unassigned", "shardsUnassigned"],
        "number of unassigned shards",
        true,
        true,
    ),
    column(
        "unassign.pri",
        &["up", "shards.unassigned.primary", "shardsUnassignedPrimary"],
        "number of unassigned primary shards",
        true,
        true,
    ),
    column("pending_tasks", &["pt", "pendingTasks"], "number of pending tasks", true, true),
    column(
        "max_task_wait_time",
        &["mtwt", "maxTaskWaitTime"],
        "wait time of longest task pending",
        true,
        true,
    ),
    column(
        "active_shards_percent",
        &["asp", "activeShardsPercent"],
        "active number of shards in percent",
        true,
        true,
    ),
];

async fn health(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let view = View::read(&mut request)?;
    let with_time = request.params.bool("ts", true)?;
    request.params.bool("local", false)?;
    request.params.duration("master_timeout")?;
    request.finish()?;
    let columns = if with_time { &HEALTH[..] } else { &HEALTH[2..] };
    if let Some(help) = view.help(columns) {
        return Ok(help);
    }
    let options = IndicesOptions { expand_hidden: true, ..IndicesOptions::default() };
    let found = summaries(&node, None, options, false).await?;
    let (active, unassigned) = shards(&found);
    let mut row = if with_time { now().to_vec() } else { Vec::new() };
    row.extend([
        node.cluster_name.as_str().into(),
        if unassigned == 0 { "green" } else { "yellow" }.into(),
        1_u64.into(),
        1_u64.into(),
        active.into(),
        active.into(),
        0_u64.into(),
        0_u64.into(),
        unassigned.into(),
        0_u64.into(),
        0_u64.into(),
        "-".into(),
        Cell::Percent(active_percent(active, unassigned)),
    ]);
    view.render(columns, vec![row])
}

const ALIASES: [Column; 6] = [
    column("alias", &["a"], "alias name", false, true),
    column("index", &["i", "idx"], "index alias points to", false, true),
    column("filter", &["f", "fi"], "filter", false, true),
    column("routing.index", &["ri", "routingIndex"], "index routing", false, true),
    column("routing.search", &["rs", "routingSearch"], "search routing", false, true),
    column("is_write_index", &["w", "isWriteIndex"], "write index", false, true),
];

async fn aliases(node: Arc<Node>, mut request: Request) -> Result<Response> {
    let view = View::read(&mut request)?;
    request.params.bool("local", false)?;
    request.params.duration("master_timeout")?;
    IndicesOptions::default().of(&mut request.params)?;
    request.finish()?;
    if let Some(help) = view.help(&ALIASES) {
        return Ok(help);
    }
    let wanted: Vec<&str> =
        request.segment("alias").map(|names| names.split(',').collect()).unwrap_or_default();
    let dash = |text: Option<&str>| Cell::from(text.unwrap_or("-"));
    let mut rows = Vec::new();
    for (index, state) in node.cluster.indexes().iter() {
        if check_index(&request.identity, "indices:admin/aliases/get", index).is_err() {
            continue;
        }
        for (name, alias) in &state.settings().aliases {
            if !wanted.is_empty()
                && !wanted.iter().any(|pattern| *pattern == "_all" || simple_match(pattern, name))
            {
                continue;
            }
            rows.push(vec![
                name.as_str().into(),
                index.as_str().into(),
                dash(alias.filter.as_ref().map(|_| "*")),
                dash(alias.index_routing.as_deref()),
                dash(alias.search_routing.as_deref()),
                dash(alias.is_write_index.map(|write| if write { "true" } else { "false" })),
            ]);
        }
    }
    view.render(&ALIASES, rows)
}
