//! API keys and privileges on a node with credentials.
//!
//! With `SECURITY_URL` and `SECURITY_PASSWORD` (of the user elastic) the tests run on a real Elasticsearch with security on,
//! started by `tests/backends/elasticsearch/start --password`, one after another (`--test-threads 1`); what it answers
//! is right. Parts that are the node's own say so.

use std::time::Duration;

use base64::Engine as _;
use connectors_node::{Credential, Node, NodeHandle, NodeOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A server that asks for credentials.
struct Secured {
    url: String,
    password: String,
    client: reqwest::Client,
    node: Option<(NodeHandle, TempDir)>,
}

/// One identity on it.
struct Caller<'a> {
    server: &'a Secured,
    authorization: String,
}

fn encode(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn options(folder: &TempDir) -> NodeOptions {
    let mut options = NodeOptions::local(folder.path(), 0);
    options.credentials =
        vec![Credential::Basic { username: "elastic".into(), password: "changeme".to_owned().into() }];
    options
}

impl Secured {
    async fn start() -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = reqwest::Client::new();
        if let Ok(url) = std::env::var("SECURITY_URL") {
            let password = std::env::var("SECURITY_PASSWORD").expect("SECURITY_PASSWORD");
            return Self { url, password, client, node: None };
        }
        let folder = tempfile::tempdir().expect("a folder");
        let node = Node::start(options(&folder)).await.expect("a node");
        Self { url: node.url().to_owned(), password: "changeme".into(), client, node: Some((node, folder)) }
    }

    fn is_node(&self) -> bool {
        self.node.is_some()
    }

    async fn restart(&mut self) {
        let (node, folder) = self.node.take().expect("a node");
        node.shutdown().await;
        let node = Node::start(options(&folder)).await.expect("a node");
        node.url().clone_into(&mut self.url);
        self.node = Some((node, folder));
    }

    fn as_key(&self, encoded: &str) -> Caller<'_> {
        Caller { server: self, authorization: format!("ApiKey {encoded}") }
    }

    fn admin(&self) -> Caller<'_> {
        Caller {
            server: self,
            authorization: format!("Basic {}", encode(&format!("elastic:{}", self.password))),
        }
    }

    /// A key with these role descriptors: its id and itself.
    async fn key(&self, name: &str, roles: Value) -> (String, Caller<'_>) {
        let body = json!({ "name": name, "role_descriptors": roles });
        let (status, made) = self.admin().call("POST", "/_security/api_key", body).await;
        assert_eq!(status, 200, "{made}");
        (made["id"].as_str().unwrap().to_owned(), self.as_key(made["encoded"].as_str().unwrap()))
    }

    /// Indices for a test, made anew.
    async fn indices(&self, names: &[&str]) {
        for name in names {
            self.admin().send("DELETE", &format!("/{name}"), String::new()).await;
            let path = format!("/{name}/_doc/1?refresh=true");
            assert_eq!(self.admin().call("PUT", &path, json!({ "a": 1 })).await.0, 201);
        }
    }
}

impl Caller<'_> {
    async fn send(&self, method: &str, path: &str, body: String) -> (u16, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self.server.client.request(method, format!("{}{path}", self.server.url));
        if !body.is_empty() {
            request = request.header("content-type", "application/json").body(body);
        }
        let answer = request.header("authorization", &self.authorization).send().await.expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        self.send(method, path, body.to_string()).await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.send("GET", path, String::new()).await
    }

    /// Refused with exactly this reason; `{id}` stands for the key.
    async fn refused(&self, id: &str, method: &str, path: &str, body: &str, reason: &str) {
        let (status, answer) = self.send(method, path, body.to_owned()).await;
        let expected =
            reason.replace('~', &format!("is unauthorized for API key id [{id}] of user [elastic]"));
        assert_eq!(status, 403, "{method} {path}: {answer}");
        assert_eq!(answer["error"]["type"], "security_exception", "{method} {path}");
        assert_eq!(answer["error"]["reason"], expected, "{method} {path}");
    }
}

