//! Scans of a whole index on servers that keep a view open in different ways.

use std::sync::{Arc, Mutex};

use connectors_es_client::{EsErrorKind, Scan, ScanHit};
use serde_json::{Value, json};

use crate::client;
use crate::fake::{Fake, Reply, Seen};

/// How a fake server keeps a view open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    Elasticsearch,
    NewOpenSearch,
    /// Has points in time, but not the order that pages of one need.
    OldOpenSearch,
    ScrollOnly,
}

fn hits(from: usize, to: usize) -> Value {
    (from..to)
        .map(|number| {
            let mut source = json!({"id": format!("doc-{number}"), "_timestamp": "2026-01-01T00:00:00Z"});
            if number == 1 {
                source = json!({});
            }
            json!({"_index": "i", "_id": format!("doc-{number}"), "_score": null, "_source": source, "sort": [number]})
        })
        .collect()
}

/// A server with one index of `total` documents.
fn serve(server: Server, total: usize, open: &Mutex<i32>, seen: &Seen) -> Reply {
    let body: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
    let page = |from: usize, size: usize| json!({"hits": hits(from.min(total), (from + size).min(total))});
    let opensearch = matches!(server, Server::NewOpenSearch | Server::OldOpenSearch);
    match (seen.method.as_str(), seen.path()) {
        ("POST", "/i/_pit") if server == Server::Elasticsearch => {
            *open.lock().unwrap() += 1;
            Reply::json(200, json!({"id": "pit-0"}))
        }
        ("POST", "/i/_search/point_in_time") if opensearch => {
            *open.lock().unwrap() += 1;
            Reply::json(200, json!({"pit_id": "pit-0"}))
        }
        ("POST", "/_search") if server == Server::OldOpenSearch => Reply::json(
            400,
            json!({"error": {"type": "search_phase_execution_exception", "reason": "all shards failed",
                   "root_cause": [{"type": "query_shard_exception", "reason": "No mapping found for [_shard_doc]"}]}}),
        ),
        ("POST", "/_search") => {
            let size = usize::try_from(body["size"].as_u64().unwrap()).unwrap();
            let from = body["search_after"][0].as_u64().map_or(0, |last| usize::try_from(last).unwrap() + 1);
            // The id of a point in time may change from page to page, and the newest one is to be used.
            let expected = format!("pit-{}", from.div_ceil(size));
            assert_eq!(body["pit"]["id"], json!(expected));
            let next = format!("pit-{}", from.div_ceil(size) + 1);
            let mut answer = json!({"timed_out": false, "_shards": {"failed": 0}, "hits": page(from, size)});
            answer["pit_id"] = json!(next);
            Reply::json(200, answer)
        }
        ("POST", "/i/_search") => {
            *open.lock().unwrap() += 1;
            let size = usize::try_from(body["size"].as_u64().unwrap()).unwrap();
            Reply::json(200, json!({"_scroll_id": format!("{size}:{size}"), "hits": page(0, size)}))
        }
        ("POST", "/_search/scroll") => {
            let id = body["scroll_id"].as_str().unwrap();
            let (from, size) = id.split_once(':').unwrap();
            let (from, size): (usize, usize) = (from.parse().unwrap(), size.parse().unwrap());
            Reply::json(
                200,
                json!({"_scroll_id": format!("{}:{size}", from + size), "hits": page(from, size)}),
            )
        }
        ("DELETE", "/_pit" | "/_search/scroll" | "/_search/point_in_time") => {
            *open.lock().unwrap() -= 1;
            Reply::json(200, json!({"succeeded": true}))
        }
        (method, path) => Reply::json(
            400,
            json!({"error": format!("no handler found for uri [{path}] and method [{method}]")}),
        ),
    }
}

async fn start(server: Server, total: usize) -> (Fake, Arc<Mutex<i32>>) {
    let open = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&open);
    (Fake::start(move |_, seen| serve(server, total, &counted, seen)).await, open)
}

async fn all(scan: &mut Scan) -> Vec<ScanHit> {
    let mut found = Vec::new();
    while let Some(page) = scan.next_page().await.unwrap() {
        assert!(!page.is_empty());
        found.extend(page);
    }
    found
}

