//! The service's loops, driven through the protocol's documents as Kibana drives them.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Server, Service, Workplace, until};

/// A folder with files, and its connector on the server, after a first sync.
pub async fn connected(server: &Server, index: &str) -> (Workplace, String) {
    let place = Workplace::new(index);
    server.forget(index).await;
    place.fill(12, 100);
    place.sync(&place.config(&server.url, &json!({})));
    let (connector, _) = server.connector(index).await;
    (place, connector)
}

/// Settings of a service for one connector.
pub fn serving(connector: &str) -> Value {
    json!({"connectors": [{"connector_id": connector, "service_type": "dir"}], "service.idling": 0.3})
}

/// Writes fields of a connector as Kibana does.
pub async fn change(server: &Server, connector: &str, fields: Value) {
    let path = format!("/.elastic-connectors/_update/{connector}?refresh=true&retry_on_conflict=5");
    let (status, answer) = server.call(Method::POST, &path, Some(json!({ "doc": fields }))).await;
    assert_eq!(status, 200, "{answer}");
}

/// The newest job of a connector that a schedule made.
async fn scheduled_job(server: &Server, connector: &str) -> Option<(String, Value)> {
    server.call(Method::POST, "/.elastic-connectors-sync-jobs/_refresh", None).await;
    let body = json!({"query": {"bool": {"filter": [
        {"term": {"connector.id": connector}}, {"term": {"trigger_method": "scheduled"}}]}}});
    let (_, found) = server.call(Method::POST, "/.elastic-connectors-sync-jobs/_search", Some(body)).await;
    let hit = found["hits"]["hits"].as_array().unwrap_or_else(|| panic!("{found}")).first()?.clone();
    Some((hit["_id"].as_str().unwrap().to_owned(), hit["_source"].clone()))
}

#[tokio::test]
async fn a_schedule_makes_jobs_and_the_service_runs_them() {
    let server = Server::start().await;
    let (place, connector) = connected(&server, "search-e2e-schedule").await;
    place.write("new.txt", "new");
    change(
        &server,
        &connector,
        json!({"scheduling": {"full": {"enabled": true, "interval": "0/2 * * * * ?"}}}),
    )
    .await;
    let config = place.config(&server.url, &serving(&connector));
    let mut service = Service::start(&config, "schedule");
    let (job, _) =
        until("a scheduled job", Duration::from_secs(30), async || scheduled_job(&server, &connector).await)
            .await;
    server.job_becomes(&job, &["completed"], Duration::from_secs(30)).await;
    assert_eq!(server.documents(&place.index).await, place.listing());
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    let (_, document) = server.connector(&place.index).await;
    assert_eq!(document["status"], "connected", "{document}");
    assert!(
        document["last_seen"].is_string() && document["last_sync_scheduled_at"].is_string(),
        "{document}"
    );
    server.forget(&place.index).await;
}

#[tokio::test]
async fn what_is_scheduled_starts_on_time_whatever_the_service_idles() {
    let server = Server::start().await;
    let (place, connector) = connected(&server, "search-e2e-on-time").await;
    change(
        &server,
        &connector,
        json!({"scheduling": {"full": {"enabled": true, "interval": "1/4 * * * * ?"}}}),
    )
    .await;
    let mut idling = serving(&connector);
    idling["service.idling"] = json!(60);
    let mut service = Service::start(&place.config(&server.url, &idling), "on-time");
    let (job, _) =
        until("a scheduled job", Duration::from_secs(30), async || scheduled_job(&server, &connector).await)
            .await;
    let job = server.job_becomes(&job, &["completed"], Duration::from_secs(15)).await;
    let created: jiff::Timestamp = job["created_at"].as_str().unwrap().parse().unwrap();
    assert!((created.as_second() - 1) % 4 <= 1, "made at {created}, not at a second that the schedule names");
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    server.forget(&place.index).await;
}

