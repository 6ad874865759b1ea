//! Waiting for a server, and finding out what it is.

use std::time::{Duration, Instant};

use connectors_es_client::{
    CancellationToken, Distribution, EsClient, EsConfig, EsErrorKind, License, VersionCheck,
};
use serde_json::{Value, json};

use crate::fake::{Authority, Fake, Reply};
use crate::{client, quick};

fn root(number: &str, extra: &Value) -> Value {
    let mut root = json!({"name": "n", "cluster_name": "c", "cluster_uuid": "u",
                          "version": {"number": number, "build_flavor": "default", "build_type": "docker"}});
    for (key, value) in extra.as_object().unwrap() {
        root["version"][key] = value.clone();
    }
    root
}

fn no_handler(path: &str) -> Reply {
    Reply::json(400, json!({"error": format!("no handler found for uri [{path}] and method [GET]")}))
}

#[tokio::test]
async fn waits_for_a_server_that_is_still_starting() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = EsConfig {
        initial_backoff_duration: Duration::from_millis(20),
        ..EsConfig::new(format!("http://{port}"))
    };
    let client = EsClient::new(config).unwrap();
    let starting = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Fake::start_on(port, |number, _| match number {
            0 => Reply::json(503, "<html>starting"),
            1 => Reply::Close,
            _ => Reply::json(200, root("9.5.3", &json!({}))),
        })
        .await
    };
    let (server, fake) = tokio::join!(client.wait_until_available(), starting);
    let server = server.unwrap();
    assert_eq!((server.version.to_string().as_str(), server.cluster_name.as_str()), ("9.5.3", "c"));
    assert_eq!(fake.count(), 3);
}

