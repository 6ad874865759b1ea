//! Incremental syncs by a column whose value grows with every change.

use std::collections::BTreeMap;

use connectors_sdk::{Message, Sink, SourceError};
use serde_json::{Map, Value, json};

use super::position;
use crate::postgresql::PostgresqlSource;
use crate::postgresql::catalog::Table;
use crate::postgresql::client::Session;
use crate::postgresql::error::quoted;
use crate::postgresql::read::{Query, Work, is_of_one_table};
use crate::shared::sql::selection::listed;

/// Tables that have the column, with values of which there is a greatest one: of a category that `max` takes whole (numbers, times, texts, addresses,
/// enumerations: `typcategory`), or of a type that it names.
const USABLE: &str = "SELECT a.attrelid FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
     WHERE a.attrelid = ANY ($1) AND a.attname = $2 AND NOT a.attisdropped AND (t.typcategory IN ('N', 'D', 'T', 'S', 'I', 'E') \
         OR EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace \
             AND p.proname = 'max' AND p.pronargs = 1 AND p.proargtypes[0] = t.oid))";

impl PostgresqlSource {
    /// The numbers of the tables that have a watermark.
    pub(super) async fn usable(
        &self,
        session: &Session,
        tables: &[Table],
        column: &str,
    ) -> Result<Vec<u32>, SourceError> {
        let has = |table: &&Table| table.columns.iter().any(|name| name == column);
        let oids: Vec<u32> = tables.iter().filter(has).map(|table| table.oid).collect();
        let failed = |error| self.place().error("look for the watermark", &error, None);
        let rows = session.query(USABLE, &[&oids, &column]).await.map_err(failed)?;
        rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(failed)
    }

    /// The greatest value of the column in each of these tables, which are [usable](Self::usable).
    pub(super) async fn watermarks(
        &self,
        session: &Session,
        tables: impl Iterator<Item = &Table>,
        column: &str,
    ) -> Result<Value, SourceError> {
        let mut watermarks = BTreeMap::new();
        for table in tables {
            let from = format!("{}.{}", quoted(&self.place().schema), quoted(&table.name));
            let query = format!("SELECT pg_catalog.max({})::pg_catalog.text FROM {from}", quoted(column));
            let failed = |error| self.place().error("read the watermark", &error, Some(&table.name));
            let rows = match session.query(&query, &[]).await.map_err(failed) {
                Ok(rows) => rows,
                // Reading the table meets it as well, and the others are read.
                Err(error) if is_of_one_table(error.kind()) => {
                    tracing::warn!("{error}");
                    continue;
                }
                Err(error) => return Err(error),
            };
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
        let usable = self.usable(session, &tables, column).await?;
        let (with, without): (Vec<Table>, Vec<Table>) =
            tables.into_iter().partition(|table| usable.contains(&table.oid));
        if with.is_empty() {
            return Err(SourceError::configuration(
                "watermark_column",
                format!("none of the tables has a column {column} of a type with a greatest value"),
            ));
        }
        if !without.is_empty() {
            let names = without.iter().map(|table| table.name.as_str());
            tracing::warn!(
                "These have no column {column} of a type with a greatest value, and are left to full syncs: {}",
                listed(names)
            );
        }
        let position = position::now(session, self.place()).await?;
        let mut cursor = self.cursor(rules, &position);
        cursor.insert("watermarks".to_owned(), self.watermarks(session, with.iter(), column).await?);
        let reader = self.reader(sink);
        let work = with.into_iter().map(|table| {
            let last = since.and_then(|since| since.get(&table.name)).and_then(Value::as_str);
            Work::Query(Query::since(table, column, last))
        });
        reader.read(work.collect()).await?;
        sink.send(Message::Checkpoint(Value::Object(cursor))).await
    }
}
