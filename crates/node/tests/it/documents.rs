//! Single documents: writing, reading, conditions, and what survives a restart.

use serde_json::{Value, json};

use crate::server::TestNode;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_is_written_read_and_deleted() {
    let node = TestNode::start().await;
    let (status, body) = node.put("/a/_doc/1", json!({ "title": "x", "n": 1 })).await;
    assert_eq!(status, 201);
    assert_eq!(
        body,
        json!({ "_index": "a", "_id": "1", "_version": 1, "result": "created",
            "_shards": { "total": 2, "successful": 1, "failed": 0 }, "_seq_no": 0, "_primary_term": 1 })
    );
    let (status, body) = node.get("/a/_doc/1").await;
    assert_eq!(status, 200);
    assert_eq!(
        body,
        json!({ "_index": "a", "_id": "1", "_version": 1, "_seq_no": 0, "_primary_term": 1, "found": true,
            "_source": { "title": "x", "n": 1 } })
    );
    let (status, body) = node.put("/a/_doc/1", json!({ "n": 2 })).await;
    assert_eq!((status, &body["result"], &body["_version"]), (200, &json!("updated"), &json!(2)));
    let (status, body) = node.call("DELETE", "/a/_doc/1", None).await;
    assert_eq!((status, &body["result"], &body["_version"]), (200, &json!("deleted"), &json!(3)));
    let (status, body) = node.call("DELETE", "/a/_doc/1", None).await;
    assert_eq!((status, &body["result"], &body["_version"]), (404, &json!("not_found"), &json!(4)));
    assert_eq!(node.get("/a/_doc/1").await, (404, json!({ "_index": "a", "_id": "1", "found": false })));
    // The version goes on where the delete left it.
    let (status, body) = node.put("/a/_doc/1", json!({})).await;
    assert_eq!((status, &body["result"], &body["_version"]), (201, &json!("created"), &json!(5)));
    assert_eq!(node.call("HEAD", "/a/_doc/1", None).await.0, 200);
    assert_eq!(node.call("HEAD", "/a/_doc/2", None).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_are_checked_against_the_current_document() {
    let node = TestNode::start().await;
    assert_eq!(node.put("/a/_create/1", json!({})).await.0, 201);
    let (status, body) = node.put("/a/_create/1", json!({})).await;
    assert_eq!(status, 409);
    assert_eq!(body["error"]["type"], "version_conflict_engine_exception");
    assert_eq!(
        body["error"]["reason"],
        "[1]: version conflict, document already exists (current version [1])"
    );
    let (status, body) = node.put("/a/_doc/1?if_seq_no=9&if_primary_term=1", json!({})).await;
    assert_eq!(status, 409);
    assert_eq!(
        body["error"]["reason"],
        "[1]: version conflict, required seqNo [9], primary term [1]. current document has seqNo [0] and primary term [1]"
    );
    assert_eq!(node.put("/a/_doc/1?if_seq_no=0&if_primary_term=1", json!({})).await.0, 200);
    let (_, body) = node.put("/a/_doc/2?if_seq_no=9&if_primary_term=1", json!({})).await;
    assert_eq!(
        body["error"]["reason"],
        "[2]: version conflict, required seqNo [9], primary term [1]. but no document was found"
    );
    assert_eq!(node.put("/a/_doc/3?version=7&version_type=external", json!({})).await.1["_version"], 7);
    assert_eq!(node.put("/a/_doc/3?version=7&version_type=external", json!({})).await.0, 409);
    assert_eq!(node.put("/a/_doc/3?version=7&version_type=external_gte", json!({})).await.0, 200);
    assert_eq!(node.put("/a/_doc/3?version=8", json!({})).await.0, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_survive_a_restart() {
    let mut node = TestNode::start().await;
    for n in 0..20 {
        node.put(&format!("/a/_doc/{n}"), json!({ "n": n })).await;
    }
    node.call("DELETE", "/a/_doc/3", None).await;
    node.restart().await;
    assert_eq!(node.get("/a/_doc/7").await.1["_source"], json!({ "n": 7 }));
    assert_eq!(node.get("/a/_doc/3").await.0, 404);
    let (_, body) = node.put("/a/_doc/7", json!({})).await;
    assert_eq!((&body["_seq_no"], &body["_version"]), (&json!(21), &json!(2)));
    let (_, body) = node.get("/a/_mapping").await;
    assert_eq!(body["a"]["mappings"], json!({ "properties": { "n": { "type": "long" } } }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sources_come_back_byte_for_byte() {
    let node = TestNode::start().await;
    let text = "{ \"b\" : 1.50,\n  \"a\": \"\\u00e9\" }";
    node.raw("PUT", "/a/_doc/1", text.to_owned()).await;
    let answer = reqwest::get(format!("{}/a/_source/1", node.url())).await.unwrap().text().await.unwrap();
    assert_eq!(answer, text);
    let (_, body) = node.get("/a/_doc/1?_source_includes=b").await;
    assert_eq!(body["_source"], json!({ "b": 1.5 }));
    let (_, body) = node.get("/a/_doc/1?_source=false").await;
    assert_eq!(body.get("_source"), None::<&Value>);
}
