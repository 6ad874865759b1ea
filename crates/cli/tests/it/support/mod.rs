//! A server to write to, the programs, and a door between them that can be closed.

mod door;
mod gate;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

pub use door::Door;
pub use gate::{Asked, Gate};

/// An Elasticsearch or an embedded node. What a test makes there has its own name, so that tests can share a server.
pub struct Server {
    pub url: String,
    node: Option<(Child, TempDir)>,
    http: reqwest::Client,
}

impl Server {
    pub async fn start() -> Self {
        connectors_transport::install_crypto_provider();
        let http = reqwest::Client::new();
        if let Ok(url) = std::env::var("CONNECTORS_TEST_URL") {
            return Self { url, node: None, http };
        }
        let folder = TempDir::new().unwrap();
        let (node, url) = start_node(folder.path(), &[]).await;
        Self { url, node: Some((node, folder)), http }
    }

    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Whether the server was named with a password.
    pub fn is_secured(&self) -> bool {
        self.url.contains('@')
    }

    /// A search with an API key in place of the password.
    pub async fn call_with_key(&self, encoded: &str, path: &str, body: &Value) -> (u16, Value) {
        let (scheme, rest) = self.url.split_once("://").unwrap();
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        let request = self
            .http
            .post(format!("{scheme}://{host}{path}"))
            .header("authorization", format!("ApiKey {encoded}"))
            .header("content-type", "application/json")
            .body(body.to_string());
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.call(Method::GET, path, None).await;
        assert!(status < 300, "GET {path}: {status} {answer}");
        answer
    }

    /// Writes a document of the protocol's indices whole; searches see it.
    pub async fn put_document(&self, alias: &str, id: &str, document: Value) {
        let path = format!("/{alias}/_doc/{id}?refresh=true");
        let (status, answer) = self.call(Method::PUT, &path, Some(document)).await;
        assert!(status < 300, "PUT {path}: {status} {answer}");
    }

    /// Removes what a test made: its index, and its connectors with their jobs.
    pub async fn forget(&self, index: &str) {
        for (alias, field) in
            [(".elastic-connectors", "index_name"), (".elastic-connectors-sync-jobs", "connector.index_name")]
        {
            // A document that was written since is a conflict to what follows.
            self.call(Method::POST, &format!("/{alias}/_refresh?ignore_unavailable=true"), None).await;
            let query = json!({"query": {"term": {field: index}}});
            let path =
                format!("/{alias}/_delete_by_query?refresh=true&ignore_unavailable=true&conflicts=proceed");
            let (status, answer) = self.call(Method::POST, &path, Some(query)).await;
            assert!(status < 300, "{answer}");
        }
        let path = format!("/{index}?ignore_unavailable=true");
        let (status, answer) = self.call(Method::DELETE, &path, None).await;
        assert!(status < 300, "{answer}");
    }

    /// `path` → `size` of every document, as the index has it now.
    pub async fn documents(&self, index: &str) -> std::collections::BTreeMap<String, u64> {
        self.call(Method::POST, &format!("/{index}/_refresh"), None).await;
        let body = json!({"size": 10_000, "_source": ["path", "size"]});
        let (status, answer) = self.call(Method::POST, &format!("/{index}/_search"), Some(body)).await;
        assert_eq!(status, 200, "{answer}");
        answer["hits"]["hits"]
            .as_array()
            .unwrap()
            .iter()
            .map(|hit| {
                let source = &hit["_source"];
                (source["path"].as_str().unwrap().to_owned(), source["size"].as_u64().unwrap())
            })
            .collect()
    }

    /// The only connector of an index: its id and source.
    pub async fn connector(&self, index: &str) -> (String, Value) {
        let body = json!({"query": {"term": {"index_name": index}}});
        self.call(Method::POST, "/.elastic-connectors/_refresh", None).await;
        let (_, answer) = self.call(Method::POST, "/.elastic-connectors/_search", Some(body)).await;
        let hits = answer["hits"]["hits"].as_array().unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(hits.len(), 1, "{answer}");
        (hits[0]["_id"].as_str().unwrap().to_owned(), hits[0]["_source"].clone())
    }

    pub async fn job(&self, id: &str) -> Value {
        self.get(&format!("/.elastic-connectors-sync-jobs/_doc/{id}")).await["_source"].clone()
    }

    /// Waits until the job has one of these states; any other end state is a failure.
    pub async fn job_becomes(&self, id: &str, states: &[&str], limit: Duration) -> Value {
        until(&format!("job {id} to be {states:?}"), limit, async || {
            let job = self.job(id).await;
            let state = job["status"].as_str().unwrap().to_owned();
            let ended = ["completed", "error", "canceled"].contains(&state.as_str());
            assert!(!ended || states.contains(&state.as_str()), "job ended as {job}");
            states.contains(&state.as_str()).then_some(job)
        })
        .await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some((node, _)) = &mut self.node {
            node.kill().unwrap();
            node.wait().unwrap();
        }
    }
}