/// Runs the service until it has looked at the connector, and returns the jobs that schedules have made since ever.
async fn jobs_after_a_look(
    server: &Server,
    place: &Workplace,
    connector: &str,
    settings: &Value,
    name: &str,
) -> u64 {
    let mut settings = settings.clone();
    settings["service.heartbeat"] = json!(0);
    let mut service = Service::start(&place.config(&server.url, &settings), name);
    // A turn begins with a heartbeat, and the next one begins when all of it is done.
    let (_, mut document) = server.connector(&place.index).await;
    for _ in 0..2 {
        document = until("a heartbeat", Duration::from_secs(20), async || {
            let (_, now) = server.connector(&place.index).await;
            (now["last_seen"] != document["last_seen"]).then_some(now)
        })
        .await;
    }
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    server.call(Method::POST, "/.elastic-connectors-sync-jobs/_refresh", None).await;
    let query = json!({"query": {"bool": {"filter": [
        {"term": {"connector.id": connector}}, {"term": {"trigger_method": "scheduled"}}]}}});
    let (_, found) = server.call(Method::POST, "/.elastic-connectors-sync-jobs/_count", Some(query)).await;
    found["count"].as_u64().unwrap_or_else(|| panic!("{found}"))
}

#[tokio::test]
async fn a_job_that_was_missed_while_no_service_ran_is_made_once_at_start() {
    let server = Server::start().await;
    let (place, connector) = connected(&server, "search-e2e-missed").await;
    // Due at noon of the first day of every year, and last looked after in 2020.
    let yearly = json!({"full": {"enabled": true, "interval": "0 0 12 1 1 ? *"}});
    change(&server, &connector, json!({"scheduling": yearly, "last_seen": "2020-06-01T00:00:00+00:00"}))
        .await;
    let mut without = serving(&connector);
    without["service.catch_up"] = json!(false);
    assert_eq!(jobs_after_a_look(&server, &place, &connector, &without, "missed-off").await, 0);
    change(&server, &connector, json!({"last_seen": "2020-06-01T00:00:00+00:00"})).await;
    assert_eq!(jobs_after_a_look(&server, &place, &connector, &serving(&connector), "missed-1").await, 1);
    change(&server, &connector, json!({"last_seen": "2020-06-01T00:00:00+00:00"})).await;
    assert_eq!(
        jobs_after_a_look(&server, &place, &connector, &serving(&connector), "missed-2").await,
        1,
        "its stamp says that it was made"
    );
    server.forget(&place.index).await;
}

#[tokio::test]
async fn rules_are_followed_only_if_the_connector_has_the_feature() {
    let server = Server::start().await;
    let (place, connector) = connected(&server, "search-e2e-feature").await;
    let (_, document) = server.connector(&place.index).await;
    let mut filtering = document["filtering"].clone();
    filtering[0]["active"]["rules"] = json!([{
        "id": "no-seven", "order": 1, "policy": "exclude", "field": "path", "rule": "ends_with", "value": "note-0007.txt",
        "created_at": "2026-01-01T00:00:00+00:00", "updated_at": "2026-01-01T00:00:00+00:00"}]);
    let features =
        |on: bool| json!({"sync_rules": {"basic": {"enabled": on}, "advanced": {"enabled": false}}});
    change(&server, &connector, json!({"filtering": filtering, "features": features(false)})).await;
    let config = place.config(&server.url, &json!({}));
    assert_eq!(place.sync(&config)["filtered_document_count"], 0);
    change(&server, &connector, json!({ "features": features(true) })).await;
    assert_eq!(place.sync(&config)["filtered_document_count"], 1);
    server.forget(&place.index).await;
}

