//! `connectors connector create`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Asked, Gate, Server, Service, Workplace, answer, err, out, report, said};

/// What a cluster with security answers; the embedded node has no such API.
fn keys(asked: &Asked) -> Option<(u16, Value)> {
    match (asked.method.as_str(), asked.path.as_str()) {
        // There is no pipeline, but a connector's own key may not see that.
        ("GET", path) if path.starts_with("/_ingest/pipeline/") => Some(match asked.authorization.as_str() {
            "ApiKey a2V5LWh1bnRlcjI=" => {
                (403, json!({"error": {"type": "security_exception", "reason": "no"}}))
            }
            _ => (404, json!({})),
        }),
        ("POST", path) if path.contains("/_bulk") && path.contains("pipeline=") => {
            let reason = "pipeline with id [search-default-ingestion] does not exist";
            Some((400, json!({"error": {"type": "illegal_argument_exception", "reason": reason}})))
        }
        ("POST", "/_security/api_key") => Some((200, json!({"id": "key-id", "encoded": "a2V5LWh1bnRlcjI="}))),
        ("POST", "/_connector/_secret") => Some((200, json!({"id": "secret-id"}))),
        ("DELETE", "/_security/api_key") => Some((200, json!({"invalidated_api_keys": ["key-id"]}))),
        _ => None,
    }
}

#[tokio::test]
async fn answers_make_a_connector_that_a_sync_can_use() {
    let server = Server::start().await;
    let place = Workplace::new("search-e2e-create");
    server.forget(&place.index).await;
    place.write("a.txt", "the runners were running");
    let config = place.config(&server.url, &json!({}));
    let files = place.files().display().to_string();
    let create = |arguments: &[&str], lines: &[&str]| {
        answer(Workplace::command(&config).args(["connector", "create"]).args(arguments), lines)
    };
    // A service type by its number after a slip, a name by default, a language, and the fields.
    let output = create(&[], &["nine", "1", &place.index, "", "en", &files, "**/*", ""]);
    assert!(output.status.success(), "{}", said(&output));
    let asked = err(&output);
    assert!(
        asked.contains("1. System Directory (dir)") && asked.contains("\"nine\" is none of these"),
        "{asked}"
    );
    assert!(
        asked.contains("Connector name [search-e2e-create]: ") && asked.contains("File pattern [**/*.*]: "),
        "{asked}"
    );
    let (id, document) = server.connector(&place.index).await;
    // A server without security has no keys.
    assert_ne!(
        document["api_key_id"].is_string(),
        asked.contains("no API key is needed"),
        "{}",
        said(&output)
    );
    assert!(out(&output).contains(&format!("created connector {id}")), "{}", said(&output));
    assert_eq!(document["status"], "configured");
    assert_eq!(document["language"], "en");
    assert_eq!(document["configuration"]["directory"]["value"], files.as_str());
    assert_eq!(document["features"]["sync_rules"]["basic"]["enabled"], true);
    assert_eq!(document["scheduling"]["full"], json!({"enabled": false, "interval": "0 0 0 * * ?"}));
    assert_eq!(document["filtering"][0]["active"]["validation"]["state"], "valid");

    // It is found by its index, and the texts are analyzed in its language.
    let synced = place.sync(&config);
    assert_eq!((&synced["connector_id"], &synced["indexed_document_count"]), (&json!(id), &json!(1)));
    let query = json!({"query": {"match": {"body": "runner"}}});
    let path = format!("/{}/_search", place.index);
    let (_, found) = server.call(Method::POST, &path, Some(query)).await;
    assert_eq!(found["hits"]["total"]["value"], 1, "{found}");

    for (arguments, message) in [
        (&["--service-type", "dri"][..], "there is: dir"),
        (&["--service-type", "dir", "--index-name", &place.index], "belongs to connector"),
        (&["--service-type", "dir", "--index-name", "Upper"], "must be lower case"),
        (
            &["--service-type", "dir", "--index-name", "search-e2e-create-2", "--from-index"],
            "there is no index",
        ),
        (&["--service-type", "dir"], "give --index-name NAME"),
    ] {
        let output = create(&[arguments, &["--set", "pattern=**/*"]].concat(), &[]);
        assert!(
            !output.status.success() && err(&output).contains(message),
            "{arguments:?}: {}",
            said(&output)
        );
    }
    // Refused before anything is made.
    let new = ["--service-type", "dir", "--index-name", "search-e2e-create-2"];
    for (arguments, message) in [
        (&["--set", "directory=/no/such/folder"][..], "/no/such/folder"),
        (&["--set", "dirctory=/"], "it has: directory, pattern"),
        (&["--set", "pattern=**/*", "--index-language", "xx"], "there is no language \"xx\"; there is: da"),
        (
            &["--set", "pattern=**/*", "--update-config", "--connector-service-config", "/no/such.yml"],
            "make the file first",
        ),
    ] {
        let output = create(&[&new[..], arguments].concat(), &[]);
        assert!(
            !output.status.success() && err(&output).contains(message),
            "{arguments:?}: {}",
            said(&output)
        );
    }
    assert_eq!(server.call(Method::HEAD, "/search-e2e-create-2", None).await.0, 404);
    server.forget(&place.index).await;
}

