//! Documents, indices and searches.

use connectors_es_client::{BulkResult, EsErrorKind, Guard, Refresh, Total, WriteOptions};
use serde_json::{Value, json};

use crate::client;
use crate::fake::{Fake, Reply};

fn written(id: &str, result: &str) -> Value {
    json!({"_index": "i", "_id": id, "_version": 2, "result": result, "_seq_no": 7, "_primary_term": 1})
}

const GUARD: Guard = Guard { seq_no: 5, primary_term: 1 };

#[tokio::test]
async fn reads_a_document_and_tells_absence_from_a_missing_index() {
    let fake = Fake::start(|_, seen| match seen.path() {
        "/i/_doc/a%2Fb" => Reply::json(
            200,
            json!({"_index": "i", "_id": "a/b", "_version": 1, "_seq_no": 5, "_primary_term": 1, "found": true,
                   "_source": {"x": 1}}),
        ),
        "/i/_doc/none" => Reply::json(404, json!({"_index": "i", "_id": "none", "found": false})),
        _ => Reply::json(404, json!({"error": {"type": "index_not_found_exception", "reason": "no such index [j]"}})),
    })
    .await;
    let client = client(&fake);
    let document = client.get_document("i", "a/b").await.unwrap().unwrap();
    assert_eq!((document.id.as_str(), document.guard), ("a/b", GUARD));
    assert_eq!(Value::Object(document.source), json!({"x": 1}));
    assert_eq!(client.get_document("i", "none").await.unwrap(), None);
    let error = client.get_document("j", "a").await.unwrap_err();
    assert!(error.is_not_found() && error.to_string().contains("no such index [j]"), "{error}");
    assert_eq!(error.path(), Some("/j/_doc/a"));
}

#[tokio::test]
async fn writes_are_guarded_and_say_what_they_did() {
    let fake = Fake::start(|_, seen| match (seen.method.as_str(), seen.path()) {
        ("POST", "/i/_doc") => Reply::json(201, written("chosen", "created")),
        ("POST", _) => Reply::json(200, written("a", "noop")),
        ("DELETE", "/i/_doc/a") => Reply::json(200, written("a", "deleted")),
        ("DELETE", "/i/_doc/none") => Reply::json(404, written("none", "not_found")),
        ("DELETE", _) => {
            Reply::json(404, json!({"error": {"type": "index_not_found_exception", "reason": ""}}))
        }
        ("PUT", "/i/_create/a") => Reply::json(
            409,
            json!({"error": {"type": "version_conflict_engine_exception", "reason": "exists"}}),
        ),
        _ => Reply::json(200, written("a", "updated")),
    })
    .await;
    let client = client(&fake);
    let document = json!({"x": 1});
    let guarded = WriteOptions { guard: Some(GUARD), refresh: Refresh::WaitFor };
    let plain = WriteOptions::default();

    let done = client.index_document("i", Some("a"), &document, guarded).await.unwrap();
    assert_eq!((done.result, done.guard), (BulkResult::Updated, Guard { seq_no: 7, primary_term: 1 }));
    let done = client.index_document("i", None, &document, plain).await.unwrap();
    assert_eq!((done.id.as_str(), done.result), ("chosen", BulkResult::Created));
    let done = client.update_document("i", "a", &document, guarded).await.unwrap();
    assert_eq!(done.result, BulkResult::Noop);
    let error = client.create_document("i", "a", &document, Refresh::Now).await.unwrap_err();
    assert!(error.is_conflict());
    assert!(client.delete_document("i", "a", plain).await.unwrap());
    assert!(!client.delete_document("i", "none", plain).await.unwrap());
    assert!(client.delete_document("j", "a", plain).await.unwrap_err().is_not_found());

    let sent: Vec<_> =
        fake.seen().iter().map(|seen| format!("{} {} {}", seen.method, seen.target, seen.text())).collect();
    assert_eq!(
        sent,
        [
            r#"PUT /i/_doc/a?if_seq_no=5&if_primary_term=1&refresh=wait_for {"x":1}"#,
            r#"POST /i/_doc {"x":1}"#,
            r#"POST /i/_update/a?if_seq_no=5&if_primary_term=1&refresh=wait_for {"doc":{"x":1}}"#,
            r#"PUT /i/_create/a?refresh=true {"x":1}"#,
            "DELETE /i/_doc/a ",
            "DELETE /i/_doc/none ",
            "DELETE /j/_doc/a ",
        ]
    );
}

