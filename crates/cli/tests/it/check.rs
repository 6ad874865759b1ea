//! `connectors check`: every failure is found, named, and comes with what to do.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Asked, Gate, Server, Workplace, answer, out, report, said};

/// What was found about one thing: (result, message, what to do).
fn finding(findings: &Value, check: &str) -> (String, String, String) {
    let found = findings.as_array().unwrap().iter().find(|finding| finding["check"] == check);
    let found = found.unwrap_or_else(|| panic!("no {check}: {findings}"));
    let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
    (text("result"), text("message"), text("fix"))
}

#[tokio::test]
async fn what_keeps_a_connector_from_working_is_said_with_what_to_do() {
    let server = Server::start().await;
    let place = Workplace::new("search-e2e-check");
    server.forget(&place.index).await;
    place.write("a.txt", "a");
    let config = place.config(&server.url, &json!({}));
    place.sync(&config);
    let (id, _) = server.connector(&place.index).await;
    let check = || answer(Workplace::command(&config).args(["check", &id]), &[]);
    let check_json = || report(&answer(Workplace::command(&config).args(["check", &id, "-o", "json"]), &[]));
    let change = async |part: Value| {
        let path = format!("/.elastic-connectors/_update/{id}?refresh=true");
        let (status, answer) = server.call(Method::POST, &path, Some(json!({"doc": part}))).await;
        assert_eq!(status, 200, "{answer}");
    };

    // All is well, but for the service that nobody started.
    let output = check();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = out(&output);
    for part in [
        "nothing failed",
        "the source answers",
        "search-e2e-check, 1 documents",
        "WARNING  service",
        "→ start elastic-ingest",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }

    // Everything that can be wrong with its document at once.
    change(json!({
        "last_seen": "2020-01-01T00:00:00Z",
        "last_sync_status": "error", "last_sync_error": "the disk is full",
        "status": "error", "error": "cannot be reached",
        "pipeline": {"name": "e2e-no-such-pipeline"},
        "configuration": {"use_document_level_security": {"value": true}},
        "features": {"document_level_security": {"enabled": true}, "sync_rules": {"basic": {"enabled": true}}},
        "scheduling": {"full": {"enabled": true, "interval": "daily"}},
        "filtering": [{"domain": "DEFAULT", "active": {"rules": [{"id": "odd"}]}}],
    }))
    .await;
    let output = check();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(out(&output).contains("5 checks failed"), "{}", said(&output));
    let found = check_json();
    assert_eq!(found["ok"], false);
    let findings = &found["connectors"][0]["findings"];
    for (check, result, message, fix) in [
        ("reachable", "ok", "answers", ""),
        ("sync rules", "failed", "must contain", "connectors rules set"),
        ("pipeline", "failed", "e2e-no-such-pipeline", "PUT _ingest/pipeline/e2e-no-such-pipeline"),
        ("licence", "ok", "", ""),
        ("schedule", "failed", "has 1 fields", "--full \"0 0 2 * * ?\""),
        ("service", "warning", "last seen 2020-01-01", "start elastic-ingest"),
        ("last sync", "failed", "the disk is full", "connectors job start"),
        ("status", "failed", "cannot be reached", "correct that"),
        ("index", "ok", "1 documents", ""),
    ] {
        let (is, says, advises) = finding(findings, check);
        assert_eq!(is, result, "{check}: {findings}");
        assert!(says.contains(message) && advises.contains(fix), "{check}: {findings}");
    }

    // The configuration, step by step.
    change(json!({"configuration": {"directory": {"value": "/no/such/folder"}}})).await;
    let findings = check_json()["connectors"][0]["findings"].clone();
    let (result, message, fix) = finding(&findings, "configuration");
    assert_eq!(result, "failed");
    assert!(
        message.contains("/no/such/folder") && fix.starts_with("connectors connector configure"),
        "{findings}"
    );
    change(json!({"configuration": {"directory": {"value": ""}}})).await;
    let (_, message, _) = finding(&check_json()["connectors"][0]["findings"], "configuration");
    assert!(message.contains("'Directory' cannot be empty."), "{message}");
    change(json!({"status": "needs_configuration"})).await;
    let (_, message, _) = finding(&check_json()["connectors"][0]["findings"], "configuration");
    assert!(message.contains("needs_configuration"), "{message}");
    change(json!({"service_type": "mainframe", "index_name": "Upper"})).await;
    let findings = check_json()["connectors"][0]["findings"].clone();
    assert_eq!(finding(&findings, "source").0, "failed");
    assert!(finding(&findings, "source").1.contains("mainframe"), "{findings}");
    assert_eq!(finding(&findings, "index").0, "failed");
    change(json!({"index_name": place.index})).await;

    // A job that completed and left documents out.
    let job = json!({
        "connector": {"id": id}, "job_type": "full", "status": "completed", "created_at": "2999-01-01T00:00:00Z",
        "metadata": {"counters": {"dead_letters": 2, "bulk_item_responses.delete.result_errors": 1},
            "dead_letters": [{"reason": "mapper_parsing"}]},
    });
    let path = "/.elastic-connectors-sync-jobs/_doc/e2e-unwritten?refresh=true";
    assert!(server.call(Method::PUT, path, Some(job)).await.0 < 300);
    let (result, message, fix) = finding(&check_json()["connectors"][0]["findings"], "documents");
    assert_eq!((result.as_str(), fix.as_str()), ("warning", "connectors job view e2e-unwritten"));
    assert_eq!(message, "the last sync could not write or delete 3: mapper_parsing");
    assert!(server.call(Method::DELETE, path, None).await.0 < 300);

    // Without an id, all of them are looked at.
    let output = answer(Workplace::command(&config).args(["check", "-o", "json"]), &[]);
    let ids: Vec<Value> =
        report(&output)["connectors"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    assert!(ids.contains(&json!(id)), "{}", said(&output));
    let output = answer(Workplace::command(&config).args(["check", "nope"]), &[]);
    assert!(
        !output.status.success() && said(&output).contains("there is no connector nope"),
        "{}",
        said(&output)
    );
    server.forget(&place.index).await;
}

/// A cluster with security that grants little and has a small licence.
fn strict(asked: &Asked) -> Option<(u16, Value)> {
    match asked.path.as_str() {
        "/" => Some((200, json!({"version": {"number": "9.5.3", "build_flavor": "default"}}))),
        "/_security/_authenticate" => Some((200, json!({"username": "elastic"}))),
        "/_license" => Some((200, json!({"license": {"status": "active", "type": "basic"}}))),
        "/_security/user/_has_privileges" => {
            let mut index = json!({});
            for wanted in asked.body["index"].as_array().unwrap() {
                let name = wanted["names"][0].as_str().unwrap();
                for privilege in wanted["privileges"].as_array().unwrap() {
                    index[name][privilege.as_str().unwrap()] =
                        json!(privilege != "write" || name.starts_with('.'));
                }
            }
            Some((200, json!({"cluster": {"monitor": true}, "index": index})))
        }
        _ => None,
    }
}

#[tokio::test]
async fn permissions_licence_and_credentials_of_a_cluster_with_security() {
    let server = Server::start().await;
    let place = Workplace::new("search-e2e-check-secure");
    server.forget(&place.index).await;
    place.write("a.txt", "a");
    let config = place.config(&server.url, &json!({}));
    place.sync(&config);
    let (id, _) = server.connector(&place.index).await;
    let path = format!("/.elastic-connectors/_update/{id}?refresh=true");
    let security = json!({"doc": {
        "features": {"document_level_security": {"enabled": true}},
        "configuration": {"use_document_level_security": {"value": true}},
    }});
    assert_eq!(server.call(Method::POST, &path, Some(security)).await.0, 200);

    let gate = Gate::before(&server.url, strict);
    let strict_config = place.config(&gate.url(), &json!({}));
    let output = answer(Workplace::command(&strict_config).args(["check", &id, "-o", "json"]), &[]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let found = report(&output);
    assert_eq!(finding(&found["cluster"], "credentials").1, "elastic");
    assert_eq!(finding(&found["cluster"], "permissions").0, "ok", "{found}");
    let findings = &found["connectors"][0]["findings"];
    let (result, message, fix) = finding(findings, "permissions");
    assert_eq!((result.as_str(), message.as_str()), ("failed", "missing: write on search-e2e-check-secure"));
    assert!(fix.contains("grant them"), "{fix}");
    let (result, message, _) = finding(findings, "licence");
    assert_eq!(result, "failed");
    assert!(message.contains("needs a platinum licence, the cluster's is basic"), "{message}");

    let refuse = |asked: &Asked| {
        let error = json!({"error": {"type": "security_exception", "reason": "unable to authenticate"}});
        (asked.path == "/_security/_authenticate").then_some((401, error))
    };
    let gate = Gate::before(&server.url, refuse);
    let refused_config = place.config(&gate.url(), &json!({"elasticsearch.password": "hunter2"}));
    let output = answer(Workplace::command(&refused_config).arg("check"), &[]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        out(&output).contains("FAILED   credentials") && !said(&output).contains("hunter2"),
        "{}",
        said(&output)
    );
    let forbid = |asked: &Asked| asked.path.starts_with("/.elastic-connectors").then_some((403, json!({})));
    let gate = Gate::before(&server.url, forbid);
    let forbidden_config = place.config(&gate.url(), &json!({"service.heartbeat": 7}));
    let output = answer(Workplace::command(&forbidden_config).args(["check", "-o", "json"]), &[]);
    let (result, message, _) = finding(&report(&output)["cluster"], "connectors");
    assert_eq!((result.as_str(), output.status.code()), ("failed", Some(1)), "{}", said(&output));
    assert!(message.contains("403"), "{message}");
    let absent_config = place.config("http://127.0.0.1:9", &json!({}));
    let output = answer(Workplace::command(&absent_config).arg("check"), &[]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        out(&output).contains("FAILED   cluster") && out(&output).contains("→ check that Elasticsearch"),
        "{}",
        said(&output)
    );
    server.forget(&place.index).await;
}
