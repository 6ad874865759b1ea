//! `connectors job`: what the peer's flags mean, and following a job to its end.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::support::{Server, Service, Workplace, answer, report, said, until};

/// Until one job of the connector waits for a service.
async fn waits(server: &Server, connector: &str) {
    let of = json!({"term": {"connector.id": connector}});
    let query = json!({"query": {"bool": {"filter": [of, {"term": {"status": "pending"}}]}}});
    until("a pending job", Duration::from_secs(20), async || {
        let path = "/.elastic-connectors-sync-jobs/_count";
        let (_, found) = server.call(Method::POST, path, Some(query.clone())).await;
        (found["count"] == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_watched_job_ends_with_its_result_as_exit_code() {
    let server = Server::start().await;
    let place = Workplace::new("search-e2e-watch");
    server.forget(&place.index).await;
    place.fill(5, 50);
    let config = place.config(&server.url, &json!({}));
    place.sync(&config);
    let (id, _) = server.connector(&place.index).await;
    let serving =
        place.config(&server.url, &json!({"connectors": [{"connector_id": id, "service_type": "dir"}]}));
    let command = |arguments: &[&str]| {
        let mut command = Workplace::command(&config);
        command.arg("job").args(arguments);
        command
    };

    // The service that runs it comes later than the one who waits for it.
    let watched = command(&["start", "-i", &id, "-t", "FULL", "--watch", "-o", "json"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    waits(&server, &id).await;
    // Long enough for a line of progress.
    tokio::time::sleep(Duration::from_millis(3500)).await;
    let mut service = Service::start(&serving, "watch");
    let output = watched.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let job = report(&output);
    assert_eq!((&job["status"], &job["job_type"]), (&json!("completed"), &json!("full")), "{job}");
    assert!(said(&output).contains("pending, waits for a service"), "{}", said(&output));

    // A job that cannot succeed.
    let started =
        answer(&mut command(&["start", "-i", &id, "-t", "access_control", "--format", "json"]), &[]);
    let failing = report(&started)["id"].as_str().unwrap().to_owned();
    let output = answer(&mut command(&["watch", &failing]), &[]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("switched off in the connector's configuration"), "{}", said(&output));
    assert_eq!(service.stop(), Some(0), "{}", service.log());

    // One that is canceled before anybody took it.
    let started = answer(&mut command(&["start", "-i", &id, "-o", "json"]), &[]);
    let canceled = report(&started)["id"].as_str().unwrap().to_owned();
    let output = answer(&mut command(&["cancel", &canceled, "-o", "json"]), &[]);
    assert_eq!(report(&output), json!({"id": canceled, "status": "canceled"}));
    let output = answer(&mut command(&["watch", &canceled]), &[]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));

    // Who watches may leave; the job stays.
    let mut left =
        command(&["start", "-i", &id, "--watch"]).stderr(std::process::Stdio::null()).spawn().unwrap();
    waits(&server, &id).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let pid = left.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(left.wait().unwrap().code(), Some(130));

    for verb in ["watch", "view", "cancel"] {
        let output = answer(&mut command(&[verb, "nope"]), &[]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("there is no sync job nope"), "{}", said(&output));
    }
    let output = answer(&mut command(&["start", "-i", "nope"]), &[]);
    assert!(said(&output).contains("there is no connector nope"), "{}", said(&output));
    server.forget(&place.index).await;
}
