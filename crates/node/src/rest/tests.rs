//! What clients and people ask of a node besides its documents, through a socket.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::{Credential, StartError};
use crate::lock::LockError;
use crate::node::{Node, NodeError, NodeHandle, NodeOptions};

struct Running {
    node: NodeHandle,
    folder: TempDir,
}

impl Running {
    async fn new() -> Self {
        Self::with(Vec::new()).await
    }

    async fn with(credentials: Vec<Credential>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = NodeOptions { credentials, ..NodeOptions::local(folder.path(), 0) };
        Self { node: Node::start(options).await.unwrap(), folder }
    }

    /// Stops the node and starts one on the same data.
    async fn again(self) -> Self {
        self.node.shutdown().await;
        let options = NodeOptions::local(self.folder.path(), 0);
        Self { node: Node::start(options).await.unwrap(), folder: self.folder }
    }

    /// Makes an index with `documents` searchable documents.
    async fn index(&self, name: &str, replicas: u32, documents: usize) {
        let body = json!({ "settings": { "number_of_replicas": replicas } });
        assert_eq!(self.send("PUT", &format!("/{name}"), body).await.0, 200);
        let mut lines = String::new();
        for number in 0..documents {
            write!(lines, "{{\"index\":{{\"_id\":\"{number}\"}}}}\n{{\"a\":1}}\n").unwrap();
        }
        if documents > 0 {
            let request = self.request("POST", &format!("/{name}/_bulk?refresh=true"));
            let (status, answer) =
                ask(request.header("content-type", "application/x-ndjson").body(lines)).await;
            assert_eq!((status, &answer["errors"]), (200, &json!(false)));
        }
    }

    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        client.request(method.parse().unwrap(), format!("{}{path}", self.node.url()))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        ask(self.request("GET", path)).await
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let request = self.request(method, path).header("content-type", "application/json");
        ask(request.body(body.to_string())).await
    }
}

/// Status and JSON; text as a JSON string.
async fn ask(request: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let bytes = answer.bytes().await.unwrap();
    let value = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
    (status, value)
}

#[tokio::test]
async fn sniffing_clients_find_the_address() {
    let node = Running::new().await;
    let (_, info) = node.get("/_nodes/_local/http").await;
    let id = info["nodes"].as_object().unwrap().keys().next().unwrap().clone();
    for path in
        ["/_nodes/http", "/_nodes/_all/http", "/_nodes/_local/http,process", &format!("/_nodes/{id}/http")]
    {
        let (_, answer) = node.get(path).await;
        assert_eq!(answer["_nodes"], json!({ "total": 1, "successful": 1, "failed": 0 }), "{path}");
        assert_eq!(
            answer["nodes"][&id]["http"]["publish_address"],
            node.node.address().to_string(),
            "{path}"
        );
        assert!(answer["nodes"][&id].get("ingest").is_none(), "{path}");
    }
    let (_, all) = node.get("/_nodes").await;
    assert!(
        all["nodes"][&id]["ingest"]["processors"].as_array().unwrap().contains(&json!({ "type": "set" }))
    );
    assert_eq!(node.get("/_nodes/other/http").await.1["nodes"], json!({}));
    assert_eq!(node.get("/_nodes/stats").await.0, 400);
    assert_eq!(node.get("/_nodes?wrong=1").await.0, 400);
}

#[tokio::test]
async fn the_node_keeps_its_ids_and_pipelines() {
    let node = Running::new().await;
    let (_, before) = node.get("/").await;
    assert_eq!(before["cluster_uuid"].as_str().unwrap().len(), 22);
    assert_eq!(before["tagline"], "You Know, for Search");
    node.send("PUT", "/_ingest/pipeline/mine", json!({ "processors": [], "version": 7 })).await;
    let node = node.again().await;
    assert_eq!(node.get("/").await.1["cluster_uuid"], before["cluster_uuid"]);
    let (_, kept) = node.get("/_ingest/pipeline").await;
    assert_eq!(kept["mine"]["version"], 7);
    assert!(kept["search-default-ingestion"].is_object());
}

#[tokio::test]
async fn a_folder_in_use_is_refused_and_its_node_found() {
    let node = Running::new().await;
    let options = NodeOptions::local(node.folder.path(), 0);
    let error = Node::start(options.clone()).await.unwrap_err();
    assert!(matches!(error, NodeError::Folder(LockError::Held { .. })), "{error}");
    assert_eq!(crate::discover(node.folder.path()).await.unwrap().url, node.node.url());
    let other = tempfile::tempdir().unwrap();
    let taken = NodeOptions::local(other.path(), node.node.address().port());
    let error = Node::start(taken).await.unwrap_err();
    assert!(matches!(error, NodeError::Server(StartError::Bind { .. })), "{error}");
    let open = NodeOptions { bind: ([0, 0, 0, 0], 0).into(), ..NodeOptions::local(other.path(), 0) };
    let error = Node::start(open).await.unwrap_err();
    assert!(matches!(error, NodeError::Server(StartError::Unprotected { .. })), "{error}");
    node.node.shutdown().await;
    Node::start(options).await.unwrap().shutdown().await;
}

