//! Tables with a key: page after page, each beginning after the last key of the one before.

use std::time::Instant;

use connectors_sdk::{ErrorKind, Message, SourceError};
use tokio_postgres::{Error, Statement};

use super::{Reader, Seat, Stop, is_cut, pause};
use crate::postgresql::catalog::{self, Fence, Kind, Table};
use crate::postgresql::client::{Bound, Session, Typed};
use crate::postgresql::document::Shape;
use crate::postgresql::error::{Failure, Place, quoted};
use crate::shared::batch::Batch;
use crate::shared::sql::keyset;
use crate::shared::sql::ranges::{KeyRange, split};

/// Rows a part has at least to be worth a connection.
const LEAST_ROWS: u64 = 20_000;
/// Bytes that a row takes in the file of a table nobody has counted (`ANALYZE`) are taken to be this many.
const ASSUMED_ROW: i64 = 128;

/// A part of a table.
#[derive(Debug, Clone)]
pub(in crate::postgresql) struct Part {
    pub table: Table,
    pub range: KeyRange,
    /// Name for the log and for the sync engine.
    pub label: String,
    /// Which table it was, and its files, before the snapshot was taken.
    pub fence: Fence,
}

/// The parts of a table with a key. They are found before the snapshot is taken: the first and the last part are open.
pub(in crate::postgresql) async fn parts(
    session: &Session,
    place: &Place,
    table: Table,
) -> Result<Vec<Part>, Error> {
    let fence = catalog::fence(session, place, &table.name).await?;
    let mut rows = table.rows;
    if rows == 0 && table.kind == Kind::Table {
        let size =
            session.query("SELECT pg_catalog.pg_relation_size($1::pg_catalog.oid)", &[&table.oid]).await?;
        let bytes: Option<i64> = size.first().map_or(Ok(None), |row| row.try_get(0))?;
        rows = bytes.map_or(0, |bytes| (bytes / ASSUMED_ROW).unsigned_abs());
    }
    let mut ranges = vec![KeyRange::ALL];
    if rows >= 2 * LEAST_ROWS
        && let Some((min, max)) = bounds(session, place, &table).await?
    {
        ranges = split(min, max, rows, super::CONNECTIONS, LEAST_ROWS);
    }
    let label = |range: &KeyRange| match (range.from, range.to) {
        (None, None) => table.name.clone(),
        (from, to) => {
            let text = |bound: Option<i128>| bound.map_or_else(String::new, |bound| bound.to_string());
            format!("{}[{}..{}]", table.name, text(from), text(to))
        }
    };
    let part =
        |range: KeyRange| Part { label: label(&range), table: table.clone(), range, fence: fence.clone() };
    Ok(ranges.into_iter().map(part).collect())
}

