//! The `dir` source from end to end.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Door, Server, Service, Workplace, report, said, until};

/// Settings under which a lost connection is tried again quickly.
fn impatient() -> Value {
    json!({"elasticsearch.retry_interval": 0.2, "elasticsearch.max_retries": 100})
}

/// Makes a connector by a first sync of one file, then leaves a pending job for `files` more.
async fn pending_job(server: &Server, place: &Workplace, files: usize, bytes: usize) -> (String, String) {
    place.write("first.txt", "first");
    place.sync(&place.config(&server.url, &json!({})));
    place.fill(files, bytes);
    let (connector, _) = server.connector(&place.index).await;
    let output = Workplace::command(&place.config(&server.url, &json!({})))
        .args(["job", "start", "-i", &connector, "-o", "json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    (connector, report(&output)["id"].as_str().unwrap().to_owned())
}

fn serving(connector: &str, more: &Value) -> Value {
    let mut config = json!({"connectors": [{"connector_id": connector, "service_type": "dir"}]});
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

/// A job in its middle: some of its documents are written, and the rest takes seconds more however fast the machine is,
/// because the way to the server is slow.
struct Midway {
    job: String,
    door: Door,
    config: PathBuf,
    service: Service,
}

impl Midway {
    /// 1,500 files in bulks of 20 that take a second each, at most five at a time.
    async fn start(server: &Server, place: &Workplace, settings: &Value) -> Self {
        server.forget(&place.index).await;
        let (connector, job) = pending_job(server, place, 1500, 2000).await;
        let door = Door::before(&server.url);
        door.slow(400);
        let mut config = serving(&connector, settings);
        config["elasticsearch.bulk.chunk_size"] = json!(20);
        let config = place.config(&door.url(), &config);
        let service = Service::start(&config, "midway");
        server.job_becomes(&job, &["in_progress"], Duration::from_secs(20)).await;
        until("the first documents of the job", Duration::from_mins(1), async || {
            (server.documents(&place.index).await.len() > 1).then_some(())
        })
        .await;
        Self { job, door, config, service }
    }
}

#[tokio::test]
async fn first_sync_then_nothing_then_only_what_changed() {
    let server = Server::start().await;
    let place = Workplace::new("search-e2e-changes");
    server.forget(&place.index).await;
    place.fill(120, 300);
    place.write("größe/naïve 日本.txt", "snowman ☃ and fox");
    let config = place.config(&server.url, &json!({}));

    let first = place.sync(&config);
    assert_eq!(first["status"], "completed", "{first}");
    assert_eq!(first["indexed_document_count"], 121, "{first}");
    assert_eq!(server.documents(&place.index).await, place.listing());
    let body = json!({"query": {"match": {"body": "snowman"}}});
    let (_, found) = server.call(Method::POST, "/search-e2e-changes/_search", Some(body)).await;
    let path = found["hits"]["hits"][0]["_source"]["path"].as_str().unwrap();
    assert!(path.ends_with("größe/naïve 日本.txt"), "{path}");

    the_index_is_mapped_as_the_server_would(&server, &place.index).await;

    let second = place.sync(&config);
    assert_eq!(second["indexed_document_count"], 0, "{second}");
    assert_eq!(second["unchanged_document_count"], 121, "{second}");
    assert_eq!(second["deleted_document_count"], 0, "{second}");

    for n in 0..10 {
        place.write(
            &format!("{n:02}/note-{n:04}.txt"),
            "changed, and longer than it was before? no: other bytes",
        );
        place.write(&format!("new/{n}.txt"), "new");
        std::fs::remove_file(place.files().join(format!("{:02}/note-{:04}.txt", n + 10, n + 10))).unwrap();
    }
    let dry = place.sync_command(&config).arg("--dry-run").output().unwrap();
    assert!(dry.status.success(), "{}", said(&dry));
    assert_eq!(report(&dry)["indexed_document_count"], 20, "{}", said(&dry));
    assert_eq!(report(&dry)["deleted_document_count"], 10, "{}", said(&dry));
    assert_ne!(server.documents(&place.index).await, place.listing(), "a dry run writes nothing");

    let third = place.sync(&config);
    assert_eq!(third["indexed_document_count"], 20, "{third}");
    assert_eq!(third["deleted_document_count"], 10, "{third}");
    assert_eq!(third["unchanged_document_count"], 101, "{third}");
    assert_eq!(server.documents(&place.index).await, place.listing());
    server.forget(&place.index).await;
}

/// The source says the types of its fields. They must be those that the server finds in a document by itself, but for ids
/// and texts.
async fn the_index_is_mapped_as_the_server_would(server: &Server, index: &str) {
    let by_itself = format!("{index}-by-itself");
    server.call(Method::DELETE, &format!("/{by_itself}?ignore_unavailable=true"), None).await;
    let found = server.get(&format!("/{index}/_search?size=1")).await;
    let document = found["hits"]["hits"][0]["_source"].clone();
    let (status, answer) =
        server.call(Method::PUT, &format!("/{by_itself}/_doc/1?refresh=true"), Some(document)).await;
    assert_eq!(status, 201, "{answer}");
    let properties = async |index: &str| {
        let mut answer = server.get(&format!("/{index}/_mapping")).await;
        answer[index]["mappings"]["properties"].take()
    };
    let mut expected = properties(&by_itself).await;
    expected["id"] = json!({"type": "keyword"});
    expected["body"] = json!({"type": "text"});
    // For documents without a timestamp; those of files have one.
    expected["_content_hash"] = json!({"type": "keyword", "index": false, "doc_values": false});
    assert_eq!(properties(index).await, expected);
    server.call(Method::DELETE, &format!("/{by_itself}"), None).await;
}

#[tokio::test]
async fn a_running_job_is_canceled_within_seconds() {
    let server = Server::start().await;
    let place = Workplace::new("search-e2e-cancel");
    let mut midway = Midway::start(&server, &place, &impatient()).await;
    let output = Workplace::command(&place.config(&server.url, &json!({})))
        .args(["job", "cancel", &midway.job])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let ended = server.job_becomes(&midway.job, &["canceled"], Duration::from_secs(5)).await;
    assert!(ended["canceled_at"].is_string(), "{ended}");
    assert!(server.documents(&place.index).await.len() < 1501, "canceled in the middle");
    assert!(
        server.documents(&place.index).await.keys().any(|path| path.ends_with("first.txt")),
        "nothing is deleted"
    );
    // The connector is written after its job.
    until("the connector to say so", Duration::from_secs(5), async || {
        let (_, after) = server.connector(&place.index).await;
        (after["last_sync_status"] == "canceled").then_some(())
    })
    .await;
    assert_eq!(midway.service.stop(), Some(0), "{}", midway.service.log());
    server.forget(&place.index).await;
}

#[tokio::test]
async fn a_service_killed_in_mid_sync_is_taken_over_at_the_next_start() {
    let server = Server::start().await;
    let place = Workplace::new("search-e2e-kill");
    let mut midway = Midway::start(&server, &place, &impatient()).await;
    midway.service.kill();
    assert_eq!(server.job(&midway.job).await["status"], "in_progress", "killed in the middle");
    std::fs::remove_file(place.files().join("first.txt")).unwrap();
    midway.door.slow(0);
    let mut service = Service::start(&midway.config, "second");
    server.job_becomes(&midway.job, &["completed"], Duration::from_mins(1)).await;
    assert_eq!(server.documents(&place.index).await, place.listing());
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    server.forget(&place.index).await;
}

#[tokio::test]
async fn a_stopped_service_suspends_its_job_and_the_next_one_resumes_it() {
    let server = Server::start().await;
    let place = Workplace::new("search-e2e-suspend");
    let mut midway = Midway::start(&server, &place, &impatient()).await;
    assert_eq!(midway.service.stop(), Some(0), "{}", midway.service.log());
    let suspended = server.job(&midway.job).await;
    assert_eq!(suspended["status"], "suspended");
    assert!(
        suspended["worker_hostname"].is_null() && suspended["metadata"]["worker"].is_null(),
        "{suspended}"
    );
    midway.door.slow(0);
    let mut service = Service::start(&midway.config, "second");
    let ended = server.job_becomes(&midway.job, &["completed"], Duration::from_mins(1)).await;
    assert_eq!(ended["indexed_document_count"], 1500, "cumulative over both runs: {ended}");
    assert_eq!(server.documents(&place.index).await, place.listing());
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    server.forget(&place.index).await;
}

#[tokio::test]
async fn a_suspended_job_is_canceled_at_once_and_keeps_what_it_wrote() {
    let server = Server::start().await;
    let place = Workplace::new("search-e2e-suspend-cancel");
    let mut midway = Midway::start(&server, &place, &impatient()).await;
    assert_eq!(midway.service.stop(), Some(0), "{}", midway.service.log());
    let written = server.documents(&place.index).await.len();
    let direct = place.config(&server.url, &json!({}));
    let output = Workplace::command(&direct).args(["job", "cancel", &midway.job]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(server.job(&midway.job).await["status"], "canceled");
    let mut service = Service::start(&midway.config, "second");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    assert_eq!(server.documents(&place.index).await.len(), written);
    server.forget(&place.index).await;
}

#[tokio::test]
async fn a_refused_document_becomes_a_dead_letter_and_the_others_are_indexed() {
    let server = Server::start().await;
    let place = Workplace::new("search-e2e-refused");
    server.forget(&place.index).await;
    // The largest byte is 127, so that the larger file cannot be indexed.
    let mapping = json!({"mappings": {"properties": {"size": {"type": "byte"}}}});
    let (status, answer) = server.call(Method::PUT, "/search-e2e-refused", Some(mapping)).await;
    assert_eq!(status, 200, "{answer}");
    place.fill(20, 100);
    place.write("large.txt", &"x".repeat(1000));
    let config = place.config(&server.url, &json!({}));
    let output = place.sync_command(&config).output().unwrap();
    let report = report(&output);
    assert_eq!(report["indexed_document_count"], 20, "{report}");
    assert_eq!(report["dead_letter_count"], 1, "{report}");
    let letter = &report["dead_letters"][0];
    // OpenSearch kept the older name.
    let kind = letter["type"].as_str().unwrap();
    assert!(["document_parsing_exception", "mapper_parsing_exception"].contains(&kind), "{report}");
    let mut expected = place.listing();
    expected.retain(|_, size| *size < 128);
    assert_eq!(server.documents(&place.index).await, expected);
    server.forget(&place.index).await;
}

#[tokio::test]
async fn a_job_outlives_an_elasticsearch_that_is_gone_for_a_while() {
    // A minute, with the default retries, in `make ftest`, where time is not short.
    let (seconds, settings) =
        if std::env::var("CONNECTORS_TEST_URL").is_ok() { (60, json!({})) } else { (4, impatient()) };
    let server = Server::start().await;
    let place = Workplace::new("search-e2e-gone");
    let mut midway = Midway::start(&server, &place, &settings).await;
    midway.door.close();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    assert_eq!(server.job(&midway.job).await["status"], "in_progress");
    midway.door.slow(0);
    midway.door.open();
    server.job_becomes(&midway.job, &["completed"], Duration::from_mins(3)).await;
    assert_eq!(server.documents(&place.index).await, place.listing());
    assert_eq!(midway.service.stop(), Some(0), "{}", midway.service.log());
    server.forget(&place.index).await;
}

#[tokio::test]
async fn of_two_services_one_claims_a_job() {
    let server = Server::start().await;
    let place = Workplace::new("search-e2e-two");
    server.forget(&place.index).await;
    let (connector, job) = pending_job(&server, &place, 300, 500).await;
    let config = place.config(&server.url, &serving(&connector, &json!({})));
    let mut services = [Service::start(&config, "one"), Service::start(&config, "two")];
    let ended = server.job_becomes(&job, &["completed"], Duration::from_mins(1)).await;
    assert_eq!(ended["indexed_document_count"], 300, "{ended}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    for service in &mut services {
        assert_eq!(service.stop(), Some(0), "{}", service.log());
    }
    let claims = services.iter().filter(|service| service.log().contains("Sync job claimed")).count();
    assert_eq!(claims, 1, "{}\n{}", services[0].log(), services[1].log());
    let pid = ended["metadata"]["worker"]["pid"].as_u64().unwrap();
    assert!(services.iter().any(|service| u64::from(service.pid()) == pid), "{ended}");
    assert_eq!(server.documents(&place.index).await, place.listing());
    server.forget(&place.index).await;
}