#[tokio::test]
async fn the_licence_is_basic_and_security_is_as_configured() {
    let node = Running::new().await;
    let (status, answer) = node.get("/_license?accept_enterprise=true").await;
    assert_eq!(
        (status, &answer["license"]["type"], &answer["license"]["status"]),
        (200, &json!("basic"), &json!("active"))
    );
    assert_eq!(node.get("/_xpack").await.1["features"]["security"]["enabled"], false);
    assert_eq!(node.get("/_xpack?categories=license").await.1.as_object().unwrap().len(), 2);
    let (status, answer) = node.get("/_security/_authenticate").await;
    let text = "no handler found for uri [/_security/_authenticate] and method [GET]";
    assert_eq!((status, answer), (400, json!({ "error": text })));

    let node =
        Running::with(vec![Credential::Basic { username: "elastic".into(), password: "p".into() }]).await;
    let asked = node.request("GET", "/_security/_authenticate").basic_auth("elastic", Some("p"));
    let (status, answer) = ask(asked).await;
    assert_eq!(
        (status, &answer["username"], &answer["authentication_type"]),
        (200, &json!("elastic"), &json!("realm"))
    );
    assert_eq!(node.get("/").await.0, 401);
}

#[tokio::test]
async fn health_counts_shards_and_waits() {
    let node = Running::new().await;
    let (_, empty) = node.get("/_cluster/health").await;
    assert_eq!(
        (&empty["status"], &empty["active_shards_percent_as_number"]),
        (&json!("green"), &json!(100.0))
    );
    node.index("a", 0, 1).await;
    node.index("b", 1, 0).await;
    let (status, health) = node.get("/_cluster/health?level=indices").await;
    assert_eq!((status, &health["status"], &health["active_shards"]), (200, &json!("yellow"), &json!(2)));
    assert_eq!(
        (&health["unassigned_shards"], health["active_shards_percent_as_number"].as_f64().unwrap().round()),
        (&json!(1), 67.0)
    );
    assert_eq!(health["indices"]["a"]["status"], "green");
    assert_eq!(health["indices"]["b"]["unassigned_shards"], 1);
    assert_eq!(
        node.get("/_cluster/health/a?level=shards").await.1["indices"]["a"]["shards"]["0"]["primary_active"],
        true
    );
    for (query, status, timed_out) in [
        ("/a?wait_for_status=green&timeout=0", 200, false),
        ("/b?wait_for_status=green&timeout=50ms", 408, true),
        ("/b?wait_for_status=YELLOW&timeout=50ms", 200, false),
        ("/b?wait_for_active_shards=2&timeout=50ms", 408, true),
        ("/b?wait_for_active_shards=all&timeout=50ms", 408, true),
        ("?wait_for_nodes=2&timeout=50ms", 408, true),
        ("?wait_for_nodes=%3E%3D1&timeout=50ms", 200, false),
        ("?wait_for_nodes=le(3)&timeout=50ms", 200, false),
        ("/none?timeout=50ms", 408, true),
        ("/none*?timeout=50ms", 200, false),
        ("?wait_for_no_relocating_shards=true&wait_for_events=languid&master_timeout=1s", 200, false),
    ] {
        let (got, health) = node.get(&format!("/_cluster/health{query}")).await;
        assert_eq!((got, &health["timed_out"]), (status, &json!(timed_out)), "{query}");
    }
    assert_eq!(node.get("/_cluster/health/none?timeout=1ms").await.1["status"], "red");
    for query in [
        "level=foo",
        "wait_for_status=foo",
        "wait_for_nodes=x",
        "wait_for_active_shards=x",
        "wrong=1",
        "timeout=1x",
    ] {
        assert_eq!(node.get(&format!("/_cluster/health?{query}")).await.0, 400, "{query}");
    }
    // It ends as soon as what it waits for is there.
    let (waited, ()) = tokio::join!(node.get("/_cluster/health/late?timeout=20s"), async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        node.index("late", 0, 0).await;
    });
    assert_eq!((waited.0, &waited.1["status"]), (200, &json!("green")));
}

