//! The server: connections and queries. Knows nothing of documents.
//!
//! Every connection is read-only by default and has no time limits: how long a read takes is for the sink to say.

use std::error::Error as StdError;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use connectors_sdk::{ErrorKind, SourceError};
use futures_util::StreamExt;
use secrecy::ExposeSecret;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::types::{Format, FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{CancelToken, Client, Config, Error, NoTls, Row, RowStream, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::config::PostgresqlConfiguration;
use super::error::{Place, quoted};
use super::tls;
use crate::shared::sql::keyset::Dialect;

/// How long the server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// How long it may take until the connection can be used.
const LOGIN: Duration = Duration::from_secs(30);
/// A server that is gone without a word is noticed after about two minutes.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_mins(1), Duration::from_secs(10), 6);
/// How long a connection that was not used for a while may take to answer.
const ANSWER: Duration = Duration::from_secs(2);
/// How long a query that nobody waits for is asked to stop.
const CANCEL: Duration = Duration::from_secs(5);

/// What a new connection is told. With another isolation level, a statement that waited for a lock would see the tables as they were
/// before it, and a standby would refuse the strictest one. Dates, intervals and floating-point numbers that the server sends as text are then the same
/// whatever its configuration.
const SETTINGS: &str = "SET default_transaction_read_only = on; SET default_transaction_isolation = 'read committed'; \
     SET extra_float_digits = 3; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'iso_8601'; SET TimeZone = 'UTC'; SET bytea_output = 'hex'; SET client_min_messages = 'warning'";

/// Queries may name tables of the configured schema without it. Some of the time limits exist in newer versions only.
const SESSION: &str = "SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4, \
     pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', pg_catalog.quote_ident($1::pg_catalog.text), \
         NULLIF(pg_catalog.current_setting('search_path'), '')), false), \
     (SELECT pg_catalog.count(pg_catalog.set_config(name, '0', false)) FROM pg_catalog.pg_settings WHERE name IN \
         ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout', \
          'transaction_timeout'))";

/// The configured server and account.
#[derive(Clone)]
pub(super) struct Server {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    pub place: Arc<Place>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("place", &self.place)
            .field("tls", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}

impl Server {
    pub(super) fn new(configuration: &PostgresqlConfiguration) -> Result<Self, SourceError> {
        let port = u16::try_from(configuration.port)
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| SourceError::configuration("port", "is not between 1 and 65535"))?;
        let host = configuration.host.trim().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(SourceError::configuration("host", "is empty"));
        }
        let tls = if configuration.ssl_enabled {
            Some(tls::connector(configuration.ssl_ca.as_deref())?)
        } else {
            None
        };
        let (idle, interval, retries) = KEEPALIVE;
        let mut config = Config::new();
        config
            .host(&host)
            .port(port)
            .user(&configuration.username)
            .password(configuration.password.expose_secret())
            .dbname(&configuration.database)
            .application_name("connectors")
            .ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable })
            .connect_timeout(CONNECT)
            .keepalives_idle(idle)
            .keepalives_interval(interval)
            .keepalives_retries(retries);
        let place = Place {
            host,
            port,
            user: configuration.username.clone(),
            database: configuration.database.clone(),
            schema: configuration.schema.clone(),
        };
        Ok(Self { config, tls, place: Arc::new(place) })
    }

    /// A new connection, or an error of the operation "connect".
    pub(super) async fn connect(&self) -> Result<Session, SourceError> {
        match tokio::time::timeout(LOGIN, self.open()).await {
            Ok(opened) => opened.map_err(|error| self.place.error("connect to PostgreSQL", &error, None)),
            Err(_) => Err(SourceError::new(
                ErrorKind::Unavailable,
                "connect to PostgreSQL",
                format!("{} did not answer within {} s", self.place.server(), LOGIN.as_secs()),
            )
            .with_hint(
                "Check that host and port are those of a PostgreSQL server and that it is not overloaded.",
            )),
        }
    }

    async fn open(&self) -> Result<Session, Error> {
        let (client, connection) = match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                (client, tokio::spawn(serve(connection)).abort_handle())
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                (client, tokio::spawn(serve(connection)).abort_handle())
            }
        };
        let cancel = client.cancel_token();
        let mut session = Session {
            client,
            connection,
            cancel,
            tls: self.tls.clone(),
            busy: AtomicBool::new(false),
            version: 0,
        };
        session.run(SETTINGS).await?;
        let row = session.client.query_one(SESSION, &[&self.place.schema]).await?;
        session.version = row.try_get::<_, i32>(0)?.unsigned_abs();
        Ok(session)
    }
}

/// Moves the connection's bytes until it ends. Why it ended is what the query at work is told.
async fn serve(connection: impl Future<Output = Result<(), Error>>) {
    if let Err(error) = connection.await {
        tracing::debug!("a connection to PostgreSQL ended: {error}");
    }
}