fn read_a() -> Value {
    json!({ "r": { "cluster": ["monitor"], "indices": [{ "names": ["sa-*"], "privileges": ["read"] }] } })
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_live_and_end() {
    let mut server = Secured::start().await;
    let admin = server.admin();
    let body =
        json!({ "name": "life", "expiration": "1d", "metadata": { "a": 1 }, "role_descriptors": read_a() });
    let (status, made) = admin.call("PUT", "/_security/api_key", body).await;
    assert_eq!((status, &made["name"]), (200, &json!("life")), "{made}");
    let (id, secret) = (made["id"].as_str().unwrap(), made["api_key"].as_str().unwrap());
    assert_eq!(made["encoded"], encode(&format!("{id}:{secret}")));
    assert!(made["expiration"].as_i64().is_some());
    let (id, encoded) = (id.to_owned(), made["encoded"].as_str().unwrap().to_owned());

    let (_, me) = server.as_key(&encoded).get("/_security/_authenticate").await;
    assert_eq!((&me["username"], &me["authentication_type"]), (&json!("elastic"), &json!("api_key")), "{me}");
    assert_eq!((&me["api_key"]["id"], &me["api_key"]["name"]), (&json!(id), &json!("life")), "{me}");
    let (_, found) = admin.get(&format!("/_security/api_key?id={id}")).await;
    let shown = &found["api_keys"][0];
    assert_eq!(
        (&shown["name"], &shown["type"], &shown["invalidated"]),
        (&json!("life"), &json!("rest"), &json!(false))
    );
    assert_eq!((&shown["username"], &shown["metadata"]), (&json!("elastic"), &json!({ "a": 1 })), "{shown}");
    assert_eq!(
        shown["role_descriptors"]["r"],
        json!({
            "cluster": ["monitor"], "applications": [], "run_as": [], "metadata": {},
            "indices": [{ "names": ["sa-*"], "privileges": ["read"], "allow_restricted_indices": false }],
            "transient_metadata": { "enabled": true },
        })
    );
    assert!(!found.to_string().contains(&secret.to_owned()), "the secret is shown once");

    if server.is_node() {
        server.restart().await;
        let (status, _) = server.as_key(&encoded).get("/_cluster/health").await;
        assert_eq!(status, 200, "keys are there after a restart");
    }
    let admin = server.admin();
    let (_, ended) = admin.call("DELETE", "/_security/api_key", json!({ "ids": [id] })).await;
    assert_eq!(
        ended,
        json!({ "invalidated_api_keys": [id], "previously_invalidated_api_keys": [], "error_count": 0 })
    );
    let (_, again) = admin.call("DELETE", "/_security/api_key", json!({ "ids": [id] })).await;
    assert_eq!(again["invalidated_api_keys"], json!([]));
    let (status, answer) = server.as_key(&encoded).get("/").await;
    assert_eq!(status, 401);
    assert_eq!(
        answer["error"]["additional_unsuccessful_credentials"],
        format!("API key: api key [{id}] has been invalidated")
    );
    let (_, found) = admin.get(&format!("/_security/api_key?id={id}")).await;
    assert_eq!(found["api_keys"][0]["invalidated"], true);
    let (_, active) = admin.get("/_security/api_key?name=lif*&active_only=true").await;
    assert!(active["api_keys"].as_array().unwrap().iter().all(|key| key["id"] != id.as_str()), "{active}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_keys_are_not_let_in() {
    let server = Secured::start().await;
    let (id, _) = server.key("bad", read_a()).await;
    let body = json!({ "name": "short", "expiration": "1s" });
    let short = server.admin().call("POST", "/_security/api_key", body).await.1;
    tokio::time::sleep(Duration::from_millis(1300)).await;
    for (encoded, reason) in [
        (encode("nope:x"), "unable to find apikey with id nope".to_owned()),
        (encode(&format!("{id}:wrong")), format!("invalid credentials for API key [{id}]")),
        (encode("no colon"), "invalid ApiKey value".to_owned()),
        (short["encoded"].as_str().unwrap().to_owned(), "api key is expired".to_owned()),
    ] {
        let (status, answer) = server.as_key(&encoded).get("/").await;
        assert_eq!((status, &answer["error"]["type"]), (401, &json!("security_exception")), "{answer}");
        assert_eq!(
            answer["error"]["reason"],
            "unable to authenticate with provided credentials and anonymous access is not allowed for this request"
        );
        assert_eq!(answer["error"]["additional_unsuccessful_credentials"], format!("API key: {reason}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_key_cannot_be_is_refused() {
    let server = Secured::start().await;
    let admin = server.admin();
    let indices = |entry: Value| json!({ "name": "x", "role_descriptors": { "r": { "indices": [entry] } } });
    for (body, kind) in [
        (json!({}), "illegal_argument_exception"),
        (json!({ "name": "x", "bogus": 1 }), "x_content_parse_exception"),
        (json!({ "name": "_x" }), "action_request_validation_exception"),
        (json!({ "name": "x", "metadata": { "_a": 1 } }), "action_request_validation_exception"),
        (
            json!({ "name": "x", "role_descriptors": { "r": { "cluster": ["bogus"] } } }),
            "action_request_validation_exception",
        ),
        (json!({ "name": "x", "role_descriptors": { "r": { "bogus": [] } } }), "x_content_parse_exception"),
        (indices(json!({ "names": ["a"], "privileges": ["bogus"] })), "action_request_validation_exception"),
        (indices(json!({ "names": ["a"] })), "x_content_parse_exception"),
        (indices(json!({ "names": ["a"], "privileges": ["read"], "bogus": 1 })), "x_content_parse_exception"),
    ] {
        let (status, answer) = admin.call("POST", "/_security/api_key", body.clone()).await;
        assert_eq!((status, &answer["error"]["type"]), (400, &json!(kind)), "{body}: {answer}");
    }
    if server.is_node() {
        for part in [json!({ "query": { "match_all": {} } }), json!({ "field_security": { "grant": ["a"] } })]
        {
            let mut entry = json!({ "names": ["a"], "privileges": ["read"] });
            entry.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
            let (status, answer) = admin.call("POST", "/_security/api_key", indices(entry)).await;
            assert_eq!(status, 400, "never ignored: {answer}");
            assert!(answer.to_string().contains("not supported"), "{answer}");
        }
    }
    let (status, _) = admin.call("DELETE", "/_security/api_key", json!({})).await;
    assert_eq!(status, 400);
    assert_eq!(admin.get("/_security/api_key?id=a&name=b").await.0, 400);
    assert_eq!(admin.get("/_security/api_key?name=nope").await, (200, json!({ "api_keys": [] })));
    assert_eq!(admin.get("/_security/api_key?id=nope").await, (404, json!({ "api_keys": [] })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_without_privileges_can_do_nothing() {
    let server = Secured::start().await;
    server.indices(&["sn-foo"]).await;
    let (id, nothing) = server.key("nothing", json!({ "r": {} })).await;
    let by =
        |scope: &str, names: &str| format!(", this action is granted by the {scope} privileges [{names}]");
    let read = by("index", "read,all");
    let metadata = by("index", "view_index_metadata,manage,all");
    let manage = by("index", "manage,all");
    let monitor = by("cluster", "monitor,manage,all");
    let write = by("index", "create_doc,create,delete,index,write,all");
    let bulk = "{\"index\":{\"_index\":\"sn-foo\",\"_id\":\"1\"}}\n{\"a\":1}\n";
    let pipelines = by("cluster", "read_pipeline,manage_ingest_pipelines,manage_pipeline,manage,all");
    for (method, path, body, reason) in [
        ("GET", "/_search", "", format!("action [indices:data/read/search] ~{read}")),
        (
            "GET",
            "/sn-foo/_search",
            "",
            format!("action [indices:data/read/search] ~ on indices [sn-foo]{read}"),
        ),
        (
            "GET",
            "/sn-foo/_count",
            "",
            format!("action [indices:data/read/search] ~ on indices [sn-foo]{read}"),
        ),
        ("GET", "/sn-foo/_doc/1", "", format!("action [indices:data/read/get] ~ on indices [sn-foo]{read}")),
        (
            "POST",
            "/sn-foo/_pit?keep_alive=1m",
            "",
            format!("action [indices:data/read/open_point_in_time] ~ on indices [sn-foo]{read}"),
        ),
        (
            "GET",
            "/sn-foo/_mapping",
            "",
            format!("action [indices:admin/mappings/get] ~ on indices [sn-foo]{metadata}"),
        ),
        ("GET", "/_mapping", "", format!("action [indices:admin/mappings/get] ~{metadata}")),
        ("GET", "/_alias", "", format!("action [indices:admin/aliases/get] ~{metadata}")),
        ("GET", "/_cat/aliases", "", format!("action [indices:admin/aliases/get] ~{metadata}")),
        ("GET", "/sn-foo", "", format!("action [indices:admin/get] ~ on indices [sn-foo]{metadata}")),
        (
            "PUT",
            "/sn-foo/_mapping",
            "{\"properties\":{}}",
            format!("action [indices:admin/mapping/put] ~ on indices [sn-foo]{manage}"),
        ),
        (
            "POST",
            "/_aliases",
            "{\"actions\":[{\"add\":{\"index\":\"sn-foo\",\"alias\":\"x\"}}]}",
            String::new(),
        ),
        (
            "PUT",
            "/sn-foo/_alias/x",
            "",
            format!("action [indices:admin/aliases] ~ on indices [sn-foo]{manage}"),
        ),
        (
            "POST",
            "/sn-foo/_refresh",
            "",
            format!(
                "action [indices:admin/refresh] ~ on indices [sn-foo]{}",
                by("index", "maintenance,manage,all")
            ),
        ),
        (
            "PUT",
            "/sn-new",
            "",
            format!(
                "action [indices:admin/create] ~ on indices [sn-new]{}",
                by("index", "create_index,manage,all")
            ),
        ),
        (
            "DELETE",
            "/sn-foo",
            "",
            format!(
                "action [indices:admin/delete] ~ on indices [sn-foo]{}",
                by("index", "delete_index,manage,all")
            ),
        ),
        (
            "PUT",
            "/sn-foo/_doc/1",
            "{}",
            format!(
                "action [indices:data/write/index] ~ on indices [sn-foo]{}",
                by("index", "create_doc,create,index,write,all")
            ),
        ),
        (
            "POST",
            "/sn-foo/_update/1",
            "{\"doc\":{}}",
            format!(
                "action [indices:data/write/update] ~ on indices [sn-foo]{}",
                by("index", "index,write,all")
            ),
        ),
        (
            "DELETE",
            "/sn-foo/_doc/1",
            "",
            format!(
                "action [indices:data/write/delete] ~ on indices [sn-foo]{}",
                by("index", "delete,write,all")
            ),
        ),
        ("POST", "/_bulk", bulk, format!("action [indices:data/write/bulk] ~{write}")),
        ("GET", "/_cluster/health", "", format!("action [cluster:monitor/health] ~{monitor}")),
        ("GET", "/_cat/health", "", format!("action [cluster:monitor/health] ~{monitor}")),
        ("GET", "/_nodes", "", format!("action [cluster:monitor/nodes/info] ~{monitor}")),
        ("GET", "/_ingest/pipeline", "", format!("action [cluster:admin/ingest/pipeline/get] ~{pipelines}")),
        (
            "GET",
            "/_index_template",
            "",
            format!(
                "action [indices:admin/index_template/get] ~{}",
                by("cluster", "manage_index_templates,monitor,manage,all")
            ),
        ),
        (
            "POST",
            "/_analyze",
            "{\"text\":\"a\"}",
            format!("action [cluster:admin/analyze] ~{}", by("cluster", "manage,all")),
        ),
        (
            "POST",
            "/_security/api_key",
            "{\"name\":\"d\",\"role_descriptors\":{\"x\":{}}}",
            format!(
                "action [cluster:admin/xpack/security/api_key/create] ~{}",
                by("cluster", "manage_own_api_key,manage_api_key,manage_security,all")
            ),
        ),
        (
            "GET",
            "/_security/api_key",
            "",
            format!(
                "action [cluster:admin/xpack/security/api_key/get] ~{}",
                by("cluster", "read_security,manage_api_key,manage_security,all")
            ),
        ),
    ] {
        if reason.is_empty() {
            assert_eq!(nothing.send(method, path, body.to_owned()).await.0, 403, "{method} {path}");
        } else {
            nothing.refused(&id, method, path, body, &reason).await;
        }
    }
    for path in ["/", "/_security/_authenticate"] {
        assert_eq!(nothing.get(path).await.0, 200, "{path}");
    }
    let (status, _) = nothing.get(&format!("/_security/api_key?id={id}")).await;
    assert_eq!(status, 200, "a key may look at itself");
    if server.is_node() {
        for (method, path) in [
            ("GET", "/_connector"),
            ("PUT", "/_connector/c"),
            ("POST", "/_connector/_sync_job"),
            ("PUT", "/_connector/_sync_job/x/_claim"),
            ("GET", "/_connector/_secret/s"),
        ] {
            assert_eq!(nothing.send(method, path, "{}".into()).await.0, 403, "{method} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns_shrink_and_names_are_refused() {
    let server = Secured::start().await;
    server.indices(&["sa-1", "sa-2", "sb-1"]).await;
    let (id, reader) = server.key("reader", read_a()).await;
    let total = |answer: &Value| answer["hits"]["total"]["value"].clone();
    for (path, expected) in [
        ("/_search", 2),
        ("/sa-*/_search", 2),
        ("/*/_search", 2),
        ("/_all/_search", 2),
        ("/sb-*/_search", 0),
        ("/*,-sa-1/_search", 1),
    ] {
        let (status, answer) = reader.get(path).await;
        assert_eq!((status, total(&answer)), (200, json!(expected)), "{path}: {answer}");
    }
    assert_eq!(reader.get("/_count").await.1["count"], 2);
    let refused = "action [indices:data/read/search] ~ on indices [sb-1], this action is granted by the index \
                   privileges [read,all]";
    reader.refused(&id, "GET", "/sb-1/_search", "", refused).await;
    reader.refused(&id, "GET", "/sa-1,sb-1/_search", "", refused).await;
    let (status, answer) = reader.get("/sa-1,sb-1/_search?ignore_unavailable=true").await;
    assert_eq!((status, total(&answer)), (200, json!(1)));
    assert_eq!(reader.get("/sa-nothing/_search").await.0, 404);
    assert_eq!(reader.get("/sa-1/_doc/1").await.0, 200);
    assert_eq!(reader.get("/sb-1/_doc/1").await.0, 403);
    let docs = json!({ "docs": [{ "_index": "sa-1", "_id": "1" }, { "_index": "sb-1", "_id": "1" }] });
    let (_, found) = reader.call("POST", "/_mget", docs).await;
    assert_eq!(found["docs"][0]["found"], true, "{found}");
    assert_eq!(found["docs"][1]["error"]["type"], "security_exception", "{found}");
    assert!(found["docs"][1].get("_source").is_none());
    let lines = "{\"index\":\"sa-1\"}\n{}\n{\"index\":\"sb-1\"}\n{}\n{\"index\":\"sb-*\"}\n{}\n{}\n{}\n";
    let (_, many) = reader.send("POST", "/_msearch", lines.to_owned()).await;
    assert_eq!(total(&many["responses"][0]), 1, "{many}");
    assert_eq!(many["responses"][1]["error"]["type"], "security_exception", "{many}");
    assert_eq!((total(&many["responses"][2]), total(&many["responses"][3])), (json!(0), json!(2)), "{many}");
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_checked_one_by_one() {
    let server = Secured::start().await;
    server.indices(&["sa-1", "sb-1"]).await;
    server.admin().send("DELETE", "/sa-new", String::new()).await;
    let names =
        |privilege: &str| json!({ "r": { "indices": [{ "names": ["sa-*"], "privileges": [privilege] }] } });
    let (_, writer) = server.key("writer", names("write")).await;
    let bulk = [
        json!({ "index": { "_index": "sa-1", "_id": "1" } }),
        json!({ "a": 1 }),
        json!({ "index": { "_index": "sb-1", "_id": "1" } }),
        json!({ "a": 1 }),
        json!({ "delete": { "_index": "sb-1", "_id": "1" } }),
        json!({ "update": { "_index": "sb-1", "_id": "1" } }),
        json!({ "doc": { "a": 2 } }),
        json!({ "index": { "_index": "sa-new", "_id": "1" } }),
        json!({ "a": 1 }),
    ];
    let lines = bulk.map(|line| line.to_string() + "\n").concat();
    let (status, answer) = writer.send("POST", "/_bulk", lines).await;
    assert_eq!(status, 200, "{answer}");
    let statuses: Vec<i64> = answer["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item.as_object().unwrap().values().next().unwrap()["status"].as_i64().unwrap())
        .collect();
    assert_eq!(statuses, [200, 403, 403, 403, 403], "{answer}");
    assert_eq!(server.admin().get("/sb-1/_doc/1").await.1["_version"], 1, "untouched");
    assert_eq!(server.admin().get("/sa-new").await.0, 404, "not created");
    assert_eq!(writer.call("PUT", "/sa-new/_doc/1", json!({})).await.0, 403);
    assert_eq!(writer.get("/sa-1/_doc/1").await.0, 403, "writing is not reading");

    let (id, creator) = server.key("creator", names("create_doc")).await;
    let reason = "action [indices:data/write/index:op_type/index] ~ on indices [sa-1], this action is granted by the \
                  index privileges [create,index,write,all]";
    creator.refused(&id, "PUT", "/sa-1/_doc/7", "{}", reason).await;
    assert_eq!(creator.call("PUT", "/sa-1/_create/8", json!({})).await.0, 201);
    assert_eq!(creator.call("POST", "/sa-1/_doc", json!({})).await.0, 201);

    let roles =
        json!({ "r": { "indices": [{ "names": ["sa-*"], "privileges": ["write", "create_index"] }] } });
    let (_, maker) = server.key("maker", roles).await;
    assert_eq!(maker.call("PUT", "/sa-new/_doc/1", json!({})).await.0, 201);
    assert_eq!(maker.send("DELETE", "/sa-new", String::new()).await.0, 403);
    server.admin().send("DELETE", "/sa-new", String::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_kept_open_belong_to_who_opened_them() {
    let server = Secured::start().await;
    server.indices(&["sa-1", "sb-1"]).await;
    let (_, reader) = server.key("reader", read_a()).await;
    let (_, pit) = server.admin().send("POST", "/sb-1/_pit?keep_alive=1m", String::new()).await;
    let body = json!({ "pit": { "id": pit["id"] } });
    let (status, answer) = reader.call("POST", "/_search", body).await;
    assert_eq!(status, 403, "{answer}");
    let (_, own) = reader.send("POST", "/sa-1/_pit?keep_alive=1m", String::new()).await;
    let (status, answer) = reader.call("POST", "/_search", json!({ "pit": { "id": own["id"] } })).await;
    assert_eq!((status, &answer["hits"]["total"]["value"]), (200, &json!(1)), "{answer}");
    let (_, foreign) = server.admin().call("POST", "/sb-1/_search?scroll=1m", json!({})).await;
    let (status, answer) =
        reader.call("POST", "/_search/scroll", json!({ "scroll_id": foreign["_scroll_id"] })).await;
    assert!(matches!(status, 403 | 404), "{answer}");
    for more in 2..5 {
        server.admin().call("PUT", &format!("/sa-1/_doc/{more}?refresh=true"), json!({})).await;
    }
    let (_, opened) = reader.call("POST", "/sa-1/_search?scroll=1m", json!({ "size": 1 })).await;
    let id = json!({ "scroll_id": opened["_scroll_id"] });
    let next = json!({ "scroll_id": opened["_scroll_id"], "scroll": "1m" });
    assert_eq!(reader.call("POST", "/_search/scroll", next).await.0, 200);
    assert_eq!(reader.call("DELETE", "/_search/scroll", id).await.0, 200);
    assert_eq!(reader.call("DELETE", "/_pit", json!({ "id": own["id"] })).await.0, 200);
    server.admin().call("DELETE", "/_pit", json!({ "id": pit["id"] })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_by_query_need_both_rights_and_aliases_both_names() {
    let server = Secured::start().await;
    server.indices(&["sa-1", "sb-1"]).await;
    let (_, reader) = server.key("reader", read_a()).await;
    let all = json!({ "query": { "match_all": {} } });
    assert_eq!(reader.call("POST", "/sa-1/_delete_by_query", all.clone()).await.0, 403);
    let one = |privileges: &[&str]| json!({ "r": { "indices": [{ "names": ["sa-*"], "privileges": privileges }] } });
    let (_, writer) = server.key("writer", one(&["write"])).await;
    assert_eq!(writer.call("POST", "/sa-1/_delete_by_query", all.clone()).await.0, 403);
    let (_, both) = server.key("both", one(&["read", "write"])).await;
    let (status, answer) = both.call("POST", "/sa-1/_update_by_query", json!({})).await;
    assert_eq!((status, &answer["updated"]), (200, &json!(1)), "{answer}");
    assert_eq!(both.call("POST", "/sb-1/_update_by_query", json!({})).await.0, 403);

    let (_, manager) = server.key("manager", one(&["manage"])).await;
    let add =
        |index: &str, alias: &str| json!({ "actions": [{ "add": { "index": index, "alias": alias } }] });
    assert_eq!(manager.call("POST", "/_aliases", add("sb-1", "sa-alias")).await.0, 403, "it would open sb-1");
    assert_eq!(manager.call("POST", "/_aliases", add("sa-1", "sb-alias")).await.0, 403);
    assert_eq!(manager.call("POST", "/_aliases", add("sa-1", "sa-alias")).await.0, 200);
    assert_eq!(manager.send("PUT", "/sa-1/_alias/sb-alias", String::new()).await.0, 403);
    assert_eq!(manager.send("DELETE", "/sa-1/_alias/sa-alias", String::new()).await.0, 200);
    assert_eq!(manager.call("PUT", "/sa-made", json!({ "aliases": { "sb-alias": {} } })).await.0, 403);
    assert!(matches!(manager.send("DELETE", "/*", String::new()).await.0, 400 | 403));
    assert_eq!(server.admin().get("/sa-1").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_make_and_end_no_more_than_they_may() {
    let server = Secured::start().await;
    let (other, _) = server.key("other", json!({ "r": {} })).await;
    let (id, own) = server.key("own", json!({ "r": { "cluster": ["manage_own_api_key"] } })).await;
    let make = |roles: Value| json!({ "name": "derived", "role_descriptors": roles });
    for body in [json!({ "name": "derived" }), make(json!({ "x": { "cluster": ["monitor"] } }))] {
        let (status, answer) = own.call("POST", "/_security/api_key", body).await;
        assert_eq!(
            (status, &answer["error"]["type"]),
            (400, &json!("illegal_argument_exception")),
            "{answer}"
        );
    }
    assert_eq!(own.call("POST", "/_security/api_key", make(json!({ "x": {} }))).await.0, 200);
    assert_eq!(own.get("/_security/api_key").await.0, 403);
    assert_eq!(own.call("DELETE", "/_security/api_key", json!({ "ids": [other] })).await.0, 403);
    let (status, answer) = own.call("DELETE", "/_security/api_key", json!({ "ids": [id] })).await;
    assert_eq!((status, &answer["invalidated_api_keys"]), (200, &json!([id])), "{answer}");
    assert_eq!(own.get("/").await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn privileges_can_be_asked_for() {
    let server = Secured::start().await;
    let roles = json!({ "r": { "cluster": ["manage_connector"], "indices": [{ "names": ["sa-*"], "privileges": ["write"] }] } });
    let (_, key) = server.key("asks", roles).await;
    let body = json!({
        "cluster": ["manage_connector", "manage"],
        "index": [{ "names": ["sa-1", "sb-1"], "privileges": ["read", "write", "index"] }],
    });
    let (status, answer) = key.call("POST", "/_security/user/_has_privileges", body.clone()).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        answer,
        json!({
            "username": "elastic",
            "has_all_requested": false,
            "cluster": { "manage_connector": true, "manage": false },
            "index": {
                "sa-1": { "read": false, "write": true, "index": true },
                "sb-1": { "read": false, "write": false, "index": false },
            },
            "application": {},
        })
    );
    let (_, answer) = server.admin().call("POST", "/_security/user/_has_privileges", body).await;
    assert_eq!(answer["has_all_requested"], true, "{answer}");
    for body in [json!({}), json!({ "cluster": ["bogus"] }), json!({ "bogus": [] })] {
        assert_eq!(key.call("GET", "/_security/user/_has_privileges", body).await.0, 400);
    }
}

/// The real one has no connector API in the fixture.
#[tokio::test(flavor = "multi_thread")]
async fn connector_privileges_are_apart_from_their_secrets() {
    let server = Secured::start().await;
    if !server.is_node() {
        return;
    }
    let admin = server.admin();
    assert_eq!(admin.call("PUT", "/_connector/_secret/s", json!({ "value": "v" })).await.0, 201);
    assert_eq!(admin.get("/.connector-secrets/_doc/s").await.0, 200);
    let (_, manager) = server.key("manager", json!({ "r": { "cluster": ["manage_connector"] } })).await;
    assert_eq!(manager.call("PUT", "/_connector/c", json!({})).await.0, 201);
    assert_eq!(manager.get("/_connector").await.0, 200);
    assert_eq!(manager.get("/_connector/_secret/s").await.0, 403);
    let (_, watcher) = server.key("watcher", json!({ "r": { "cluster": ["monitor_connector"] } })).await;
    assert_eq!(watcher.get("/_connector/c").await.0, 200);
    assert_eq!(watcher.call("PUT", "/_connector/c/_name", json!({ "name": "n" })).await.0, 403);
    let (_, secrets) = server.key("secrets", json!({ "r": { "cluster": ["read_connector_secrets"] } })).await;
    assert_eq!(secrets.get("/_connector/_secret/s").await.1["value"], "v");
    assert_eq!(secrets.call("PUT", "/_connector/_secret/s", json!({ "value": "w" })).await.0, 403);
    let everything =
        json!({ "r": { "cluster": ["manage"], "indices": [{ "names": ["*"], "privileges": ["all"] }] } });
    let (_, most) = server.key("most", everything).await;
    for path in ["/.connector-secrets/_doc/s", "/.connector-secrets-1/_search"] {
        assert_eq!(most.get(path).await.0, 403, "secrets are not among everything: {path}");
    }
    let (_, found) = most.get("/_search?expand_wildcards=all").await;
    assert!(!found.to_string().contains("connector-secrets"), "{found}");
    assert_eq!(most.get("/.elastic-connectors/_doc/c").await.0, 200);
    let (status, made) = admin.call("POST", "/_security/api_key", json!({ "name": "as its owner" })).await;
    assert_eq!(status, 200);
    let owners = server.as_key(made["encoded"].as_str().unwrap());
    assert_eq!(owners.get("/_connector/_secret/s").await.0, 200, "no role: all its owner may");
}

/// A pipeline may send a document elsewhere; its writer may not.
#[tokio::test(flavor = "multi_thread")]
async fn pipelines_do_not_write_where_their_user_may_not() {
    let server = Secured::start().await;
    if !server.is_node() {
        return;
    }
    server.indices(&["sa-1", "sb-1"]).await;
    let pipeline = json!({ "processors": [{ "set": { "field": "_index", "value": "sb-1" } }] });
    assert_eq!(server.admin().call("PUT", "/_ingest/pipeline/away", pipeline).await.0, 200);
    let roles = json!({ "r": { "indices": [{ "names": ["sa-*"], "privileges": ["all"] }] } });
    let (_, writer) = server.key("writer", roles).await;
    assert_eq!(writer.call("PUT", "/sa-1/_doc/9?pipeline=away", json!({})).await.0, 403);
    assert_eq!(server.admin().get("/sb-1/_doc/9").await.0, 404);
    assert_eq!(server.admin().call("PUT", "/sa-1/_doc/9?pipeline=away", json!({})).await.0, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_keys_are_made_and_nothing_is_enforced() {
    let node = crate::server::TestNode::start().await;
    let roles = json!({ "r": {} });
    let (status, made) =
        node.post("/_security/api_key", json!({ "name": "k", "role_descriptors": roles })).await;
    assert_eq!(status, 200, "{made}");
    let url = format!("{}/_cluster/health", node.url());
    for key in [made["encoded"].as_str().unwrap(), "anything"] {
        let request = reqwest::Client::new().get(&url).header("authorization", format!("ApiKey {key}"));
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    let (_, found) = node.get("/_security/api_key?owner=true").await;
    assert_eq!(found["api_keys"][0]["username"], "_anonymous", "{found}");
}

fn on(name: &str, privileges: &[&str]) -> Value {
    json!({ "names": [name], "privileges": privileges })
}

fn indices(entries: &[Value]) -> Value {
    json!({ "r": { "indices": entries } })
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_of_others_cannot_be_removed_by_any_pattern() {
    let server = Secured::start().await;
    server.indices(&["sa-1"]).await;
    assert_eq!(server.admin().send("PUT", "/sa-1/_alias/sb-alias", String::new()).await.0, 200);
    let (_, manager) = server.key("manager", indices(&[on("sa-*", &["manage"])])).await;
    let (status, answer) = manager.send("DELETE", "/sa-1/_alias/*,-*", String::new()).await;
    assert!(matches!(status, 403 | 404), "{answer}");
    assert_eq!(server.admin().get("/sa-1/_alias/sb-alias").await.0, 200);
    let (_, writer) = server.key("writer", indices(&[on("sa-*", &["read", "write"])])).await;
    let body = json!({ "query": { "match_all": {} } });
    let (status, answer) = writer.call("POST", "/sb-*/_delete_by_query", body).await;
    assert_eq!((status, &answer["deleted"]), (200, &json!(0)), "nothing to change is allowed: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_with_its_own_version_makes_no_index_without_the_right() {
    let server = Secured::start().await;
    server.admin().send("DELETE", "/sa-new", String::new()).await;
    let (_, deleter) = server.key("deleter", indices(&[on("sa-*", &["delete"])])).await;
    let path = "/sa-new/_doc/1?version=5&version_type=external";
    assert_eq!(deleter.send("DELETE", path, String::new()).await.0, 403);
    let line =
        "{\"delete\":{\"_index\":\"sa-new\",\"_id\":\"1\",\"version\":5,\"version_type\":\"external\"}}\n";
    let (_, answer) = deleter.send("POST", "/_bulk", line.to_owned()).await;
    assert_eq!(answer["items"][0]["delete"]["status"], 403, "{answer}");
    assert_eq!(server.admin().get("/sa-new").await.0, 404, "not created");
    assert_eq!(deleter.send("DELETE", "/sa-new/_doc/1", String::new()).await.0, 404, "creates nothing");
}

/// What a pipeline does to a document does not make a creation an overwriting.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_create_overwrites_nothing_through_a_pipeline() {
    let server = Secured::start().await;
    if !server.is_node() {
        return;
    }
    server.indices(&["sa-1", "sb-1"]).await;
    for (name, field, value) in [("away", "_index", "sb-1"), ("one", "_id", "1"), ("new", "_id", "new")] {
        let pipeline = json!({ "processors": [{ "set": { "field": field, "value": value } }] });
        let path = format!("/_ingest/pipeline/{name}");
        assert_eq!(server.admin().call("PUT", &path, pipeline).await.0, 200);
    }
    let roles = indices(&[on("sa-*", &["index"]), on("sb-1", &["create_doc"])]);
    let (_, writer) = server.key("writer", roles).await;
    assert_eq!(writer.call("PUT", "/sa-1/_doc/1?pipeline=away", json!({ "b": 1 })).await.0, 403);
    assert_eq!(writer.call("PUT", "/sa-1/_create/1?pipeline=away", json!({ "b": 1 })).await.0, 409);
    assert_eq!(writer.call("PUT", "/sa-1/_create/8?pipeline=away", json!({ "b": 1 })).await.0, 201);
    assert_eq!(writer.call("POST", "/sa-1/_doc?pipeline=away", json!({ "b": 1 })).await.0, 201);

    assert_eq!(writer.call("POST", "/sb-1/_doc?pipeline=one", json!({ "b": 1 })).await.0, 409);
    assert_eq!(writer.call("POST", "/sb-1/_doc?pipeline=new", json!({ "b": 1 })).await.0, 201);
    let lines = "{\"index\":{}}\n{\"b\":1}\n".to_owned();
    let (_, answer) = writer.send("POST", "/sb-1/_bulk?pipeline=one", lines).await;
    assert_eq!(answer["items"][0]["index"]["status"], 409, "{answer}");
    let versioned = "/sb-1/_create/1?version=9&version_type=external";
    assert_eq!(writer.call("PUT", versioned, json!({ "b": 1 })).await.0, 403, "it could replace one");
    assert_eq!(server.admin().get("/sb-1/_doc/1").await.1["_version"], 1, "untouched");
    assert_eq!(writer.call("POST", "/sa-1/_doc?pipeline=one", json!({ "b": 1 })).await.0, 200, "may index");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_anybody_could_make_end_when_the_node_gets_credentials() {
    let mut node = crate::server::TestNode::start().await;
    let (_, made) = node.post("/_security/api_key", json!({ "name": "k" })).await;
    node.stop().await;
    let mut options = NodeOptions::local(node.folder(), 0);
    let password = "changeme".to_owned();
    options.credentials =
        vec![Credential::Basic { username: "elastic".into(), password: password.clone().into() }];
    let handle = Node::start(options).await.expect("a node");
    let (url, client) = (handle.url().to_owned(), reqwest::Client::new());
    let server = Secured { url, password, client, node: None };
    assert_eq!(server.as_key(made["encoded"].as_str().unwrap()).get("/").await.0, 401);
    handle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_and_patterns_cost_no_more_than_their_size() {
    let server = Secured::start().await;
    server.indices(&["sa-1", "sa-2", "sb-1"]).await;
    let (_, reader) = server.key("reader", read_a()).await;
    let (_, answer) = reader.get("/*,-sa-1,*/_count").await;
    assert_eq!(answer["count"], 2, "the last one counts: {answer}");
    if !server.is_node() {
        return;
    }
    let names: Vec<String> = (0..1001).map(|at| format!("n{at}")).collect();
    let body = json!({ "index": [{ "names": names, "privileges": vec!["read"; 100] }] });
    assert_eq!(reader.call("POST", "/_security/user/_has_privileges", body).await.0, 400);
    let header = json!({ "index": vec!["*"; 1_000_000].join(",") });
    let started = std::time::Instant::now();
    let (status, answer) = reader.send("POST", "/_msearch", format!("{header}\n{{}}\n")).await;
    assert_eq!((status, &answer["responses"][0]["hits"]["total"]["value"]), (200, &json!(2)));
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}