#[tokio::test]
async fn cat_shows_indices_aliases_counts_and_health() {
    let node = Running::new().await;
    node.index("logs-b", 1, 3).await;
    node.index("logs-a", 0, 2).await;
    let text = async |path: &str| {
        let answer = node.request("GET", path).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"] == "text/plain; charset=UTF-8"),
            (200, true)
        );
        answer.text().await.unwrap()
    };
    let table = text("/_cat/indices?v&s=index").await;
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines[0].join(" "),
        "health status index uuid pri rep docs.count docs.deleted store.size pri.store.size dataset.size"
    );
    assert_eq!((lines[1][0], lines[1][2], lines[1][5], lines[1][6]), ("green", "logs-a", "0", "2"));
    assert_eq!((lines[2][0], lines[2][2], lines[2][5], lines[2][6]), ("yellow", "logs-b", "1", "3"));
    assert_eq!(text("/_cat/indices/logs-*?h=i,dc&s=dc:desc").await, "logs-b 3\nlogs-a 2\n");
    assert_eq!(text("/_cat/indices?health=green&h=index").await, "logs-a\n");
    assert_eq!(text("/_cat/count/logs-*?h=count").await, "5\n");
    assert!(
        text("/_cat/count?help").await.contains("count     | dc,docs.count,docsCount | the document count")
    );
    assert!(text("/_cat").await.contains("/_cat/indices/{index}\n"));
    let (_, json) =
        node.get("/_cat/indices/logs-a?format=json&h=index,docs.count,creation.date.string").await;
    assert_eq!((&json[0]["index"], &json[0]["docs.count"]), (&json!("logs-a"), &json!("2")));
    assert!(json[0]["creation.date.string"].as_str().unwrap().ends_with('Z'), "{json}");
    let (_, health) = node.get("/_cat/health?format=json&ts=false").await;
    assert_eq!(
        (&health[0]["status"], &health[0]["active_shards_percent"]),
        (&json!("yellow"), &json!("66.7%"))
    );
    assert!(health[0].get("epoch").is_none());
    assert_eq!(text("/_cat/aliases").await, "");
    for (path, status) in [
        ("/_cat/indices/none", 404),
        ("/_cat/indices?health=foo", 400),
        ("/_cat/indices?bytes=foo", 400),
        ("/_cat/indices?s=foo", 400),
        ("/_cat/count/none", 404),
        ("/_cat/nope", 400),
    ] {
        assert_eq!(node.get(path).await.0, status, "{path}");
    }
}

#[tokio::test]
async fn stats_tell_what_is_counted_and_refuse_the_rest() {
    let node = Running::new().await;
    node.index("a", 1, 3).await;
    node.index("b", 0, 1).await;
    let (_, all) = node.get("/_stats").await;
    assert_eq!(all["_shards"], json!({ "total": 3, "successful": 2, "failed": 0 }));
    assert_eq!(all["_all"]["primaries"]["docs"]["count"], 4);
    assert!(all["indices"]["a"]["total"]["store"]["size_in_bytes"].as_u64().unwrap() > 0);
    let (_, docs) = node.get("/a/_stats/docs?human&level=shards").await;
    assert_eq!(docs["_all"]["total"].as_object().unwrap().len(), 1);
    assert_eq!(docs["indices"]["a"]["shards"]["0"][0]["docs"]["count"], 3);
    assert!(docs["_all"]["total"]["docs"]["total_size"].as_str().unwrap().ends_with('b'));
    assert!(node.get("/a/_stats/store?level=cluster").await.1.get("indices").is_none());
    assert_eq!(node.get("/none*/_stats").await.1["_all"]["total"], json!({}));
    assert_eq!(node.get("/none/_stats").await.0, 404);
    let (status, error) = node.get("/a/_stats/docss,x").await;
    assert_eq!(status, 400);
    assert_eq!(
        error["error"]["reason"],
        "request [/a/_stats/docss,x] contains unrecognized metrics: [docss] -> did you mean [docs]?, [x]"
    );
    assert!(
        node.get("/_stats/search").await.1["error"]["reason"]
            .as_str()
            .unwrap()
            .contains("[search] is not supported")
    );
}

#[tokio::test]
async fn settings_and_tasks_are_empty() {
    let node = Running::new().await;
    assert_eq!(
        node.get("/_cluster/settings?flat_settings").await.1,
        json!({ "persistent": {}, "transient": {} })
    );
    assert_eq!(node.get("/_cluster/settings?include_defaults=true").await.1["defaults"], json!({}));
    assert_eq!(node.get("/_cluster/pending_tasks").await.1, json!({ "tasks": [] }));
    assert_eq!(node.send("PUT", "/_cluster/settings", json!({})).await.0, 405);
}

