//! Rows as JSON.

use connectors_sdk::{FieldName, FieldValue, FieldsText};
use serde_json::Value;

/// What a value takes besides its name and bytes, about: quotes and separators, and the digits of what is sent in binary form.
const VALUE: usize = 24;

/// The parts of the JSON that are the same for every row of a result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Written {
    /// Names of the columns' fields.
    names: Vec<FieldName>,
    fixed: FieldsText,
    /// What all of this takes.
    bytes: usize,
}

impl Written {
    /// For columns of these names, and fields that are the same in each document. None, if documents have to be made as maps:
    /// see [`FieldName::distinct`].
    pub(crate) fn new<'a>(
        columns: impl IntoIterator<Item = &'a str>,
        fixed: &[(&'a str, Value)],
    ) -> Option<Self> {
        let mut all: Vec<&str> = columns.into_iter().collect();
        let columns = all.len();
        all.extend(fixed.iter().map(|(name, _)| name));
        let mut names = FieldName::distinct(all.iter().copied())?;
        let mut text = FieldsText::default();
        for (name, (_, value)) in names.split_off(columns).iter().zip(fixed) {
            text.field(name).value(value);
        }
        let bytes =
            text.as_bytes().len() + all[..columns].iter().map(|name| name.len() + VALUE).sum::<usize>();
        Some(Self { names, fixed: text, bytes })
    }

    /// The fields of a row whose values take about so many bytes. `write` is called once for each column, in order.
    ///
    /// # Errors
    /// The first one of `write`.
    pub(crate) fn row<E>(
        &self,
        bytes: usize,
        mut write: impl FnMut(usize, FieldValue<'_>) -> Result<(), E>,
    ) -> Result<FieldsText, E> {
        let mut text = FieldsText::with_capacity(self.bytes + bytes);
        for (column, name) in self.names.iter().enumerate() {
            write(column, text.field(name))?;
        }
        text.append(&self.fixed);
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_has_its_columns_and_what_all_rows_have() {
        let written = Written::new(["a", "b"], &[("table", json!(["t"]))]).unwrap();
        let row = written.row(10, |column, field| {
            field.integer(i64::try_from(column).unwrap());
            Ok::<_, ()>(())
        });
        assert_eq!(row.unwrap().as_bytes(), br#""a":0,"b":1,"table":["t"]"#.as_slice());
        let broken = written.row(10, |column, field| {
            field.null();
            if column == 1 { Err("wrong") } else { Ok(()) }
        });
        assert_eq!(broken, Err("wrong"));
        assert_eq!(Written::new(["a", "table"], &[("table", json!("t"))]), None);
        assert!(Written::new([], &[]).is_some());
    }
}
