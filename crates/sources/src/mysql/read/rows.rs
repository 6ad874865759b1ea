//! From the rows of one statement to messages in the sink.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use connectors_sdk::{Document, Message, Sink, SourceError};
use futures_util::StreamExt;
use mysql_async::prelude::Queryable;
use mysql_async::{Column, Params, Row, Value};
use xxhash_rust::xxh3::xxh3_64;

use super::super::catalog::Table;
use super::super::client::{Session, quote};
use super::super::document::Shape;
use super::super::rules::Query;
use super::statement::{self, Statement};
use super::{Failure, Progress, Reader};
use crate::shared::sql::ranges::KeyRange;

/// Documents handed to the sync engine in one go, and their bytes.
const BATCH: usize = 128;
const BATCH_BYTES: usize = 1 << 20;

/// Bytes of a page: where rows are wide, a page has fewer of them, so that little is read again after a lost connection.
const PAGE_BYTES: u64 = 64 << 20;

/// Rows without a key that are compared with each other to count those that are alike.
const COMPARED: usize = 1_000_000;

/// Messages on their way to the sync engine.
pub(in super::super) struct Batch<'a> {
    sink: &'a Sink,
    messages: Vec<Message>,
    bytes: usize,
    /// How long the engine let us wait.
    waited: Duration,
}

impl<'a> Batch<'a> {
    pub(in super::super) fn new(sink: &'a Sink) -> Self {
        Self { sink, messages: Vec::with_capacity(BATCH), bytes: 0, waited: Duration::ZERO }
    }

    pub(in super::super) async fn document(&mut self, document: Document) -> Result<(), SourceError> {
        self.bytes += document.size();
        self.push(Message::Document(document)).await
    }

    pub(in super::super) async fn push(&mut self, message: Message) -> Result<(), SourceError> {
        self.messages.push(message);
        if self.messages.len() < BATCH && self.bytes < BATCH_BYTES { Ok(()) } else { self.flush().await }
    }

    pub(in super::super) async fn flush(&mut self) -> Result<(), SourceError> {
        if self.messages.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        let started = Instant::now();
        let sent = self.sink.send_all(std::mem::replace(&mut self.messages, Vec::with_capacity(BATCH))).await;
        self.waited += started.elapsed();
        sent
    }
}

/// What the rows of a table become.
pub(in super::super) fn shape(table: &Table, result: &[Column]) -> Shape {
    let selected = table.selected();
    let columns = selected
        .iter()
        .zip(result)
        .map(|(&index, column)| (table.columns[index].name.clone(), table.columns[index].kind(column)))
        .collect();
    let id = positions(&selected, &table.id_columns());
    Shape::new(columns, id, table.name.clone(), table.name.clone().into())
}

/// Where these columns are among the selected ones.
fn positions(selected: &[usize], columns: &[usize]) -> Vec<usize> {
    columns.iter().filter_map(|column| selected.iter().position(|index| index == column)).collect()
}

/// Runs one statement and hands each of its rows over.
async fn each_row(
    session: &mut Session,
    statement: Statement,
    shape: impl FnOnce(&[Column]) -> Result<Shape, SourceError>,
    batch: &mut Batch<'_>,
    mut seen: impl FnMut(&Shape, &[Value]),
) -> Result<Rows, Failure> {
    session.busy = true;
    let mut result = session.conn.exec_iter(statement.text, Params::Positional(statement.values)).await?;
    let shape = shape(result.columns_ref())?;
    let mut rows = Rows::default();
    {
        let Some(mut stream) = result.stream::<Row>().await? else {
            session.busy = false;
            return Ok(rows);
        };
        while let Some(row) = stream.next().await {
            let row = row?.unwrap();
            seen(&shape, &row);
            let document = shape.document(row);
            rows.count += 1;
            rows.bytes += document.size() as u64;
            batch.document(document).await?;
        }
    }
    result.drop_result().await?;
    session.busy = false;
    Ok(rows)
}

#[derive(Debug, Default)]
struct Rows {
    count: u64,
    bytes: u64,
}

