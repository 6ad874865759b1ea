//! What has no key to page by: tables without one, views, and custom queries. One statement, whose rows are read as they come.
//!
//! Each has a snapshot of its own. The one that pages share would not do: a table that is rewritten or emptied seems empty to an
//! older snapshot, and what a query reads is not known before it is run.

use std::time::{Duration, Instant};

use connectors_sdk::{ErrorKind, Message, SourceError};
use serde_json::Value;
use tokio_postgres::Statement;

use super::{Reader, Seat, Stop, is_cut, pause};
use crate::postgresql::catalog::{self, Table};
use crate::postgresql::client::{Bound, Session};
use crate::postgresql::document::Shape;
use crate::postgresql::error::{Failure, quoted};
use crate::postgresql::rules::Custom;
use crate::shared::batch::Batch;
use crate::shared::sql::repeated::Repeated;

/// Something that is read by one statement.
#[derive(Debug)]
pub(in crate::postgresql) struct Query {
    /// Name for the log and for the sync engine.
    pub label: String,
    what: What,
}

#[derive(Debug)]
enum What {
    Table(Table, Option<Since>),
    Custom(Custom),
}

/// Only rows whose value in this column is at least this.
#[derive(Debug)]
struct Since {
    column: String,
    value: String,
}

impl Query {
    pub(in crate::postgresql) fn of_table(table: Table) -> Self {
        Self { label: table.name.clone(), what: What::Table(table, None) }
    }

    /// Rows whose value in a column is at least this; all, where there is no value.
    pub(in crate::postgresql) fn since(table: Table, column: &str, value: Option<&str>) -> Self {
        let since = value.map(|value| Since { column: column.to_owned(), value: value.to_owned() });
        Self { label: table.name.clone(), what: What::Table(table, since) }
    }

    pub(in crate::postgresql) fn custom(custom: Custom) -> Self {
        Self { label: format!("query {}", custom.query.place), what: What::Custom(custom) }
    }
}

impl Reader {
    /// Reads all rows, from the beginning again if they are cut off. Answers how many there are.
    pub(super) async fn query(&self, seat: &mut Seat, query: &Query) -> Result<u64, SourceError> {
        let mut failures = 0;
        loop {
            let error = match self.stream(seat, query).await {
                Ok(rows) => return Ok(rows),
                Err(Stop::Source(error)) => error,
                Err(Stop::Driver(error)) => {
                    let failure = Failure::of(&error);
                    let error = match &query.what {
                        What::Table(table, _) => self.failed(&error, &table.name),
                        What::Custom(custom) => custom.failed(&self.server.place, &failure),
                    };
                    // A query cut off is worth another attempt; any other error is not.
                    if !is_cut(&failure) {
                        return Err(error);
                    }
                    error
                }
            };
            seat.0 = None;
            failures += 1;
            pause(failures, self.retries, &query.label, error).await?;
        }
    }

    async fn stream(&self, seat: &mut Seat, query: &Query) -> Result<u64, Stop> {
        let session = seat.session(&self.server).await?;
        // A single statement sees one state of the tables, which begins after their locks were taken.
        session.run("BEGIN READ ONLY").await?;
        let (shape, statement, values) = match &query.what {
            What::Table(table, since) => self.table(session, table, since.as_ref()).await?,
            What::Custom(custom) => {
                let (shape, statement) = custom.prepare(session, &self.server.place).await?;
                (shape, statement, Vec::new())
            }
        };
        let mut seen = Repeated::default();
        let mut batch = Batch::new(&self.sink);
        let (mut total, mut count) = (0, 0);
        let (mut begun, mut waited) = (Instant::now(), batch.waited());
        let mut rows = session.stream(&statement, values).await?;
        while let Some(row) = rows.next().await {
            let row = row?;
            let document = shape.document(&row, &mut batch.page)?;
            total += 1;
            count += 1;
            seen.see(&document.id);
            batch.add(Message::Document(document), row.raw_size_bytes()).await?;
            if count == self.page {
                report(query, count, (begun.elapsed() + waited).saturating_sub(batch.waited()));
                (count, begun, waited) = (0, Instant::now(), batch.waited());
            }
        }
        report(query, count, (begun.elapsed() + waited).saturating_sub(batch.waited()));
        batch.flush().await?;
        session.run("COMMIT").await?;
        if let Some(count) = seen.count() {
            tracing::warn!(
                "{}: {count} rows have the id of another row: one document stands for them",
                query.label
            );
        }
        Ok(total)
    }

    async fn table(
        &self,
        session: &Session,
        table: &Table,
        since: Option<&Since>,
    ) -> Result<(Shape, Statement, Vec<Bound>), Stop> {
        let place = &self.server.place;
        // The columns as they are now: nothing was read of them yet.
        let Some(table) = catalog::again(session, place, &table.name).await? else {
            return Err(SourceError::new(
                ErrorKind::Incomplete,
                "read the table",
                format!("{} was dropped before it was read", table.name),
            )
            .into());
        };
        let from = format!("{}.{}", quoted(&place.schema), quoted(&table.name));
        let names: Vec<String> = table.columns.iter().map(|name| quoted(name)).collect();
        let probe = session.prepare(&format!("SELECT {} FROM {from}", names.join(", "))).await?;
        let shape = Shape::of_table(place, &table.name, probe.columns(), &table.key);
        for name in shape.clashes() {
            tracing::warn!(
                "{}: several columns become the field {name}; the last one's values are kept",
                table.name
            );
        }
        let list = shape.select_list(names.into_iter());
        let (mut filter, mut values) = (String::new(), Vec::new());
        if let Some(Since { column, value }) = since {
            // The server knows the type from the column.
            filter = format!(" WHERE {} >= $1", quoted(column));
            values.push(Bound::text(value.as_str()));
        }
        let statement = session.prepare(&format!("SELECT {list} FROM {from}{filter}")).await?;
        Ok((shape, statement, values))
    }
}

fn report(query: &Query, rows: i64, took: Duration) {
    tracing::debug!("page of {}: {rows} rows in {} ms", query.label, took.as_millis());
}

/// The field `table` of a custom query's documents.
pub(in crate::postgresql) fn table_field(tables: &[String], listed: bool) -> Value {
    match tables {
        [table] if !listed => Value::String(table.clone()),
        tables => tables.iter().cloned().map(Value::String).collect(),
    }
}
