//! What is sent, and how answers and failures are read.

use std::io::{Read, Write};
use std::time::Duration;

use connectors_es_client::{
    Auth, BulkBody, BulkParams, BulkResult, EsClient, EsConfig, EsErrorKind, EsRequest, Method, Refresh, path,
};
use connectors_transport::ErrorKind;
use serde_json::{Value, json};

use crate::fake::{Authority, Fake, Reply};
use crate::{client, quick};

#[tokio::test]
async fn every_request_says_who_we_are() {
    let fake = Fake::start(|_, _| Reply::json(200, json!({"ok": true}))).await;
    let mut config = quick(&fake).with_auth(Auth::ApiKey("id:key".into()));
    config.headers.push(("x-cluster".into(), "blue".into()));
    config.component = "cli";
    let client = EsClient::new(config).unwrap();
    let answer = client
        .request(
            Method::PUT,
            &path(["an index", "_doc", "1"]),
            &[("refresh", "wait_for")],
            Some(&json!({"a": 1})),
        )
        .await
        .unwrap();
    assert_eq!(answer, json!({"ok": true}));

    let seen = &fake.seen()[0];
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("PUT", "/an%20index/_doc/1?refresh=wait_for"));
    assert_eq!(seen.text(), r#"{"a":1}"#);
    assert_eq!(seen.header("content-type"), "application/json");
    assert_eq!(seen.header("authorization"), "ApiKey aWQ6a2V5");
    assert_eq!(seen.header("user-agent"), concat!("elastic-connectors-", env!("CARGO_PKG_VERSION"), "/cli"));
    assert_eq!(seen.header("x-elastic-product-origin"), "connectors");
    assert_eq!(seen.header("x-cluster"), "blue");
    assert_eq!(seen.header("accept-encoding"), "");
    assert_eq!(client.address(), fake.url());
}

#[tokio::test]
async fn credentials_and_a_prefix_in_the_host_are_used() {
    let fake = Fake::start(|_, _| Reply::json(200, "{}")).await;
    let host = format!("http://me:p%40ss@{}/es/", fake.address);
    let client = EsClient::new(EsConfig::new(host)).unwrap();
    client.request(Method::GET, "/_cluster/health", &[], None).await.unwrap();
    let seen = &fake.seen()[0];
    assert_eq!(
        (seen.target.as_str(), seen.header("authorization")),
        ("/es/_cluster/health", "Basic bWU6cEBzcw==")
    );
}

#[tokio::test]
async fn wrong_credentials_fail_at_once_and_say_what_to_do() {
    let body = json!({"error": {"type": "security_exception", "reason": "unable to authenticate user [elastic]"},
                      "status": 401});
    let fake = Fake::start(move |_, _| Reply::json(401, &body)).await;
    let error = client(&fake).request(Method::GET, "/_cluster/health", &[], None).await.unwrap_err();
    assert_eq!((error.status_code(), error.error_type()), (Some(401), Some("security_exception")));
    assert_eq!((error.attempts(), fake.count()), (1, 1));
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("GET /_cluster/health at {} failed: 401 security_exception", fake.url()))
    );
    assert!(text.contains("elasticsearch.api_key"), "{text}");
}

