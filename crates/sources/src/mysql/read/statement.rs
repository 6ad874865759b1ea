//! The statements that read a table.

use mysql_async::Value;

use super::super::catalog::Table;
use super::super::client::{MysqlDialect, quote};
use crate::shared::sql::keyset;
use crate::shared::sql::ranges::KeyRange;

/// Text of SQL and the values of its placeholders.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Statement {
    pub text: String,
    pub values: Vec<Value>,
}

/// `SELECT … FROM …` of the columns that are read.
pub(in super::super) fn select(table: &Table) -> String {
    let columns: Vec<String> =
        table.selected().into_iter().map(|index| quote(&table.columns[index].name)).collect();
    format!("SELECT {} FROM {}", columns.join(", "), qualified(table))
}

/// The table's name with its database.
pub(in super::super) fn qualified(table: &Table) -> String {
    format!("{}.{}", quote(&table.database), quote(&table.name))
}

/// All rows, in no order.
pub(super) fn whole(table: &Table) -> Statement {
    Statement { text: select(table), values: Vec::new() }
}

/// The first rows of a range, in the order of the key, that come after this key.
pub(super) fn page(table: &Table, range: KeyRange, after: Option<&[Value]>, rows: u64) -> Statement {
    let names = table.key_names();
    let mut conditions = Vec::new();
    let mut values = Vec::new();
    let first = names.first().map(|name| quote(name)).unwrap_or_default();
    for (bound, operator) in [(range.from, ">="), (range.to, "<")] {
        if let Some(bound) = bound {
            conditions.push(format!("{first} {operator} ?"));
            values.push(integer(bound));
        }
    }
    if let Some(key) = after {
        let condition = keyset::after(&MysqlDialect, &names, values.len() + 1);
        values.extend(condition.binds.iter().map(|&column| key[column].clone()));
        conditions.push(condition.text);
    }
    let filter =
        if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    values.push(rows.into());
    let order = keyset::order_by(&MysqlDialect, &names);
    Statement { text: format!("{}{filter} {order} LIMIT ?", select(table)), values }
}

/// A bound of a range. Ranges lie between keys, which have 64 bits.
fn integer(bound: i128) -> Value {
    i64::try_from(bound).map_or_else(
        |_| Value::UInt(u64::try_from(bound).unwrap_or(if bound < 0 { 0 } else { u64::MAX })),
        Value::Int,
    )
}

/// The value of a key's column as it is bound: decimals without a fraction as the integers they are.
pub(in super::super) fn bound(table: &Table, column: usize, value: &Value) -> Value {
    match value {
        Value::Bytes(bytes) if table.columns[column].is_integral_decimal() => std::str::from_utf8(bytes)
            .ok()
            .and_then(|text| text.parse::<i64>().ok())
            .map_or_else(|| value.clone(), Value::Int),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::catalog::Column;
    use super::*;

    fn table() -> Table {
        let column = |name: &str, data_type: &str| Column {
            name: name.to_owned(),
            data_type: data_type.to_owned(),
            digits: Some((10, 0)),
            visible: true,
            readable: true,
            ..Column::default()
        };
        Table {
            database: "sh`op".to_owned(),
            name: "t".to_owned(),
            columns: vec![column("a", "int"), column("b", "decimal"), column("c", "text")],
            key: vec![1, 0],
            paged: true,
            ..Table::default()
        }
    }

    #[test]
    fn the_first_page_has_no_condition() {
        let statement = page(&table(), KeyRange::ALL, None, 10);
        assert_eq!(statement.text, "SELECT `a`, `b`, `c` FROM `sh``op`.`t` ORDER BY `b`, `a` LIMIT ?");
        assert_eq!(statement.values, [Value::UInt(10)]);
        assert_eq!(whole(&table()).text, "SELECT `a`, `b`, `c` FROM `sh``op`.`t`");
    }

    #[test]
    fn a_later_page_of_a_range() {
        let range = KeyRange { from: Some(-5), to: Some(i128::from(u64::MAX)) };
        let statement = page(&table(), range, Some(&[Value::Int(3), Value::Int(4)]), 10);
        assert!(
            statement.text.ends_with(
                "WHERE `b` >= ? AND `b` < ? AND ((`b` > ?) OR (`b` = ? AND `a` > ?)) ORDER BY `b`, `a` LIMIT ?"
            ),
            "{}",
            statement.text
        );
        let expected = [
            Value::Int(-5),
            Value::UInt(u64::MAX),
            Value::Int(3),
            Value::Int(3),
            Value::Int(4),
            Value::UInt(10),
        ];
        assert_eq!(statement.values, expected);
    }

    #[test]
    fn decimals_without_a_fraction_are_bound_as_integers() {
        let table = table();
        assert_eq!(bound(&table, 1, &Value::Bytes(b"-12".to_vec())), Value::Int(-12));
        assert_eq!(bound(&table, 2, &Value::Bytes(b"12".to_vec())), Value::Bytes(b"12".to_vec()));
    }
}
