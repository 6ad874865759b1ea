//! Reads tables and custom queries into the sink: in pages by key where there is one, in parts side by side where it pays, and
//! on after a lost connection or an altered table.

mod rows;
mod snapshot;
pub(super) mod statement;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use connectors_sdk::{ErrorKind, Message, Sink, SourceError};
use mysql_async::prelude::Queryable;
use mysql_async::{Error, Value};
use tokio::task::JoinSet;
use tracing::Instrument;

pub(super) use self::rows::shape;
pub(super) use self::snapshot::Snapshot;
use super::catalog::{self, Table};
use super::client::{Client, Session, quote};
use super::error;
use super::rules::Query;
use crate::shared::sql::ranges::{self, KeyRange};

/// Connections of one sync.
const MAX_CONNECTIONS: usize = 4;

/// Rows that are worth a connection of their own.
const ROWS_PER_PART: u64 = 20_000;

/// How often in a row a table may turn out to be altered.
const REDEFINITIONS: u32 = 5;

/// What can go wrong while reading: at the server, where it may be cured, or elsewhere.
pub(super) enum Failure {
    Server(Error),
    Source(SourceError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Server(error)
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

/// A piece of reading that one connection does.
#[derive(Debug, Clone)]
pub(super) enum Work {
    /// The rows of a table whose key begins in this range.
    Part { table: Arc<Table>, range: KeyRange },
    /// The rows of a table whose column has at least this value.
    Since { table: Arc<Table>, column: String, value: Option<Value> },
    /// A custom query.
    Query(Arc<Query>),
}

impl Work {
    /// Its name, for the sink and errors.
    fn name(&self) -> String {
        match self {
            Self::Part { table, range: KeyRange { from: None, to: None } } | Self::Since { table, .. } => {
                table.name.clone()
            }
            Self::Part { table, range } => {
                let bound = |bound: Option<i128>| bound.map_or_else(String::new, |bound| bound.to_string());
                format!("{} [{}..{})", table.name, bound(range.from), bound(range.to))
            }
            Self::Query(query) => format!("query {}", query.rule.place),
        }
    }

    fn operation(&self) -> String {
        match self {
            Self::Part { table, .. } | Self::Since { table, .. } => format!("read the table {}", table.name),
            Self::Query(query) => format!("run the query {}", query.rule.place),
        }
    }
}

/// What one sync reads with.
#[derive(Clone)]
pub(super) struct Reader {
    pub client: Arc<Client>,
    pub sink: Sink,
    /// Rows of a page.
    pub page_rows: u64,
}

impl Reader {
    /// Opens as many connections as the tables are worth, all of which see the same data, and the position of the binary log
    /// that belongs to it.
    pub(super) async fn snapshot(
        &self,
        first: Session,
        tables: &[Arc<Table>],
    ) -> Result<Snapshot, SourceError> {
        let parts: u64 = tables.iter().map(|table| (table.rows / ROWS_PER_PART).max(1)).sum();
        let rows: u64 = tables.iter().map(|table| table.rows).sum();
        let worth = usize::try_from(parts.min(rows / ROWS_PER_PART)).unwrap_or(MAX_CONNECTIONS);
        snapshot::open(&self.client, first, worth.clamp(1, MAX_CONNECTIONS)).await
    }

    /// The parts of the tables, the largest first, so that none is left alone at the end.
    pub(super) async fn parts(
        &self,
        tables: &[Arc<Table>],
        session: &mut Session,
        connections: usize,
    ) -> Result<VecDeque<Work>, SourceError> {
        let mut sorted: Vec<&Arc<Table>> = tables.iter().collect();
        sorted.sort_by_key(|table| std::cmp::Reverse(table.rows));
        let mut parts = VecDeque::new();
        for table in sorted {
            let ranges = match integer_key(table) {
                Some(column) if connections > 1 && table.rows >= 2 * ROWS_PER_PART => {
                    self.ranges(table, column, session, connections).await?
                }
                _ => vec![KeyRange::ALL],
            };
            parts.extend(ranges.into_iter().map(|range| Work::Part { table: table.clone(), range }));
        }
        Ok(parts)
    }

    async fn ranges(
        &self,
        table: &Table,
        column: &str,
        session: &mut Session,
        connections: usize,
    ) -> Result<Vec<KeyRange>, SourceError> {
        let name = quote(column);
        let statement = format!("SELECT MIN({name}), MAX({name}) FROM {}", statement::qualified(table));
        let bounds: Result<Option<(Value, Value)>, Error> = session.conn.exec_first(statement, ()).await;
        let bounds = match bounds {
            // The part itself cures what can be cured.
            Err(error) if error::is_redefined(&error) || error::code(&error) == Some(1146) => None,
            other => {
                other.map_err(|error| self.client.error(format!("read the table {}", table.name), &error))?
            }
        };
        let bounds = bounds.and_then(|(min, max)| integer(&min).zip(integer(&max)));
        Ok(bounds.map_or_else(
            || vec![KeyRange::ALL],
            |(min, max)| ranges::split(min, max, table.rows, connections, ROWS_PER_PART),
        ))
    }

    /// Does all the work, on these connections side by side.
    pub(super) async fn run(&self, work: VecDeque<Work>, sessions: Vec<Session>) -> Result<(), SourceError> {
        let queue = Arc::new(Mutex::new(work));
        let mut workers = JoinSet::new();
        for session in sessions {
            let mut worker = Worker { reader: self.clone(), session: Some(session) };
            let queue = queue.clone();
            let work = async move {
                loop {
                    // A worker that panicked took its piece out before.
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(work) = next else { return Ok(()) };
                    worker.work(&work).await?;
                }
            };
            workers.spawn(work.in_current_span());
        }
        while let Some(ended) = workers.join_next().await {
            ended.unwrap_or_else(|panic| {
                Err(SourceError::new(ErrorKind::Unexpected, "read the tables", "a reading task panicked")
                    .with_source(panic))
            })?;
        }
        Ok(())
    }
}

/// The first column of the key, if it holds integers and pages can be read by it.
fn integer_key(table: &Table) -> Option<&str> {
    let column = &table.columns[*table.key.first()?];
    (table.paged && column.is_integer()).then_some(column.name.as_str())
}

fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::Int(number) => Some((*number).into()),
        Value::UInt(number) => Some((*number).into()),
        _ => None,
    }
}

