//! What one sync leaves for the next.

use serde_json::{Map, Value};

use crate::postgresql::catalog::Table;

/// What the last sync left. The service keeps it, and others can write it: every part may be missing.
pub(super) struct Cursor<'a>(pub Option<&'a Value>);

impl Cursor<'_> {
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.0?.get(key)?.as_str()
    }

    pub(super) fn watermarks(&self) -> Option<&Map<String, Value>> {
        self.0?.get("watermarks")?.as_object()
    }

    /// Whether the table was read, and its changes were published, when the last sync ended.
    pub(super) fn has_table(&self, oid: u32) -> bool {
        let tables = self.0.and_then(|cursor| cursor.get("tables")?.as_array());
        tables.is_some_and(|tables| tables.iter().any(|known| known.as_u64() == Some(oid.into())))
    }
}

/// Tables in a cursor.
pub(super) fn numbers(tables: &[&Table]) -> Value {
    tables.iter().map(|table| table.oid).collect()
}
