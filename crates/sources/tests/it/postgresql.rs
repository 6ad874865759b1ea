//! The `postgresql` source against a real server: `tests/backends/postgresql/start`, or the one that `CONNECTORS_TEST_POSTGRESQL`
//! names (an account that may do everything, `wal_level=logical`). Each test has a database of its own.

mod changes;
mod listing;
mod outages;
mod proxy;
mod rules;
mod tls;
mod values;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use connectors_protocol::configuration::simple_configuration;
use connectors_sdk::{
    DataSource, Document, Message, SinkLimits, SourceContext, SourceDescriptor, SourceError, channel,
};
use connectors_sources::registry;
use serde_json::{Map, Value};
use tokio_postgres::{Client, Config, NoTls};

fn server() -> Config {
    let url = std::env::var("CONNECTORS_TEST_POSTGRESQL")
        .unwrap_or_else(|_| "postgresql://elastic:elastic@127.0.0.1:5433/postgres".to_owned());
    url.parse().unwrap()
}

async fn client(config: &Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Values of the configuration that lead to a database with 300 documents, for the conformance suite.
pub(crate) fn fixture() -> Vec<(&'static str, String)> {
    static MADE: OnceLock<Vec<(&'static str, String)>> = OnceLock::new();
    // The suite asks for it outside of any runtime as well.
    let make = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let database = Database::new("conformance").await;
            database
                .run(
                    "CREATE TABLE t (id int PRIMARY KEY, text text);
                     INSERT INTO t SELECT n, 'text ' || n FROM generate_series(1, 300) n",
                )
                .await;
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            database.values.iter().map(|(key, value)| (*key, text(value))).collect()
        })
    };
    MADE.get_or_init(|| std::thread::spawn(make).join().unwrap()).clone()
}

/// A database of one test.
struct Database {
    client: Client,
    name: String,
    values: Vec<(&'static str, Value)>,
}

impl Database {
    async fn new(test: &str) -> Self {
        Self::on(&server(), test).await
    }

    async fn on(server: &Config, test: &str) -> Self {
        let admin = client(server).await;
        let name = format!("it_{test}");
        let slots = format!(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '{name}'"
        );
        admin.batch_execute(&slots).await.unwrap();
        admin.batch_execute(&format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)")).await.unwrap();
        admin.batch_execute(&format!("CREATE DATABASE \"{name}\"")).await.unwrap();
        let mut config = server.clone();
        config.dbname(&name);
        let tokio_postgres::config::Host::Tcp(host) = &config.get_hosts()[0] else { panic!("{config:?}") };
        let values = vec![
            ("host", Value::from(host.as_str())),
            ("port", config.get_ports()[0].into()),
            ("username", config.get_user().unwrap().into()),
            ("password", std::str::from_utf8(config.get_password().unwrap()).unwrap().into()),
            ("database", name.as_str().into()),
            ("schema", "public".into()),
        ];
        Self { client: client(&config).await, name, values }
    }

    /// The way to this database, for another connection.
    fn admin(&self) -> Config {
        let mut config = server();
        config.dbname(&self.name);
        config
    }

    async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// A source on this database; later values take the place of earlier ones.
    fn try_source(
        &self,
        values: &[(&str, Value)],
        context: SourceContext,
    ) -> Result<Box<dyn DataSource>, SourceError> {
        let source = descriptor();
        let mut stored = simple_configuration(&source.default_configuration().0);
        for (key, value) in
            self.values.iter().map(|(key, value)| (*key, value)).chain(values.iter().map(|(k, v)| (*k, v)))
        {
            assert!(stored.set_value(key, value.clone()), "no field {key}");
        }
        source.create(&source.configuration(&stored).unwrap(), context)
    }

    fn source(&self, values: &[(&str, Value)]) -> Box<dyn DataSource> {
        self.try_source(values, SourceContext::default()).unwrap()
    }

    /// A source of a stored connector whose incremental syncs are scheduled.
    fn connector(&self, values: &[(&str, Value)]) -> Box<dyn DataSource> {
        let context = SourceContext {
            connector_id: Some(format!("Connector-{}", self.name)),
            incremental: true,
            ..SourceContext::default()
        };
        self.try_source(values, context).unwrap()
    }

    /// All documents; the sync must succeed.
    async fn all(&self, values: &[(&str, Value)]) -> Synced {
        let synced = full(self.source(values).as_ref(), None).await;
        synced.result.as_ref().unwrap();
        synced
    }

    /// Removes the database; what a failed test leaves, the next run removes.
    async fn drop(self) {
        let admin = client(&server()).await;
        drop(self.client);
        let slots = format!(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '{}'",
            self.name
        );
        admin.batch_execute(&slots).await.unwrap();
        admin.batch_execute(&format!("DROP DATABASE \"{}\" WITH (FORCE)", self.name)).await.unwrap();
    }
}

fn descriptor() -> Arc<SourceDescriptor> {
    registry().get("postgresql").unwrap().clone()
}

/// What a sync sent.
#[derive(Debug)]
struct Synced {
    documents: BTreeMap<String, Map<String, Value>>,
    /// Documents sent, also twice.
    sent: usize,
    deleted: Vec<String>,
    cursor: Option<Value>,
    open_parts: Vec<String>,
    parts: usize,
    result: Result<(), SourceError>,
}

impl Synced {
    fn ids(&self) -> Vec<&str> {
        self.documents.keys().map(String::as_str).collect()
    }

    fn error(&self) -> String {
        self.result.as_ref().unwrap_err().to_string()
    }
}

async fn full(source: &dyn DataSource, rules: Option<&Value>) -> Synced {
    collect(async |sink| source.documents(rules, sink).await, Duration::ZERO).await
}

async fn changes(source: &dyn DataSource, cursor: Option<&Value>) -> Synced {
    collect(async |sink| source.changes(cursor, None, sink).await, Duration::ZERO).await
}

/// Runs a sync and receives what it sends, slowly if there is a pause after each envelope.
async fn collect(
    sync: impl AsyncFnOnce(&connectors_sdk::Sink) -> Result<(), SourceError>,
    pause: Duration,
) -> Synced {
    let (sink, mut inbox) = channel(SinkLimits { messages: 500, bytes: 4 << 20 });
    let send = async {
        let result = sync(&sink).await;
        drop(sink);
        result
    };
    let receive = async {
        let mut synced = Synced {
            documents: BTreeMap::new(),
            sent: 0,
            deleted: Vec::new(),
            cursor: None,
            open_parts: Vec::new(),
            parts: 0,
            result: Ok(()),
        };
        while let Some(envelope) = inbox.receive().await {
            for message in envelope.open() {
                match message {
                    Message::Document(mut document) => {
                        document.expand().unwrap();
                        let Document { id, fields, timestamp, download, .. } = document;
                        assert!(timestamp.is_none() && download.is_none());
                        synced.sent += 1;
                        synced.documents.insert(id, fields);
                    }
                    Message::Delete(id) => synced.deleted.push(id),
                    Message::Checkpoint(cursor) => synced.cursor = Some(cursor),
                    Message::PartitionStarted(part) => {
                        synced.parts += 1;
                        synced.open_parts.push(part);
                    }
                    Message::PartitionDone(part) => synced.open_parts.retain(|open| *open != part),
                    Message::Update(document) => panic!("{document:?}"),
                }
            }
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
        synced
    };
    let (result, synced) = tokio::join!(send, receive);
    let synced = Synced { result, ..synced };
    assert!(synced.result.is_err() || synced.open_parts.is_empty(), "{:?}", synced.open_parts);
    synced
}
