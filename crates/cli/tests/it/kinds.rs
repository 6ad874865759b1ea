//! The kinds of sync job: incremental and access control, beside full ones.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::service::{change, connected, serving};
use crate::support::{Server, Service, Workplace, report, until};

/// Asks for a job and waits for the service to end it in this state.
async fn run(server: &Server, place: &Workplace, connector: &str, kind: &str, state: &str) -> Value {
    let output = Workplace::command(&place.config(&server.url, &json!({})))
        .args(["job", "start", "-i", connector, "-t", kind, "-o", "json"])
        .output()
        .unwrap();
    let job = report(&output)["id"].as_str().unwrap().to_owned();
    let ended = server.job_becomes(&job, &[state], Duration::from_secs(40)).await;
    // The connector is written after its job.
    let status =
        if kind == "access_control" { "last_access_control_sync_status" } else { "last_sync_status" };
    until("the connector to say so", Duration::from_secs(10), async || {
        (server.connector(&place.index).await.1[status] == state).then_some(())
    })
    .await;
    ended
}

fn counts(job: &Value) -> (u64, u64) {
    let count = |name: &str| job[name].as_u64().unwrap_or_else(|| panic!("{name} of {job}"));
    (count("indexed_document_count"), count("deleted_document_count"))
}

#[tokio::test]
async fn an_incremental_sync_writes_what_changed_since_the_last_sync_of_any_kind() {
    let server = Server::start().await;
    let (place, connector) = connected(&server, "search-e2e-incremental").await;
    let mut service = Service::start(&place.config(&server.url, &serving(&connector)), "incremental");
    let job = run(&server, &place, &connector, "incremental", "completed").await;
    assert_eq!(counts(&job), (0, 0), "nothing changed since the first sync: {job}");

    place.write("new.txt", "new");
    place.write("00/note-0000.txt", "changed");
    std::fs::remove_file(place.files().join("01/note-0001.txt")).unwrap();
    let before = server.connector(&place.index).await.1["sync_cursor"].clone();
    let job = run(&server, &place, &connector, "incremental", "completed").await;
    assert_eq!(counts(&job), (2, 1), "{job}");
    assert_eq!(job["connector"]["sync_cursor"], before, "the job says where it began");
    assert_eq!(server.documents(&place.index).await, place.listing());

    let job = run(&server, &place, &connector, "full", "completed").await;
    assert_eq!(counts(&job), (0, 0), "a full sync finds nothing to do: {job}");

    // A cursor that leads nowhere: everything is sent, and deletions wait for a full sync.
    place.write("newer.txt", "newer");
    std::fs::remove_file(place.files().join("02/note-0002.txt")).unwrap();
    change(&server, &connector, json!({"sync_cursor": {"listing": "listing-../../etc/passwd"}})).await;
    let job = run(&server, &place, &connector, "incremental", "completed").await;
    assert_eq!(counts(&job), (place.listing().len() as u64, 0), "{job}");
    let job = run(&server, &place, &connector, "full", "completed").await;
    assert_eq!(counts(&job), (0, 1), "{job}");
    assert_eq!(server.documents(&place.index).await, place.listing());
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    server.forget(&place.index).await;
}

#[tokio::test]
async fn an_emptied_index_is_told_and_filled_by_the_next_sync() {
    let server = Server::start().await;
    let (place, connector) = connected(&server, "search-e2e-emptied").await;
    let mut service = Service::start(&place.config(&server.url, &serving(&connector)), "emptied");
    place.write("new.txt", "new");
    let job = run(&server, &place, &connector, "incremental", "completed").await;
    assert_eq!(counts(&job), (1, 0), "{job}");

    let path = format!("/{}/_delete_by_query?refresh=true", place.index);
    let (status, answer) = server.call(Method::POST, &path, Some(json!({"query": {"match_all": {}}}))).await;
    assert_eq!(status, 200, "{answer}");
    let job = run(&server, &place, &connector, "incremental", "error").await;
    assert!(job["error"].as_str().unwrap().starts_with("EmptyIndexError: "), "{job}");
    assert_eq!(server.connector(&place.index).await.1["sync_cursor"], Value::Null);
    let job = run(&server, &place, &connector, "incremental", "completed").await;
    assert_eq!(counts(&job), (place.listing().len() as u64, 0), "{job}");
    assert_eq!(server.documents(&place.index).await, place.listing());
    let job = run(&server, &place, &connector, "incremental", "completed").await;
    assert_eq!(counts(&job), (0, 0), "{job}");
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    server.forget(&place.index).await;
}

#[tokio::test]
async fn a_job_for_what_is_switched_off_says_so() {
    let server = Server::start().await;
    let (place, connector) = connected(&server, "search-e2e-off").await;
    let mut service = Service::start(&place.config(&server.url, &serving(&connector)), "off");
    let job = run(&server, &place, &connector, "access_control", "error").await;
    let error = job["error"].as_str().unwrap();
    // A cluster with a basic licence says that first.
    assert!(
        error.contains("switched off in the connector's configuration") || error.contains("licence"),
        "{job}"
    );
    let (_, connector) = server.connector(&place.index).await;
    assert_eq!(connector["last_sync_status"], "completed", "the other family is not touched");
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    server.forget(&place.index).await;
}