/// One connection at work.
struct Worker {
    reader: Reader,
    session: Option<Session>,
}

/// How far a piece of work is.
struct Progress {
    /// The table as it is now.
    table: Option<Arc<Table>>,
    /// The last key that was sent.
    after: Option<Vec<Value>>,
    /// The snapshot or the table's description may be of before.
    stale: bool,
    /// Failures since the last page.
    failures: u32,
    /// Bytes of a row, as far as is known.
    row_bytes: u64,
}

impl Worker {
    async fn work(&mut self, work: &Work) -> Result<(), SourceError> {
        let table = match work {
            Work::Part { table, .. } | Work::Since { table, .. } => Some(table.clone()),
            Work::Query(_) => None,
        };
        let row_bytes = table.as_ref().map_or(0, |table| table.row_bytes);
        let mut progress = Progress { table, after: None, stale: false, failures: 0, row_bytes };
        let name = work.name();
        self.reader.sink.send(Message::PartitionStarted(name.clone())).await?;
        loop {
            let error = match self.attempt(work, &mut progress).await {
                Ok(()) => break,
                Err(Failure::Source(error)) => return Err(error),
                Err(Failure::Server(error)) => error,
            };
            progress.failures += 1;
            let altered = error::is_redefined(&error) && progress.table.is_some();
            if altered && progress.failures <= REDEFINITIONS {
                tracing::info!("{name} was altered while it was read: going on with a new snapshot");
            } else if error::is_lost(&error) && progress.failures <= self.reader.client.retries {
                let pause = Duration::from_secs(1 << progress.failures.min(3));
                tracing::warn!("the connection was lost ({error}): a new one in {} s", pause.as_secs());
                self.session = None;
                tokio::time::sleep(pause).await;
            } else {
                return Err(self.reader.client.error(work.operation(), &error));
            }
            progress.stale = true;
        }
        self.reader.sink.send(Message::PartitionDone(name)).await
    }

    /// Reads from where the work is to its end.
    async fn attempt(&mut self, work: &Work, progress: &mut Progress) -> Result<(), Failure> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.reader.client.connect().await?,
        };
        let ended = loop {
            match self.attempt_on(&mut session, work, progress).await {
                Ok(()) if progress.stale => {}
                ended => break ended,
            }
        };
        // A connection that is lost, or holds the rest of a result that nobody wants, is not used again.
        if matches!(&ended, Ok(()) | Err(Failure::Server(Error::Server(_)))) {
            session.busy = false;
            self.session = Some(session);
        }
        ended
    }

    async fn attempt_on(
        &self,
        session: &mut Session,
        work: &Work,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        if progress.stale || session.is_worn() {
            session.end().await?;
            session.begin().await?;
            if let Some(table) = &progress.table {
                let now = catalog::table(session, &table.database, &table.name).await?;
                let now = now.ok_or_else(|| catalog::dropped(table))?;
                if !now.has_the_key_of(table) {
                    if matches!(work, Work::Part { range, .. } if *range != KeyRange::ALL) {
                        return Err(catalog::rekeyed(table).into());
                    }
                    progress.after = None;
                }
                progress.table = Some(Arc::new(now));
            }
            progress.stale = false;
        }
        match (work, progress.table.clone()) {
            (Work::Query(query), _) => self.reader.query(session, query).await,
            (Work::Since { column, value, .. }, Some(table)) => {
                self.reader.since(session, &table, column, value.as_ref()).await
            }
            (Work::Part { range, .. }, Some(table)) if table.paged => {
                self.reader.pages(session, &table, *range, progress).await
            }
            (Work::Part { .. }, Some(table)) => self.reader.stream(session, &table).await,
            (Work::Part { .. } | Work::Since { .. }, None) => Ok(()),
        }
    }
}