/// A connection.
pub(super) struct Session {
    client: Client,
    connection: AbortHandle,
    cancel: CancelToken,
    tls: Option<MakeRustlsConnect>,
    /// Whether the server works on a query whose answer was not read to its end.
    busy: AtomicBool,
    /// `server_version_num`: 150004 is version 15.4.
    pub version: u32,
}

impl Session {
    /// The rows of a query.
    pub(super) async fn query(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Error> {
        self.busy.store(true, Ordering::Relaxed);
        let rows = self.client.query(sql, values).await;
        self.busy.store(false, Ordering::Relaxed);
        rows
    }

    /// Runs statements without values.
    pub(super) async fn run(&self, sql: &str) -> Result<(), Error> {
        self.busy.store(true, Ordering::Relaxed);
        let done = self.client.batch_execute(sql).await;
        self.busy.store(false, Ordering::Relaxed);
        done
    }

    /// Parses a statement at the server.
    pub(super) async fn prepare(&self, sql: &str) -> Result<Statement, Error> {
        self.busy.store(true, Ordering::Relaxed);
        let statement = self.client.prepare(sql).await;
        self.busy.store(false, Ordering::Relaxed);
        statement
    }

    /// Rows as they come: the server waits while nobody asks for the next one.
    pub(super) async fn stream(&self, statement: &Statement, values: Vec<Bound>) -> Result<Rows<'_>, Error> {
        self.busy.store(true, Ordering::Relaxed);
        match self.client.query_raw(statement, values).await {
            Ok(stream) => Ok(Rows { session: self, stream: Box::pin(stream) }),
            Err(error) => {
                self.busy.store(false, Ordering::Relaxed);
                Err(error)
            }
        }
    }
}

/// A connection that one call leaves to the next: a job checks, asks and reads one after the other.
#[derive(Default)]
pub(super) struct Spare(Mutex<Option<Session>>);

impl fmt::Debug for Spare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spare")
    }
}

impl Spare {
    /// The spare connection if it still answers, else a new one. Errors are [`Server::connect`]'s.
    pub(super) async fn take_or_connect(&self, server: &Server) -> Result<Session, SourceError> {
        let spare = self.lock().take();
        if let Some(session) = spare
            && matches!(tokio::time::timeout(ANSWER, session.run("")).await, Ok(Ok(())))
        {
            return Ok(session);
        }
        server.connect().await
    }

    /// Leaves a connection that is in no transaction.
    pub(super) fn leave(&self, session: Session) {
        *self.lock() = Some(session);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Session {
    /// An idle connection says goodbye by itself. One with a query at work would first receive all of its rows: the query is
    /// cancelled and the connection closed.
    fn drop(&mut self) {
        if !*self.busy.get_mut() {
            return;
        }
        self.connection.abort();
        let (cancel, tls) = (self.cancel.clone(), self.tls.take());
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                let asked = tokio::time::timeout(CANCEL, async {
                    match tls {
                        Some(tls) => cancel.cancel_query(tls).await,
                        None => cancel.cancel_query(NoTls).await,
                    }
                });
                // The server may be gone, which is as good.
                if let Ok(Err(error)) = asked.await {
                    tracing::debug!("a query at PostgreSQL could not be cancelled: {error}");
                }
            });
        }
    }
}

/// The rows of a query as they come.
pub(super) struct Rows<'a> {
    session: &'a Session,
    stream: std::pin::Pin<Box<RowStream>>,
}

impl Rows<'_> {
    pub(super) async fn next(&mut self) -> Option<Result<Row, Error>> {
        let row = self.stream.next().await;
        if !matches!(row, Some(Ok(_))) {
            self.session.busy.store(false, Ordering::Relaxed);
        }
        row
    }
}

/// A value for a placeholder, in the form the server sent it in or as text: either way it comes back as it was.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Bound {
    pub bytes: Vec<u8>,
    pub text: bool,
}

impl Bound {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { bytes: text.into().into_bytes(), text: true }
    }
}

impl ToSql for Bound {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        out.put_slice(&self.bytes);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        if self.text { Format::Text } else { Format::Binary }
    }

    to_sql_checked!();
}

/// The bytes of a column of any type.
pub(super) struct Raw<'a>(pub &'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// PostgreSQL's SQL, with the types of the placeholders: the server would have to guess them otherwise. Columns are those of a table
/// with the alias `t`: a bare name in `ORDER BY` would be that of an output column, which may be cast.
pub(super) struct Typed<'a> {
    /// Quoted names, one for each placeholder.
    pub types: &'a [String],
}

impl Dialect for Typed<'_> {
    fn quote(&self, name: &str) -> String {
        format!("t.{}", quoted(name))
    }

    fn placeholder(&self, number: usize) -> String {
        match self.types.get(number - 1) {
            Some(name) => format!("${number}::{name}"),
            None => format!("${number}"),
        }
    }

    fn compares_rows(&self) -> bool {
        true
    }
}