/// Names of the files that somebody finds: with an API key whose role has the query of the identity where the server has
/// security on, by that query elsewhere. Its template is filled in here, for the server of `tests/backends` has no mustache.
async fn seen_by(server: &Server, index: &str, identity: &str) -> Vec<String> {
    let path = format!("/.search-acl-filter-{index}/_doc/{identity}");
    let document = server.get(&path).await["_source"].clone();
    let template = &document["query"]["template"];
    let filled = template["source"]
        .as_str()
        .unwrap_or_else(|| panic!("{document}"))
        .replace("{{#toJson}}access_control{{/toJson}}", &template["params"]["access_control"].to_string());
    let query: Value = serde_json::from_str(&filled).unwrap();
    server.call(Method::POST, &format!("/{index}/_refresh"), None).await;
    let path = format!("/{index}/_search");
    let mut search = json!({"size": 100, "_source": ["path"]});
    let (status, found) = if server.is_secured() {
        let key = json!({"name": format!("{index}-{identity}"), "role_descriptors": {"reader": {
            "indices": [{"names": [index], "privileges": ["read"], "query": query}]}}});
        let (status, key) = server.call(Method::POST, "/_security/api_key", Some(key)).await;
        assert_eq!(status, 200, "{key}");
        server.call_with_key(key["encoded"].as_str().unwrap(), &path, &search).await
    } else {
        search["query"] = query;
        server.call(Method::POST, &path, Some(search)).await
    };
    assert_eq!(status, 200, "{found}");
    let mut names: Vec<String> = found["hits"]["hits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| hit["_source"]["path"].as_str().unwrap().rsplit('/').next().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn identities_find_the_documents_whose_files_they_may_read() {
    let server = Server::start().await;
    let (_, license) = server.call(Method::GET, "/_license", None).await;
    let embedded = server.get("/").await["version"]["build_type"] == "embedded";
    if !embedded && license["license"]["type"] == "basic" {
        let (status, answer) =
            server.call(Method::POST, "/_license/start_trial?acknowledge=true", None).await;
        assert!(status == 200 && answer["trial_was_started"] == true, "{answer}");
    }
    let (place, connector) = connected(&server, "search-e2e-access").await;
    for folder in std::fs::read_dir(place.files()).unwrap() {
        std::fs::remove_dir_all(folder.unwrap().path()).unwrap();
    }
    let mode = |name: &str, mode: u32| {
        std::fs::set_permissions(place.files().join(name), Permissions::from_mode(mode)).unwrap();
    };
    // The way there is open to all but for the last folder.
    place.write("open.txt", "open");
    place.write("closed.txt", "closed");
    place.write("private/inside.txt", "inside");
    mode("open.txt", 0o644);
    mode("closed.txt", 0o600);
    mode("private", 0o700);
    mode("private/inside.txt", 0o644);
    for folder in
        place.files().ancestors().take_while(|folder| folder.starts_with(std::env::temp_dir())).skip(1)
    {
        if folder != std::env::temp_dir() {
            std::fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        }
    }
    mode(".", 0o755);
    change(&server, &connector, json!({"configuration": {"use_document_level_security": {"value": true}}}))
        .await;
    let mut service = Service::start(&place.config(&server.url, &serving(&connector)), "access");
    let identities = run(&server, &place, &connector, "access_control", "completed").await;
    let (users, _) = counts(&identities);
    assert!(users > 2, "{identities}");
    let full = run(&server, &place, &connector, "full", "completed").await;
    assert_eq!(counts(&full), (3, 12), "{full}");

    assert_eq!(seen_by(&server, &place.index, "root").await, ["closed.txt", "inside.txt", "open.txt"]);
    assert_eq!(seen_by(&server, &place.index, "nobody").await, ["open.txt"]);

    // Only the mode of the folder changes, and so do the documents in it; all else is left alone.
    mode("private", 0o755);
    let full = run(&server, &place, &connector, "full", "completed").await;
    assert_eq!(counts(&full), (1, 0), "{full}");
    assert_eq!(seen_by(&server, &place.index, "nobody").await, ["inside.txt", "open.txt"]);
    mode("open.txt", 0o640);
    let incremental = run(&server, &place, &connector, "incremental", "completed").await;
    assert_eq!(counts(&incremental), (1, 0), "{incremental}");
    assert_eq!(seen_by(&server, &place.index, "nobody").await, ["inside.txt"]);

    let again = run(&server, &place, &connector, "access_control", "completed").await;
    assert_eq!(counts(&again), (users, 0), "{again}");
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    server.call(Method::DELETE, &format!("/.search-acl-filter-{}", place.index), None).await;
    server.forget(&place.index).await;
}