/// The least and the greatest value of a key that begins with an integer.
async fn bounds(session: &Session, place: &Place, table: &Table) -> Result<Option<(i128, i128)>, Error> {
    let Some(first) = table.key.first() else { return Ok(None) };
    let (column, from) = (quoted(first), format!("{}.{}", quoted(&place.schema), quoted(&table.name)));
    let kind = "SELECT a.atttypid IN (20, 21, 23) FROM pg_catalog.pg_attribute a WHERE a.attrelid = $1 AND a.attname = $2";
    let integer = session.query(kind, &[&table.oid, first]).await?;
    if !integer.first().map_or(Ok(false), |row| row.try_get(0))? {
        return Ok(None);
    }
    let sql = format!(
        "SELECT pg_catalog.min({column})::pg_catalog.int8, pg_catalog.max({column})::pg_catalog.int8 FROM {from}"
    );
    let rows = session.query(&sql, &[]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let bound = |index| row.try_get::<_, Option<i64>>(index);
    Ok(bound(0)?.zip(bound(1)?).map(|(min, max)| (i128::from(min), i128::from(max))))
}

/// How far a part has been read.
#[derive(Default)]
struct Progress {
    table: Option<Table>,
    /// Which table it was when it was begun anew.
    fence: Option<Fence>,
    /// The last key that was handed over, and the types of its columns.
    after: Option<(Vec<Bound>, Vec<String>)>,
    rows: u64,
    /// Attempts since the last page that came.
    failures: u32,
    /// Whether the shared snapshot is of no use for this table.
    fresh: bool,
    /// Whether the shared snapshot was found to be lost.
    alone: bool,
    /// Whether a page was read from the shared snapshot.
    shared: bool,
}

impl Reader {
    /// Reads a part, whatever comes in between. Answers how many rows it has.
    pub(super) async fn part(&self, seat: &mut Seat, part: &Part) -> Result<u64, SourceError> {
        let mut progress = Progress::default();
        loop {
            let error = match self.pages(seat, part, &mut progress).await {
                Ok(true) => return Ok(progress.rows),
                Ok(false) => {
                    tracing::info!(
                        "{}: the table was emptied, rewritten or replaced by its owner while it was read: it is read again",
                        part.label
                    );
                    progress = Progress { fresh: true, ..Progress::default() };
                    match self.as_it_is_now(seat, part, &mut progress).await {
                        Ok(()) => continue,
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            let error = match error {
                // An error of the connection that came while it was made.
                Stop::Source(error) => {
                    seat.0 = None;
                    progress.failures += 1;
                    pause(progress.failures, self.retries, &part.label, error).await?;
                    continue;
                }
                Stop::Driver(error) => error,
            };
            // Whatever state the connection is in, it is not used again.
            seat.0 = None;
            let failure = Failure::of(&error);
            match failure.code() {
                // The snapshot went with the connection that made it, or the server was started anew.
                Some("22023" | "42704" | "55000") if !progress.fresh && !progress.alone => {
                    progress.alone = true;
                    self.lock().take();
                    tracing::info!(
                        "{}: the snapshot is lost: going on with the tables as they are now",
                        part.label
                    );
                }
                // Columns were altered: look what there is now.
                Some("42703" | "0A000" | "42883" | "22P03" | "42804")
                    if i64::from(progress.failures) < self.retries =>
                {
                    progress.failures += 1;
                    let session = seat.session(&self.server).await?;
                    progress.table = catalog::again(session, &self.server.place, &part.table.name).await?;
                }
                _ if is_cut(&failure) => {
                    progress.failures += 1;
                    let error = self.failed(&error, &part.table.name);
                    pause(progress.failures, self.retries, &part.label, error).await?;
                }
                _ => return Err(self.failed(&error, &part.table.name)),
            }
        }
    }

    /// Looks which table has the name now, and what it is like.
    async fn as_it_is_now(&self, seat: &mut Seat, part: &Part, progress: &mut Progress) -> Result<(), Stop> {
        let place = &self.server.place;
        let session = seat.session(&self.server).await?;
        progress.fence = Some(catalog::fence(session, place, &part.table.name).await?);
        progress.table = catalog::again(session, place, &part.table.name).await?;
        Ok(())
    }

    /// Reads the pages that are missing. `false`: the table's rows moved to other files, and an older snapshot does not see them; or
    /// it is another table by now.
    async fn pages(&self, seat: &mut Seat, part: &Part, progress: &mut Progress) -> Result<bool, Stop> {
        let session = seat.session(&self.server).await?;
        let table = progress.table.as_ref().unwrap_or(&part.table);
        let pages = Pages::new(self, session, part, table).await?;
        if progress.after.as_ref().is_some_and(|(_, types)| *types != pages.types) {
            // The key is of another type now: its order may be another one, too.
            progress.after = None;
        }
        loop {
            let rows = self.page(session, part, &pages, progress).await?;
            progress.failures = 0;
            if rows < self.page {
                break;
            }
        }
        let before = progress.fence.as_ref().unwrap_or(&part.fence);
        let now = catalog::fence(session, &self.server.place, &part.table.name).await?;
        // Pages without the snapshot see every row of the table wherever it is.
        Ok(if progress.shared { now == *before } else { now.oid == before.oid })
    }

    /// Reads one page. Answers how many rows it has.
    async fn page(
        &self,
        session: &Session,
        part: &Part,
        pages: &Pages,
        progress: &mut Progress,
    ) -> Result<i64, Stop> {
        let begun = Instant::now();
        let snapshot = if progress.fresh { None } else { self.lock().clone() };
        progress.shared |= snapshot.is_some();
        session
            .run(&match snapshot {
                Some(id) => format!(
                    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '{id}'"
                ),
                None => "BEGIN READ ONLY".to_owned(),
            })
            .await?;
        let (statement, mut values) = match &progress.after {
            Some((key, _)) => (&pages.next, key.clone()),
            None => (&pages.first, Vec::new()),
        };
        values.extend(pages.bounds.iter().cloned());
        values.push(Bound::text(self.page.to_string()));
        let mut rows = session.stream(statement, values).await?;
        let mut batch = Batch::new(&self.sink);
        let mut count = 0;
        let mut last = None;
        let ended = loop {
            let row = match rows.next().await {
                Some(Ok(row)) => row,
                Some(Err(error)) => break Err(error),
                None => break Ok(()),
            };
            count += 1;
            let document = pages.shape.document(&row, &mut batch.page)?;
            batch.add(Message::Document(document), row.raw_size_bytes()).await?;
            last = Some(row);
        };
        // What came before an error counts: the next attempt goes on after it.
        batch.flush().await?;
        if let Some(row) = last {
            progress.after = Some((pages.shape.key_of(&row)?, pages.types.clone()));
        }
        progress.rows += u64::try_from(count).unwrap_or_default();
        ended?;
        session.run("COMMIT").await?;
        let took = begun.elapsed().saturating_sub(batch.waited()).as_millis();
        tracing::debug!("page of {}: {count} rows in {took} ms", part.table.name);
        Ok(count)
    }
}

/// The statements of a part.
struct Pages {
    shape: Shape,
    first: Statement,
    next: Statement,
    /// Types of the key's columns.
    types: Vec<String>,
    /// Bounds of the part, to be bound.
    bounds: Vec<Bound>,
}

impl Pages {
    async fn new(reader: &Reader, session: &Session, part: &Part, table: &Table) -> Result<Self, Stop> {
        let place = &reader.server.place;
        let altered = || {
            SourceError::new(
                ErrorKind::Incomplete,
                "read the table",
                format!("{}: its key was dropped or altered while it was read", table.name),
            )
        };
        if table.key.is_empty() || !table.ordered {
            return Err(altered().into());
        }
        let from = format!("{}.{}", quoted(&place.schema), quoted(&table.name));
        let names: Vec<String> = table.columns.iter().map(|name| format!("t.{}", quoted(name))).collect();
        // The server tells the columns' types.
        let probe = session.prepare(&format!("SELECT {} FROM {from} t", names.join(", "))).await?;
        let shape = Shape::of_table(place, &table.name, probe.columns(), &table.key);
        if !shape.key_needs_no_cast() {
            return Err(altered().into());
        }
        if part.range.from.is_none() {
            for name in shape.clashes() {
                tracing::warn!(
                    "{}: several columns become the field {name}; the last one's values are kept",
                    table.name
                );
            }
        }
        let types = shape.key_types();
        let list = shape.select_list(names.into_iter());
        let integer = "pg_catalog.int8";
        let statement = |after: bool| {
            let mut conditions = Vec::new();
            let mut number = 1;
            if after {
                conditions.push(keyset::after(&Typed { types: &types }, &table.key, 1).text);
                number += types.len();
            }
            for (bound, operator) in [(part.range.from, ">="), (part.range.to, "<")] {
                if bound.is_some() {
                    conditions.push(format!("t.{} {operator} ${number}::{integer}", quoted(&table.key[0])));
                    number += 1;
                }
            }
            let filter = if conditions.is_empty() {
                String::new()
            } else {
                format!(" WHERE {}", conditions.join(" AND "))
            };
            let order = keyset::order_by(&Typed { types: &types }, &table.key);
            format!("SELECT {list} FROM {from} t{filter} {order} LIMIT ${number}::{integer}")
        };
        let bounds = [part.range.from, part.range.to].into_iter().flatten();
        Ok(Self {
            first: session.prepare(&statement(false)).await?,
            next: session.prepare(&statement(true)).await?,
            bounds: bounds.map(|bound| Bound::text(bound.to_string())).collect(),
            shape,
            types,
        })
    }
}