#[tokio::test]
async fn reads_each_document_once_on_every_server_and_leaves_nothing_open() {
    for server in [Server::Elasticsearch, Server::NewOpenSearch, Server::OldOpenSearch, Server::ScrollOnly] {
        for (total, size) in [(0, 10), (25, 10), (30, 10), (3, 10_000)] {
            let (fake, open) = start(server, total).await;
            let mut scan = client(&fake).scan("i", size);
            let found = all(&mut scan).await;
            let ids: Vec<_> = found.iter().map(|hit| hit.id.clone()).collect();
            let expected: Vec<_> = (0..total).map(|number| format!("doc-{number}")).collect();
            assert_eq!(ids, expected, "{server:?} {total}/{size}");
            assert_eq!(*open.lock().unwrap(), 0, "{server:?} {total}/{size}: a view was left open");
            if total > 1 {
                assert_eq!(found[0].timestamp.as_deref(), Some("2026-01-01T00:00:00Z"));
                assert_eq!((found[1].id.as_str(), found[1].timestamp.as_deref()), ("doc-1", None));
            }
            // The end stays the end.
            assert_eq!(scan.next_page().await.unwrap(), None);
        }
    }
}

#[tokio::test]
async fn a_scan_that_is_not_read_to_its_end_can_be_closed() {
    for server in [Server::Elasticsearch, Server::NewOpenSearch, Server::ScrollOnly] {
        let (fake, open) = start(server, 100).await;
        let mut scan = client(&fake).scan("i", 10);
        scan.next_page().await.unwrap().unwrap();
        assert_eq!(*open.lock().unwrap(), 1);
        scan.close().await;
        assert_eq!(*open.lock().unwrap(), 0, "{server:?}");
        assert_eq!(scan.next_page().await.unwrap(), None);
        let requests = fake.count();
        client(&fake).scan("i", 10).close().await;
        assert_eq!(fake.count(), requests, "closing what was never opened made a request");
    }
}

#[tokio::test]
async fn an_id_that_a_pipeline_changed_keeps_both() {
    let fake = Fake::start(|_, seen| match seen.path() {
        "/i/_pit" => Reply::json(200, json!({"id": "p"})),
        "/_search" => Reply::json(
            200,
            json!({"hits": {"hits": [{"_id": "changed", "_source": {"id": "source", "_timestamp": 5}, "sort": [1]}]}}),
        ),
        // A view that cannot be closed expires by itself.
        _ => Reply::json(400, json!({"error": "no"})),
    })
    .await;
    let found = all(&mut client(&fake).scan("i", 10)).await;
    assert_eq!((found[0].id.as_str(), found[0].document_id()), ("source", "changed"));
    assert_eq!(found[0].timestamp.as_deref(), Some("5"));
}

#[tokio::test]
async fn a_listing_that_may_lack_something_is_an_error() {
    let full = json!({"hits": [{"_id": "a"}]});
    for (page, expected) in [
        (json!({"timed_out": true, "hits": {"hits": []}}), "incomplete"),
        (json!({"_shards": {"failed": 1}, "hits": {"hits": []}}), "incomplete"),
        (json!({"hits": full}), "no sort values"),
        (json!({"hits": {"hits": "none"}}), "expected form"),
    ] {
        let answer = page.clone();
        let fake = Fake::start(move |_, seen| match seen.path() {
            "/i/_pit" => Reply::json(200, json!({"id": "p"})),
            _ => Reply::json(200, &answer),
        })
        .await;
        let mut scan = client(&fake).scan("i", 1);
        let error = scan.next_page().await.unwrap_err();
        assert_eq!(error.kind(), EsErrorKind::InvalidAnswer, "{page}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_missing_index_and_a_failed_page_are_errors_not_ends() {
    let fake = Fake::start(|_, _| {
        Reply::json(
            404,
            json!({"error": {"type": "index_not_found_exception", "reason": "no such index [i]"}}),
        )
    })
    .await;
    let error = client(&fake).scan("i", 10).next_page().await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
    assert_eq!(fake.count(), 1, "other APIs were tried for an index that is not there");

    for answer in [json!({"id": 7}), json!({"hits": {"hits": []}})] {
        let fake = Fake::start(move |_, seen| match seen.path() {
            "/i/_pit" => Reply::json(if answer["id"] == 7 { 200 } else { 405 }, &answer),
            "/i/_search/point_in_time" => Reply::json(405, "{}"),
            _ => Reply::json(200, &answer),
        })
        .await;
        let error = client(&fake).scan("i", 10).next_page().await.unwrap_err();
        assert!(error.to_string().contains("the answer has no"), "{error}");
    }

    // The second page of a scroll is not asked for twice: the answer to that would be the third.
    let fake = Fake::start(|_, seen| match seen.path() {
        "/i/_search" => Reply::json(200, json!({"_scroll_id": "s", "hits": {"hits": [{"_id": "a"}]}})),
        "/_search/scroll" => Reply::Close,
        _ => Reply::json(405, "{}"),
    })
    .await;
    let mut scan = client(&fake).scan("i", 1);
    scan.next_page().await.unwrap().unwrap();
    assert!(scan.next_page().await.is_err());
    assert_eq!(fake.seen().iter().filter(|seen| seen.path() == "/_search/scroll").count(), 1);
}
