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
            if !delete_behind(client, &args.index).await? {
                bail!("somebody else deleted the index {} meanwhile", args.index);
            }
            done(args, "deleted", count, &format!("deleted {} with {} documents", args.index, number(count)))
        }
    }
}

/// Deletes the index of this name, or the one behind the alias of this name, which goes with it; tells whether it was there.
pub(super) async fn delete_behind(client: &EsClient, name: &str) -> Result<bool> {
    let behind: Vec<String> = client.indices_of(name).await?.into_keys().collect();
    match &behind[..] {
        [] => Ok(false),
        [index] => Ok(client.delete_index(index).await?),
        several => bail!(
            "{name} is an alias of {} indices; delete them one at a time: {}",
            several.len(),
            several.join(", ")
        ),
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
    let (owners, aliases) = (owners(client).await?, aliases(client).await?);
    let owner = owner(index, &owners, &aliases).map(|id| format!(", the index of connector {id},"));
    let owner = owner.unwrap_or_default();
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

/// The aliases of each index that has any.
async fn aliases(client: &EsClient) -> Result<HashMap<String, Vec<String>>> {
    let answer = client.request(Method::GET, "/_alias", &[], None).await?;
    let indices = answer.as_object().into_iter().flatten();
    Ok(indices
        .filter_map(|(index, info)| {
            Some((index.clone(), info["aliases"].as_object()?.keys().cloned().collect()))
        })
        .collect())
}

/// The connector that writes to an index, by its name or by an alias.
fn owner<'a>(
    index: &str,
    owners: &'a HashMap<String, String>,
    aliases: &HashMap<String, Vec<String>>,
) -> Option<&'a String> {
    let by_alias = || aliases.get(index)?.iter().find_map(|alias| owners.get(alias));
    owners.get(index).or_else(by_alias)
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
    let (owners, aliases) = (owners(client).await?, aliases(client).await?);
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
                "aliases": aliases.get(name).map_or(&[][..], Vec::as_slice),
                "connector_id": owner(name, &owners, &aliases),
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
    let names = |list: &Value| {
        let names: Vec<&str> = list.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if names.is_empty() { "-".to_owned() } else { names.join(", ") }
    };
    let rows: Vec<Vec<String>> = indices
        .iter()
        .map(|index| {
            vec![
                index["index"].as_str().unwrap_or_default().to_owned(),
                shown(&index["document_count"], number),
                shown(&index["bytes"], bytes),
                index["connector_id"].as_str().unwrap_or("-").to_owned(),
                names(&index["aliases"]),
            ]
        })
        .collect();
    table(&["INDEX", "DOCUMENTS", "SIZE", "CONNECTOR", "ALIASES"], &rows)
}
