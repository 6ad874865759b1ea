//! Databases, listings, proxies and servers of their own for the tests.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use connectors_protocol::configuration::simple_configuration;
use connectors_sdk::{DataSource, Message, SinkLimits, SourceContext, SourceError, channel};
use connectors_sources::registry;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use serde_json::{Map, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// A database of one test, on a server.
pub(super) struct Db {
    pub url: String,
    pub name: String,
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: String,
}

pub(super) fn url() -> String {
    std::env::var("CONNECTORS_TEST_MYSQL")
        .unwrap_or_else(|_| "mysql://elastic:elastic@127.0.0.1:3316/test".to_owned())
}

impl Db {
    pub(super) async fn new(name: &str) -> Self {
        Self::on(&url(), name).await
    }

    pub(super) async fn on(url: &str, name: &str) -> Self {
        let opts = Opts::from_url(url).unwrap();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let db = Self {
            url: url.to_owned(),
            name: format!("it_{name}_{}_{count}", std::process::id()),
            host: opts.ip_or_hostname().to_owned(),
            port: opts.tcp_port(),
            user: opts.user().unwrap().to_owned(),
            password: opts.pass().unwrap_or_default().to_owned(),
        };
        let mut conn = Conn::from_url(url).await.unwrap();
        conn.query_drop(format!("CREATE DATABASE {} CHARACTER SET utf8mb4", db.quoted())).await.unwrap();
        db
    }

    fn quoted(&self) -> String {
        format!("`{}`", self.name.replace('`', "``"))
    }

    pub(super) async fn conn(&self) -> Conn {
        let mut conn = Conn::from_url(&self.url).await.unwrap();
        conn.query_drop(format!("USE {}", self.quoted())).await.unwrap();
        conn
    }

    pub(super) async fn run(&self, statement: &str) {
        let mut conn = self.conn().await;
        conn.query_drop(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        conn.disconnect().await.unwrap();
    }

    /// A table `t` of integers 1 to `rows` and a text of `width` bytes.
    pub(super) async fn fill(&self, rows: u64, width: usize) {
        self.run("CREATE TABLE t (k INT PRIMARY KEY, v VARCHAR(2000))").await;
        if rows > 0 {
            self.run(&format!("INSERT INTO t SELECT seq, RPAD(seq, {width}, 'x') FROM seq_1_to_{rows}"))
                .await;
        }
    }

    /// An account of its own with these privileges.
    pub(super) async fn account(&self, grants: &[&str]) -> (String, String) {
        let user = format!("u{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        self.run(&format!("CREATE USER '{user}'@'%' IDENTIFIED BY 'secret-word'")).await;
        for grant in grants {
            self.run(&format!("GRANT {} TO '{user}'@'%'", grant.replace("{db}", &self.name))).await;
        }
        (user, "secret-word".to_owned())
    }

    pub(super) fn values(&self) -> Vec<(&'static str, String)> {
        vec![
            ("host", self.host.clone()),
            ("port", self.port.to_string()),
            ("user", self.user.clone()),
            ("password", self.password.clone()),
            ("database", self.name.clone()),
        ]
    }

    pub(super) fn source(&self, more: &[(&str, &str)]) -> Box<dyn DataSource> {
        self.source_in(more, SourceContext::default())
    }

    pub(super) fn source_in(&self, more: &[(&str, &str)], context: SourceContext) -> Box<dyn DataSource> {
        let registry = registry();
        let source = registry.get("mysql").unwrap();
        let mut stored = simple_configuration(&source.default_configuration().0);
        for (key, value) in
            self.values().iter().map(|(key, value)| (*key, value.as_str())).chain(more.iter().copied())
        {
            assert!(stored.set_value(key, value.into()), "no field {key}");
        }
        source.create(&source.configuration(&stored).unwrap(), context).unwrap()
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        let (url, statement) = (self.url.clone(), format!("DROP DATABASE IF EXISTS {}", self.quoted()));
        // A test may have taken its server away.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut conn = Conn::from_url(url).await?;
                // The source's connections may be closed only after the test.
                conn.query_drop("SET SESSION lock_wait_timeout = 2").await?;
                conn.query_drop(statement).await
            })
        });
        _ = dropped.join();
    }
}

/// What a source sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub documents: BTreeMap<String, Map<String, Value>>,
    pub repeated: usize,
    pub deletes: Vec<String>,
    pub checkpoints: Vec<Value>,
    pub partitions: Vec<String>,
    pub open: Vec<String>,
}

impl Sent {
    pub(super) fn ids(&self) -> Vec<&str> {
        self.documents.keys().map(String::as_str).collect()
    }