impl Reader {
    /// Reads a range of a table page by page, to its end or until the snapshot has to be a new one.
    pub(super) async fn pages(
        &self,
        session: &mut Session,
        table: &Table,
        range: KeyRange,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let key = positions(&table.selected(), &table.key);
        loop {
            let limit = (PAGE_BYTES / progress.row_bytes.max(1)).clamp(1, self.page_rows);
            let started = Instant::now();
            session.hold().await?;
            let statement = statement::page(table, range, progress.after.as_deref(), limit);
            let mut batch = Batch::new(&self.sink);
            let mut last: Vec<Value> = Vec::with_capacity(key.len());
            let rows = each_row(
                session,
                statement,
                |result| Ok(shape(table, result)),
                &mut batch,
                |_, row| {
                    last.clear();
                    last.extend(
                        key.iter()
                            .zip(&table.key)
                            .map(|(&at, &column)| statement::bound(table, column, &row[at])),
                    );
                },
            )
            .await?;
            session.release().await?;
            batch.flush().await?;
            let spent = started.elapsed().saturating_sub(batch.waited);
            tracing::debug!("page of {}: {} rows in {} ms", table.name, rows.count, spent.as_millis());
            if rows.count < limit {
                return Ok(());
            }
            progress.row_bytes = rows.bytes / rows.count.max(1);
            progress.after = Some(last);
            progress.failures = 0;
            if session.is_worn() {
                progress.stale = true;
                return Ok(());
            }
        }
    }

    /// Reads a table that has no order to go on in.
    pub(super) async fn stream(&self, session: &mut Session, table: &Table) -> Result<(), Failure> {
        self.streamed(session, table, statement::whole(table)).await
    }

    /// Reads the rows whose column has at least this value.
    pub(super) async fn since(
        &self,
        session: &mut Session,
        table: &Table,
        column: &str,
        value: Option<&Value>,
    ) -> Result<(), Failure> {
        let mut statement = statement::whole(table);
        if let Some(value) = value {
            statement.text.push_str(&format!(" WHERE {} >= ?", quote(column)));
            statement.values.push(value.clone());
        }
        self.streamed(session, table, statement).await
    }

    async fn streamed(
        &self,
        session: &mut Session,
        table: &Table,
        statement: Statement,
    ) -> Result<(), Failure> {
        let started = Instant::now();
        session.hold().await?;
        let mut batch = Batch::new(&self.sink);
        let mut alike = Alike::default();
        let keyless = table.key.is_empty();
        let rows = each_row(
            session,
            statement,
            |result| Ok(shape(table, result)),
            &mut batch,
            |shape, row| {
                if keyless {
                    alike.see(&shape.id(row));
                }
            },
        )
        .await?;
        session.release().await?;
        batch.flush().await?;
        let spent = started.elapsed().saturating_sub(batch.waited);
        tracing::debug!("page of {}: {} rows in {} ms", table.name, rows.count, spent.as_millis());
        alike.report(&table.name);
        Ok(())
    }

    /// Runs a custom query once.
    pub(super) async fn query(&self, session: &mut Session, query: &Query) -> Result<(), Failure> {
        let started = Instant::now();
        session.enter(&query.database).await?;
        session.hold().await?;
        let statement = Statement { text: query.rule.query.clone(), values: Vec::new() };
        let mut batch = Batch::new(&self.sink);
        let rows = each_row(session, statement, |result| query.shape(result), &mut batch, |_, _| {}).await?;
        session.release().await?;
        batch.flush().await?;
        let spent = started.elapsed().saturating_sub(batch.waited);
        tracing::debug!("page of {}: {} rows in {} ms", query.rule.place, rows.count, spent.as_millis());
        Ok(())
    }
}

/// Counts rows that become one document.
#[derive(Default)]
struct Alike {
    ids: HashSet<u64>,
    count: u64,
}

impl Alike {
    fn see(&mut self, id: &str) {
        let hash = xxh3_64(id.as_bytes());
        if self.ids.contains(&hash) {
            self.count += 1;
        } else if self.ids.len() < COMPARED {
            self.ids.insert(hash);
        }
    }

    fn report(&self, table: &str) {
        if self.count > 0 {
            let least = if self.ids.len() == COMPARED { "at least " } else { "" };
            tracing::warn!(
                "{least}{} rows of {table} are like others in all values and share a document with them: the table has no key",
                self.count
            );
        }
    }
}
