//! From the rows of one statement to messages in the sink.

use std::time::Instant;

use connectors_sdk::{Message, SourceError};
use futures_util::StreamExt;
use mysql_async::prelude::Queryable;
use mysql_async::{Column, Params, Row, Value};

use super::super::catalog::Table;
use super::super::client::{Session, quote};
use super::super::document::Shape;
use super::super::rules::Query;
use super::statement::{self, Statement};
use super::{Failure, Progress, Reader};
use crate::shared::batch::Batch;
use crate::shared::sql::ranges::KeyRange;
use crate::shared::sql::repeated::Repeated;

/// Bytes of a page: where rows are wide, a page has fewer of them, so that little is read again after a lost connection.
const PAGE_BYTES: u64 = 64 << 20;

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
            let document = shape.document(row, &mut batch.page);
            rows.count += 1;
            let size = document.size();
            rows.bytes += size as u64;
            batch.add(Message::Document(document), size).await?;
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
            let spent = started.elapsed().saturating_sub(batch.waited());
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
        let mut alike = Repeated::default();
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
        let spent = started.elapsed().saturating_sub(batch.waited());
        tracing::debug!("page of {}: {} rows in {} ms", table.name, rows.count, spent.as_millis());
        if let Some(count) = alike.count() {
            tracing::warn!(
                "{count} rows of {} are like others in all values and share a document with them: the table has no key",
                table.name
            );
        }
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
        let spent = started.elapsed().saturating_sub(batch.waited());
        tracing::debug!("page of {}: {} rows in {} ms", query.rule.place, rows.count, spent.as_millis());
        Ok(())
    }
}
