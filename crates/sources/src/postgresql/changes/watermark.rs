//! Incremental syncs by a column whose value grows with every change.

use std::collections::BTreeMap;

use connectors_sdk::{Message, Sink, SourceError};
use serde_json::{Map, Value, json};

use super::position;
use crate::postgresql::PostgresqlSource;
use crate::postgresql::catalog::Table;
use crate::postgresql::client::Session;
use crate::postgresql::error::quoted;
use crate::postgresql::read::{Query, Work};
use crate::shared::sql::selection::listed;

impl PostgresqlSource {
    /// The greatest value of the column in each table that has it.
    pub(super) async fn watermarks(
        &self,
        session: &Session,
        tables: &[Table],
        column: &str,
    ) -> Result<Value, SourceError> {
        let mut watermarks = BTreeMap::new();
        for table in tables.iter().filter(|table| table.columns.iter().any(|name| name == column)) {
            let from = format!("{}.{}", quoted(&self.place().schema), quoted(&table.name));
            let query = format!("SELECT pg_catalog.max({})::pg_catalog.text FROM {from}", quoted(column));
            let failed = |error| self.place().error("read the watermark", &error, Some(&table.name));
            let rows = session.query(&query, &[]).await.map_err(failed)?;
            let greatest = rows.first().map_or(Ok(None), |row| row.try_get::<_, Option<String>>(0));
            watermarks.insert(table.name.clone(), greatest.map_err(failed)?);
        }
        Ok(json!(watermarks))
    }

    /// Sends the rows whose watermark is at least the last one seen.
    pub(super) async fn above_watermarks(
        &self,
        session: &Session,
        tables: Vec<Table>,
        column: &str,
        since: Option<&Map<String, Value>>,
        rules: Option<&Value>,
        sink: &Sink,
    ) -> Result<(), SourceError> {
        let (with, without): (Vec<Table>, Vec<Table>) =
            tables.into_iter().partition(|table| table.columns.iter().any(|name| name == column));
        if with.is_empty() {
            return Err(SourceError::configuration(
                "watermark_column",
                format!("{column} is a column of none of the tables"),
            ));
        }
        if !without.is_empty() {
            let names = without.iter().map(|table| table.name.as_str());
            tracing::warn!("These have no column {column}, and are left to full syncs: {}", listed(names));
        }
        let position = position::now(session, self.place()).await?;
        let mut cursor = self.cursor(rules, &position);
        cursor.insert("watermarks".to_owned(), self.watermarks(session, &with, column).await?);
        let reader = self.reader(sink);
        let work = with.into_iter().map(|table| {
            let last = since.and_then(|since| since.get(&table.name)).and_then(Value::as_str);
            Work::Query(Query::since(table, column, last))
        });
        reader.read(work.collect()).await?;
        sink.send(Message::Checkpoint(Value::Object(cursor))).await
    }
}
