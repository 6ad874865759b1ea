//! What columns are in an index.

use super::catalog::{Column, Table};
use super::document::{TABLE, is_reserved};
use crate::shared::field_name::field_name;
use crate::shared::sql::types::{Field, FieldType};

/// The fields that the documents of these tables have.
pub(super) fn fields(tables: &[Table]) -> Vec<Field> {
    let columns = tables.iter().flat_map(|table| {
        let columns = table.selected().into_iter().map(|index| &table.columns[index]);
        let columns = columns.filter(|column| !is_reserved(&column.name) && column.name != TABLE);
        columns.map(|column| (field_name(&column.name, true).into_owned(), field_type(column)))
    });
    columns.chain([(TABLE.to_owned(), Some(FieldType::Text))]).collect()
}

/// None: the values have no one type.
fn field_type(column: &Column) -> Option<FieldType> {
    Some(match column.data_type.as_str() {
        _ if column.json => return None,
        _ if column.is_integer() => FieldType::Long,
        "year" | "bit" => FieldType::Long,
        "decimal" | "float" | "double" => FieldType::Double,
        "date" | "datetime" | "timestamp" => FieldType::Date,
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" | "set" | "time"
        | "uuid" | "inet4" | "inet6" | "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob"
        | "longblob" => FieldType::Text,
        // JSON, spatial types, what is not known.
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::shared::sql::types::mapping;

    #[test]
    fn columns_of_one_name_share_a_field() {
        let column = |name: &str, data_type: &str| Column {
            name: name.to_owned(),
            data_type: data_type.to_owned(),
            visible: true,
            readable: true,
            ..Column::default()
        };
        let table = |columns| Table { columns, ..Table::default() };
        let mapping = mapping(fields(&[
            table(vec![column("state", "int"), column("at", "datetime"), column("doc", "json")]),
            table(vec![column("state", "varchar"), column("_id", "int"), column("place", "point")]),
            table(vec![column("_version", "int")]),
        ]));
        assert_eq!(mapping.keys().collect::<Vec<_>>(), ["Table", "_version_", "at", "state"]);
        assert_eq!(mapping["at"], json!({"type": "date", "ignore_malformed": true}));
        assert_eq!(mapping["state"]["type"], "text");
    }
}