#[tokio::test]
async fn an_api_key_is_made_for_the_connector_and_goes_into_the_services_file() {
    let server = Server::start().await;
    let place = Workplace::new("search-e2e-create-key");
    server.forget(&place.index).await;
    let gate = Gate::before(&server.url, keys);
    let config = place.config(&gate.url(), &json!({}));
    let service_config = config.with_file_name("service.yml");
    std::fs::write(
        &service_config,
        "# ours\nservice.idling: 1 # quick\nconnectors:\n  - connector_id: other\n",
    )
    .unwrap();
    let files = place.files().display().to_string();
    let directory = format!("directory={files}");
    let create = |arguments: &[&str]| {
        let mut command = Workplace::command(&config);
        command.args(["connector", "create", "--service-type", "dir", "--index-name", &place.index]);
        answer(command.args(arguments), &[])
    };
    // The index is there already.
    assert_eq!(server.call(Method::PUT, &format!("/{}", place.index), Some(json!({}))).await.0, 200);
    let output = create(&["--set", &directory]);
    assert!(err(&output).contains("--from-index makes a connector for it"), "{}", said(&output));
    let service_file = service_config.to_str().unwrap();
    let output = create(&[
        "--set",
        &directory,
        "--from-index",
        "--name",
        "Files",
        "--update-config",
        "--connector-service-config",
        service_file,
        "-o",
        "json",
    ]);
    let made = report(&output);
    let id = made["id"].as_str().unwrap().to_owned();
    assert_eq!(
        (&made["name"], &made["api_key"], &made["api_key_problem"]),
        (&json!("Files"), &Value::Null, &Value::Null)
    );
    assert!(!said(&output).contains("a2V5LWh1bnRlcjI="), "the key is in the file only: {}", said(&output));
    assert_eq!(
        std::fs::read_to_string(&service_config).unwrap(),
        format!(
            "# ours\nservice.idling: 1 # quick\nconnectors:\n  - connector_id: other\n  - connector_id: \"{id}\"\n    service_type: \"dir\"\n    api_key: \"a2V5LWh1bnRlcjI=\"\n"
        )
    );
    let asked = gate.answered().into_iter().find(|asked| asked.path == "/_security/api_key").unwrap().body;
    assert_eq!(asked["name"], "search-e2e-create-key-connector");
    assert_eq!(
        asked["role_descriptors"]["search-e2e-create-key-connector-role"],
        json!({
            "cluster": ["monitor", "manage_connector"],
            "index": [{
                "names": [
                    "search-e2e-create-key",
                    "search-e2e-create-key-rebuild-*",
                    ".search-acl-filter-search-e2e-create-key",
                    ".elastic-connectors-v1*",
                ],
                "privileges": ["all"],
            }],
        })
    );
    let (_, document) = server.connector(&place.index).await;
    assert_eq!((&document["api_key_id"], &document["is_native"]), (&json!("key-id"), &json!(false)));

    // Its jobs write with the key. Without the default pipeline, of which only the service is told, they write all the same.
    place.write("a.txt", "a");
    let mut text = std::fs::read_to_string(&service_config).unwrap();
    text.push_str(&format!("elasticsearch.host: {}\n", gate.url()));
    std::fs::write(&service_config, text).unwrap();
    let mut service = Service::start(&service_config, "with-key");
    let output =
        answer(Workplace::command(&config).args(["job", "start", "-i", &id, "--watch", "-o", "json"]), &[]);
    assert_eq!(report(&output)["indexed_document_count"], 1, "{}", said(&output));
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    assert!(gate.answered().iter().any(|asked| asked.path.starts_with("/_ingest/pipeline/")));

    // With the connector goes its key. Then a native one, whose key is kept by the cluster.
    let output = answer(Workplace::command(&config).args(["connector", "delete", &id, "--yes"]), &[]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(gate.answered().last().unwrap().body, json!({"ids": ["key-id"]}));
    let output = create(&["--set", &directory, "--from-index", "--native"]);
    assert!(
        out(&output).contains("API key, which cannot be shown again: a2V5LWh1bnRlcjI="),
        "{}",
        said(&output)
    );
    let (_, document) = server.connector(&place.index).await;
    assert_eq!((&document["api_key_secret_id"], &document["is_native"]), (&json!("secret-id"), &json!(true)));
    server.forget(&place.index).await;
}
