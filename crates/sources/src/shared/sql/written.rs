//! Rows as JSON.

use connectors_sdk::{FieldName, FieldValue, FieldsPage, FieldsText};
use serde_json::Value;

/// The parts of the JSON that are the same for every row of a result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Written {
    /// Names of the columns' fields.
    names: Vec<FieldName>,
    fixed: FieldsText,
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
        let mut page = FieldsPage::default();
        let mut text = page.begin();
        for (name, (_, value)) in names.split_off(columns).iter().zip(fixed) {
            text.field(name).value(value);
        }
        Some(Self { names, fixed: text.finish().detached() })
    }

    /// The fields of a row. `write` is called once for each column, in order.
    ///
    /// # Errors
    /// The first one of `write`.
    pub(crate) fn row<E>(
        &self,
        page: &mut FieldsPage,
        mut write: impl FnMut(usize, FieldValue<'_>) -> Result<(), E>,
    ) -> Result<FieldsText, E> {
        let mut text = page.begin();
        for (column, name) in self.names.iter().enumerate() {
            write(column, text.field(name))?;
        }
        text.append(&self.fixed);
        Ok(text.finish())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_has_its_columns_and_what_all_rows_have() {
        let written = Written::new(["a", "b"], &[("table", json!(["t"]))]).unwrap();
        let mut page = FieldsPage::default();
        let row = written.row(&mut page, |column, field| {
            field.integer(i64::try_from(column).unwrap());
            Ok::<_, ()>(())
        });
        assert_eq!(row.unwrap().as_bytes(), br#""a":0,"b":1,"table":["t"]"#.as_slice());
        let broken = written.row(&mut page, |column, field| {
            field.null();
            if column == 1 { Err("wrong") } else { Ok(()) }
        });
        assert_eq!(broken, Err("wrong"));
        assert_eq!(Written::new(["a", "table"], &[("table", json!("t"))]), None);
        assert!(Written::new([], &[]).is_some());
    }
}
