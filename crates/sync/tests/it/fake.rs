//! The part of Elasticsearch that a sync uses: indices in memory, answers on a socket, and faults on request.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Method, Response, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What a fault does to the operation on a document: status and type of its error; none: carry it out.
type ItemFault = Box<dyn FnMut(&str) -> Option<(u16, &'static str)> + Send>;
/// What a fault does to a bulk request with these operations: status of the whole answer; none: carry it out.
type RequestFault = Box<dyn FnMut(usize) -> Option<u16> + Send>;

/// One bulk request as it came.
#[derive(Debug, Clone)]
pub struct Bulk {
    pub index: String,
    pub query: String,
    pub operations: Vec<(String, String)>,
    pub bytes: usize,
}

#[derive(Default)]
pub struct Inner {
    pub indices: BTreeMap<String, BTreeMap<String, Value>>,
    pub created: Vec<(String, Value)>,
    /// What index templates give each new index; none: templates may not be looked at.
    pub template: Option<Value>,
    /// Status of the answer to making an index; none: it is made.
    pub create_fault: Option<u16>,
    pub bulks: Vec<Bulk>,
    pub item_fault: Option<ItemFault>,
    pub request_fault: Option<RequestFault>,
    /// How long a bulk request takes.
    pub delay: Duration,
    in_flight: usize,
    pub most_in_flight: usize,
}

/// A running fake.
pub struct Fake {
    inner: Arc<Mutex<Inner>>,
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Fake {
    pub async fn start() -> Self {
        let inner = Arc::new(Mutex::new(Inner::default()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = serve(listener, inner.clone());
        Self { inner, address, server }
    }

    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Stops listening; open connections are cut.
    pub async fn stop(&mut self) {
        self.server.abort();
        let _aborted = (&mut self.server).await;
    }

    /// Listens again at the same address, with the same documents.
    pub async fn resume(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.server = serve(listener, self.inner.clone());
    }

    pub fn put(&self, index: &str, id: &str, document: Value) {
        self.lock().indices.entry(index.to_owned()).or_default().insert(id.to_owned(), document);
    }

    /// Ids of the documents of an index.
    pub fn ids(&self, index: &str) -> Vec<String> {
        self.lock()
            .indices
            .get(index)
            .map(|documents| documents.keys().cloned().collect())
            .unwrap_or_default()
    }

    pub fn document(&self, index: &str, id: &str) -> Value {
        self.lock().indices[index][id].clone()
    }

    /// All operations of all bulk requests, as `op id`.
    pub fn operations(&self) -> Vec<String> {
        let inner = self.lock();
        inner
            .bulks
            .iter()
            .flat_map(|bulk| bulk.operations.iter().map(|(op, id)| format!("{op} {id}")))
            .collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn serve(listener: TcpListener, inner: Arc<Mutex<Inner>>) -> JoinHandle<()> {
    let router = Router::new().fallback(handle).with_state(inner);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() })
}

fn answer(status: u16, body: &Value) -> Response<Body> {
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .header("x-elastic-product", "Elasticsearch")
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

fn error(status: u16, kind: &str) -> Response<Body> {
    answer(status, &json!({"status": status, "error": {"type": kind, "reason": "the fake says so"}}))
}

async fn handle(
    State(inner): State<Arc<Mutex<Inner>>>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> Response<Body> {
    let segments: Vec<&str> = uri.path().split('/').filter(|segment| !segment.is_empty()).collect();
    match (method.as_str(), &segments[..]) {
        ("GET", []) => answer(
            200,
            &json!({"cluster_name": "fake", "cluster_uuid": "u", "version": {"number": "9.1.0", "build_flavor": "default"}}),
        ),
        ("HEAD", [index]) => {
            let found = inner.lock().unwrap().indices.contains_key(*index);
            Response::builder().status(if found { 200 } else { 404 }).body(Body::empty()).unwrap()
        }
        ("POST", ["_index_template", "_simulate_index", _]) => match &inner.lock().unwrap().template {
            Some(template) => answer(200, &json!({"template": template, "overlapping": []})),
            None => error(403, "security_exception"),
        },
        ("PUT", [index]) => {
            // The first documents are ready by then.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let mut inner = inner.lock().unwrap();
            if let Some(status) = inner.create_fault {
                return error(status, "security_exception");
            }
            inner.indices.entry((*index).to_owned()).or_default();
            inner.created.push(((*index).to_owned(), serde_json::from_slice(&body).unwrap()));
            answer(200, &json!({"acknowledged": true}))
        }
        ("POST", [index, "_bulk"]) => bulk(&inner, index, uri.query().unwrap_or_default(), &body).await,
        ("POST", [index, action]) => {
            let inner = inner.lock().unwrap();
            let Some(documents) = inner.indices.get(*index) else {
                return error(404, "index_not_found_exception");
            };
            match *action {
                "_refresh" => answer(200, &json!({"_shards": {"total": 1, "successful": 1, "failed": 0}})),
                "_count" => answer(200, &json!({"count": documents.len(), "_shards": {"failed": 0}})),
                "_pit" => answer(200, &json!({"id": index})),
                _ => error(400, "illegal_argument_exception"),
            }
        }
        ("POST", ["_search"]) => search(&inner.lock().unwrap(), &serde_json::from_slice(&body).unwrap()),
        ("DELETE", ["_pit"]) => answer(200, &json!({"succeeded": true})),
        _ => error(400, "illegal_argument_exception"),
    }
}

/// A page of a point in time: documents sorted by id, which stands in for the sort value.
fn search(inner: &Inner, body: &Value) -> Response<Body> {
    let index = body["pit"]["id"].as_str().unwrap();
    let size = usize::try_from(body["size"].as_u64().unwrap()).unwrap();
    let after = body["search_after"][0].as_str().unwrap_or_default();
    let wanted = body["_source"].as_array().unwrap();
    let hits: Vec<Value> = inner.indices[index]
        .iter()
        .filter(|(id, _)| after.is_empty() || id.as_str() > after)
        .take(size)
        .map(|(id, document)| {
            let mut source = document.clone();
            source.as_object_mut().unwrap().retain(|name, _| wanted.iter().any(|wanted| wanted == name));
            json!({"_id": id, "_source": source, "sort": [id]})
        })
        .collect();
    answer(
        200,
        &json!({"timed_out": false, "_shards": {"failed": 0}, "pit_id": index, "hits": {"hits": hits}}),
    )
}

async fn bulk(inner: &Mutex<Inner>, index: &str, query: &str, body: &Bytes) -> Response<Body> {
    let delay = {
        let mut inner = inner.lock().unwrap();
        inner.in_flight += 1;
        inner.most_in_flight = inner.most_in_flight.max(inner.in_flight);
        inner.delay
    };
    tokio::time::sleep(delay).await;
    let mut guard = inner.lock().unwrap();
    let inner = &mut *guard;
    inner.in_flight -= 1;
    let mut lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut operations = Vec::new();
    while let Some(line) = lines.next() {
        let action: Value = serde_json::from_slice(line).unwrap();
        let (op, meta) = action.as_object().unwrap().iter().next().unwrap();
        let id = meta["_id"].as_str().unwrap().to_owned();
        let document: Option<Value> =
            (op != "delete").then(|| serde_json::from_slice(lines.next().unwrap()).unwrap());
        operations.push((op.clone(), id, document));
    }
    inner.bulks.push(Bulk {
        index: index.to_owned(),
        query: query.to_owned(),
        operations: operations.iter().map(|(op, id, _)| (op.clone(), id.clone())).collect(),
        bytes: body.len(),
    });
    if let Some(status) = inner.request_fault.as_mut().and_then(|fault| fault(operations.len())) {
        return error(status, "fault");
    }
    let mut errors = false;
    let mut items = Vec::new();
    for (op, id, document) in operations {
        let item = if let Some((status, kind)) = inner.item_fault.as_mut().and_then(|fault| fault(&id)) {
            if status == 200 {
                json!({"_id": id, "status": 200, "result": "noop"})
            } else {
                errors = true;
                json!({"_id": id, "status": status, "error": {"type": kind, "reason": format!("no {id}")}})
            }
        } else {
            let documents = inner.indices.entry(index.to_owned()).or_default();
            let (status, result) = match (op.as_str(), document) {
                ("delete", _) if documents.remove(&id).is_some() => (200, "deleted"),
                ("delete", _) => (404, "not_found"),
                ("update", Some(change)) => {
                    let before = documents.entry(id.clone()).or_insert_with(|| json!({}));
                    let fields = change["doc"].as_object().unwrap().clone();
                    before.as_object_mut().unwrap().extend(fields);
                    (200, "updated")
                }
                (_, document) => match documents.insert(id.clone(), document.unwrap()) {
                    Some(_) => (200, "updated"),
                    None => (201, "created"),
                },
            };
            json!({"_id": id, "status": status, "result": result})
        };
        items.push(json!({op: item}));
    }
    answer(200, &json!({"took": 1, "errors": errors, "items": items}))
}
