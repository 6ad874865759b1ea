//! Searches over many documents while the index goes on changing: what only shows beyond one page and one segment.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::server::TestNode;

const DOCUMENTS: usize = 3_000;

/// A node with documents `0..DOCUMENTS` in `docs`, in several segments.
async fn filled() -> TestNode {
    let node = TestNode::start().await;
    let mapping =
        json!({"properties": {"n": {"type": "long"}, "k": {"type": "keyword"}, "t": {"type": "text"}}});
    node.put("/docs", json!({"settings": {"refresh_interval": "-1"}, "mappings": mapping})).await;
    for start in (0..DOCUMENTS).step_by(500) {
        let lines: Vec<Value> = (start..start + 500)
            .flat_map(|n| {
                [
                    json!({"index": {"_id": n.to_string()}}),
                    json!({"n": n, "k": format!("k{}", n % 10), "t": "some words"}),
                ]
            })
            .collect();
        node.bulk("/docs/_bulk?refresh=true", &lines).await;
    }
    node
}

fn ids(answer: &Value) -> Vec<String> {
    answer["hits"]["hits"]
        .as_array()
        .unwrap_or_else(|| panic!("no hits: {answer}"))
        .iter()
        .map(|hit| hit["_id"].as_str().expect("an id").to_owned())
        .collect()
}

