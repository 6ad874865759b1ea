//! Row → [`Document`].

use connectors_sdk::{Document, ErrorKind, FieldsPage, FieldsText, SourceError};
use serde_json::Value;
use tokio_postgres::types::Type;
use tokio_postgres::{Column, Row};
use xxhash_rust::xxh3::Xxh3;

use super::catalog::Table;
use super::client::{Bound, Raw};
use super::error::{Place, quoted};
use super::value::{Cast, Plan};
use crate::shared::field_name::field_name as legal;
use crate::shared::sql::id::{KeyPart, joined_tables, row_id};
use crate::shared::sql::types::{Field as IndexField, FieldType};
use crate::shared::sql::written::Written;

/// Fields that say where a row is from.
const FIXED: [&str; 3] = ["database", "table", "schema"];

/// What the rows of a table or query become.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shape {
    /// What ids begin with.
    prefix: String,
    columns: Vec<Field>,
    /// Which columns make the id; none: all of them do, as a hash.
    key: Vec<usize>,
    /// Fields that are the same in every document.
    fixed: Vec<(&'static str, Value)>,
    /// How documents are written as JSON; none, if they have to be made as maps.
    written: Option<Written>,
    /// For errors.
    name: String,
}

#[derive(Debug, Clone, PartialEq)]
struct Field {
    name: String,
    plan: Plan,
    /// The type's name, for placeholders.
    type_name: String,
}

impl Shape {
    /// The rows of one table, with these columns.
    pub(super) fn of_table(place: &Place, table: &str, columns: &[Column], key: &[String]) -> Self {
        let tables = [table.to_owned()];
        let key = key.iter().filter_map(|name| columns.iter().position(|column| column.name() == name));
        Self::new(place, &tables, Value::String(table.to_owned()), columns, key.collect())
    }

    /// The rows of a query; `key` are columns of it.
    pub(super) fn of_query(
        place: &Place,
        tables: &[String],
        table: Value,
        columns: &[Column],
        key: Vec<usize>,
    ) -> Self {
        Self::new(place, tables, table, columns, key)
    }

    fn new(place: &Place, tables: &[String], table: Value, columns: &[Column], key: Vec<usize>) -> Self {
        let tables = joined_tables(tables);
        let field = |column: &Column| Field {
            name: field_name(place, &tables, column.name()),
            plan: Plan::of(column.type_()),
            type_name: type_name(column.type_()),
        };
        let columns: Vec<Field> = columns.iter().map(field).collect();
        let fixed = vec![
            (FIXED[0], place.database.clone().into()),
            (FIXED[1], table),
            (FIXED[2], place.schema.clone().into()),
        ];
        Self {
            prefix: format!("{}_{}_{tables}", place.database, place.schema),
            written: Written::new(columns.iter().map(|field| field.name.as_str()), &fixed),
            columns,
            key,
            fixed,
            name: tables,
        }
    }

    /// The select list for these (quoted) columns, which are those the shape was made of.
    pub(super) fn select_list(&self, names: impl Iterator<Item = String>) -> String {
        let expressions: Vec<String> =
            names.zip(&self.columns).map(|(name, field)| field.plan.expression(&name)).collect();
        expressions.join(", ")
    }

    /// The select list for the values of the key, which are in these columns.
    pub(super) fn key_list(&self, names: impl Iterator<Item = String>) -> String {
        let plans = self.key.iter().map(|column| &self.columns[*column].plan);
        let expressions: Vec<String> = names.zip(plans).map(|(name, plan)| plan.expression(&name)).collect();
        expressions.join(", ")
    }

    /// Whether the rows can be fetched as they are.
    pub(super) fn needs_no_cast(&self) -> bool {
        self.columns.iter().all(|field| field.plan.cast == Cast::None)
    }

    /// Names of the fields that come from more than one column: the last one's value is kept.
    pub(super) fn clashes(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.columns.iter().map(|field| field.name.as_str()).collect();
        names.sort_unstable();
        let mut clashes: Vec<&str> =
            names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        clashes.dedup();
        clashes
    }

    /// Types of the key's columns, for placeholders. One that is sent as text takes text as well, for the server to understand.
    pub(super) fn key_types(&self) -> Vec<String> {
        self.key.iter().map(|column| self.columns[*column].type_name.clone()).collect()
    }

    /// Whether the key's values come as they are: what the server makes of a value is no value of the column.
    pub(super) fn key_needs_no_cast(&self) -> bool {
        self.key.iter().all(|column| self.columns[*column].plan.cast == Cast::None)
    }

    /// The values of a key that needs no cast, to be bound again.
    pub(super) fn key_of(&self, row: &Row) -> Result<Vec<Bound>, SourceError> {
        let bound = |column: &usize| {
            let bytes = self.raw(row, *column)?.unwrap_or_default().to_vec();
            Ok(Bound { bytes, text: false })
        };
        self.key.iter().map(bound).collect()
    }

