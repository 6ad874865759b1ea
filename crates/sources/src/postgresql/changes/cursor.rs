//! What one sync leaves for the next.

use connectors_sdk::{ErrorKind, SourceError};
use serde_json::{Map, Value};

use crate::postgresql::catalog::Table;

/// What the last sync left. The service keeps it, and others can write it: every part may be missing.
pub(super) struct Cursor<'a>(pub Option<&'a Value>);

impl<'a> Cursor<'a> {
    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.0?.get(key)?.as_str()
    }

    pub(super) fn watermarks(&self) -> Option<&'a Map<String, Value>> {
        self.0?.get("watermarks")?.as_object()
    }

    /// The tables that were read, and whose changes were published, when the last sync ended.
    pub(super) fn tables(&self) -> Option<Vec<Known<'a>>> {
        self.0?.get("tables")?.as_array()?.iter().map(|known| Known::parse(known.as_str()?)).collect()
    }
}

/// A table as the last sync knew it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Known<'a> {
    pub oid: u32,
    shape: u64,
    name: &'a str,
}

impl<'a> Known<'a> {
    /// Texts, so that indices of connectors need no mapping for what is in them.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(3, ' ');
        let (oid, shape, name) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { oid: oid.parse().ok()?, shape: u64::from_str_radix(shape, 16).ok()?, name })
    }
}

/// Tables in a cursor.
pub(super) fn tables(tables: &[&Table]) -> Value {
    tables.iter().map(|table| format!("{} {:x} {}", table.oid, table.shape, table.name)).collect()
}

/// An error if something happened to a table as a whole. The log tells of rows only, and documents of rows that are not in it would
/// stay as they are.
pub(super) fn compare(known: &[Known<'_>], tables: &[&Table]) -> Result<(), SourceError> {
    for Known { oid, shape, name } in known {
        let what = match tables.iter().find(|table| table.oid == *oid) {
            None => "was dropped, or its changes cannot be read from the log any more".to_owned(),
            Some(table) if table.name != *name => format!("was renamed to {}", table.name),
            Some(table) if table.shape != *shape => {
                "has other columns, another key or other types".to_owned()
            }
            Some(_) => continue,
        };
        let problem = format!("the table {name} {what}");
        return Err(SourceError::new(ErrorKind::Incomplete, "read changes from the server's log", problem)
            .with_hint("Run a full sync: it brings all its documents in step."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables_are_kept_as_texts() {
        let kept = |tables: Value| json!({ "tables": tables });
        let known = |cursor: &Value| Cursor(Some(cursor)).tables().map(|known| known.len());
        let good = kept(json!(["17 ab my table", "18 0 x"]));
        assert_eq!(
            Cursor(Some(&good)).tables().unwrap()[0],
            Known { oid: 17, shape: 0xab, name: "my table" }
        );
        for odd in [json!([17]), json!(["17"]), json!(["x 0 y"]), json!(["1 y z"]), json!({}), Value::Null] {
            assert_eq!(known(&kept(odd.clone())), None, "{odd}");
        }
        assert_eq!(known(&kept(json!([]))), Some(0));
    }
}
