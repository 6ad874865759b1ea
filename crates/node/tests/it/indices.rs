//! Indexes over a restart, catching up, and deleting.

use serde_json::json;

use crate::server::TestNode;

async fn count(node: &TestNode, index: &str) -> u64 {
    let (status, body) = node.get(&format!("/{index}/_count")).await;
    assert_eq!(status, 200, "{body}");
    body["count"].as_u64().unwrap()
}

async fn fill(node: &TestNode, index: &str, ids: std::ops::Range<u32>) {
    let mut lines = Vec::new();
    for n in ids {
        lines.push(json!({ "index": { "_id": n.to_string() } }));
        lines.push(json!({ "n": n, "text": format!("document number {n}") }));
    }
    assert_eq!(node.bulk(&format!("/{index}/_bulk"), &lines).await["errors"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_index_that_is_gone_or_damaged_is_built_again() {
    let mut node = TestNode::start().await;
    fill(&node, "a", 0..50).await;
    node.call("DELETE", "/a/_doc/7", None).await;
    node.call("POST", "/a/_refresh", None).await;
    assert_eq!(count(&node, "a").await, 49);
    for damage in ["gone", "truncated", "alien"] {
        node.stop().await;
        let indices = node.folder().join("indices");
        let folder = std::fs::read_dir(&indices).unwrap().next().unwrap().unwrap().path();
        match damage {
            "gone" => std::fs::remove_dir_all(&folder).unwrap(),
            "truncated" => std::fs::write(folder.join("meta.json"), "{").unwrap(),
            _ => {
                // A commit ahead of the store cannot be of this store.
                let path = folder.join("meta.json");
                let meta = std::fs::read_to_string(&path).unwrap();
                let ahead = meta.replace("next_seq_no\\\":51", "next_seq_no\\\":9999");
                assert_ne!(meta, ahead, "{meta}");
                std::fs::write(&path, ahead).unwrap();
            }
        }
        node.start_again().await;
        assert_eq!(count(&node, "a").await, 49, "{damage}");
        let (_, body) = node.get("/a/_search?q=number").await;
        assert_eq!(body["hits"]["total"]["value"], 49, "{damage}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_refreshed_is_searchable_after_a_restart() {
    let mut node = TestNode::start().await;
    node.put("/a", json!({ "settings": { "refresh_interval": "-1" } })).await;
    fill(&node, "a", 0..30).await;
    assert_eq!(count(&node, "a").await, 0);
    node.restart().await;
    assert_eq!(count(&node, "a").await, 30);
    // Turning refreshes on shows what waits.
    fill(&node, "a", 30..40).await;
    assert_eq!(count(&node, "a").await, 30);
    node.put("/a/_settings", json!({ "refresh_interval": "50ms" })).await;
    for _ in 0..100 {
        if count(&node, "a").await == 40 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the index was not refreshed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_index_leaves_nothing_behind() {
    let mut node = TestNode::start().await;
    fill(&node, "a", 0..10).await;
    fill(&node, "b", 0..3).await;
    assert_eq!(node.call("DELETE", "/a", None).await.0, 200);
    assert_eq!(node.get("/a/_doc/1").await.0, 404);
    assert_eq!(std::fs::read_dir(node.folder().join("indices")).unwrap().count(), 1);
    // The name is free again, and sequence numbers start anew.
    let (_, body) = node.put("/a/_doc/1", json!({})).await;
    assert_eq!((&body["_seq_no"], &body["_version"]), (&json!(0), &json!(1)));
    node.stop().await;
    // What a crash between two steps would leave.
    std::fs::create_dir(node.folder().join("indices/orphan")).unwrap();
    node.start_again().await;
    assert!(!node.folder().join("indices/orphan").exists());
    assert_eq!(count(&node, "b").await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mappings_settings_and_aliases_survive_a_restart() {
    let mut node = TestNode::start().await;
    let body = json!({
        "settings": { "index": { "number_of_replicas": 0, "analysis": { "analyzer": { "own": {
            "type": "custom", "tokenizer": "whitespace", "filter": ["lowercase"] } } } } },
        "mappings": { "dynamic": "strict", "properties": { "t": { "type": "text", "analyzer": "own" } } },
        "aliases": { "x": { "filter": { "term": { "t": "one" } }, "is_write_index": true } },
    });
    assert_eq!(node.put("/a", body).await.0, 200);
    assert_eq!(node.put("/x/_doc/1?refresh=true", json!({ "t": "One-two three" })).await.1["_index"], "a");
    let before = node.get("/a").await;
    node.restart().await;
    assert_eq!(node.get("/a").await, before);
    let query = json!({ "query": { "match": { "t": "one-two" } } });
    assert_eq!(node.post("/a/_search", query).await.1["hits"]["total"]["value"], 1);
    assert_eq!(node.get("/x/_count").await.1["count"], 0);
    assert_eq!(
        node.put("/a/_doc/2", json!({ "new": 1 })).await.1["error"]["type"],
        "strict_dynamic_mapping_exception"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_creates_of_one_name_succeeds() {
    let node = std::sync::Arc::new(TestNode::start().await);
    let mut tasks = Vec::new();
    for n in 0..8 {
        let node = node.clone();
        // Documents make the index as well.
        tasks.push(tokio::spawn(async move {
            if n % 2 == 0 {
                node.call("PUT", "/a", None).await.0
            } else {
                node.put(&format!("/a/_doc/{n}"), json!({ "field": n, format!("own{n}"): n })).await.0
            }
        }));
    }
    let mut created = 0;
    for (n, task) in tasks.into_iter().enumerate() {
        let status = task.await.unwrap();
        if n % 2 == 0 {
            assert!(status == 200 || status == 400);
            created += u32::from(status == 200);
        } else {
            assert_eq!(status, 201);
        }
    }
    assert!(created <= 1);
    let (_, body) = node.get("/a/_mapping").await;
    assert_eq!(body["a"]["mappings"]["properties"].as_object().unwrap().len(), 5, "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_protocols_indices_have_their_mappings_and_aliases_whoever_makes_them() {
    let node = TestNode::start().await;
    for (index, alias, field) in [
        (".elastic-connectors-v1", ".elastic-connectors", "service_type"),
        (".elastic-connectors-sync-jobs-v1", ".elastic-connectors-sync-jobs", "job_type"),
    ] {
        let (status, body) = node.put(&format!("/{index}"), json!({})).await;
        assert_eq!(status, 200, "{body}");
        let (status, body) = node.get(&format!("/{alias}/_mapping")).await;
        assert_eq!(status, 200, "{body}");
        let mappings = &body[index]["mappings"];
        assert_eq!(mappings["properties"][field]["type"], "keyword", "{body}");
        assert_eq!(mappings["dynamic"], "false", "{body}");
    }
}
