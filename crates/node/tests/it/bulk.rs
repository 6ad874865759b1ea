//! Bulk requests: order, conflicts, size, and waiting for searches.

use serde_json::{Value, json};

use crate::server::TestNode;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_on_one_document_keep_their_order() {
    let node = TestNode::start().await;
    let mut lines = vec![json!({ "index": { "_id": "x" } }), json!({ "n": 0 })];
    for n in 1..=20 {
        lines.push(json!({ "update": { "_id": "x" } }));
        lines.push(json!({ "doc": { "n": n, format!("f{}", n % 3): n } }));
        if n == 10 {
            lines.push(json!({ "delete": { "_id": "x" } }));
            lines.push(json!({ "create": { "_id": "x" } }));
            lines.push(json!({ "again": true }));
        }
    }
    let answer = node.bulk("/a/_bulk?refresh=true", &lines).await;
    assert_eq!(answer["errors"], false, "{answer}");
    let (_, body) = node.get("/a/_doc/x").await;
    assert_eq!(body["_source"], json!({ "again": true, "n": 20, "f0": 18, "f1": 19, "f2": 20 }));
    assert_eq!(body["_version"], 23);
    let (_, body) = node.get("/a/_search").await;
    assert_eq!(body["hits"]["total"]["value"], 1);
    assert_eq!(body["hits"]["hits"][0]["_source"]["n"], 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn counters_of_many_writers_lose_nothing() {
    let node = std::sync::Arc::new(TestNode::start().await);
    node.put("/a/_doc/c", json!({ "n": 0 })).await;
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let node = node.clone();
        tasks.push(tokio::spawn(async move {
            let mut done = 0;
            while done < 10 {
                let (_, seen) = node.get("/a/_doc/c").await;
                let n = seen["_source"]["n"].as_u64().unwrap();
                let path = format!("/a/_doc/c?if_seq_no={}&if_primary_term=1", seen["_seq_no"]);
                match node.put(&path, json!({ "n": n + 1 })).await.0 {
                    200 => done += 1,
                    status => assert_eq!(status, 409),
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(node.get("/a/_source/c").await.1, json!({ "n": 40 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_that_collide_are_tried_again_when_asked() {
    let node = std::sync::Arc::new(TestNode::start().await);
    node.put("/a/_doc/1", json!({})).await;
    let mut tasks = Vec::new();
    for n in 0..8 {
        let node = node.clone();
        tasks.push(tokio::spawn(async move {
            let body = json!({ "doc": { format!("k{n}"): n } });
            node.post("/a/_update/1?retry_on_conflict=20", body).await.0
        }));
    }
    for task in tasks {
        assert_eq!(task.await.unwrap(), 200);
    }
    assert_eq!(node.get("/a/_source/1").await.1.as_object().unwrap().len(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wait_for_answers_once_searches_see_the_write() {
    let node = TestNode::start().await;
    node.put("/a", json!({ "settings": { "refresh_interval": "200ms" } })).await;
    let lines = [json!({ "index": {} }), json!({ "n": 1 })];
    let answer = node.bulk("/a/_bulk?refresh=wait_for", &lines).await;
    assert_eq!(answer["items"][0]["index"].get("forced_refresh"), None::<&Value>);
    assert_eq!(node.get("/a/_count").await.1["count"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_larger_than_the_write_buffer_goes_through() {
    let node = TestNode::start().await;
    // 70 documents of 1 MB: several chunks, more than waits for the index at once.
    let text = "word ".repeat(200_000);
    let mut body = String::new();
    for n in 0..70 {
        body.push_str(&format!("{{\"index\":{{\"_id\":\"{n}\"}}}}\n{{\"n\":{n},\"text\":\"{text}\"}}\n"));
    }
    let (status, answer) = node.raw("POST", "/a/_bulk?refresh=true", body).await;
    assert_eq!((status, &answer["errors"]), (200, &json!(false)));
    assert_eq!(node.get("/a/_count").await.1["count"], 70);
    assert_eq!(node.get("/a/_doc/69?_source=n").await.1["_source"], json!({ "n": 69 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overwritten_and_deleted_documents_leave_the_index() {
    let node = TestNode::start().await;
    for round in 0..5 {
        let mut lines = Vec::new();
        for n in 0..50 {
            lines.push(json!({ "index": { "_id": n.to_string() } }));
            lines.push(json!({ "round": round, "n": n }));
        }
        node.bulk("/a/_bulk", &lines).await;
    }
    let deletes: Vec<Value> = (0..20).map(|n| json!({ "delete": { "_id": n.to_string() } })).collect();
    node.bulk("/a/_bulk?refresh=true", &deletes).await;
    let (_, body) = node.get("/a/_search?q=round:4&size=100").await;
    assert_eq!(body["hits"]["total"]["value"], 30);
    assert_eq!(node.get("/a/_count").await.1["count"], 30);
    assert_eq!(node.get("/a/_doc/5?realtime=false").await.0, 404);
    assert_eq!(node.get("/a/_doc/45?realtime=false").await.1["_source"], json!({ "round": 4, "n": 45 }));
}
