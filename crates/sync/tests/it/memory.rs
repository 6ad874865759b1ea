//! How much memory a sync takes, whatever the number of documents: `make memory`. The index is one that a server makes up as it is
//! asked, and so is the source, so that only the engine's memory counts (the server's, in the same process, comes on top of it).

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Method, Response, StatusCode, Uri};
use connectors_es_client::{EsClient, EsConfig};
use connectors_sdk::{DataSource, Document, Message, Sink, SourceError};
use connectors_sync::{Outcome, StopTokens, SyncInput, SyncReport, run};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The default budget's promise.
const LIMIT_MIB: u64 = 256;
const INDEXED: &str = "2026-01-01T00:00:00Z";
/// Every so many documents one changed.
const CHANGED: u64 = 1_000;
/// Documents that are gone.
const GONE: u64 = 500;

/// Documents `row-0` to `row-<count>`; the last ones are missing.
struct Generator {
    count: u64,
}

#[async_trait]
impl DataSource for Generator {
    async fn ping(&self) -> Result<(), SourceError> {
        Ok(())
    }

    async fn documents(&self, _: Option<&Value>, sink: &Sink) -> Result<(), SourceError> {
        for first in (0..self.count).step_by(128) {
            let batch = (first..self.count.min(first + 128)).map(|number| {
                let timestamp = if number % CHANGED == 0 { "2026-01-02T00:00:00Z" } else { INDEXED };
                let fields = Map::from_iter([("name".to_owned(), format!("name of {number}").into())]);
                Message::Document(Document::new(format!("row-{number}"), fields).with_timestamp(timestamp))
            });
            sink.send_all(batch.collect()).await?;
        }
        Ok(())
    }
}

/// An index of `row-0` to `row-<count>`.
struct MadeUp {
    count: u64,
    written: AtomicU64,
    deleted: AtomicU64,
    /// Ids that were deleted, as far as they are kept.
    gone: Mutex<Vec<String>>,
}

async fn serve(index: Arc<MadeUp>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(handle).with_state(index);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

fn answer(body: impl Into<Body>) -> Response<Body> {
    Response::builder()
        .header("x-elastic-product", "Elasticsearch")
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap()
}

async fn handle(State(index): State<Arc<MadeUp>>, method: Method, uri: Uri, body: Bytes) -> Response<Body> {
    match (method.as_str(), uri.path()) {
        ("GET", "/") => answer(
            r#"{"cluster_name":"made-up","cluster_uuid":"u","version":{"number":"9.1.0","build_flavor":"default"}}"#,
        ),
        ("HEAD", _) => answer(""),
        ("POST", "/docs/_refresh") => answer(r#"{"_shards":{"failed":0}}"#),
        ("POST", "/docs/_count") => {
            answer(format!(r#"{{"count":{},"_shards":{{"failed":0}}}}"#, index.count))
        }
        ("POST", "/docs/_pit") => answer(r#"{"id":"p"}"#),
        ("DELETE", "/_pit") => answer(r#"{"succeeded":true}"#),
        ("POST", "/_search") => answer(page(index.count, &serde_json::from_slice(&body).unwrap())),
        ("POST", "/docs/_bulk") => answer(bulk(&index, &body)),
        _ => Response::builder().status(StatusCode::BAD_REQUEST).body(Body::from("{}")).unwrap(),
    }
}

fn page(count: u64, request: &Value) -> String {
    let first = request["search_after"][0].as_u64().map_or(0, |last| last + 1);
    let last = count.min(first + request["size"].as_u64().unwrap());
    let mut hits = String::from(r#"{"timed_out":false,"_shards":{"failed":0},"pit_id":"p","hits":{"hits":["#);
    for number in first..last {
        let comma = if number > first { "," } else { "" };
        write!(
            hits,
            r#"{comma}{{"_id":"row-{number}","_source":{{"_timestamp":"{INDEXED}"}},"sort":[{number}]}}"#
        )
        .unwrap();
    }
    hits + "]}}"
}

fn bulk(index: &MadeUp, body: &[u8]) -> String {
    let mut items = Vec::new();
    for line in body.split(|byte| *byte == b'\n').filter(|line| line.starts_with(br#"{"index"#)) {
        index.written.fetch_add(1, Ordering::Relaxed);
        let action: Value = serde_json::from_slice(line).unwrap();
        items.push(json!({"index": {"_id": action["index"]["_id"], "status": 200, "result": "updated"}}));
    }
    for line in body.split(|byte| *byte == b'\n').filter(|line| line.starts_with(br#"{"delete"#)) {
        index.deleted.fetch_add(1, Ordering::Relaxed);
        let action: Value = serde_json::from_slice(line).unwrap();
        index.gone.lock().unwrap().push(action["delete"]["_id"].as_str().unwrap().to_owned());
        items.push(json!({"delete": {"_id": action["delete"]["_id"], "status": 200, "result": "deleted"}}));
    }
    json!({"took": 1, "errors": false, "items": items}).to_string()
}

/// The most memory this process has had since [`forget_peak`], in MiB.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

async fn sync(client: EsClient, count: u64) -> SyncReport {
    let input = SyncInput::full(client, "docs", Arc::new(Generator { count }));
    let (progress, _watcher) = watch::channel(connectors_sync::Progress::default());
    run(input, progress, StopTokens::default()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "what it measures is its result")]
#[ignore = "measures the memory of the whole process: run it alone (make memory)"]
async fn memory_does_not_grow_with_the_number_of_documents() {
    let sizes = std::env::var("IDS").unwrap_or_else(|_| "100000 1000000".to_owned());
    for count in sizes.split_whitespace().map(|size| size.parse::<u64>().unwrap()) {
        let index = Arc::new(MadeUp {
            count,
            written: AtomicU64::new(0),
            deleted: AtomicU64::new(0),
            gone: Mutex::default(),
        });
        let host = serve(index.clone()).await;
        let client = EsClient::new(EsConfig::new(host)).unwrap();
        forget_peak();
        let began = Instant::now();
        let report = sync(client, count - GONE).await;
        assert!(matches!(report.outcome, Outcome::Completed), "{report:?}");
        let changed = (count - GONE).div_ceil(CHANGED);
        assert_eq!(index.written.load(Ordering::Relaxed), changed);
        assert_eq!(report.counters.docs_unchanged, count - GONE - changed);
        assert_eq!((report.counters.deleted, index.deleted.load(Ordering::Relaxed)), (GONE, GONE));
        let mut gone = std::mem::take(&mut *index.gone.lock().unwrap());
        gone.sort_unstable();
        let mut expected: Vec<String> = (count - GONE..count).map(|number| format!("row-{number}")).collect();
        expected.sort_unstable();
        assert_eq!(gone, expected);
        let peak = peak_mib();
        println!(
            "{count} ids: peak RSS {peak} MiB (limit {LIMIT_MIB}), {:.1} s",
            began.elapsed().as_secs_f64()
        );
        assert!(peak <= LIMIT_MIB, "{peak} MiB");
    }
}
