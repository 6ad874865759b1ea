//! Incremental syncs by a column whose value grows with every change.

use std::sync::Arc;

use connectors_sdk::SourceError;
use mysql_async::prelude::Queryable;
use mysql_async::{Error, Value};
use serde_json::{Map, Value as Json};

use super::super::catalog::{Column, Table};
use super::super::client::{Client, Session, quote};
use super::super::read::statement::qualified;
use crate::shared::sql::selection::listed;

/// The greatest value of the column in each table that has it.
pub(in super::super) async fn greatest(
    client: &Client,
    session: &mut Session,
    tables: &[Arc<Table>],
    column: &str,
) -> Result<Map<String, Json>, SourceError> {
    let mut watermarks = Map::new();
    for table in tables {
        let Some(column) = table.column(column).filter(|column| is_usable(column)) else { continue };
        let statement = format!("SELECT MAX({}) FROM {}", quote(&column.name), qualified(table));
        let greatest: Result<Option<Value>, Error> = session.conn.exec_first(statement, ()).await;
        let greatest =
            greatest.map_err(|error| client.error(format!("read the table {}", table.name), &error))?;
        if let Some(value) = greatest.as_ref().and_then(to_json) {
            watermarks.insert(table.name.clone(), value);
        }
    }
    Ok(watermarks)
}

/// The tables that have the column; the others are named in a warning.
pub(in super::super) fn marked(tables: &[Arc<Table>], column: &str) -> Vec<Arc<Table>> {
    let has = |table: &&Arc<Table>| table.column(column).is_some_and(is_usable);
    let without: Vec<&str> =
        tables.iter().filter(|table| !has(table)).map(|table| table.name.as_str()).collect();
    if !without.is_empty() {
        tracing::warn!(
            "no column {column} that can be read and compared (no BINARY, BLOB, BIT) in {}: only full syncs see their changes",
            listed(without)
        );
    }
    tables.iter().filter(has).cloned().collect()
}

/// Whether the greatest value can be read, kept as JSON, and compared again.
fn is_usable(column: &Column) -> bool {
    let number = matches!(column.data_type.as_str(), "decimal" | "float" | "double" | "year");
    let time = matches!(column.data_type.as_str(), "date" | "datetime" | "timestamp" | "time");
    let text = matches!(
        column.data_type.as_str(),
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "uuid" | "inet4" | "inet6"
    );
    column.readable && (column.is_integer() || number || time || text)
}

/// The value as it is kept in the cursor.
fn to_json(value: &Value) -> Option<Json> {
    Some(match value {
        Value::NULL => return None,
        Value::Int(number) => (*number).into(),
        Value::UInt(number) => (*number).into(),
        Value::Float(number) => f64::from(*number).into(),
        Value::Double(number) => (*number).into(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned().into(),
        time @ (Value::Date(..) | Value::Time(..)) => time.as_sql(false).trim_matches('\'').into(),
    })
}

/// The value as it is bound.
pub(in super::super) fn from_json(value: &Json) -> Option<Value> {
    match value {
        Json::String(text) => Some(Value::Bytes(text.clone().into_bytes())),
        Json::Number(number) => number
            .as_i64()
            .map(Value::Int)
            .or_else(|| number.as_u64().map(Value::UInt))
            .or_else(|| number.as_f64().map(Value::Double)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn watermarks_are_kept_as_json() {
        for (value, expected) in [
            (Value::Int(-5), json!(-5)),
            (Value::UInt(u64::MAX), json!(u64::MAX)),
            (Value::Double(0.5), json!(0.5)),
            (Value::Bytes(b"v7".to_vec()), json!("v7")),
        ] {
            assert_eq!(to_json(&value), Some(expected.clone()));
            assert_eq!(from_json(&expected), Some(value));
        }
        let time = Value::Date(2026, 1, 2, 3, 4, 5, 6);
        assert_eq!(to_json(&time), Some(json!("2026-01-02 03:04:05.000006")));
        assert_eq!((to_json(&Value::NULL), from_json(&json!(null))), (None, None));
    }

    #[test]
    fn tables_without_the_column_are_left_to_full_syncs() {
        let table = |name: &str, column: &str, data_type: &str| {
            let column = Column {
                name: column.to_owned(),
                data_type: data_type.to_owned(),
                readable: true,
                ..Default::default()
            };
            Arc::new(Table { name: name.to_owned(), columns: vec![column], ..Table::default() })
        };
        let tables = [
            table("a", "Updated", "timestamp"),
            table("b", "x", "timestamp"),
            table("c", "updated", "varbinary"),
            table("d", "updated", "bit"),
            table("e", "updated", "bigint"),
        ];
        let names: Vec<_> = marked(&tables, "updated").iter().map(|table| table.name.clone()).collect();
        assert_eq!(names, ["a", "e"]);
    }
}