#[tokio::test]
async fn what_is_wrong_with_a_connector_is_written_where_its_owner_sees_it() {
    let server = Server::start().await;
    let (place, connector) = connected(&server, "search-e2e-wrong").await;
    let missing = place.files().join("missing");
    change(
        &server,
        &connector,
        json!({"status": "configured", "configuration": {"directory": {"value": missing.to_str().unwrap()}}}),
    )
    .await;
    let config = place.config(&server.url, &serving(&connector));
    let mut service = Service::start(&config, "wrong");
    let document = until("the error", Duration::from_secs(20), async || {
        let (_, document) = server.connector(&place.index).await;
        (document["status"] == "error").then_some(document)
    })
    .await;
    assert!(document["error"].as_str().unwrap().contains("missing"), "{document}");
    change(
        &server,
        &connector,
        json!({"configuration": {"directory": {"value": place.files().to_str().unwrap()}}}),
    )
    .await;
    until("the connection", Duration::from_secs(20), async || {
        let (_, document) = server.connector(&place.index).await;
        (document["status"] == "connected" && document["error"].is_null()).then_some(())
    })
    .await;
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    server.forget(&place.index).await;
}

#[tokio::test]
async fn an_edited_draft_of_rules_is_validated_put_in_force_and_followed() {
    let server = Server::start().await;
    let (place, connector) = connected(&server, "search-e2e-rules").await;
    let (_, document) = server.connector(&place.index).await;
    let mut filtering = document["filtering"].clone();
    filtering[0]["draft"]["rules"] = json!([{
        "id": "no-seven", "order": 1, "policy": "exclude", "field": "path", "rule": "ends_with", "value": "note-0007.txt",
        "created_at": "2026-01-01T00:00:00+00:00", "updated_at": "2026-01-01T00:00:00+00:00"}]);
    filtering[0]["draft"]["validation"] = json!({"state": "edited", "errors": []});
    change(&server, &connector, json!({ "filtering": filtering })).await;
    let config = place.config(&server.url, &serving(&connector));
    let mut service = Service::start(&config, "rules");
    until("the active rule", Duration::from_secs(20), async || {
        let (_, document) = server.connector(&place.index).await;
        let active = &document["filtering"][0]["active"];
        (active["rules"][0]["id"] == "no-seven" && active["validation"]["state"] == "valid").then_some(())
    })
    .await;
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    let report = place.sync(&place.config(&server.url, &json!({})));
    assert_eq!(report["filtered_document_count"], 1, "{report}");
    assert_eq!(report["deleted_document_count"], 1, "what is filtered leaves the index: {report}");
    assert_eq!(server.documents(&place.index).await.len(), 11);
    server.forget(&place.index).await;
}

#[tokio::test]
async fn a_job_that_nobody_runs_any_more_ends_as_an_error() {
    let server = Server::start().await;
    let (place, connector) = connected(&server, "search-e2e-idle").await;
    let job = json!({
        "connector": {"id": connector, "index_name": place.index, "service_type": "dir"},
        "job_type": "full", "trigger_method": "on_demand", "status": "in_progress",
        "created_at": "2026-01-01T00:00:00+00:00", "started_at": "2026-01-01T00:00:00+00:00",
        "last_seen": "2026-01-01T00:00:00+00:00", "worker_hostname": "elsewhere"});
    server.put_document(".elastic-connectors-sync-jobs", "e2e-idle", job).await;
    let config = place.config(&server.url, &serving(&connector));
    let mut service = Service::start(&config, "idle");
    let ended = server.job_becomes("e2e-idle", &["error"], Duration::from_secs(20)).await;
    let error = ended["error"].as_str().unwrap();
    assert!(
        error.contains("elsewhere has not reported") && error.contains("last at 2026-01-01T00:00:00"),
        "{ended}"
    );
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    server.forget(&place.index).await;
}

#[tokio::test]
async fn a_job_that_others_mark_as_canceling_before_it_ran_is_canceled() {
    let server = Server::start().await;
    let (place, connector) = connected(&server, "search-e2e-canceling").await;
    // As the command line of Elastic's service writes it.
    let job = json!({
        "connector": {"id": connector, "index_name": place.index, "service_type": "dir"},
        "job_type": "full", "trigger_method": "on_demand", "status": "canceling",
        "created_at": "2026-01-01T00:00:00+00:00", "last_seen": "2026-01-01T00:00:00+00:00"});
    server.put_document(".elastic-connectors-sync-jobs", "e2e-canceling", job).await;
    let mut service = Service::start(&place.config(&server.url, &serving(&connector)), "canceling");
    let ended = server.job_becomes("e2e-canceling", &["canceled"], Duration::from_secs(20)).await;
    assert!(ended["canceled_at"].is_string() && ended["error"].is_null(), "{ended}");
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    server.forget(&place.index).await;
}

