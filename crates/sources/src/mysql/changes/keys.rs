//! Keys in the binary log → values that can be compared with columns, and ids.
//!
//! The log knows less of a column than the catalogue: not always whether a number has a sign, nor which character set a text
//! has, and fixed lengths are cut.

use std::sync::Arc;

use jiff::Timestamp;
use mysql_async::binlog::value::BinlogValue;
use mysql_async::prelude::Queryable;
use mysql_async::{Error, Value};

use super::super::catalog::{Column, Table};
use super::super::client::Session;
use super::super::error;
use super::super::read::statement;
use super::super::value::{self, Kind};
use crate::shared::sql::id::row_id;

/// Whether changes of this table can be followed: its rows have a key, and the log's form of its values is understood.
pub(super) fn is_followed(table: &Table) -> bool {
    table.paged
        // The log tells columns by their place.
        && !table.hides
        && table.key.iter().all(|&index| kind(&table.columns[index]).is_some())
        && !table.columns.iter().any(|column| column.compressed)
}

/// Those of the tables in which foreign keys delete or change rows when rows of another table are: that is not in the log.
pub(super) async fn cascaded(session: &mut Session, tables: &[Arc<Table>]) -> Result<Vec<String>, Error> {
    let Some(first) = tables.first() else { return Ok(Vec::new()) };
    let statement = "SELECT DISTINCT TABLE_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = ? \
                     AND (DELETE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT') \
                     OR UPDATE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT')) ORDER BY TABLE_NAME";
    let mut names: Vec<String> = session.conn.exec(statement, (&first.database,)).await?;
    // MariaDB and MySQL 5.7 hide the constraints of tables, keys too, from accounts that may only SELECT.
    let statement =
        "SELECT DISTINCT TABLE_NAME FROM information_schema.TABLE_CONSTRAINTS WHERE TABLE_SCHEMA = ?";
    let shown: Vec<String> = session.conn.exec(statement, (&first.database,)).await?;
    let among =
        |names: &[String], table: &Table| names.iter().any(|name| name.eq_ignore_ascii_case(&table.name));
    for table in tables.iter().filter(|table| !among(&shown, table)) {
        let statement = format!("SHOW CREATE TABLE {}", statement::qualified(table));
        let row: Result<Option<(String, String)>, Error> = session.conn.query_first(statement).await;
        let cascades = match row {
            Ok(row) => row.is_some_and(|(_, created)| has_cascades(&created)),
            // ER_TABLEACCESS_DENIED_ERROR: nobody knows.
            Err(error) if error::code(&error) == Some(1142) => true,
            Err(error) => return Err(error),
        };
        if cascades {
            names.push(table.name.clone());
        }
    }
    names.retain(|name| tables.iter().any(|table| table.name.eq_ignore_ascii_case(name)));
    Ok(names)
}

/// Whether a table is created with a foreign key that deletes or changes its rows. Each stands on a line of its own.
fn has_cascades(created: &str) -> bool {
    let rules = [" ON DELETE CASCADE", " ON DELETE SET ", " ON UPDATE CASCADE", " ON UPDATE SET "];
    created.lines().any(|line| {
        line.trim_start().starts_with("CONSTRAINT `")
            && line.contains(" FOREIGN KEY (")
            && rules.iter().any(|rule| line.contains(rule))
    })
}

/// What the values of a key's column mean. TIME is not among them: the driver misreads negative ones with a fraction.
fn kind(column: &Column) -> Option<Kind> {
    Some(match column.data_type.as_str() {
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => Kind::Text,
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Kind::Bytes,
        "decimal" if column.is_integral_decimal() => Kind::Decimal,
        "date" => Kind::Date,
        "datetime" => Kind::DateTime,
        "timestamp" => Kind::Timestamp,
        "year" => Kind::Integer,
        _ if column.is_integer() => Kind::Integer,
        _ => return None,
    })
}

/// Whether the log's bytes of this text are not UTF-8 and have to be translated by the server.
pub(super) fn is_foreign(column: &Column) -> bool {
    kind(column) == Some(Kind::Text)
        && !matches!(column.charset.as_deref(), Some("utf8mb4" | "utf8mb3" | "utf8" | "ascii") | None)
}

