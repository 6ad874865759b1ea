//! The same calls against a real server, which is the judge of what fakes only imitate.

use connectors_es_client::{
    BulkBody, BulkParams, BulkResult, Capabilities, Distribution, EsClient, EsConfig, Refresh, WriteOptions,
};
use serde_json::json;

/// Run with `ES_CLIENT_URL=http://127.0.0.1:9200 tests/it es-client --ignored`; any server
/// of the three kinds will do.
#[tokio::test]
#[ignore = "needs a server, named by ES_CLIENT_URL"]
async fn works_on_a_real_server() {
    let url = std::env::var("ES_CLIENT_URL").expect("ES_CLIENT_URL names a server");
    for compress in [false, true] {
        let client = EsClient::new(EsConfig { compress, ..EsConfig::new(&url) }).unwrap();
        let index = format!("es-client-test-{}", std::process::id());
        client.wait_until_available().await.unwrap();
        let capabilities = client.capabilities().await.unwrap();
        println_capabilities(&capabilities);
        client.delete_index(&index).await.unwrap();
        let outcome = tokio::spawn(session(client.clone(), index.clone())).await;
        client.delete_index(&index).await.unwrap();
        outcome.unwrap();
    }
}

#[expect(clippy::print_stdout, reason = "shown by `cargo test -- --nocapture`")]
fn println_capabilities(capabilities: &Capabilities) {
    println!("{capabilities:?}");
    if capabilities.server.distribution != Distribution::OpenSearch {
        assert!(capabilities.ingest_pipelines);
    }
}

async fn session(client: EsClient, index: String) {
    let body = json!({"mappings": {"properties": {"n": {"type": "long"}}}});
    assert!(client.ensure_index(&index, &body).await.unwrap());
    assert!(!client.ensure_index(&index, &body).await.unwrap());

    let mut body = BulkBody::new();
    for number in 0..2_500 {
        let id = format!("dir/file \"{number}\" ü");
        let document = json!({"id": id, "_timestamp": "2026-01-01T00:00:00.123456+00:00", "n": number});
        body.index(&id, &document).unwrap();
    }
    body.index("bad", &json!({"n": "not a number"})).unwrap();
    body.upsert("merged", &json!({"n": 1})).unwrap();
    body.delete("was never there");
    let request = body.finish_request();
    let response = client.bulk(&BulkParams::new(&index), &request).await.unwrap();
    assert_eq!((response.errors, response.items.len()), (true, 2_503));
    assert_eq!(response.items[0].result, Some(BulkResult::Created));
    let failure = response.items[2_500].error.as_ref().unwrap();
    assert!(failure.kind.contains("parsing_exception") && failure.reason.contains('n'), "{failure}");
    assert_eq!(response.items[2_502].result, Some(BulkResult::NotFound));
    assert_eq!(response.retryable().count(), 0);

    client.refresh(&index).await.unwrap();
    assert_eq!(client.count(&index, None).await.unwrap(), 2_501);
    assert_eq!(client.count(&index, Some(&json!({"range": {"n": {"lt": 10}}}))).await.unwrap(), 11);

    let mut scan = client.scan(&index, 1_000);
    let mut found = Vec::new();
    while let Some(page) = scan.next_page().await.unwrap() {
        found.extend(page);
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    let before = found.len();
    found.dedup_by(|a, b| a.id == b.id);
    assert_eq!((before, found.len()), (2_501, 2_501));
    assert_eq!(found[0].timestamp.as_deref(), Some("2026-01-01T00:00:00.123456+00:00"));
    let mut partial = client.scan(&index, 10);
    partial.next_page().await.unwrap().unwrap();
    partial.close().await;

    let plain = WriteOptions { refresh: Refresh::WaitFor, guard: None };
    let written = client.index_document(&index, Some("a/b ?"), &json!({"n": 1}), plain).await.unwrap();
    let read = client.get_document(&index, "a/b ?").await.unwrap().unwrap();
    assert_eq!((read.guard, read.source["n"].as_u64()), (written.guard, Some(1)));
    let guarded = WriteOptions { guard: Some(read.guard), ..WriteOptions::default() };
    client.update_document(&index, "a/b ?", &json!({"n": 2}), guarded).await.unwrap();
    let error = client.update_document(&index, "a/b ?", &json!({"n": 3}), guarded).await.unwrap_err();
    assert!(error.is_conflict(), "{error}");
    assert_eq!(error.error_type(), Some("version_conflict_engine_exception"));
    let error = client.create_document(&index, "a/b ?", &json!({}), Refresh::No).await.unwrap_err();
    assert!(error.is_conflict(), "{error}");
    assert_eq!(client.get_document(&index, "none").await.unwrap(), None);
    assert!(client.get_document("no-such-index", "none").await.unwrap_err().is_not_found());
    assert!(client.delete_document(&index, "a/b ?", WriteOptions::default()).await.unwrap());
    assert!(!client.delete_document(&index, "a/b ?", WriteOptions::default()).await.unwrap());

    let search = json!({"query": {"term": {"n": 1}}, "seq_no_primary_term": true, "aggs": {"m": {"max": {"field": "n"}}}});
    let page = client.search(&index, &search, &[]).await.unwrap();
    assert!(page.hits.iter().all(|hit| hit.guard().is_some()) && page.aggregations.contains_key("m"));
    let error = client.search(&index, &json!({"query": {"no_such_query": {}}}), &[]).await.unwrap_err();
    assert_eq!(error.status_code(), Some(400));
    let error = client.scan("no-such-index", 10).next_page().await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
}