#[tokio::test]
async fn a_connectors_own_api_key_is_what_writes_its_documents() {
    let server = Server::start().await;
    if !server.is_secured() {
        // Keys are made and enforced only where security is on: `make e2e` has such a server.
        return;
    }
    let (place, connector) = connected(&server, "search-e2e-key").await;
    let key = async |name: &str, index: &str| {
        let role = json!({"name": name, "role_descriptors": {"writer": {
            "cluster": ["monitor"], "indices": [{"names": [index], "privileges": ["all"]}]}}});
        server.call(Method::POST, "/_security/api_key", Some(role)).await.1["encoded"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let with = |key: &str| {
        json!({"service.idling": 0.3,
            "connectors": [{"connector_id": connector, "service_type": "dir", "api_key": key}]})
    };
    for (name, index, status) in
        [("wrong", "another-index", "error"), ("right", place.index.as_str(), "completed")]
    {
        let settings = with(&key(name, index).await);
        let mut service = Service::start(&place.config(&server.url, &settings), name);
        place.write(&format!("{name}.txt"), name);
        let output = Workplace::command(&place.config(&server.url, &json!({})))
            .args(["job", "start", "-i", &connector, "-t", "full", "-o", "json"])
            .output()
            .unwrap();
        let job = crate::support::report(&output)["id"].as_str().unwrap().to_owned();
        let ended = server.job_becomes(&job, &[status], Duration::from_secs(20)).await;
        let error = ended["error"].as_str().unwrap_or_default();
        assert_eq!(error.contains("403"), status == "error", "{ended}");
        assert_eq!(service.stop(), Some(0), "{}", service.log());
        assert!(
            !service.log().contains(settings["connectors"][0]["api_key"].as_str().unwrap()),
            "the key is logged"
        );
    }
    assert_eq!(server.documents(&place.index).await, place.listing());
    server.forget(&place.index).await;
}

/// A connector and a job in the shapes of Kibana and of Elastic's API reference, with fields that no version of ours knows.
#[tokio::test]
async fn what_kibana_writes_is_understood_and_what_is_unknown_is_kept() {
    let server = Server::start().await;
    let place = Workplace::new("search-e2e-kibana");
    server.forget(&place.index).await;
    // Makes the protocol's indices.
    place.sync(&place.config(&server.url, &json!({})));
    server.forget(&place.index).await;
    place.fill(5, 100);
    let now = "2026-11-01T10:00:00.000Z";
    let rules = json!({
        "advanced_snippet": {"created_at": now, "updated_at": now, "value": {}},
        "rules": [{"created_at": now, "field": "_", "id": "DEFAULT", "order": 0, "policy": "include", "rule": "regex",
            "updated_at": now, "value": ".*"}],
        "validation": {"errors": [], "state": "valid"}, "later_version": {"a": [1]}});
    let connector = json!({
        "api_key_id": null, "api_key_secret_id": null, "custom_scheduling": {}, "description": "made by hand",
        "configuration": {"directory": {"value": place.files().to_str().unwrap(), "label": "Where", "later": true}},
        "error": null, "features": null, "filtering": [{"active": rules, "domain": "DEFAULT", "draft": rules}],
        "index_name": place.index, "is_native": false, "language": "en", "last_access_control_sync_error": null,
        "last_access_control_sync_scheduled_at": null, "last_access_control_sync_status": null,
        "last_incremental_sync_scheduled_at": null, "last_seen": null, "last_sync_error": null,
        "last_sync_scheduled_at": null, "last_sync_status": null, "last_synced": null, "name": "by hand",
        "pipeline": {"extract_binary_content": true, "name": "search-default-ingestion", "reduce_whitespace": true,
            "run_ml_inference": false},
        "scheduling": {"access_control": {"enabled": false, "interval": "0 0 0 * * ?"},
            "full": {"enabled": false, "interval": "0 0 0 * * ?"}, "incremental": {"enabled": false, "interval": "0 0 0 * * ?"}},
        "service_type": "dir", "status": "configured", "sync_now": false, "sync_cursor": null,
        "of_a_later_version": {"nested": ["kept", 1.5, null]}});
    server.put_document(".elastic-connectors", "e2e-kibana", connector.clone()).await;
    let job = json!({
        "cancelation_requested_at": null, "canceled_at": null, "completed_at": null, "created_at": now,
        "connector": {"id": "e2e-kibana", "configuration": connector["configuration"], "filtering": [rules],
            "index_name": place.index, "language": "en", "pipeline": connector["pipeline"], "service_type": "dir",
            "later": "kept"},
        "deleted_document_count": 0, "error": null, "indexed_document_count": 0, "indexed_document_volume": 0,
        "job_type": "full", "last_seen": null, "metadata": {"origin": "by hand"}, "started_at": null, "status": "pending",
        "total_document_count": null, "trigger_method": "on_demand", "worker_hostname": null,
        "of_a_later_version": "kept"});
    server.put_document(".elastic-connectors-sync-jobs", "e2e-kibana-job", job).await;
    let mut service = Service::start(&place.config(&server.url, &serving("e2e-kibana")), "kibana");
    let ended = server.job_becomes("e2e-kibana-job", &["completed"], Duration::from_secs(20)).await;
    assert_eq!(
        (ended["indexed_document_count"].as_u64(), ended["total_document_count"].as_u64()),
        (Some(5), Some(5))
    );
    assert_eq!(
        (&ended["of_a_later_version"], &ended["connector"]["later"]),
        (&json!("kept"), &json!("kept"))
    );
    assert_eq!(ended["connector"]["filtering"], json!([rules]), "the snapshot is left as it was");
    let after = until("the connector", Duration::from_secs(10), async || {
        let (_, after) = server.connector(&place.index).await;
        (after["last_sync_status"] == "completed").then_some(after)
    })
    .await;
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    for field in
        ["of_a_later_version", "filtering", "description", "pipeline", "scheduling", "sync_now", "name"]
    {
        assert_eq!(after[field], connector[field], "{field}");
    }
    let directory = &after["configuration"]["directory"];
    assert_eq!(
        (&directory["later"], &directory["value"]),
        (&json!(true), &connector["configuration"]["directory"]["value"])
    );
    assert!(after["configuration"]["pattern"]["value"].is_string(), "what was missing is added: {after}");
    assert!(
        after["features"]["sync_rules"]["basic"]["enabled"] == true && after["last_seen"].is_string(),
        "{after}"
    );
    server.forget(&place.index).await;
}

#[tokio::test]
async fn a_schedule_that_cannot_be_read_does_not_stop_the_others_nor_the_service() {
    let server = Server::start().await;
    let (place, connector) = connected(&server, "search-e2e-bad-cron").await;
    place.write("new.txt", "new");
    change(
        &server,
        &connector,
        json!({"scheduling": {
            "full": {"enabled": true, "interval": "0/2 * * * * ?"},
            "incremental": {"enabled": true, "interval": "every now and then"},
        }}),
    )
    .await;
    let mut settings = serving(&connector);
    settings["service.max_errors"] = json!(1);
    let mut service = Service::start(&place.config(&server.url, &settings), "bad-cron");
    let (job, _) =
        until("a scheduled job", Duration::from_secs(30), async || scheduled_job(&server, &connector).await)
            .await;
    server.job_becomes(&job, &["completed"], Duration::from_secs(30)).await;
    until("the error", Duration::from_secs(20), async || {
        let (_, document) = server.connector(&place.index).await;
        document["error"].as_str().is_some_and(|error| error.contains("schedule")).then_some(())
    })
    .await;
    // Many more turns than the errors a service may meet.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    server.forget(&place.index).await;
}
