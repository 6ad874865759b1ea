//! The connector API under several writers at once.

use serde_json::{Value, json};

use crate::server::TestNode;

async fn job(node: &TestNode) -> String {
    node.put("/_connector/c", json!({ "index_name": "x", "service_type": "dir" })).await;
    let (status, made) = node.post("/_connector/_sync_job", json!({ "id": "c" })).await;
    assert_eq!(status, 201, "{made}");
    made["id"].as_str().expect("an id").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_claims_of_a_job_one_wins() {
    let node = TestNode::start().await;
    for _ in 0..5 {
        let job = job(&node).await;
        let path = format!("/_connector/_sync_job/{job}/_claim");
        let claims = (0..16).map(|n| node.put(&path, json!({ "worker_hostname": format!("host-{n}") })));
        let answers = futures_util::future::join_all(claims).await;
        let winners: Vec<usize> = (0..16).filter(|n| answers[*n].0 == 200).collect();
        assert_eq!(winners.len(), 1, "{answers:?}");
        let (_, stored) = node.get(&format!("/_connector/_sync_job/{job}")).await;
        assert_eq!(stored["worker_hostname"], format!("host-{}", winners[0]));
        for (status, answer) in answers.iter().filter(|(status, _)| *status != 200) {
            assert_eq!((*status, &answer["error"]["type"]), (400, &json!("status_exception")), "{answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_of_different_members_lose_nothing() {
    let node = TestNode::start().await;
    node.put("/_connector/c", json!({ "index_name": "x" })).await;
    let schedule =
        |kind: &str| json!({ "scheduling": { kind: { "enabled": true, "interval": "0 0 1 * * ?" } } });
    for _ in 0..5 {
        let (full, incremental, name, features, direct) = tokio::join!(
            node.put("/_connector/c/_scheduling", schedule("full")),
            node.put("/_connector/c/_scheduling", schedule("incremental")),
            node.put("/_connector/c/_name", json!({ "name": "n" })),
            node.put(
                "/_connector/c/_features",
                json!({ "features": { "incremental_sync": { "enabled": true } } })
            ),
            node.post(
                "/.elastic-connectors/_update/c?retry_on_conflict=20",
                json!({ "doc": { "last_sync_error": "e" } })
            ),
        );
        for (status, answer) in [full, incremental, name, features, direct] {
            assert_eq!(status, 200, "{answer}");
        }
        let (_, stored) = node.get("/_connector/c").await;
        assert_eq!(stored["scheduling"]["full"]["enabled"], true, "{stored}");
        assert_eq!(stored["scheduling"]["incremental"]["enabled"], true, "{stored}");
        assert_eq!((&stored["name"], &stored["last_sync_error"]), (&json!("n"), &json!("e")), "{stored}");
        assert_eq!(stored["features"]["incremental_sync"]["enabled"], true, "{stored}");
        node.put("/_connector/c", json!({ "index_name": "x" })).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_index_is_given_to_one_connector_only() {
    let node = TestNode::start().await;
    let paths: Vec<String> = (0..10).map(|n| format!("/_connector/c{n}")).collect();
    let made = paths.iter().map(|path| node.put(path, json!({ "index_name": "x" })));
    let answers: Vec<(u16, Value)> = futures_util::future::join_all(made).await;
    assert_eq!(answers.iter().filter(|(status, _)| *status == 201).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|(status, _)| *status == 400).count(), 9, "{answers:?}");
    let (_, list) = node.get("/_connector?index_name=x").await;
    assert_eq!(list["count"], 1, "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connectors_jobs_and_secrets_are_there_after_a_restart() {
    let mut node = TestNode::start().await;
    let job = job(&node).await;
    node.put("/_connector/_secret/s", json!({ "value": "v" })).await;
    node.restart().await;
    assert_eq!(node.get("/_connector/c").await.1["service_type"], "dir");
    assert_eq!(node.get(&format!("/_connector/_sync_job/{job}")).await.1["status"], "pending");
    assert_eq!(node.get("/_connector/_secret/s").await.1["value"], "v");
}

#[tokio::test]
async fn signs_of_life_are_read_at_once_and_searched_after_the_next_refresh() {
    let node = TestNode::start().await;
    let job = job(&node).await;
    let (status, answer) = node.call("PUT", "/_connector/c/_check_in", None).await;
    assert_eq!(status, 200, "{answer}");
    let figures = json!({
        "indexed_document_count": 7, "indexed_document_volume": 1, "deleted_document_count": 0, "metadata": {"a": 1},
    });
    let (status, answer) = node.put(&format!("/_connector/_sync_job/{job}/_stats"), figures).await;
    assert_eq!(status, 200, "{answer}");
    let (_, connector) = node.get("/_connector/c").await;
    assert!(connector["last_seen"].is_string(), "{connector}");
    let (_, stored) = node.get(&format!("/_connector/_sync_job/{job}")).await;
    assert_eq!(stored["indexed_document_count"], 7, "{stored}");
    node.call("POST", "/.elastic-connectors*/_refresh?expand_wildcards=all", None).await;
    let (_, listed) = node.get("/_connector").await;
    assert_eq!(listed["results"][0]["last_seen"], connector["last_seen"], "{listed}");
    let (_, listed) = node.get("/_connector/_sync_job").await;
    assert_eq!(listed["results"][0]["metadata"], json!({"a": 1}), "{listed}");
}
