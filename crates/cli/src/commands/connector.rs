//! `connectors connector`.

use anyhow::Result;
use connectors_es_client::protocol_index::ConnectorIndex;
use connectors_protocol::indices::CONNECTORS_INDEX;
use serde_json::{Value, json};

use super::table;
use crate::connectors_args::{ConnectorCommand, Output};
use crate::target::Target;

/// Lists the connectors.
pub async fn run(target: &Target, command: &ConnectorCommand) -> Result<()> {
    let ConnectorCommand::List { output } = command;
    let index = ConnectorIndex::new(target.client.clone());
    index.ensure().await?;
    // A search may be a refresh behind what just happened.
    target.client.refresh(CONNECTORS_INDEX).await?;
    let connectors = index.all().await?;
    if *output == Output::Json {
        let list: Vec<Value> = connectors
            .iter()
            .map(|connector| {
                let document = &connector.document;
                json!({
                    "id": connector.id, "index_name": document.index_name, "service_type": document.service_type,
                    "status": document.status, "last_sync_status": document.last_sync_status, "error": document.error,
                })
            })
            .collect();
        return crate::print_json(&list);
    }
    if connectors.is_empty() {
        return crate::print_line("no connectors yet; `connectors sync` makes one");
    }
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let rows: Vec<Vec<String>> = connectors
        .into_iter()
        .map(|connector| {
            let document = connector.document;
            vec![
                connector.id,
                or_dash(document.index_name),
                or_dash(document.service_type),
                document.status.to_string(),
                or_dash(document.last_sync_status.map(|status| status.to_string())),
            ]
        })
        .collect();
    table(&["ID", "INDEX", "SERVICE TYPE", "STATUS", "LAST SYNC"], &rows)
}