#[tokio::test]
async fn does_not_wait_for_what_will_not_change() {
    let denied = Fake::start(|_, _| Reply::json(401, "{}")).await;
    assert_eq!(client(&denied).wait_until_available().await.unwrap_err().status_code(), Some(401));
    assert_eq!(denied.count(), 1);

    let other = Fake::start(|_, _| Reply::json(200, "<html>nginx").without_header("x-elastic-product")).await;
    assert_eq!(client(&other).wait_until_available().await.unwrap_err().kind(), EsErrorKind::Unsupported);

    let tls = Fake::start_tls(Authority::new().server(&["localhost"]), |_, _| Reply::json(200, "{}")).await;
    let config = EsConfig::new(format!("https://localhost:{}", tls.address.port()));
    let started = Instant::now();
    let error = EsClient::new(config).unwrap().wait_until_available().await.unwrap_err();
    assert!(error.to_string().contains("ca_certs"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn gives_up_after_the_longest_wait_or_when_canceled() {
    let fake = Fake::start(|_, _| Reply::json(503, "{}")).await;
    let short = EsConfig { max_wait_duration: Duration::from_millis(100), ..quick(&fake) };
    let error = EsClient::new(short).unwrap().wait_until_available().await.unwrap_err();
    assert_eq!(error.status_code(), Some(503));
    assert!(error.attempts() > 2, "{error}");

    let cancel = CancellationToken::new();
    let long = EsConfig { initial_backoff_duration: Duration::from_mins(1), ..quick(&fake) };
    let client = EsClient::new(long).unwrap().with_cancellation(cancel.clone());
    let (answer, ()) = tokio::join!(client.wait_until_available(), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        cancel.cancel();
    });
    assert!(answer.unwrap_err().is_canceled());
}

#[tokio::test]
async fn knows_elasticsearch_with_everything() {
    let fake = Fake::start(|_, seen| match seen.path() {
        "/" => Reply::json(200, root("9.5.3", &json!({}))),
        "/_connector" => Reply::json(200, json!({"count": 0, "results": []})),
        "/_license" => Reply::json(200, json!({"license": {"status": "active", "type": "platinum"}})),
        _ => Reply::json(404, "{}"),
    })
    .await;
    let found = client(&fake).capabilities().await.unwrap();
    assert_eq!(found.server.distribution, Distribution::Elasticsearch);
    assert_eq!(found.server.check_version(false).unwrap(), VersionCheck::Tested);
    assert!(found.connectors_api && found.ingest_pipelines);
    assert_eq!(found.license, License::Platinum);
}

#[tokio::test]
async fn knows_the_embedded_node_and_a_server_without_anything() {
    let fake = Fake::start(|_, seen| match seen.path() {
        "/" => Reply::json(200, root("9.5.3", &json!({"build_type": "embedded"}))),
        path => no_handler(path),
    })
    .await;
    let found = client(&fake).capabilities().await.unwrap();
    assert_eq!(found.server.distribution, Distribution::Embedded);
    assert!(!found.connectors_api && !found.ingest_pipelines);
    assert_eq!(found.license, License::Enterprise, "it withholds nothing");
}

#[tokio::test]
async fn knows_serverless_and_missing_rights() {
    let fake = Fake::start(|_, seen| match seen.path() {
        "/" => Reply::json(200, root("9.9.0", &json!({"build_flavor": "serverless"}))),
        _ => Reply::json(403, json!({"error": {"type": "security_exception", "reason": "no"}})),
    })
    .await;
    let found = client(&fake).capabilities().await.unwrap();
    assert_eq!(found.server.distribution, Distribution::Serverless);
    assert_eq!(found.server.check_version(false).unwrap(), VersionCheck::Skipped);
    // Writing through a pipeline needs no right to read it, but the connectors API cannot be used.
    assert!(!found.connectors_api && found.ingest_pipelines);
    assert_eq!(found.license, License::Enterprise);
}

#[tokio::test]
async fn knows_opensearch_which_does_not_send_the_product_header() {
    let fake = Fake::start(|_, seen| {
        match seen.path() {
            "/" => Reply::json(200, root("3.6.0", &json!({"distribution": "opensearch"}))),
            _ => Reply::json(200, "{}"),
        }
        .without_header("x-elastic-product")
    })
    .await;
    let found = client(&fake).capabilities().await.unwrap();
    assert_eq!(found.server.distribution, Distribution::OpenSearch);
    assert!(!found.connectors_api && found.ingest_pipelines);
    assert_eq!(found.license, License::Enterprise);
}

#[tokio::test]
async fn a_connectors_api_whose_index_is_not_there_yet_counts() {
    let fake = Fake::start(|_, seen| match seen.path() {
        "/" => Reply::json(200, root("9.1.0", &json!({}))),
        "/_connector" => {
            Reply::json(404, json!({"error": {"type": "index_not_found_exception", "reason": "x"}}))
        }
        "/_license" => Reply::json(404, "{}"),
        _ => Reply::json(500, "{}"),
    })
    .await;
    let error = client(&fake).capabilities().await.unwrap_err();
    assert_eq!(
        (error.status_code(), error.path()),
        (Some(500), Some("/_ingest/pipeline/search-default-ingestion"))
    );

    let fake = Fake::start(|_, seen| match seen.path() {
        "/" => Reply::json(200, root("9.1.0", &json!({}))),
        "/_connector" => {
            Reply::json(404, json!({"error": {"type": "index_not_found_exception", "reason": "x"}}))
        }
        _ => Reply::json(404, "{}"),
    })
    .await;
    let found = client(&fake).capabilities().await.unwrap();
    assert!(found.connectors_api && found.ingest_pipelines);
    assert_eq!(found.license, License::Enterprise, "no licence API");
}

#[tokio::test]
async fn a_licence_that_may_not_be_read_is_none() {
    let fake = Fake::start(|_, seen| match seen.path() {
        "/" => Reply::json(200, root("9.5.3", &json!({}))),
        _ => Reply::json(403, json!({"error": {"type": "security_exception", "reason": "no"}})),
    })
    .await;
    let client = client(&fake);
    let server = client.ping().await.unwrap();
    assert_eq!(client.license(&server).await.unwrap(), License::None);
}

#[tokio::test]
async fn another_product_or_a_broken_answer_is_refused() {
    for (reply, kind) in [
        (
            Reply::json(200, root("1.0.0", &json!({}))).without_header("x-elastic-product"),
            EsErrorKind::Unsupported,
        ),
        (Reply::json(200, root("latest", &json!({}))), EsErrorKind::InvalidAnswer),
        (Reply::json(200, "{}"), EsErrorKind::InvalidAnswer),
    ] {
        let fake = Fake::start(move |_, _| reply.clone()).await;
        let error = client(&fake).ping().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
}