    pub(super) fn cursor(&self) -> Option<&Value> {
        self.checkpoints.last()
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Document(mut document) => {
                document.expand().unwrap();
                self.repeated += usize::from(self.documents.insert(document.id, document.fields).is_some());
            }
            Message::Delete(id) => self.deletes.push(id),
            Message::Checkpoint(cursor) => self.checkpoints.push(cursor),
            Message::PartitionStarted(name) => {
                self.open.push(name.clone());
                self.partitions.push(name);
            }
            Message::PartitionDone(name) => self.open.retain(|open| *open != name),
            Message::Update(document) => panic!("a part of a document: {document:?}"),
        }
    }
}

/// Which of the two ways of sending.
#[derive(Clone, Copy)]
pub(super) enum Ask<'a> {
    All(Option<&'a Value>),
    Changes(Option<&'a Value>),
}

/// Lists the source; after `pause` documents `action` begins, and until it is done messages are received slowly.
pub(super) async fn listen(
    source: &dyn DataSource,
    ask: Ask<'_>,
    pause: usize,
    action: impl Future<Output = ()>,
) -> (Sent, Result<(), SourceError>) {
    let (sink, mut inbox) = channel(SinkLimits { messages: 300, bytes: 1 << 22 });
    let send = async {
        let result = match ask {
            Ask::All(rules) => source.documents(rules, &sink).await,
            Ask::Changes(cursor) => source.changes(cursor, None, &sink).await,
        };
        drop(sink);
        result
    };
    let receive = async {
        let mut sent = Sent::default();
        let mut action = std::pin::pin!(action);
        let mut acted = false;
        while let Some(envelope) = inbox.receive().await {
            for message in envelope.open() {
                sent.take(message);
            }
            if sent.documents.len() >= pause && !acted {
                tokio::select! {
                    () = &mut action => acted = true,
                    () = tokio::time::sleep(Duration::from_millis(100)) => {}
                }
            }
        }
        assert!(acted || pause == usize::MAX, "the listing ended before anything happened");
        sent
    };
    let both = async { tokio::join!(send, receive) };
    let (result, sent) = tokio::time::timeout(Duration::from_mins(2), both).await.expect("it takes too long");
    (sent, result)
}

pub(super) async fn all(source: &dyn DataSource) -> Sent {
    let (sent, result) = listen(source, Ask::All(None), usize::MAX, async {}).await;
    result.unwrap();
    assert_eq!(sent.open, Vec::<String>::new());
    sent
}

pub(super) async fn with_rules(source: &dyn DataSource, rules: &Value) -> (Sent, Result<(), SourceError>) {
    listen(source, Ask::All(Some(rules)), usize::MAX, async {}).await
}

pub(super) async fn changes(source: &dyn DataSource, cursor: &Value) -> (Sent, Result<(), SourceError>) {
    listen(source, Ask::Changes(Some(cursor)), usize::MAX, async {}).await
}

/// A TCP proxy that closes the first connections after they have carried so many bytes to the client.
pub(super) async fn proxy(to: u16, cuts: usize, after: usize) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let left = Arc::new(AtomicUsize::new(cuts));
    let counter = left.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(carry(client, to, counter.clone(), after));
        }
    });
    (port, left)
}

async fn carry(client: TcpStream, to: u16, left: Arc<AtomicUsize>, after: usize) {
    let server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let up = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let mut carried = 0;
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read) = from_server.read(&mut buffer).await {
        carried += read;
        let cut = carried > after
            && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        if read == 0 || cut || to_client.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
    up.abort();
}

/// A server of one test's own.
pub(super) struct Server {
    port: u16,
    data: String,
    options: String,
}

impl Server {
    pub(super) fn start(port: u16) -> Self {
        Self::with(port, "")
    }

    /// With more options of `mariadbd`.
    pub(super) fn with(port: u16, options: &str) -> Self {
        let data = format!("/tmp/connectors-it-mariadb-{port}");
        let server = Self { port, data, options: options.to_owned() };
        server.script("stop");
        _ = std::fs::remove_dir_all(&server.data);
        server.script("start");
        server
    }

    pub(super) fn url(&self) -> String {
        format!("mysql://elastic:elastic@127.0.0.1:{}/test", self.port)
    }

    /// Kills it without warning and starts it again.
    pub(super) fn restart(&self) {
        let pid = std::fs::read_to_string(format!("{}/pid", self.data)).unwrap();
        assert!(Command::new("kill").args(["-9", pid.trim()]).status().unwrap().success());
        std::thread::sleep(Duration::from_secs(1));
        // Whoever started it may not have seen yet that it ended.
        std::fs::remove_file(format!("{}/pid", self.data)).unwrap();
        self.script("start");
    }

    fn script(&self, verb: &str) {
        let script = format!("{}/../../tests/backends/mariadb/{verb}", env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(script);
        if verb == "start" {
            command.args(["--port", &self.port.to_string()]).env("MARIADB_OPTIONS", &self.options);
        }
        let output = command.args(["--data", &self.data]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.script("stop");
        _ = std::fs::remove_dir_all(&self.data);
    }
}