/// The value as the server sends it for this column. None: the log holds something else than such a column has.
pub(super) fn of_log(column: &Column, value: &BinlogValue<'_>) -> Option<Value> {
    let BinlogValue::Value(value) = value else { return None };
    Some(match (kind(column)?, value) {
        (Kind::Integer, Value::Int(number)) if column.unsigned => Value::UInt(unsigned(column, *number)),
        (Kind::Integer, Value::Int(_) | Value::UInt(_)) => value.clone(),
        // YEAR counts from 1900; 0 is the year 0000.
        (Kind::Integer, Value::Bytes(year)) => match std::str::from_utf8(year).ok()?.parse().ok()? {
            1900 => Value::Int(0),
            year => Value::Int(year),
        },
        (Kind::Decimal, Value::Bytes(text)) => {
            let number: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
            Value::Bytes(number.to_string().into_bytes())
        }
        (Kind::Bytes, Value::Bytes(bytes)) if column.data_type == "binary" => {
            let mut padded = bytes.clone();
            padded.resize(usize::try_from(column.bytes?).ok()?.max(bytes.len()), 0);
            Value::Bytes(padded)
        }
        (Kind::Text | Kind::Bytes, Value::Bytes(_)) => value.clone(),
        (Kind::Timestamp, Value::Bytes(text)) => timestamp(std::str::from_utf8(text).ok()?)?,
        (Kind::Timestamp, Value::Int(seconds)) => timestamp(&seconds.to_string())?,
        (Kind::Date | Kind::DateTime, Value::Date(..)) => value.clone(),
        _ => return None,
    })
}

/// A number of the log, which may have been read with a sign that it does not have.
fn unsigned(column: &Column, number: i64) -> u64 {
    let bits = match column.data_type.as_str() {
        "tinyint" => 8,
        "smallint" => 16,
        "mediumint" => 24,
        "int" => 32,
        _ => return number.cast_unsigned(),
    };
    number.cast_unsigned() & ((1 << bits) - 1)
}

/// Seconds since 1970, with a fraction if there is one, as a time in UTC. 0 is 0000-00-00 00:00:00.
fn timestamp(text: &str) -> Option<Value> {
    let (seconds, micros) = text.split_once('.').unwrap_or((text, "0"));
    let (seconds, micros): (i64, u32) = (seconds.parse().ok()?, micros.parse().ok()?);
    if seconds == 0 && micros == 0 {
        return Some(Value::Date(0, 0, 0, 0, 0, 0, 0));
    }
    let time = Timestamp::from_second(seconds).ok()?.to_zoned(jiff::tz::TimeZone::UTC).datetime();
    let small = |part: i8| u8::try_from(part).ok();
    Some(Value::Date(
        u16::try_from(time.year()).ok()?,
        small(time.month())?,
        small(time.day())?,
        small(time.hour())?,
        small(time.minute())?,
        small(time.second())?,
        micros,
    ))
}

/// The id of the row with this key, whose values are in the order of the index.
pub(super) fn id(table: &Table, key: &[Value]) -> String {
    let parts: Vec<_> = table
        .id_columns()
        .into_iter()
        .map(|index| {
            let at = table.key.iter().position(|&column| column == index)?;
            value::id_text(kind(&table.columns[index])?, &key[at])
        })
        .collect();
    row_id(&table.name, parts.iter().map(|part| part.as_ref().map(value::IdText::part)))
}