/// An embedded node in a process of its own, with its data in `folder`, and its URL.
pub async fn start_node(folder: &Path, arguments: &[&str]) -> (Child, String) {
    let address = folder.join("address");
    let node = Command::new(env!("CARGO_BIN_EXE_elastic-ingest"))
        .args(["node", "--port", "0"])
        .args(arguments)
        .arg("--path")
        .arg(folder.join("data"))
        .arg("--address-file")
        .arg(&address)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let url = until("the node's address", Duration::from_secs(30), async || {
        let text = std::fs::read_to_string(&address).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    })
    .await;
    (node, url)
}

/// Asks every 20 ms until there is an answer.
pub async fn until<T>(what: &str, limit: Duration, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < end, "waited {limit:?} for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A folder with files, and a configuration file that names the server.
pub struct Workplace {
    folder: TempDir,
    pub index: String,
}

impl Workplace {
    /// `index` names everything the test makes on the server.
    pub fn new(index: &str) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("files")).unwrap();
        Self { folder, index: index.to_owned() }
    }

    /// The folder to sync, as the kernel names it.
    pub fn files(&self) -> PathBuf {
        self.folder.path().join("files").canonicalize().unwrap()
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.files().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Files `note-0000.txt` and on, of about `bytes` each.
    pub fn fill(&self, count: usize, bytes: usize) {
        for n in 0..count {
            let text = format!("note {n} ").repeat(bytes / 7 + 2);
            self.write(&format!("{:02}/note-{n:04}.txt", n % 20), &text[..bytes.max(8)]);
        }
    }

    /// `path` → size of the files that are there.
    pub fn listing(&self) -> std::collections::BTreeMap<String, u64> {
        fn walk(folder: &Path, into: &mut std::collections::BTreeMap<String, u64>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, into);
                } else {
                    into.insert(path.to_str().unwrap().to_owned(), path.metadata().unwrap().len());
                }
            }
        }
        let mut found = std::collections::BTreeMap::new();
        walk(&self.files(), &mut found);
        found
    }

    /// Writes a configuration for the server at `url`; `more` is merged in.
    pub fn config(&self, url: &str, more: &Value) -> PathBuf {
        let path = self.folder.path().join(format!("{}.yml", more.to_string().len()));
        let mut config = json!({"elasticsearch.host": url, "service.idling": 1});
        for (key, value) in more.as_object().unwrap() {
            config[key] = value.clone();
        }
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }

    /// `connectors` with this configuration; its arguments follow.
    pub fn command(config: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_connectors"));
        command.arg("--config").arg(config).env("CONNECTORS_DATA", config.parent().unwrap());
        command
    }

    /// `connectors sync dir` over the folder, with a JSON report.
    pub fn sync_command(&self, config: &Path) -> Command {
        let mut command = Self::command(config);
        command
            .args(["sync", "dir", "-o", "json", "--index", &self.index, "--set"])
            .arg(format!("directory={}", self.files().display()))
            .args(["--set", "pattern=**/*"])
            .stdin(Stdio::null());
        command
    }

    pub fn sync(&self, config: &Path) -> Value {
        let output = self.sync_command(config).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        report(&output)
    }
}

/// Runs a command with these lines on its standard input: what a person would type.
pub fn answer(command: &mut Command, lines: &[&str]) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut text = lines.join("\n");
    if !lines.is_empty() {
        text.push('\n');
    }
    // A command that asks nothing may end before it is answered.
    let _unread = std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes());
    child.wait_with_output().unwrap()
}

pub fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Standard output as JSON.
pub fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(output)))
}

pub fn said(output: &Output) -> String {
    format!(
        "{}\n--- stdout\n{}\n--- stderr\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A running `elastic-ingest`; killed when dropped.
pub struct Service {
    child: Child,
    log: PathBuf,
}

impl Service {
    pub fn start(config: &Path, name: &str) -> Self {
        let log = config.with_extension(format!("{name}.log"));
        let child = Command::new(env!("CARGO_BIN_EXE_elastic-ingest"))
            .arg("--config-file")
            .arg(config)
            .arg("--debug")
            .env("CONNECTORS_DATA", config.parent().unwrap())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self { child, log }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Already ended is fine: the test looked at how.
        if self.child.try_wait().unwrap().is_none() {
            self.kill();
        }
        if std::thread::panicking() {
            std::io::Write::write_all(&mut std::io::stderr(), self.log().as_bytes()).unwrap();
        }
    }
}