/// Changes everything a page could depend on.
async fn disturb(node: &TestNode) {
    let lines: Vec<Value> = (0..200)
        .flat_map(|n| {
            [json!({"delete": {"_id": (n * 7).to_string()}}), json!({"index": {}}), json!({"n": n})]
        })
        .collect();
    node.bulk("/docs/_bulk?refresh=true", &lines).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scroll_gives_each_document_once_while_the_index_changes() {
    let node = filled().await;
    for body in [
        json!({"size": 700}),
        json!({"size": 700, "sort": ["_doc"], "_source": false}),
        json!({"size": 700, "sort": [{"k": "desc"}]}),
        json!({"size": 999, "query": {"match": {"t": "words"}}}),
    ] {
        let (status, mut page) = node.post("/docs/_search?scroll=1m", body.clone()).await;
        assert_eq!(status, 200, "{page}");
        let total = page["hits"]["total"]["value"].as_u64().expect("a total");
        assert!(total >= 2_800, "{total}");
        let mut seen = BTreeSet::new();
        loop {
            let found = ids(&page);
            if found.is_empty() {
                break;
            }
            assert_eq!(page["hits"]["total"]["value"], total);
            for id in found {
                assert!(seen.insert(id.clone()), "{id} twice in {body}");
            }
            disturb(&node).await;
            let next = json!({"scroll": "1m", "scroll_id": page["_scroll_id"]});
            page = node.post("/_search/scroll", next).await.1;
        }
        assert_eq!(seen.len() as u64, total, "{body}");
        let (status, freed) =
            node.call("DELETE", "/_search/scroll", Some(json!({"scroll_id": page["_scroll_id"]}))).await;
        assert_eq!((status, &freed["num_freed"]), (200, &json!(1)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_a_point_in_time_come_in_the_order_of_writing() {
    let node = filled().await;
    let (_, opened) = node.call("POST", "/docs/_pit?keep_alive=1m", None).await;
    let mut body = json!({
        "size": 450, "pit": {"id": opened["id"], "keep_alive": "1m"}, "sort": ["_shard_doc"], "track_total_hits": false,
        "_source": false
    });
    let mut seen = Vec::new();
    loop {
        let (status, page) = node.post("/_search", body.clone()).await;
        assert_eq!(status, 200, "{page}");
        assert!(page["hits"]["total"].is_null());
        let Some(last) = page["hits"]["hits"].as_array().and_then(|hits| hits.last()) else { break };
        body["search_after"] = last["sort"].clone();
        seen.extend(ids(&page));
        disturb(&node).await;
    }
    assert_eq!(seen, (0..DOCUMENTS).map(|n| n.to_string()).collect::<Vec<_>>());
    let (status, gone) = node.call("DELETE", "/_pit", Some(json!({"id": opened["id"]}))).await;
    assert_eq!((status, gone), (200, json!({"succeeded": true, "num_freed": 1})));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contexts_end_by_time_by_deletion_and_by_restart() {
    let mut node = filled().await;
    let (_, page) = node.post("/docs/_search?scroll=1ms", json!({"size": 1})).await;
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let (status, lost) = node.post("/_search/scroll", json!({"scroll_id": page["_scroll_id"]})).await;
    assert_eq!(
        (status, &lost["error"]["caused_by"]["type"]),
        (404, &json!("search_context_missing_exception"))
    );
    node.put("/other/_doc/1?refresh=true", json!({})).await;
    let (_, page) = node.post("/other/_search?scroll=1h", json!({"size": 1})).await;
    let (_, opened) = node.call("POST", "/other/_pit?keep_alive=1h", None).await;
    node.call("DELETE", "/other", None).await;
    assert_eq!(node.post("/_search/scroll", json!({"scroll_id": page["_scroll_id"]})).await.0, 404);
    assert_eq!(node.post("/_search", json!({"pit": {"id": opened["id"]}})).await.0, 404);
    let (_, page) = node.post("/docs/_search?scroll=1h", json!({"size": 1})).await;
    node.restart().await;
    let (status, _) = node.post("/_search/scroll", json!({"scroll_id": page["_scroll_id"]})).await;
    assert_eq!(status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_query_goes_through_more_than_one_page() {
    let node = filled().await;
    let query = json!({"query": {"terms": {"k": ["k1", "k2"]}}});
    let (status, done) =
        node.post("/docs/_delete_by_query?scroll_size=250&refresh=true", query.clone()).await;
    assert_eq!(status, 200, "{done}");
    assert_eq!((&done["total"], &done["deleted"], &done["batches"]), (&json!(600), &json!(600), &json!(3)));
    assert_eq!(node.post("/docs/_count", query).await.1["count"], 0);
    let (_, done) = node.call("POST", "/docs/_update_by_query?max_docs=1500&refresh", None).await;
    assert_eq!((&done["total"], &done["updated"]), (&json!(1500), &json!(1500)));
    assert_eq!(node.get("/docs/_count").await.1["count"], 2400);
    let (status, refused) = node.post("/docs/_update_by_query", json!({"script": {"source": "x"}})).await;
    assert_eq!(
        (status, &refused["error"]["reason"]),
        (400, &json!("[script] of [_update_by_query] is not supported by this node"))
    );
    for (url, part) in [
        ("conflicts=maybe", "conflicts may only be"),
        ("max_docs=0", "maxDocs should be greater than 0"),
        ("wait_for_completion=false", "[wait_for_completion=false]"),
        ("requests_per_second=5", "[requests_per_second]"),
        ("slices=0", "[slices]"),
        ("scroll_size=0", "[scroll_size]"),
        ("pipelines=x", "unrecognized parameter"),
    ] {
        let (status, refused) =
            node.post(&format!("/docs/_delete_by_query?{url}"), json!({"query": {"match_all": {}}})).await;
        assert_eq!(status, 400, "{url}");
        assert!(
            refused["error"]["reason"].as_str().is_some_and(|reason| reason.contains(part)),
            "{url}: {refused}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_cannot_answer_is_reported_beside_those_that_can() {
    let node = TestNode::start().await;
    node.put("/have", json!({"mappings": {"properties": {"n": {"type": "long"}}}})).await;
    node.put("/have/_doc/1?refresh=true", json!({"n": 1})).await;
    node.put("/lack", json!({})).await;
    let (status, answer) = node.post("/have,lack/_search", json!({"sort": ["n"]})).await;
    assert_eq!((status, ids(&answer)), (200, vec!["1".to_owned()]));
    let shards = &answer["_shards"];
    assert_eq!(
        (&shards["total"], &shards["successful"], &shards["failed"]),
        (&json!(2), &json!(1), &json!(1))
    );
    assert_eq!(shards["failures"][0]["index"], "lack");
    let (status, answer) = node.post("/lack/_search", json!({"sort": ["n"]})).await;
    assert_eq!((status, &answer["error"]["type"]), (400, &json!("search_phase_execution_exception")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_of_the_url_win_over_the_body() {
    let node = filled().await;
    let path = "/docs/_search?size=2&from=1&sort=n:desc&_source=n&track_total_hits=5&version=true&seq_no_primary_term=true\
                &docvalue_fields=k&preference=_local&routing=x&request_cache=true&typed_keys=true";
    let body = json!({"size": 9, "query": {"term": {"k": "k3"}}, "aggs": {"by": {"terms": {"field": "k"}}}});
    let (status, answer) = node.post(path, body).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(ids(&answer), ["2983", "2973"]);
    assert_eq!(answer["hits"]["total"], json!({"value": 5, "relation": "gte"}));
    let hit = &answer["hits"]["hits"][0];
    assert_eq!((&hit["_source"], &hit["fields"]), (&json!({"n": 2983}), &json!({"k": ["k3"]})));
    assert_eq!((&hit["_version"], &hit["_primary_term"]), (&json!(1), &json!(1)));
    assert_eq!(answer["aggregations"]["sterms#by"]["buckets"][0]["doc_count"], 300);
    let (_, answer) = node.get("/docs/_search?q=k:k3&size=0&rest_total_hits_as_int=true").await;
    assert_eq!(answer["hits"]["total"], 300);
    for (url, part) in [
        ("search_type=other", "No search type for [other]"),
        ("search_type=dfs_query_then_fetch", "[dfs_query_then_fetch]"),
        ("explain=true", "[explain]"),
        ("batched_reduce_size=0", "batched_reduce_size must be >= 1"),
        ("rest_total_hits_as_int=true&track_total_hits=5", "[rest_total_hits_as_int] cannot be used"),
        ("scroll=1m&from=1", "using [from] is not allowed in a scroll context"),
        ("size=10001", "Result window is too large"),
        ("scroll=1m&size=10001", "Batch size is too large"),
        ("scroll=2d", "Keep alive for request (2d) is too large"),
    ] {
        let (status, refused) = node.get(&format!("/docs/_search?{url}")).await;
        assert_eq!(status, 400, "{url}");
        assert!(refused.to_string().contains(part), "{url}: {refused}");
    }
}
