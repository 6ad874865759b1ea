//! Kills a node (SIGKILL) under a bulk load, again and again: every acknowledged write must be there afterwards, and
//! nothing that was never sent; what realtime GETs say and what a search finds must be the same.
//!
//! `KILL_ROUNDS` sets the number of kills (10 by default; `make kill-test` runs 200), `KILL_PROGRAM` a program to kill
//! (called as `PROGRAM node --path DIR --port PORT`); without it this test binary starts itself as a node.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use connectors_node::{Node, NodeOptions};
use reqwest::Client;
use serde_json::{Value, json};

const WRITERS: usize = 4;
const IDS_PER_WRITER: u64 = 300;
const OPERATIONS_PER_BULK: u64 = 25;
const INDEX: &str = "kill";

/// What is known of one document. `None` is "not there".
#[derive(Default)]
struct Known {
    acknowledged: Option<u64>,
    /// States sent after the acknowledged one, oldest first.
    sent: Vec<Option<u64>>,
}

type Ledger = Arc<Mutex<BTreeMap<String, Known>>>;

/// Numbers that differ from round to round and are the same in each run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// The node the parent kills: does nothing unless the parent says where.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_node() {
    let Ok(path) = std::env::var("KILL_CHILD_PATH") else { return };
    let port: u16 = std::env::var("KILL_CHILD_PORT").expect("port").parse().expect("port");
    let _node = Node::start(NodeOptions::local(path, port)).await.expect("node");
    std::future::pending::<()>().await;
}

struct Victim {
    child: Child,
    url: String,
}

impl Victim {
    fn start(folder: &Path) -> Self {
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("port").port();
        let mut command = if let Ok(program) = std::env::var("KILL_PROGRAM") {
            let mut command = Command::new(program);
            command.args(["node", "--port", &port.to_string(), "--path"]).arg(folder);
            command
        } else {
            let mut command = Command::new(std::env::current_exe().expect("test binary"));
            command.args(["kill::child_node", "--exact", "--nocapture"]);
            command.env("KILL_CHILD_PATH", folder).env("KILL_CHILD_PORT", port.to_string());
            command
        };
        let child = command.stdout(Stdio::null()).spawn().expect("node program");
        Self { child, url: format!("http://127.0.0.1:{port}") }
    }