#[tokio::test]
async fn pipelines_are_kept_shown_tried_and_deleted() {
    let node = Running::new().await;
    let set =
        json!({ "description": "d", "processors": [{ "set": { "field": "a", "value": 1 } }], "version": 1 });
    assert_eq!(
        node.send("PUT", "/_ingest/pipeline/p1", set.clone()).await,
        (200, json!({ "acknowledged": true }))
    );
    let (status, shown) = node.get("/_ingest/pipeline/p*,none").await;
    assert_eq!((status, &shown["p1"]["processors"]), (200, &set["processors"]));
    assert!(shown["p1"]["created_date_millis"].is_i64());
    assert_eq!(node.get("/_ingest/pipeline/p1?summary=true").await.1, json!({ "p1": {} }));
    assert_eq!(node.get("/_ingest/pipeline/none").await, (404, json!({})));

    let (status, error) =
        node.send("PUT", "/_ingest/pipeline/p2", json!({ "processors": [{ "grok": {} }] })).await;
    assert_eq!(
        (status, &error["error"]["reason"]),
        (400, &json!("No processor type exists with name [grok]"))
    );
    assert_eq!(
        ask(node.request("PUT", "/_ingest/pipeline/p2")).await.1["error"]["reason"],
        "request body or source parameter is required"
    );
    let reason = async |query: &str| {
        let (_, answer) = node.send("PUT", query, json!({ "processors": [], "version": 2 })).await;
        answer["error"]["reason"].as_str().map(str::to_owned)
    };
    assert_eq!(
        reason("/_ingest/pipeline/p1?if_version=5").await.unwrap(),
        "version conflict, required version [5] for pipeline [p1] but current version is [1]"
    );
    assert!(
        reason("/_ingest/pipeline/none?if_version=5").await.unwrap().ends_with("but no pipeline was found")
    );
    assert_eq!(reason("/_ingest/pipeline/p1?if_version=1").await, None);

    let docs = json!({ "docs": [{ "_id": "7", "_source": { "b": 1 } }, { "_source": {} }] });
    node.send("PUT", "/_ingest/pipeline/p1", set).await;
    let (_, tried) = node.send("POST", "/_ingest/pipeline/p1/_simulate", docs).await;
    assert_eq!(tried["docs"][0]["doc"]["_source"], json!({ "b": 1, "a": 1 }));
    assert_eq!(
        (&tried["docs"][0]["doc"]["_id"], &tried["docs"][1]["doc"]["_index"]),
        (&json!("7"), &json!("_index"))
    );
    let simulate = |body: Value| node.send("POST", "/_ingest/pipeline/_simulate?verbose=true", body);
    let (_, verbose) =
        simulate(json!({ "pipeline": { "processors": [{ "drop": {} }] }, "docs": [{ "_source": {} }] }))
            .await;
    assert_eq!(verbose["docs"][0]["processor_results"][0]["status"], "dropped");
    for (body, reason) in [
        (json!({ "docs": [{ "_source": {} }] }), "[pipeline] required property is missing"),
        (json!({ "pipeline": { "processors": [] } }), "[docs] required property is missing"),
        (
            json!({ "pipeline": { "processors": [] }, "docs": [] }),
            "must specify at least one document in [docs]",
        ),
        (
            json!({ "pipeline": { "processors": [] }, "docs": [{ "a": 1 }] }),
            "[_source] required property is missing",
        ),
        (
            json!({ "pipeline": { "processors": [] }, "docs": [{ "_source": {} }], "x": 1 }),
            "[_simulate] unknown field [x]",
        ),
    ] {
        let (status, error) = simulate(body).await;
        assert_eq!((status, error["error"]["reason"].as_str()), (400, Some(reason)));
    }
    let (status, error) =
        node.send("POST", "/_ingest/pipeline/none/_simulate", json!({ "docs": [{ "_source": {} }] })).await;
    assert_eq!((status, &error["error"]["reason"]), (400, &json!("pipeline [none] does not exist")));

    let user = json!({ "settings": { "default_pipeline": "p1" } });
    assert_eq!(node.send("PUT", "/user", user).await.0, 200);
    let (status, error) = ask(node.request("DELETE", "/_ingest/pipeline/p1")).await;
    assert_eq!(status, 400);
    assert_eq!(
        error["error"]["reason"],
        "pipeline [p1] cannot be deleted because it is the default pipeline for 1 index(es) including [user]"
    );
    node.send("PUT", "/_ingest/pipeline/p3", json!({ "processors": [] })).await;
    assert_eq!(
        ask(node.request("DELETE", "/_ingest/pipeline/p3")).await,
        (200, json!({ "acknowledged": true }))
    );
    let (status, error) = ask(node.request("DELETE", "/_ingest/pipeline/p3")).await;
    assert_eq!((status, &error["error"]["reason"]), (404, &json!("pipeline [p3] is missing")));
}
