//! Reading whole tables and queries into the sink.
//!
//! All tables with a key are read from one snapshot, page by page, and side by side. Only the connection that made the snapshot
//! stays in a transaction, which touches no table: each page is a transaction of its own that takes the snapshot over. So no lock
//! outlives a page, and nobody who alters a table waits for the sync to end.

mod pages;
mod stream;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use connectors_sdk::{ErrorKind, Message, Sink, SourceError};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_postgres::Error;
use tracing::Instrument;

pub(super) use self::pages::{Part, parts};
pub(super) use self::stream::{Query, table_field};
use super::catalog::Table;
use super::client::{Server, Session};
use super::error::Failure;

/// Tables and parts of tables read at the same time, each over its own connection.
pub(super) const CONNECTIONS: usize = 4;
/// Least rows of a page: the cost of asking for one is small beside it then.
const LEAST_ROWS: i64 = 5000;
/// Most rows of a page: a lock is held, and a read that was cut off repeated, for no more than that.
const MOST_ROWS: i64 = 100_000;

/// Something to read.
#[derive(Debug)]
pub(super) enum Work {
    /// A part of a table, by its key.
    Part(Part),
    /// A table without a key that can be paged by, or a custom query.
    Query(Query),
}

/// What all readers of one sync share.
#[derive(Debug)]
pub(super) struct Reader {
    pub server: Server,
    pub sink: Sink,
    /// Rows of a page.
    page: i64,
    retries: i64,
    /// The snapshot all pages are read from, as long as it can be had.
    snapshot: std::sync::Mutex<Option<String>>,
}

/// Why a read did not come to its end.
pub(super) enum Stop {
    /// The driver's error; another attempt may help.
    Driver(Error),
    /// An error as it is reported.
    Source(SourceError),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Driver(error)
    }
}

impl From<SourceError> for Stop {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

/// A place to read at: a connection, made when it is needed.
#[derive(Default)]
struct Seat(Option<Session>);

impl Seat {
    async fn session(&mut self, server: &Server) -> Result<&Session, SourceError> {
        let session = match self.0.take() {
            Some(session) => session,
            None => server.connect().await?,
        };
        Ok(self.0.insert(session))
    }
}

impl Reader {
    pub(super) fn new(server: Server, sink: Sink, fetch_size: i64, retry_count: i64) -> Self {
        Self {
            server,
            sink,
            page: fetch_size.clamp(LEAST_ROWS, MOST_ROWS),
            retries: retry_count,
            snapshot: std::sync::Mutex::new(None),
        }
    }

