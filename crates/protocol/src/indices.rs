//! The protocol's indices: names, mappings and settings.
//!
//! Everything is read and written through the aliases; the concrete indices carry a version, so that a later layout can
//! be reindexed behind the alias. Mappings are `dynamic: false`: fields nobody searches are stored and not indexed.

use serde_json::{Value, json};

use crate::pipeline::DEFAULT_PIPELINE;

/// Alias of the connector documents.
pub const CONNECTORS_INDEX: &str = ".elastic-connectors";
/// Alias of the sync job documents.
pub const JOBS_INDEX: &str = ".elastic-connectors-sync-jobs";
/// The index behind [`CONNECTORS_INDEX`].
pub const CONCRETE_CONNECTORS_INDEX: &str = ".elastic-connectors-v1";
/// The index behind [`JOBS_INDEX`].
pub const CONCRETE_JOBS_INDEX: &str = ".elastic-connectors-sync-jobs-v1";
/// Identity documents of a content index live in the index with this prefix and its name.
pub const ACCESS_CONTROL_INDEX_PREFIX: &str = ".search-acl-filter-";

/// Name of the access control index of a content index. A name that is one already stays as it is: jobs for access control
/// name theirs in place of the content index.
pub fn access_control_index(index: &str) -> String {
    if index.starts_with(ACCESS_CONTROL_INDEX_PREFIX) {
        return index.to_owned();
    }
    format!("{ACCESS_CONTROL_INDEX_PREFIX}{index}")
}

/// Body of the request that creates [`CONCRETE_CONNECTORS_INDEX`] with its alias.
pub fn connectors_index_body() -> Value {
    let mut mappings = connectors_mapping();
    mappings["_meta"] = json!({
        "version": 1,
        "pipeline": {
            "default_name": DEFAULT_PIPELINE,
            "default_extract_binary_content": true,
            "default_reduce_whitespace": true,
            "default_run_ml_inference": true,
        },
    });
    body(CONNECTORS_INDEX, &mappings)
}

/// Body of the request that creates [`CONCRETE_JOBS_INDEX`] with its alias.
pub fn jobs_index_body() -> Value {
    let mut mappings = jobs_mapping();
    mappings["_meta"] = json!({"version": 1});
    body(JOBS_INDEX, &mappings)
}

fn body(alias: &str, mappings: &Value) -> Value {
    json!({
        "settings": {"index": {"hidden": true, "number_of_shards": 1, "auto_expand_replicas": "0-1"}},
        "mappings": mappings,
        "aliases": {alias: {}},
    })
}

fn keyword() -> Value {
    json!({"type": "keyword"})
}

fn date() -> Value {
    json!({"type": "date"})
}

fn object(properties: &[(&str, Value)]) -> Value {
    let properties: serde_json::Map<_, _> =
        properties.iter().map(|(name, mapping)| ((*name).to_owned(), mapping.clone())).collect();
    json!({"properties": properties})
}

fn enabled() -> Value {
    object(&[("enabled", json!({"type": "boolean"}))])
}

fn filter() -> Value {
    object(&[
        (
            "rules",
            object(&[
                ("id", keyword()),
                ("policy", keyword()),
                ("field", keyword()),
                ("rule", keyword()),
                ("value", keyword()),
                ("order", json!({"type": "short"})),
                ("created_at", date()),
                ("updated_at", date()),
            ]),
        ),
        (
            "advanced_snippet",
            object(&[("value", json!({"type": "object"})), ("created_at", date()), ("updated_at", date())]),
        ),
        (
            "validation",
            object(&[
                ("state", keyword()),
                ("errors", object(&[("ids", keyword()), ("messages", json!({"type": "text"}))])),
            ]),
        ),
    ])
}

fn pipeline() -> Value {
    let boolean = json!({"type": "boolean"});
    object(&[
        ("extract_binary_content", boolean.clone()),
        ("name", keyword()),
        ("reduce_whitespace", boolean.clone()),
        ("run_ml_inference", boolean),
    ])
}

