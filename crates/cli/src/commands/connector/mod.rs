//! `connectors connector`.

mod configure;
mod create;
mod delete;
mod mapping;
mod schedule;
mod show;

pub(super) use configure::settings;

use anyhow::Result;
use connectors_es_client::protocol_index::ConnectorIndex;
use connectors_protocol::indices::CONNECTORS_INDEX;
use connectors_sdk::Registry;
use connectors_service::Service;
use serde_json::{Value, json};

use super::table;
use crate::connectors_args::{ConnectorCommand, Output};
use crate::target::Target;

/// Lists, shows and changes connectors.
pub async fn run(
    target: &Target,
    service: &Service,
    registry: &Registry,
    command: &ConnectorCommand,
) -> Result<()> {
    let index = ConnectorIndex::new(target.client.clone());
    index.ensure().await?;
    match command {
        ConnectorCommand::List { output } => list(target, &index, *output).await,
        ConnectorCommand::Create(args) => create::run(service, registry, args).await,
        ConnectorCommand::Show { connector_id, output } => show::run(service, connector_id, *output).await,
        ConnectorCommand::Configure(args) => configure::run(service, args).await,
        ConnectorCommand::Mapping(args) => mapping::run(service, args).await,
        ConnectorCommand::Schedule(args) => schedule::run(service, &index, args).await,
        ConnectorCommand::Delete(args) => delete::run(target, service, &index, args).await,
    }
}

async fn list(target: &Target, index: &ConnectorIndex, output: Output) -> Result<()> {
    // A search may be a refresh behind what just happened.
    target.client.refresh(CONNECTORS_INDEX).await?;
    let connectors = index.all().await?;
    if output == Output::Json {
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
