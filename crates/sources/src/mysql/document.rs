//! Rows → documents.

use std::convert::Infallible;

use connectors_sdk::{Document, FieldsPage, FieldsText};
use mysql_async::Value;
use serde_json::Value as Json;
use xxhash_rust::xxh3::Xxh3;

use super::value::{self, Kind};
use crate::shared::field_name::field_name;
use crate::shared::sql::id::row_id;
use crate::shared::sql::written::Written;

/// Names that belong to the document itself: a column of such a name is left out.
const RESERVED: [&str; 2] = ["_id", "_timestamp"];

/// Field with the name of the table.
pub(super) const TABLE: &str = "Table";

/// Whether a column of this name is left out.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// What the rows of one result become.
#[derive(Debug)]
pub(super) struct Shape {
    /// For each column of the result its name and meaning.
    columns: Vec<(String, Kind)>,
    /// The columns the id is made of; none: a hash of all.
    id: Vec<usize>,
    /// First part of the id.
    prefix: String,
    /// The field `Table`.
    table: Json,
    /// How documents are written as JSON; none, if they have to be made as maps.
    written: Option<Written>,
}

impl Shape {
    pub(super) fn new(columns: Vec<(String, Kind)>, id: Vec<usize>, prefix: String, table: Json) -> Self {
        let legal = |(name, kind): (String, Kind)| {
            let name = if is_reserved(&name) { name } else { field_name(&name, true).into_owned() };
            (name, kind)
        };
        let columns: Vec<_> = columns.into_iter().map(legal).collect();
        let names = columns.iter().map(|(name, _)| name.as_str());
        Self { written: Written::new(names, &[(TABLE, table.clone())]), columns, id, prefix, table }
    }

    /// Id of the row.
    pub(super) fn id(&self, row: &[Value]) -> String {
        if self.id.is_empty() {
            return format!("{}_{:032x}", self.prefix, self.hash(row));
        }
        let parts: Vec<_> =
            self.id.iter().map(|&column| value::id_text(self.columns[column].1, &row[column])).collect();
        row_id(&self.prefix, parts.iter().map(|part| part.as_ref().map(value::IdText::part)))
    }

    /// Of all values, for rows without a key.
    pub(super) fn hash(&self, row: &[Value]) -> u128 {
        let mut hash = Xxh3::new();
        for ((_, kind), value) in self.columns.iter().zip(row) {
            // A length before each value, so that ("a", "bc") is not ("ab", "c"); null is no text.
            match value::id_text(*kind, value) {
                None => hash.update(&[0]),
                Some(text) => {
                    let text = text.text();
                    hash.update(&[1]);
                    hash.update(&(text.len() as u64).to_le_bytes());
                    hash.update(text.as_bytes());
                }
            }
        }
        hash.digest128()
    }

    /// The document of a row, written to the page if it can be.
    pub(super) fn document(&self, row: Vec<Value>, page: &mut FieldsPage) -> Document {
        let id = self.id(&row);
        if let Some(written) = &self.written {
            return Document::written(id, self.text(row, written, page));
        }
        let mut fields = Document::room_for(row.len() + 1);
        for ((name, kind), value) in self.columns.iter().zip(row) {
            if !is_reserved(name) {
                fields.insert(name.clone(), value::json(*kind, value));
            }
        }
        fields.insert(TABLE.to_owned(), self.table.clone());
        Document::new(id, fields)
    }

    fn text(&self, row: Vec<Value>, written: &Written, page: &mut FieldsPage) -> FieldsText {
        let mut values = row.into_iter();
        let Ok(text) = written.row(page, |column, field| {
            value::write(self.columns[column].1, values.next().unwrap_or(Value::NULL), field);
            Ok::<_, Infallible>(())
        });
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(text: &str) -> Value {
        Value::Bytes(text.as_bytes().to_vec())
    }

    fn shape(names: &[&str], id: &[usize]) -> Shape {
        let columns = names.iter().map(|&name| (name.to_owned(), Kind::Text)).collect();
        Shape::new(columns, id.to_vec(), "t".to_owned(), json!("t"))
    }

    #[test]
    fn a_row_is_a_document() {
        let shape = shape(&["id", "a", "_id"], &[0, 1]);
        assert!(shape.written.is_none());
        let document = shape.document(vec![text("7"), text("x_y"), text("no")], &mut FieldsPage::default());
        assert_eq!(document.id, "t_7_x\\_y");
        assert_eq!(Json::Object(document.fields), json!({"id": "7", "a": "x_y", "Table": "t"}));
        assert_eq!(document.timestamp, None);
        assert!(is_reserved("_timestamp") && !is_reserved("id"));
        let shape = self::shape(&["_source", "a..b", "_own"], &[0]);
        let mut document = shape.document(vec![text("1"), text("2"), text("3")], &mut FieldsPage::default());
        document.expand().unwrap();
        assert_eq!(
            Json::Object(document.fields),
            json!({"_source_": "1", "a._.b": "2", "_own": "3", "Table": "t"})
        );
    }

    #[test]
    fn a_row_is_written_as_json() {
        let mut document =
            shape(&["id", "a"], &[0]).document(vec![text("7"), Value::NULL], &mut FieldsPage::default());
        assert!(document.text.has_id() && document.fields.is_empty());
        document.expand().unwrap();
        assert_eq!(
            (document.id.as_str(), Json::Object(document.fields)),
            ("t_7", json!({"id": "7", "a": null, "Table": "t"}))
        );
        // Of two columns of one name, the last one's value counts.
        let document = shape(&["a", "a", "Table"], &[0])
            .document(vec![text("1"), text("2"), text("3")], &mut FieldsPage::default());
        assert!(document.text.is_empty());
        assert_eq!(Json::Object(document.fields), json!({"a": "2", "Table": "t"}));
    }

    #[test]
    fn rows_without_a_key_are_named_by_all_their_values() {
        let shape = shape(&["a", "b"], &[]);
        let id = |a: Value, b: Value| shape.id(&[a, b]);
        assert_eq!(id(text("a"), text("bc")), id(text("a"), text("bc")));
        assert_ne!(id(text("a"), text("bc")), id(text("ab"), text("c")));
        assert_ne!(id(Value::NULL, text("")), id(text(""), Value::NULL));
        assert!(id(text("a"), text("b")).starts_with("t_"));
        assert_eq!(id(text("a"), text("b")).len(), "t_".len() + 32);
    }
}