fn connectors_mapping() -> Value {
    let boolean = json!({"type": "boolean"});
    let long = json!({"type": "long"});
    let unsearched = json!({"type": "object"});
    let schedule = object(&[("enabled", boolean.clone()), ("interval", json!({"type": "text"}))]);
    let features = object(&[
        ("filtering_advanced_config", boolean.clone()),
        ("filtering_rules", boolean.clone()),
        ("incremental_sync", enabled()),
        ("document_level_security", enabled()),
        ("native_connector_api_keys", enabled()),
        ("sync_rules", object(&[("basic", enabled()), ("advanced", enabled())])),
    ]);
    let filtering = object(&[("domain", keyword()), ("active", filter()), ("draft", filter())]);
    let scheduling = object(&[
        ("access_control", schedule.clone()),
        ("incremental", schedule.clone()),
        ("full", schedule),
    ]);
    let mut mapping = object(&[
        ("api_key_id", keyword()),
        ("api_key_secret_id", keyword()),
        ("configuration", unsearched.clone()),
        ("custom_scheduling", unsearched.clone()),
        ("deleted", boolean.clone()),
        ("description", json!({"type": "text"})),
        ("error", keyword()),
        ("features", features),
        ("filtering", filtering),
        ("index_name", keyword()),
        ("is_native", boolean),
        ("language", keyword()),
        ("last_access_control_sync_error", keyword()),
        ("last_access_control_sync_scheduled_at", date()),
        ("last_access_control_sync_status", keyword()),
        ("last_deleted_document_count", long.clone()),
        ("last_incremental_sync_scheduled_at", date()),
        ("last_indexed_document_count", long),
        ("last_seen", date()),
        ("last_sync_error", keyword()),
        ("last_sync_scheduled_at", date()),
        ("last_sync_status", keyword()),
        ("last_synced", date()),
        ("name", keyword()),
        ("pipeline", pipeline()),
        ("scheduling", scheduling),
        ("service_type", keyword()),
        ("status", keyword()),
        ("sync_cursor", unsearched),
    ]);
    mapping["dynamic"] = json!(false);
    mapping
}

fn jobs_mapping() -> Value {
    let integer = json!({"type": "integer"});
    let unsearched = json!({"type": "object"});
    let connector = object(&[
        ("id", keyword()),
        ("configuration", unsearched.clone()),
        ("filtering", filter()),
        ("index_name", keyword()),
        ("language", keyword()),
        ("pipeline", pipeline()),
        ("service_type", keyword()),
        ("sync_cursor", unsearched.clone()),
    ]);
    let mut mapping = object(&[
        ("cancelation_requested_at", date()),
        ("canceled_at", date()),
        ("completed_at", date()),
        ("connector", connector),
        ("created_at", date()),
        ("deleted_document_count", integer.clone()),
        ("error", keyword()),
        ("indexed_document_count", integer.clone()),
        ("indexed_document_volume", integer.clone()),
        ("job_type", keyword()),
        ("last_seen", date()),
        ("metadata", unsearched),
        ("started_at", date()),
        ("status", keyword()),
        ("total_document_count", integer),
        ("trigger_method", keyword()),
        ("worker_hostname", keyword()),
    ]);
    mapping["dynamic"] = json!(false);
    mapping
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::connector::ConnectorDocument;
    use crate::sync_job::{JobType, SyncJobDocument, TriggerMethod};

    #[test]
    fn indices_are_hidden_versioned_and_reached_by_alias() {
        for (body, alias) in [(connectors_index_body(), CONNECTORS_INDEX), (jobs_index_body(), JOBS_INDEX)] {
            assert_eq!(body["settings"]["index"]["hidden"], true);
            assert_eq!(body["settings"]["index"]["auto_expand_replicas"], "0-1");
            assert_eq!(body["mappings"]["dynamic"], false);
            assert_eq!(body["aliases"], json!({alias: {}}));
        }
        assert_eq!(CONCRETE_CONNECTORS_INDEX, format!("{CONNECTORS_INDEX}-v1"));
        assert_eq!(CONCRETE_JOBS_INDEX, format!("{JOBS_INDEX}-v1"));
        assert_eq!(access_control_index("search-x"), ".search-acl-filter-search-x");
    }

    /// A field added to a document type and forgotten in the mapping could be written and never found.
    #[test]
    fn every_field_of_the_documents_is_mapped() {
        let connector = ConnectorDocument::new(Some("dir"), Some("search-x"), None, Timestamp::UNIX_EPOCH);
        let job = SyncJobDocument::new(
            "c",
            &connector,
            JobType::Full,
            TriggerMethod::OnDemand,
            Timestamp::UNIX_EPOCH,
        )
        .unwrap();
        let check = |document: Value, mapping: &Value| {
            for key in document.as_object().unwrap().keys() {
                assert!(mapping["properties"].get(key).is_some(), "{key} is not mapped");
            }
        };
        check(serde_json::to_value(&connector).unwrap(), &connectors_mapping());
        let jobs = jobs_mapping();
        check(serde_json::to_value(&job).unwrap(), &jobs);
        check(serde_json::to_value(&job.connector).unwrap(), &jobs["properties"]["connector"]);
        let filtering = &connectors_mapping()["properties"]["filtering"];
        check(serde_json::to_value(&connector).unwrap()["filtering"][0].clone(), filtering);
    }
}