#[tokio::test]
async fn an_answer_that_is_not_json_is_an_error_that_names_the_request() {
    let fake = Fake::start(|number, _| match number {
        0 => Reply::json(200, "<html>Welcome</html>"),
        1 => Reply::json(200, r#"{"took": 1, "errors": false}"#),
        _ => Reply::json(200, ""),
    })
    .await;
    let client = client(&fake);
    let error = client.request(Method::GET, "/x", &[], None).await.unwrap_err();
    assert_eq!(error.kind(), EsErrorKind::InvalidAnswer);
    assert!(error.to_string().contains("GET /x") && error.to_string().contains("not JSON"), "{error}");

    let mut body = BulkBody::new();
    body.delete("a");
    let error = client.bulk(&BulkParams::new("i"), &body.finish_request()).await.unwrap_err();
    assert!(
        error.to_string().contains("POST /i/_bulk failed: the answer is not of the expected form"),
        "{error}"
    );
    assert_eq!(client.request(Method::GET, "/x", &[], None).await.unwrap(), Value::Null);
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused_and_not_asked_for_again() {
    let fake = Fake::start(|_, _| Reply::json(200, format!("\"{}\"", "x".repeat(10_000)))).await;
    let client = EsClient::new(EsConfig { max_response_bytes: 9_000, ..quick(&fake) }).unwrap();
    let error = client.request(Method::GET, "/x", &[], None).await.unwrap_err();
    assert_eq!(error.kind(), EsErrorKind::Transport(ErrorKind::TooLarge));
    assert_eq!(fake.count(), 1);
}

#[tokio::test]
async fn bodies_are_compressed_both_ways_when_asked_to() {
    let fake = Fake::start(|_, seen| {
        if seen.path() == "/bomb" {
            return Reply::Answer {
                status: 200,
                headers: vec![("content-encoding", "gzip".into())],
                body: gzip(&vec![b' '; 2_000_000]),
            };
        }
        if seen.path() == "/broken" {
            return Reply::json(200, "not gzip").header("content-encoding", "gzip");
        }
        let mut body = String::new();
        match seen.header("content-encoding") {
            "gzip" => drop(flate2::read::GzDecoder::new(&seen.body[..]).read_to_string(&mut body).unwrap()),
            _ => body.push_str(seen.text()),
        }
        let items: Vec<_> = body.lines().map(|_| json!({"delete": {"_id": "x", "status": 200}})).collect();
        let answer = json!({"errors": false, "items": items}).to_string();
        Reply::Answer {
            status: 200,
            headers: vec![("content-encoding", "gzip".into())],
            body: gzip(answer.as_bytes()),
        }
    })
    .await;
    let client =
        EsClient::new(EsConfig { compress: true, max_response_bytes: 1_000_000, ..quick(&fake) }).unwrap();
    for operations in [1, 100, 5_000] {
        let mut body = BulkBody::new();
        for number in 0..operations {
            body.delete(&format!("document-{number}"));
        }
        let response = client.bulk(&BulkParams::new("i"), &body.finish_request()).await.unwrap();
        assert_eq!(response.items.len(), operations);
    }
    let sent: Vec<_> = fake.seen().iter().map(|seen| seen.header("content-encoding").to_owned()).collect();
    assert_eq!(sent, ["", "gzip", "gzip"]);
    assert_eq!(fake.seen()[0].header("accept-encoding"), "gzip");

    for path in ["/bomb", "/broken"] {
        let error = client.request(Method::GET, path, &[], None).await.unwrap_err();
        assert_eq!(error.kind(), EsErrorKind::InvalidAnswer, "{path}: {error}");
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_bulk_names_its_pipeline_and_answers_for_each_operation() {
    let fake = Fake::start(|_, _| {
        Reply::json(
            200,
            json!({"took": 3, "errors": true, "items": [
                {"index": {"_index": "i", "_id": "a", "result": "created", "status": 201}},
                {"index": {"_index": "i", "_id": "b", "status": 429,
                           "error": {"type": "es_rejected_execution_exception", "reason": "queue full"}}},
                {"delete": {"_index": "i", "_id": "c", "result": "not_found", "status": 404}},
            ]}),
        )
    })
    .await;
    let client = client(&fake);
    let mut body = BulkBody::new();
    body.index("a", &json!({"x": 1})).unwrap();
    body.index("b", &json!({"x": 2})).unwrap();
    body.delete("c");
    let request = body.finish_request();
    let params = BulkParams {
        index: "search-a".into(),
        pipeline: Some("my pipeline".into()),
        refresh: Refresh::WaitFor,
    };
    let response = client.bulk(&params, &request).await.unwrap();
    assert_eq!(response.items[0].result, Some(BulkResult::Created));
    let again = request.subset(response.retryable());
    assert_eq!(&again.body()[..], b"{\"index\":{\"_id\":\"b\"}}\n{\"x\":2}\n");

    let seen = &fake.seen()[0];
    assert_eq!(seen.target, "/search-a/_bulk?pipeline=my+pipeline&refresh=wait_for");
    assert_eq!(seen.header("content-type"), "application/x-ndjson");
    assert_eq!(&seen.body[..], &request.body()[..]);

    // Fewer or more items than operations: whose result would be whose?
    let error = client.bulk(&params, &again).await.unwrap_err();
    assert!(error.to_string().contains("1 operations were sent, but 3 are answered"), "{error}");
    // Nothing to do is no request.
    assert!(client.bulk(&params, &request.subset([])).await.unwrap().items.is_empty());
    assert_eq!(fake.count(), 2);
}

#[tokio::test]
async fn tls_with_a_private_authority_works_and_without_it_says_what_to_set() {
    let authority = Authority::new();
    let fake = Fake::start_tls(authority.server(&["localhost"]), |_, _| Reply::json(200, "{}")).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("http_ca.crt");
    std::fs::write(&file, &authority.pem).unwrap();
    let host = format!("https://localhost:{}", fake.address.port());

    let trusting = EsConfig { ca_certs: Some(file), ..EsConfig::new(&host) };
    EsClient::new(trusting).unwrap().request(Method::GET, "/", &[], None).await.unwrap();
    let unverified = EsConfig { verify_certs: false, ..EsConfig::new(&host) };
    EsClient::new(unverified).unwrap().request(Method::GET, "/", &[], None).await.unwrap();

    let error =
        EsClient::new(EsConfig::new(&host)).unwrap().request(Method::GET, "/", &[], None).await.unwrap_err();
    assert_eq!(error.kind(), EsErrorKind::Transport(ErrorKind::Certificate));
    assert_eq!(error.attempts(), 1);
    let text = error.to_string();
    assert!(
        text.contains("certificate was not accepted") && text.contains("elasticsearch.ca_certs"),
        "{text}"
    );

    let missing = EsConfig { ca_certs: Some("/no/such/ca.crt".into()), ..EsConfig::new(&host) };
    let error = EsClient::new(missing).unwrap_err();
    assert_eq!(error.kind(), EsErrorKind::Config);
    assert!(error.to_string().contains("/no/such/ca.crt"), "{error}");
}

#[tokio::test]
async fn a_login_page_in_front_is_told_apart() {
    let fake = Fake::start(|_, _| Reply::json(302, "").header("location", "https://login.example/")).await;
    let error = client(&fake).request(Method::GET, "/", &[], None).await.unwrap_err();
    assert_eq!(error.kind(), EsErrorKind::Transport(ErrorKind::Redirect));
    assert!(error.to_string().contains("login page"), "{error}");
}

#[tokio::test]
async fn a_request_can_have_its_own_timeout_and_accepted_statuses() {
    let fake =
        Fake::start(|_, seen| if seen.path() == "/slow" { Reply::Hang } else { Reply::json(409, "{}") })
            .await;
    let client = EsClient::new(EsConfig { retry_on_timeout: false, ..quick(&fake) }).unwrap();
    let slow = EsRequest::new(Method::GET, "/slow").timeout(Duration::from_millis(50));
    let error = client.send(slow).await.unwrap_err();
    assert_eq!(error.kind(), EsErrorKind::Transport(ErrorKind::Timeout));
    assert!(error.to_string().contains("request_timeout"), "{error}");

    let answer = client.send(EsRequest::new(Method::GET, "/x").accept(&[409])).await.unwrap();
    assert_eq!(answer.status, 409);
}

#[tokio::test]
async fn signs_of_life_and_figures_go_through_the_connector_api() {
    let fake = Fake::start(|_, _| Reply::json(200, json!({"result": "updated"}))).await;
    let client = client(&fake);
    client.check_in_connector("a/b").await.unwrap();
    let stats = json!({
        "last_seen": "2026-01-01T00:00:00+00:00", "indexed_document_count": 5, "indexed_document_volume": 1,
        "deleted_document_count": 0, "total_document_count": null,
    });
    client.update_sync_job_stats("j", stats.as_object().unwrap()).await.unwrap();
    let seen = fake.seen();
    assert_eq!((seen[0].method.as_str(), seen[0].target.as_str()), ("PUT", "/_connector/a%2Fb/_check_in"));
    assert_eq!(seen[1].target, "/_connector/_sync_job/j/_stats");
    assert_eq!(
        serde_json::from_str::<Value>(seen[1].text()).unwrap(),
        json!({
            "indexed_document_count": 5, "indexed_document_volume": 1, "deleted_document_count": 0,
            "last_seen": "2026-01-01T00:00:00+00:00",
        })
    );
}
