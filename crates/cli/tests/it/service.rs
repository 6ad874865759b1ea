//! The service's loops, driven through the protocol's documents as Kibana drives them.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Server, Service, Workplace, until};

/// A folder with files, its connector on the server, and a service that serves it, not yet started.
async fn connected(server: &Server, index: &str) -> (Workplace, String) {
    let place = Workplace::new(index);
    server.forget(index).await;
    place.fill(12, 100);
    place.sync(&place.config(&server.url, &json!({})));
    let (connector, _) = server.connector(index).await;
    (place, connector)
}

fn serving(connector: &str) -> Value {
    json!({"connectors": [{"connector_id": connector, "service_type": "dir"}], "service.idling": 0.3})
}

async fn change(server: &Server, connector: &str, fields: Value) {
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
    let path = "/.elastic-connectors-sync-jobs/_doc/e2e-idle?refresh=true";
    let (status, answer) = server.call(Method::PUT, path, Some(job)).await;
    assert!(status < 300, "{answer}");
    let config = place.config(&server.url, &serving(&connector));
    let mut service = Service::start(&config, "idle");
    let ended = server.job_becomes("e2e-idle", &["error"], Duration::from_secs(20)).await;
    assert!(ended["error"].as_str().unwrap().contains("has not reported"), "{ended}");
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    server.forget(&place.index).await;
}

#[tokio::test]
async fn a_job_for_what_the_source_cannot_do_says_so() {
    let server = Server::start().await;
    let (place, connector) = connected(&server, "search-e2e-cannot").await;
    let output = Workplace::command(&place.config(&server.url, &json!({})))
        .args(["job", "start", "-i", &connector, "-t", "incremental", "-o", "json"])
        .output()
        .unwrap();
    let job = crate::support::report(&output)["id"].as_str().unwrap().to_owned();
    let config = place.config(&server.url, &serving(&connector));
    let mut service = Service::start(&config, "cannot");
    let ended = server.job_becomes(&job, &["error"], Duration::from_secs(20)).await;
    assert!(ended["error"].as_str().unwrap().contains("no incremental sync"), "{ended}");
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    server.forget(&place.index).await;
}