/// Something that is equal for equal keys, as a name in a map.
pub(super) fn name(key: &[Value]) -> Vec<u8> {
    let mut name = Vec::with_capacity(key.len() * 12);
    for value in key {
        let text = match value {
            Value::Bytes(bytes) => std::borrow::Cow::Borrowed(bytes.as_slice()),
            other => std::borrow::Cow::Owned(other.as_sql(false).into_bytes()),
        };
        name.extend((text.len() as u64).to_le_bytes());
        name.extend_from_slice(&text);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(data_type: &str) -> Column {
        Column {
            name: "k".to_owned(),
            data_type: data_type.to_owned(),
            visible: true,
            readable: true,
            ..Column::default()
        }
    }

    fn bytes(text: &str) -> Value {
        Value::Bytes(text.as_bytes().to_vec())
    }

    #[test]
    fn values_of_the_log_become_values_of_the_column() {
        let unsigned = |data_type: &str| Column { unsigned: true, ..column(data_type) };
        let decimal = Column { digits: Some((18, 0)), ..column("decimal") };
        let binary = Column { bytes: Some(4), ..column("binary") };
        for (column, value, expected) in [
            (column("int"), Value::Int(-1), Value::Int(-1)),
            (unsigned("tinyint"), Value::Int(-1), Value::UInt(255)),
            (unsigned("smallint"), Value::Int(-1), Value::UInt(65_535)),
            (unsigned("mediumint"), Value::Int(-1), Value::UInt(16_777_215)),
            (unsigned("int"), Value::Int(-1), Value::UInt(u64::from(u32::MAX))),
            (unsigned("bigint"), Value::Int(-1), Value::UInt(u64::MAX)),
            (unsigned("bigint"), Value::UInt(7), Value::UInt(7)),
            (column("year"), bytes("2026"), Value::Int(2026)),
            (column("year"), bytes("1900"), Value::Int(0)),
            (decimal, bytes("0012"), bytes("12")),
            (binary, Value::Bytes(vec![1]), Value::Bytes(vec![1, 0, 0, 0])),
            (column("varbinary"), Value::Bytes(vec![1]), Value::Bytes(vec![1])),
            (column("varchar"), bytes("x"), bytes("x")),
            (column("date"), Value::Date(2026, 1, 2, 0, 0, 0, 0), Value::Date(2026, 1, 2, 0, 0, 0, 0)),
            (column("timestamp"), bytes("86400"), Value::Date(1970, 1, 2, 0, 0, 0, 0)),
            (column("timestamp"), bytes("86400.000005"), Value::Date(1970, 1, 2, 0, 0, 0, 5)),
            (column("timestamp"), Value::Int(0), Value::Date(0, 0, 0, 0, 0, 0, 0)),
        ] {
            let of_column = of_log(&column, &BinlogValue::Value(value.clone()));
            assert_eq!(of_column, Some(expected), "{} {value:?}", column.data_type);
        }
        assert_eq!(of_log(&column("int"), &BinlogValue::Value(bytes("x"))), None);
        assert_eq!(of_log(&column("varchar"), &BinlogValue::Value(Value::Int(1))), None);
        assert_eq!(of_log(&column("enum"), &BinlogValue::Value(Value::Int(1))), None);
    }

    #[test]
    fn only_tables_with_a_key_that_is_understood_are_followed() {
        let table = |data_type: &str, paged| Table {
            name: "t".to_owned(),
            columns: vec![column(data_type)],
            key: vec![0],
            paged,
            ..Table::default()
        };
        assert!(is_followed(&table("int", true)) && is_followed(&table("varchar", true)));
        assert!(!is_followed(&table("uuid", true)) && !is_followed(&table("int", false)));
        let text = |charset: &str| Column { charset: Some(charset.to_owned()), ..column("varchar") };
        assert!(is_foreign(&text("latin1")) && !is_foreign(&text("utf8mb4")) && !is_foreign(&column("int")));
    }

    #[test]
    fn foreign_keys_are_found_in_the_tables_statement() {
        let created = |rule: &str| {
            format!(
                "CREATE TABLE `c` (\n  `a` int,\n  CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `p` (`k`){rule}\n)"
            )
        };
        for (rule, cascades) in [
            ("", false),
            (" ON DELETE NO ACTION ON UPDATE RESTRICT", false),
            (" ON DELETE CASCADE", true),
            (" ON DELETE SET NULL,", true),
            (" ON DELETE NO ACTION ON UPDATE CASCADE", true),
        ] {
            assert_eq!(has_cascades(&created(rule)), cascades, "{rule}");
        }
        assert!(!has_cascades(
            "CREATE TABLE `c` (\n  `a` text DEFAULT ' FOREIGN KEY ( ON DELETE CASCADE'\n)"
        ));
    }

    #[test]
    fn keys_have_ids_and_names() {
        let table = Table {
            name: "t".to_owned(),
            columns: vec![column("int"), column("varchar")],
            key: vec![1, 0],
            paged: true,
            ..Table::default()
        };
        assert_eq!(id(&table, &[bytes("a_b"), Value::Int(7)]), "t_7_a\\_b");
        assert_ne!(name(&[bytes("ab"), bytes("c")]), name(&[bytes("a"), bytes("bc")]));
        assert_eq!(name(&[Value::Int(1)]), name(&[Value::Int(1)]));
    }
}
