use serde_json::{Value, json};

use super::*;
use crate::configuration::simple_configuration;
use crate::sync_job::{JobType, SyncJobDocument};

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}
const NOW: &str = "2023-11-14T22:13:20+00:00";

fn connector(value: Value) -> ConnectorDocument {
    serde_json::from_value(value).unwrap()
}

fn job(value: Value) -> SyncJobDocument {
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_document_of_nulls_is_a_document_of_defaults() {
    let nulls: Value = serde_json::to_value(ConnectorDocument::default())
        .unwrap()
        .as_object()
        .unwrap()
        .keys()
        .map(|key| (key.clone(), Value::Null))
        .collect::<serde_json::Map<_, _>>()
        .into();
    assert_eq!(connector(nulls), ConnectorDocument::default());
    assert_eq!(connector(json!({})), ConnectorDocument::default());
    assert_eq!(connector(json!({})).status, ConnectorStatus::Created);
    assert_eq!(connector(json!({})).pipeline.name, "search-default-ingestion");
}

#[test]
fn a_full_document_survives_a_round_trip_with_unknown_fields() {
    let stored = json!({
        "api_key_id": "k", "api_key_secret_id": "s",
        "configuration": {"host": {"value": "x", "odd": 1}},
        "custom_scheduling": {"a": 1}, "description": "d", "error": null,
        "features": {"sync_rules": {"basic": {"enabled": true}}, "new_feature": true},
        "filtering": [{
            "domain": "DEFAULT",
            "active": {"rules": [], "advanced_snippet": {"value": {}, "created_at": NOW, "updated_at": NOW},
                "validation": {"state": "valid", "errors": []}, "newer": 1},
            "draft": {"rules": [], "advanced_snippet": {"value": {}}, "validation": {"state": "edited", "errors": []}},
            "newer": 2
        }],
        "index_name": "search-x", "is_native": true, "language": "en",
        "last_access_control_sync_error": null, "last_access_control_sync_scheduled_at": NOW,
        "last_access_control_sync_status": "completed", "last_deleted_document_count": 1,
        "last_incremental_sync_scheduled_at": NOW, "last_indexed_document_count": 2, "last_seen": NOW,
        "last_sync_error": "x", "last_sync_scheduled_at": NOW, "last_sync_status": "error", "last_synced": NOW,
        "name": "n",
        "pipeline": {"name": "p", "extract_binary_content": false, "reduce_whitespace": true, "run_ml_inference": false},
        "scheduling": {
            "full": {"enabled": true, "interval": "0 0 * * * ?"},
            "incremental": {"enabled": false, "interval": "0 0 * * * ?", "newer": true},
            "access_control": {"enabled": false, "interval": null}, "weekly": {}
        },
        "service_type": "dir", "status": "connected", "sync_cursor": {"a": [1]}, "deleted": true,
        "of_tomorrow": {"x": [1, 2.5, null]},
    });
    let document = connector(stored.clone());
    assert_eq!(document.scheduling.of(JobType::Full).interval.as_deref(), Some("0 0 * * * ?"));
    assert!(!document.scheduling.of(JobType::Incremental).enabled);
    assert_eq!(document.scheduling.of(JobType::AccessControl).interval, None);
    assert_eq!(serde_json::to_value(&document).unwrap(), stored);
}

#[test]
fn a_new_connector_has_the_protocols_defaults() {
    let document = ConnectorDocument::new(Some("dir"), Some("search-x"), Some("X"), now());
    let written = serde_json::to_value(&document).unwrap();
    assert_eq!(written["status"], "created");
    assert_eq!(written["service_type"], "dir");
    assert_eq!(written["index_name"], "search-x");
    assert_eq!(written["name"], "X");
    assert_eq!(written["is_native"], false);
    assert_eq!(written["custom_scheduling"], json!({}));
    assert_eq!(written["scheduling"]["full"], json!({"enabled": false, "interval": "0 0 0 * * ?"}));
    assert_eq!(
        written["pipeline"],
        json!({"name": "search-default-ingestion", "extract_binary_content": true, "reduce_whitespace": true, "run_ml_inference": true})
    );
    assert_eq!(written["filtering"][0]["domain"], "DEFAULT");
    assert!(written.get("deleted").is_none());
}

#[test]
fn debug_shows_no_secret() {
    let document = connector(json!({
        "configuration": {"password": {"value": "hunter2", "sensitive": true}},
        "sync_cursor": {"token": "hunter2"}, "unknown": "hunter2",
    }));
    let shown = format!("{document:?} {:?}", document.extra);
    assert!(shown.contains("password") && shown.contains("unknown"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_wrong_status_or_date_is_an_error_not_a_default() {
    for wrong in
        [json!({"status": "odd"}), json!({"last_seen": "yesterday"}), json!({"last_sync_status": "odd"})]
    {
        assert!(serde_json::from_value::<ConnectorDocument>(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn statuses_follow_the_life_of_a_connector() {
    use ConnectorStatus::{Configured, Connected, Created, Error, NeedsConfiguration};
    for status in ConnectorStatus::ALL {
        assert_eq!(serde_json::to_value(status).unwrap(), status.name());
        assert_eq!(status.to_string(), status.name());
        assert!(status.can_become(status), "{status} may stay");
        assert_eq!(status.can_become(Created), status == Created);
        assert!(status.can_become(Error));
    }
    assert!(Created.can_become(NeedsConfiguration));
    assert!(Created.can_become(Configured));
    assert!(NeedsConfiguration.can_become(Connected));
    assert!(Connected.can_become(NeedsConfiguration));
    assert!(Error.can_become(Connected));
    let refused = Created.to(Connected).unwrap_err();
    assert_eq!(refused.to_string(), "a connector that is created cannot become connected");
    assert!(!Created.can_be_scheduled());
    assert!(!NeedsConfiguration.can_be_scheduled());
    assert!(Configured.can_be_scheduled() && Connected.can_be_scheduled() && Error.can_be_scheduled());
}

fn source(owned: bool) -> SourceDefinition {
    SourceDefinition {
        service_type: "dir".into(),
        features: FeatureFlags::default().into(),
        configuration: simple_configuration(json!({"directory": {"value": "/"}}).as_object().unwrap()),
        owned,
    }
}

#[test]
fn preparing_an_empty_connector_writes_the_defaults_and_asks_for_configuration() {
    let update = ConnectorDocument::default().prepare(&source(true)).unwrap();
    assert_eq!(update["status"], "needs_configuration");
    assert_eq!(update["service_type"], "dir");
    assert_eq!(update["configuration"]["directory"]["value"], "/");
    assert_eq!(Value::Object(update), {
        let mut expected = json!({"configuration": source(true).configuration, "status": "needs_configuration", "service_type": "dir"});
        expected["features"] = json!(source(true).features);
        expected
    });
}

#[test]
fn preparing_a_complete_connector_writes_nothing() {
    let document = connector(json!({
        "service_type": "dir", "features": source(true).features, "configuration": source(true).configuration,
    }));
    assert_eq!(document.prepare(&source(true)), None);
    let mut lacking = document.clone();
    lacking.configuration.0["directory"].as_object_mut().unwrap().remove("tooltip");
    let update = lacking.prepare(&source(true)).unwrap();
    assert_eq!(Value::Object(update), json!({"configuration": {"directory": {"tooltip": null}}}));
}

#[test]
fn features_are_replaced_for_an_own_connector_and_completed_for_a_native_one() {
    let stored = json!({"service_type": "dir", "features": {"document_level_security": {"enabled": true}},
        "configuration": source(true).configuration});
    let own = connector(stored.clone()).prepare(&source(true)).unwrap();
    assert_eq!(own["features"]["document_level_security"]["enabled"], false);
    assert_eq!(connector(stored.clone()).prepare(&source(false)), None);
    let mut native = connector(stored);
    native.is_native = true;
    let update = native.prepare(&source(false)).unwrap();
    assert_eq!(update["features"]["document_level_security"]["enabled"], true);
    assert_eq!(update["features"]["sync_rules"]["basic"]["enabled"], true);
}

#[test]
fn heartbeats_are_due_after_the_interval() {
    let mut document = ConnectorDocument::default();
    assert!(document.needs_heartbeat(now(), 300));
    document.last_seen = Some(Timestamp::from_second(1_700_000_000 - 300).unwrap());
    assert!(!document.needs_heartbeat(now(), 300));
    document.last_seen = Some(Timestamp::from_second(1_700_000_000 - 301).unwrap());
    assert!(document.needs_heartbeat(now(), 300));
    assert_eq!(Value::Object(ConnectorDocument::seen(now())), json!({"last_seen": NOW}));
}

#[test]
fn connected_and_failed_set_status_and_error_together() {
    let document = connector(json!({"status": "error", "error": "x"}));
    assert_eq!(Value::Object(document.connected().unwrap()), json!({"status": "connected", "error": null}));
    assert!(ConnectorDocument::default().connected().is_err());
    assert_eq!(Value::Object(ConnectorDocument::failed("gone")), json!({"status": "error", "error": "gone"}));
}

#[test]
fn each_job_type_has_its_schedule_stamp() {
    for (job_type, field) in [
        (JobType::Full, "last_sync_scheduled_at"),
        (JobType::Incremental, "last_incremental_sync_scheduled_at"),
        (JobType::AccessControl, "last_access_control_sync_scheduled_at"),
    ] {
        let update = ConnectorDocument::scheduled(job_type, now());
        assert_eq!(update[field], NOW);
        assert_eq!(connector(update.into()).last_scheduled(job_type), Some(now()));
    }
}

#[test]
fn a_sync_starts_once_in_its_family() {
    let document = connector(
        json!({"status": "configured", "last_sync_status": "completed", "last_access_control_sync_status": "in_progress"}),
    );
    assert_eq!(
        Value::Object(document.sync_started(JobType::Full).unwrap()),
        json!({"status": "connected", "error": null, "last_sync_status": "in_progress", "last_sync_error": null})
    );
    let refused = document.sync_started(JobType::AccessControl).unwrap_err();
    assert_eq!(refused.to_string(), "an access control sync of this connector is already running");

    let running = connector(json!({"status": "connected", "last_sync_status": "in_progress"}));
    assert_eq!(running.sync_started(JobType::Incremental), Err(SyncStartError::AlreadyRunning("a content")));
    assert_eq!(
        Value::Object(running.sync_started(JobType::AccessControl).unwrap()),
        json!({"status": "connected", "error": null, "last_access_control_sync_status": "in_progress", "last_access_control_sync_error": null})
    );
    let created = ConnectorDocument::default().sync_started(JobType::Full).unwrap_err();
    assert!(created.to_string().contains("created"), "{created}");
}

#[test]
fn a_completed_content_sync_stores_counts_and_cursor() {
    let done = job(
        json!({"job_type": "full", "status": "completed", "indexed_document_count": 5, "deleted_document_count": 2}),
    );
    let cursor = json!({"cursor_timestamp": NOW});
    assert_eq!(
        Value::Object(ConnectorDocument::sync_ended(Some(&done), Some(&cursor), now())),
        json!({"last_synced": NOW, "status": "connected", "error": null, "last_sync_status": "completed",
            "last_sync_error": null, "sync_cursor": cursor, "last_indexed_document_count": 5, "last_deleted_document_count": 2})
    );
    let none = ConnectorDocument::sync_ended(Some(&done), None, now());
    assert_eq!(none["sync_cursor"], Value::Null);
}

#[test]
fn an_access_control_sync_leaves_the_cursor_alone() {
    let done = job(json!({"job_type": "access_control", "status": "completed"}));
    let update = ConnectorDocument::sync_ended(Some(&done), Some(&json!({})), now());
    assert!(!update.contains_key("sync_cursor"));
    assert!(!update.contains_key("last_sync_status"));
    assert_eq!(update["last_access_control_sync_status"], "completed");
}

#[test]
fn a_suspended_sync_is_no_error_and_has_no_last_counts() {
    let suspended = job(json!({"job_type": "full", "status": "suspended", "indexed_document_count": 5}));
    assert_eq!(
        Value::Object(ConnectorDocument::sync_ended(Some(&suspended), None, now())),
        json!({"last_synced": NOW, "status": "connected", "error": null, "last_sync_status": "suspended", "last_sync_error": null})
    );
}

#[test]
fn a_failed_sync_carries_its_error_and_a_vanished_one_fails_both_families() {
    let failed = job(json!({"job_type": "full", "status": "error", "error": "boom"}));
    let update = ConnectorDocument::sync_ended(Some(&failed), None, now());
    assert_eq!(
        (&update["error"], &update["last_sync_error"], &update["status"]),
        (&json!("boom"), &json!("boom"), &json!("error"))
    );
    let silent = job(json!({"job_type": "full", "status": "error"}));
    assert_eq!(ConnectorDocument::sync_ended(Some(&silent), None, now())["error"], "unknown error");
    assert_eq!(
        Value::Object(ConnectorDocument::sync_ended(None, None, now())),
        json!({"last_synced": NOW, "status": "error", "error": JOB_NOT_FOUND,
            "last_sync_status": "error", "last_sync_error": JOB_NOT_FOUND,
            "last_access_control_sync_status": "error", "last_access_control_sync_error": JOB_NOT_FOUND})
    );
}

#[test]
fn users_may_set_fewer_statuses_than_services() {
    use ConnectorStatus::{Configured, Connected, Created, Error, NeedsConfiguration};
    let allowed = |from: ConnectorStatus| -> Vec<ConnectorStatus> {
        ConnectorStatus::ALL.into_iter().filter(|next| from.can_be_set_to(*next)).collect()
    };
    assert_eq!(allowed(Created), [NeedsConfiguration, Error]);
    assert_eq!(allowed(NeedsConfiguration), [Configured, Error]);
    assert_eq!(allowed(Configured), [NeedsConfiguration, Configured, Connected, Error]);
    assert_eq!(allowed(Connected), [Configured, Connected, Error]);
    assert_eq!(allowed(Error), [Configured, Connected, Error]);
}

#[test]
fn another_service_type_or_host_sets_the_status_back() {
    use ConnectorStatus::{Configured, Created, Error, NeedsConfiguration};
    assert_eq!(
        ConnectorStatus::ALL.map(ConnectorStatus::with_new_service_type),
        [Created, NeedsConfiguration, NeedsConfiguration, NeedsConfiguration, NeedsConfiguration]
    );
    assert_eq!(
        ConnectorStatus::ALL.map(ConnectorStatus::with_new_host),
        [Created, NeedsConfiguration, Configured, Configured, Error]
    );
    assert_eq!(ConnectorStatus::from_name("Needs_Configuration"), Some(NeedsConfiguration));
    assert_eq!(ConnectorStatus::from_name("ready"), None);
}
