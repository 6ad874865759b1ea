//! `connectors connector show`.

use anyhow::Result;
use connectors_es_client::protocol_index::Stored;
use connectors_protocol::connector::ConnectorDocument;
use connectors_protocol::sync_job::JobType;
use connectors_sdk::SourceDescriptor;
use connectors_service::Service;
use serde_json::{Map, Value, json};

use super::schedule;
use crate::commands::{plain, table};
use crate::connectors_args::Output;

/// What stands for a value that must not be shown.
const HIDDEN: &str = "(hidden)";

/// Shows one connector.
pub async fn run(service: &Service, id: &str, output: Output) -> Result<()> {
    let connector = service.connector(id).await?;
    // A connector of a source that is not built in is shown as it describes itself.
    let descriptor = service.source_of(&connector).ok();
    let shown = shown(&connector, descriptor);
    if output == Output::Json {
        return crate::print_json(&shown);
    }
    let Value::Object(fields) = &shown else { unreachable!("an object literal") };
    for (name, value) in fields {
        if !value.is_null() && !value.is_object() {
            crate::print_line(&format!("{name}: {}", plain(value)))?;
        }
    }
    crate::print_line("\nconfiguration")?;
    let configuration = shown["configuration"].as_object().into_iter().flatten();
    let rows: Vec<Vec<String>> = configuration
        .map(|(key, field)| vec![key.clone(), plain(&field["value"]), plain(&field["label"])])
        .collect();
    table(&["FIELD", "VALUE", "LABEL"], &rows)?;
    if let Some(mapping) = &connector.document.index_mapping {
        crate::print_line("\ntypes of fields in the index")?;
        super::mapping::print(mapping)?;
    }
    crate::print_line("\nscheduling")?;
    schedule::print(&connector.document, 1)?;
    let rules = &shown["sync_rules"];
    crate::print_line(&format!(
        "\nsync rules besides the default one: {} active, {} in the draft, which is {}",
        rules["active"],
        rules["draft"],
        plain(&rules["draft_state"])
    ))
}

fn shown(connector: &Stored<ConnectorDocument>, descriptor: Option<&SourceDescriptor>) -> Value {
    let document = &connector.document;
    let configuration: Map<String, Value> = document
        .configuration
        .0
        .iter()
        .map(|(key, field)| (key.clone(), field_shown(key, field, descriptor)))
        .collect();
    let scheduling: Map<String, Value> = JobType::ALL
        .into_iter()
        .map(|job_type| (job_type.name().to_owned(), schedule::shown(document, job_type, 1)))
        .collect();
    let count = |filter: Option<&connectors_protocol::filtering::Filter>| {
        filter.map_or(0, |filter| filter.own_rules() + usize::from(filter.advanced_rules().is_some()))
    };
    json!({
        "id": connector.id,
        "name": document.name,
        "description": document.description,
        "index_name": document.index_name,
        "service_type": document.service_type,
        "language": document.language,
        "is_native": document.is_native,
        "status": document.status,
        "error": document.error,
        "last_seen": document.last_seen,
        "last_synced": document.last_synced,
        "last_sync_status": document.last_sync_status,
        "last_sync_error": document.last_sync_error,
        "last_access_control_sync_status": document.last_access_control_sync_status,
        "last_access_control_sync_error": document.last_access_control_sync_error,
        "last_indexed_document_count": document.last_indexed_document_count,
        "last_deleted_document_count": document.last_deleted_document_count,
        "api_key_id": document.api_key_id,
        "pipeline": document.pipeline,
        "index_mapping": document.index_mapping,
        "features": document.features,
        "configuration": configuration,
        "scheduling": scheduling,
        "sync_rules": {
            "active": count(document.filtering.active()),
            "draft": count(document.filtering.draft()),
            "draft_state": document.filtering.draft().map(connectors_protocol::filtering::Filter::state),
        },
    })
}

/// A field without its value where that is a secret: the stored definition or the source says so. Of a field that has no
/// definition and no known source nobody can tell, so it is hidden too.
fn field_shown(key: &str, field: &Value, descriptor: Option<&SourceDescriptor>) -> Value {
    let defined = descriptor.and_then(|source| source.fields().iter().find(|field| field.key() == key));
    let defined = defined.map(connectors_sdk::Field::to_value);
    let says = |definition: &Value| definition["sensitive"] == true;
    let secret =
        says(field) || defined.as_ref().is_some_and(says) || (!field.is_object() && defined.is_none());
    let value = if field.is_object() { &field["value"] } else { field };
    let value = match value {
        Value::Null => Value::Null,
        Value::String(text) if text.is_empty() => json!(""),
        _ if secret => json!(HIDDEN),
        value => value.clone(),
    };
    json!({"value": value, "sensitive": secret, "label": field["label"]})
}