    async fn ready(&mut self, client: &Client) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while client.get(&self.url).send().await.is_err() {
            if let Some(status) = self.child.try_wait().expect("child") {
                panic!("the node ended by itself: {status}");
            }
            assert!(Instant::now() < deadline, "the node does not answer");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn kill(&mut self) {
        self.child.kill().expect("SIGKILL");
        self.child.wait().expect("wait");
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // Already dead in the good case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn json(client: &Client, method: reqwest::Method, url: String, body: &Value) -> Value {
    let request =
        client.request(method, url).header("content-type", "application/json").body(body.to_string());
    let answer = request.send().await.expect("answer").text().await.expect("text");
    serde_json::from_str(&answer).expect("JSON")
}

/// Writes until the node is gone. Each writer has its own ids, so that the order of states of a document is known.
async fn write(
    client: Client,
    url: String,
    writer: usize,
    seed: u64,
    clock: Arc<AtomicU64>,
    ledger: Ledger,
) -> u64 {
    let mut numbers = Numbers(seed);
    let mut acknowledged = 0;
    loop {
        let mut lines = String::new();
        let mut states = Vec::new();
        for _ in 0..OPERATIONS_PER_BULK {
            let id = format!("w{writer}-{}", numbers.below(IDS_PER_WRITER));
            let state = (numbers.below(5) > 0).then(|| clock.fetch_add(1, Ordering::Relaxed));
            let operation = match state {
                None => json!({ "delete": { "_id": id } }).to_string(),
                Some(v) if numbers.below(4) == 0 => {
                    let text = format!("state {v}");
                    let update = json!({ "doc": { "v": v, "text": text }, "doc_as_upsert": true });
                    format!("{}\n{update}", json!({ "update": { "_id": id } }))
                }
                Some(v) => {
                    let document = json!({ "v": v, "text": format!("state {v}") });
                    format!("{}\n{document}", json!({ "index": { "_id": id } }))
                }
            };
            lines.push_str(&operation);
            lines.push('\n');
            states.push((id, state));
        }
        {
            let mut ledger = ledger.lock().expect("ledger");
            for (id, state) in &states {
                ledger.entry(id.clone()).or_default().sent.push(*state);
            }
        }
        let request =
            client.post(format!("{url}/{INDEX}/_bulk")).header("content-type", "application/x-ndjson");
        let Ok(answer) = request.body(lines).send().await else { return acknowledged };
        let status = answer.status();
        let Ok(text) = answer.text().await else { return acknowledged };
        assert!(status.is_success(), "bulk: {status} {text}");
        let answer: Value = serde_json::from_str(&text).expect("bulk answer");
        assert_eq!(answer["errors"], false, "bulk: {text}");
        let mut ledger = ledger.lock().expect("ledger");
        for (id, state) in states {
            let known = ledger.get_mut(&id).expect("sent before");
            known.acknowledged = state;
            known.sent.remove(0);
            acknowledged += 1;
        }
    }
}

/// Compares the restarted node with the ledger, which then takes over what was found.
async fn verify(client: &Client, url: &str, ledger: &Ledger) {
    let ids: Vec<String> = ledger.lock().expect("ledger").keys().cloned().collect();
    let mut found = BTreeMap::new();
    for ids in ids.chunks(1000) {
        let answer =
            json(client, reqwest::Method::POST, format!("{url}/{INDEX}/_mget"), &json!({ "ids": ids })).await;
        for (id, document) in ids.iter().zip(answer["docs"].as_array().expect("docs")) {
            let state = (document["found"] == true).then(|| {
                let source = &document["_source"];
                let v = source["v"].as_u64().expect("v");
                assert_eq!(source["text"], format!("state {v}"), "{id}: a mix of two states");
                v
            });
            found.insert(id.clone(), state);
        }
    }
    {
        let mut ledger = ledger.lock().expect("ledger");
        for (id, known) in ledger.iter_mut() {
            let state = found[id];
            assert!(
                state == known.acknowledged || known.sent.contains(&state),
                "{id}: acknowledged {:?}, sent after it {:?}, but found {state:?}",
                known.acknowledged,
                known.sent,
            );
            *known = Known { acknowledged: state, sent: Vec::new() };
        }
    }
    let refreshed = client.post(format!("{url}/{INDEX}/_refresh")).send().await.expect("refresh");
    assert!(refreshed.status().is_success(), "refresh: {}", refreshed.status());
    let search = json!({ "size": 10_000, "track_total_hits": true });
    let answer = json(client, reqwest::Method::POST, format!("{url}/{INDEX}/_search"), &search).await;
    let hits = answer["hits"]["hits"].as_array().unwrap_or_else(|| panic!("search: {answer}"));
    let searched: BTreeSet<(String, u64)> = hits
        .iter()
        .map(|hit| (hit["_id"].as_str().expect("_id").to_owned(), hit["_source"]["v"].as_u64().expect("v")))
        .collect();
    let stored: BTreeSet<(String, u64)> = found.into_iter().filter_map(|(id, v)| Some((id, v?))).collect();
    assert_eq!(hits.len(), searched.len(), "a document was found twice");
    let difference: Vec<_> = searched.symmetric_difference(&stored).collect();
    assert!(difference.is_empty(), "search and GET differ: {difference:?}");
    assert_eq!(answer["hits"]["total"]["value"], stored.len());
    // An index entry of an older state would be found by its number.
    let newest = stored.iter().map(|(_, v)| *v).max().unwrap_or(0);
    let stale =
        json!({ "size": 0, "track_total_hits": true, "query": { "range": { "v": { "lte": newest } } } });
    let answer = json(client, reqwest::Method::POST, format!("{url}/{INDEX}/_search"), &stale).await;
    assert_eq!(answer["hits"]["total"]["value"], stored.len(), "the index holds states that are no more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_survive_kills() {
    let rounds: u64 = std::env::var("KILL_ROUNDS").map_or(10, |n| n.parse().expect("KILL_ROUNDS: a number"));
    // A process has one TLS provider; another test may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().timeout(Duration::from_secs(30)).build().expect("client");
    let folder = tempfile::tempdir().expect("folder");
    let ledger = Ledger::default();
    let clock = Arc::new(AtomicU64::new(1));
    let mut numbers = Numbers(0x5eed);
    let mut acknowledged = 0;

    let mut node = Victim::start(folder.path());
    node.ready(&client).await;
    json(&client, reqwest::Method::PUT, format!("{}/{INDEX}", node.url), &json!({})).await;
    for round in 0..rounds {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let seed = numbers.below(u64::MAX);
                tokio::spawn(write(
                    client.clone(),
                    node.url.clone(),
                    writer,
                    seed,
                    clock.clone(),
                    ledger.clone(),
                ))
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(20 + numbers.below(1200))).await;
        node.kill();
        for writer in writers {
            acknowledged += writer.await.expect("writer");
        }
        if round % 4 == 3 {
            // Also in the middle of recovery.
            let mut recovering = Victim::start(folder.path());
            tokio::time::sleep(Duration::from_millis(numbers.below(250))).await;
            recovering.kill();
        }
        node = Victim::start(folder.path());
        node.ready(&client).await;
        verify(&client, &node.url, &ledger).await;
    }
    assert!(acknowledged > 0, "nothing was acknowledged in {rounds} rounds");
    // Written to stderr itself, because the harness swallows what a passing test prints.
    writeln!(std::io::stderr(), "{rounds} kills, {acknowledged} acknowledged operations, none lost")
        .expect("stderr");
}
