//! `connectors index`.

use std::collections::HashMap;

use anyhow::{Result, bail};
use connectors_es_client::protocol_index::ConnectorIndex;
use connectors_es_client::{EsClient, Method};
use connectors_protocol::indices::{
    CONCRETE_CONNECTORS_INDEX, CONCRETE_JOBS_INDEX, CONNECTORS_INDEX, JOBS_INDEX,
};
use serde_json::{Value, json};

use super::table;
use crate::connectors_args::{IndexCommand, IndexTarget, Output};
use crate::progress::{bytes, number};
use crate::prompt;
use crate::target::Target;

/// Lists, empties or deletes indices.
pub async fn run(target: &Target, command: &IndexCommand) -> Result<()> {
    let client = &target.client;
    match command {
        IndexCommand::List { all, output } => list(client, *all, *output).await,
        IndexCommand::Clean(args) => {
            ask(client, args, "Delete all documents of").await?;
            let deleted = client.delete_by_query(&args.index, &json!({"match_all": {}})).await?;
            done(
                args,
                "cleaned",
                deleted,
                &format!("deleted {} documents of {}", number(deleted), args.index),
            )
        }
        IndexCommand::Delete(args) => {
            let count = ask(client, args, "Delete").await?;
            if !client.delete_index(&args.index).await? {
                bail!("somebody else deleted the index {} meanwhile", args.index);
            }
            done(args, "deleted", count, &format!("deleted {} with {} documents", args.index, number(count)))
        }
    }
}

/// What stands to be deleted, after a confirmation.
async fn ask(client: &EsClient, args: &IndexTarget, verb: &str) -> Result<u64> {
    let index = &args.index;
    if index.contains(['*', ',']) || index == "_all" {
        bail!("\"{index}\" names several indices; one at a time, by its full name");
    }
    let protocol = [CONNECTORS_INDEX, JOBS_INDEX, CONCRETE_CONNECTORS_INDEX, CONCRETE_JOBS_INDEX];
    if protocol.contains(&index.as_str()) {
        bail!(
            "{index} holds the connectors or their jobs; `connectors connector delete` deletes one of them"
        );
    }
    if !client.index_exists(index).await? {
        bail!("there is no index {index}; `connectors index list` prints those there are");
    }
    client.refresh(index).await?;
    let count = client.count(index, None).await?;
    let owners = owners(client).await?;
    let owner = owners.get(index).map(|id| format!(", the index of connector {id},")).unwrap_or_default();
    prompt::confirm(&format!("{verb} {index}{owner} with {} documents?", number(count)), args.yes)?;
    Ok(count)
}

fn done(args: &IndexTarget, what: &str, count: u64, line: &str) -> Result<()> {
    if args.output == Output::Json {
        return crate::print_json(&json!({"index": args.index, "result": what, "document_count": count}));
    }
    crate::print_line(line)
}

/// Which connector writes to which index.
async fn owners(client: &EsClient) -> Result<HashMap<String, String>> {
    let connectors = ConnectorIndex::new(client.clone());
    if !client.index_exists(CONNECTORS_INDEX).await? {
        return Ok(HashMap::new());
    }
    client.refresh(CONNECTORS_INDEX).await?;
    let all = connectors.all().await?;
    Ok(all.into_iter().filter_map(|found| Some((found.document.index_name?, found.id))).collect())
}

async fn list(client: &EsClient, all: bool, output: Output) -> Result<()> {
    let query = [
        ("format", "json"),
        ("bytes", "b"),
        ("h", "index,docs.count,pri.store.size"),
        ("s", "index"),
        ("expand_wildcards", if all { "open,hidden" } else { "open" }),
    ];
    let answer = client.request(Method::GET, "/_cat/indices", &query, None).await?;
    let owners = owners(client).await?;
    let figure = |row: &Value, name: &str| row[name].as_str().and_then(|text| text.parse::<u64>().ok());
    let indices: Vec<Value> = answer
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|row| {
            // Servers differ in whether a name with a dot alone makes an index a hidden one.
            let name = row["index"].as_str().filter(|name| all || !name.starts_with('.'))?;
            Some(json!({
                "index": name,
                "document_count": figure(row, "docs.count"),
                "bytes": figure(row, "pri.store.size"),
                "connector_id": owners.get(name),
            }))
        })
        .collect();
    if output == Output::Json {
        return crate::print_json(&indices);
    }
    if indices.is_empty() {
        return crate::print_line("no indices yet; `connectors sync` makes one");
    }
    let shown = |value: &Value, show: fn(u64) -> String| value.as_u64().map_or_else(|| "-".to_owned(), show);
    let rows: Vec<Vec<String>> = indices
        .iter()
        .map(|index| {
            vec![
                index["index"].as_str().unwrap_or_default().to_owned(),
                shown(&index["document_count"], number),
                shown(&index["bytes"], bytes),
                index["connector_id"].as_str().unwrap_or("-").to_owned(),
            ]
        })
        .collect();
    table(&["INDEX", "DOCUMENTS", "SIZE", "CONNECTOR"], &rows)
}