    /// Takes the snapshot that pages are read from; it lives as long as the session.
    pub(super) async fn take_snapshot(&self, session: &Session) -> Result<(), SourceError> {
        let failed = |error| self.server.place.error("take a snapshot", &error, None);
        session.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(failed)?;
        let rows = match session.query("SELECT pg_catalog.pg_export_snapshot()", &[]).await {
            Ok(rows) => rows,
            // A standby before version 10 exports none.
            Err(error) if error.code().is_some_and(|code| code.code() == "0A000") => {
                tracing::info!("the server shares no snapshots: each page is read as the tables are then");
                return session.run("ROLLBACK").await.map_err(failed);
            }
            Err(error) => return Err(failed(error)),
        };
        let id: Option<String> = rows.first().map(|row| row.try_get(0)).transpose().map_err(failed)?;
        // It becomes a part of a statement.
        let plain = |id: &String| id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        *self.lock() = id.filter(plain);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.snapshot.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Reads everything. An error that concerns one table only is told when all others were read.
    pub(super) async fn read(self: &Arc<Self>, work: Vec<Work>) -> Result<(), SourceError> {
        let seats = work.len().min(CONNECTIONS);
        let queue = Arc::new(Mutex::new(VecDeque::from(work)));
        let mut readers = JoinSet::new();
        for _ in 0..seats {
            let (reader, queue) = (self.clone(), queue.clone());
            readers.spawn(async move { reader.work_off(&queue).await }.in_current_span());
        }
        let mut first = Ok(());
        while let Some(ended) = readers.join_next().await {
            let ended = ended.unwrap_or_else(|panic| {
                Err(SourceError::new(ErrorKind::Unexpected, "read the tables", "a reader panicked")
                    .with_source(panic))
            });
            if let Err(error) = ended {
                let all = !is_of_one_table(error.kind());
                if first.is_ok() {
                    first = Err(error);
                }
                if all {
                    // Dropping the others stops them.
                    break;
                }
            }
        }
        first
    }

    async fn work_off(&self, queue: &Mutex<VecDeque<Work>>) -> Result<(), SourceError> {
        let mut seat = Seat::default();
        let mut first = Ok(());
        loop {
            let Some(work) = queue.lock().await.pop_front() else { return first };
            let label = work.label().to_owned();
            self.sink.send(Message::PartitionStarted(label.clone())).await?;
            let read = match &work {
                Work::Part(part) => self.part(&mut seat, part).await,
                Work::Query(query) => self.query(&mut seat, query).await,
            };
            match read {
                Ok(rows) => {
                    tracing::info!("{label}: {rows} rows read");
                    self.sink.send(Message::PartitionDone(label)).await?;
                }
                Err(error) if is_of_one_table(error.kind()) => {
                    tracing::warn!("{label}: {error}");
                    seat = Seat::default();
                    if first.is_ok() {
                        first = Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The error of reading a table.
    fn failed(&self, error: &Error, table: &str) -> SourceError {
        self.server.place.error("read the table", error, Some(table))
    }
}

/// Waits before another attempt after the given number of failures, or says why there is none. (The transport's loop repeats one
/// request as it was; here the next attempt goes on where the last one ended, on another connection.)
pub(super) async fn pause(
    failures: u32,
    retries: i64,
    what: &str,
    error: SourceError,
) -> Result<(), SourceError> {
    if error.kind() != ErrorKind::Unavailable || i64::from(failures) > retries {
        return Err(error);
    }
    let pause = Duration::from_secs(1 << failures.min(6));
    tracing::warn!("{what}: {error} Trying again in {} s ({failures} of {retries})", pause.as_secs());
    tokio::time::sleep(pause).await;
    Ok(())
}

/// Whether other tables can be read all the same.
pub(super) fn is_of_one_table(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Incomplete | ErrorKind::PermissionDenied)
}

impl Work {
    fn label(&self) -> &str {
        match self {
            Self::Part(part) => &part.label,
            Self::Query(query) => &query.label,
        }
    }

    /// How a table is read from its beginning to its end.
    pub(super) async fn of_table(
        server: &Server,
        session: &Session,
        table: Table,
    ) -> Result<Vec<Self>, SourceError> {
        if table.columns.is_empty() {
            tracing::warn!("{}: has no column to read, and no document", table.name);
            return Ok(Vec::new());
        }
        if table.key.is_empty() {
            tracing::info!(
                "{}: has no primary key: its documents are named by a hash of all of their values",
                table.name
            );
        }
        if table.key.is_empty() || !table.ordered {
            return Ok(vec![Self::Query(Query::of_table(table))]);
        }
        let name = table.name.clone();
        let parts = parts(session, &server.place, table).await;
        let parts = parts.map_err(|error| server.place.error("read the table", &error, Some(&name)))?;
        Ok(parts.into_iter().map(Self::Part).collect())
    }
}

/// Whether the server or the way to it was gone: another connection may do.
pub(super) fn is_cut(failure: &Failure) -> bool {
    match failure {
        Failure::Connection(_) => true,
        Failure::Server { code, .. } => {
            matches!(code.as_str(), "57P01" | "57P02" | "57P03" | "57P05" | "53300" | "25P03" | "25P04")
                || code.starts_with("08")
        }
        _ => false,
    }
}