    /// The document of a row, written to the page if it can be.
    pub(super) fn document(&self, row: &Row, page: &mut FieldsPage) -> Result<Document, SourceError> {
        let id = if self.key.is_empty() { self.hash(row)? } else { self.id(row, self.key.iter().copied())? };
        if let Some(written) = &self.written {
            return Ok(Document::written(id, self.text(row, written, page)?));
        }
        let mut fields = Document::room_for(self.columns.len() + self.fixed.len());
        for (index, field) in self.columns.iter().enumerate() {
            let value = match self.raw(row, index)? {
                Some(bytes) => {
                    field.plan.codec.decode(bytes).map_err(|error| self.malformed(index, error))?
                }
                None => Value::Null,
            };
            fields.insert(field.name.clone(), value);
        }
        for (name, value) in &self.fixed {
            fields.insert((*name).to_owned(), value.clone());
        }
        Ok(Document::new(id, fields))
    }

    fn text(&self, row: &Row, written: &Written, page: &mut FieldsPage) -> Result<FieldsText, SourceError> {
        written.row(page, |index, value| match self.raw(row, index)? {
            Some(bytes) => {
                let written = self.columns[index].plan.codec.write(bytes, value);
                written.map_err(|error| self.malformed(index, error))
            }
            None => {
                value.null();
                Ok(())
            }
        })
    }

    /// Whether the row has a key: it was there to be joined.
    pub(super) fn has_key(&self, row: &Row) -> Result<bool, SourceError> {
        self.key.first().map_or(Ok(false), |column| Ok(self.raw(row, *column)?.is_some()))
    }

    /// The id made of the key's values in the columns from `first` on.
    pub(super) fn id_from(&self, row: &Row, first: usize) -> Result<String, SourceError> {
        self.id(row, first..first + self.key.len())
    }

    /// The id made of the key's values, which are in these columns.
    fn id(&self, row: &Row, columns: impl Iterator<Item = usize>) -> Result<String, SourceError> {
        let mut parts = Vec::with_capacity(self.key.len());
        for (key, column) in self.key.iter().zip(columns) {
            let codec = &self.columns[*key].plan.codec;
            parts.push(match self.raw(row, column)? {
                Some(bytes) => {
                    Some((codec, codec.id_text(bytes).map_err(|error| self.malformed(*key, error))?))
                }
                None => None,
            });
        }
        Ok(row_id(
            &self.prefix,
            parts.iter().map(|part| {
                part.as_ref().map(|(codec, text)| {
                    if codec.is_free_text() { KeyPart::Text(text) } else { KeyPart::Plain(text) }
                })
            }),
        ))
    }

    /// The id of a row that has no key: a hash of all of its values.
    fn hash(&self, row: &Row) -> Result<String, SourceError> {
        let mut hash = Xxh3::new();
        for index in 0..self.columns.len() {
            let bytes = self.raw(row, index)?;
            // A length that no value has stands for null.
            hash.update(&bytes.map_or(u64::MAX, |bytes| bytes.len() as u64).to_le_bytes());
            hash.update(bytes.unwrap_or_default());
        }
        Ok(format!("{}_{:032x}", self.prefix, hash.digest128()))
    }

    fn raw<'a>(&self, row: &'a Row, column: usize) -> Result<Option<&'a [u8]>, SourceError> {
        match row.try_get::<_, Option<Raw<'a>>>(column) {
            Ok(raw) => Ok(raw.map(|raw| raw.0)),
            Err(error) => Err(self.malformed(column, error)),
        }
    }

    fn malformed(
        &self,
        column: usize,
        error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> SourceError {
        let name = self.columns.get(column).map_or("?", |field| field.name.as_str());
        SourceError::new(ErrorKind::InvalidData, "read a row", format!("{}, field {name}", self.name))
            .with_source(error)
    }
}

/// The field of a column.
fn field_name(place: &Place, tables: &str, column: &str) -> String {
    legal(&format!("{}_{tables}_{column}", place.schema).to_lowercase(), true).into_owned()
}

/// The fields that the documents of these tables have.
pub(super) fn fields(place: &Place, tables: &[Table]) -> Vec<IndexField> {
    let columns = tables.iter().flat_map(|table| {
        let columns = table.columns.iter().zip(&table.types);
        columns.map(|(column, kind)| (field_name(place, &table.name, column), *kind))
    });
    let fixed = FIXED.map(|name| (name.to_owned(), Some(FieldType::Text)));
    columns.chain(fixed).collect()
}

/// A type's name as it can be written in SQL. A domain's values are bound as those of its base type.
fn type_name(of: &Type) -> String {
    match of.kind() {
        tokio_postgres::types::Kind::Domain(base) => type_name(base),
        _ => format!("{}.{}", quoted(of.schema()), quoted(of.name())),
    }
}