#[tokio::test]
async fn an_index_is_made_once_whoever_is_first() {
    let exists = json!({"error": {"type": "resource_already_exists_exception", "reason": "index [raced] already exists"}});
    let fake = Fake::start(move |_, seen| match (seen.method.as_str(), seen.path()) {
        ("HEAD", "/there") => Reply::json(200, ""),
        ("HEAD", _) => Reply::json(404, ""),
        ("PUT", "/raced") => Reply::json(400, &exists),
        ("PUT" | "DELETE", "/denied") => Reply::json(403, "{}"),
        ("DELETE", "/there") | ("PUT", _) => Reply::json(200, json!({"acknowledged": true})),
        _ => Reply::json(404, json!({"error": {"type": "index_not_found_exception", "reason": ""}})),
    })
    .await;
    let client = client(&fake);
    let body = json!({"mappings": {"dynamic": false}});
    assert!(!client.ensure_index("there", &body).await.unwrap());
    assert!(client.ensure_index("new", &body).await.unwrap());
    assert!(!client.ensure_index("raced", &body).await.unwrap());
    assert!(client.ensure_index("denied", &body).await.unwrap_err().is_denied());
    assert!(client.index_exists("there").await.unwrap());
    assert!(!client.index_exists("new").await.unwrap());
    assert!(client.delete_index("there").await.unwrap());
    assert!(!client.delete_index("gone").await.unwrap());
    assert!(client.delete_index("denied").await.unwrap_err().is_denied());
}

#[tokio::test]
async fn counts_only_when_every_shard_did() {
    let fake = Fake::start(|_, seen| match seen.path() {
        "/i/_refresh" => Reply::json(200, json!({"_shards": {"total": 1, "successful": 1, "failed": 0}})),
        "/i/_count" if seen.text().is_empty() => {
            Reply::json(200, json!({"count": 12, "_shards": {"failed": 0}}))
        }
        "/i/_count" => Reply::json(200, json!({"count": 3})),
        "/j/_count" => Reply::json(200, json!({"count": 12, "_shards": {"failed": 1}})),
        _ => Reply::json(200, json!({"_shards": {"failed": 0}})),
    })
    .await;
    let client = client(&fake);
    client.refresh("i").await.unwrap();
    assert_eq!(client.count("i", None).await.unwrap(), 12);
    assert_eq!(client.count("i", Some(&json!({"match_all": {}}))).await.unwrap(), 3);
    assert_eq!(fake.seen()[2].text(), r#"{"query":{"match_all":{}}}"#);
    for index in ["j", "k"] {
        assert_eq!(client.count(index, None).await.unwrap_err().kind(), EsErrorKind::InvalidAnswer);
    }
}

#[tokio::test]
async fn a_search_is_typed_and_never_partial() {
    let hits = json!([
        {"_index": "i", "_id": "a", "_score": 1.5, "_source": {"x": 1}, "highlight": {"body": ["<em>y</em>"]},
         "_seq_no": 5, "_primary_term": 1},
        {"_index": "i", "_id": "b", "_score": null, "sort": [3]},
    ]);
    let fake = Fake::start(move |_, seen| {
        let mut answer = json!({"took": 4, "timed_out": false, "_shards": {"failed": 0},
                                "hits": {"total": {"value": 10000, "relation": "gte"}, "hits": hits},
                                "aggregations": {"n": {"value": 2}}});
        match seen.path() {
            "/late/_search" => answer["timed_out"] = json!(true),
            "/part/_search" => answer["_shards"]["failed"] = json!(1),
            "/uncounted/_search" => answer = json!({"hits": {"hits": []}}),
            _ => {}
        }
        Reply::json(200, answer)
    })
    .await;
    let client = client(&fake);
    let body = json!({"query": {"match_all": {}}});
    let page = client.search("i", &body, &[("expand_wildcards", "hidden")]).await.unwrap();
    assert_eq!(fake.seen()[0].target, "/i/_search?expand_wildcards=hidden");
    assert_eq!((page.took, page.total), (4, Some(Total { value: 10_000, at_least: true })));
    assert_eq!(page.aggregations["n"]["value"], 2);
    assert_eq!((page.hits[0].guard(), page.hits[0].score), (Some(GUARD), Some(1.5)));
    assert_eq!(page.hits[0].highlight["body"][0], "<em>y</em>");
    assert_eq!((page.hits[1].guard(), &page.hits[1].sort), (None, &vec![json!(3)]));
    assert!(page.hits[1].source.is_empty());
    let page = client.search("uncounted", &body, &[]).await.unwrap();
    assert_eq!((page.total, page.hits.len()), (None, 0));
    for index in ["late", "part"] {
        let error = client.search(index, &body, &[]).await.unwrap_err();
        assert!(error.to_string().contains("incomplete"), "{error}");
    }
}
