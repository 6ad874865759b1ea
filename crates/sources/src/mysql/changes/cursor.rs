//! What a sync leaves for the next.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::super::catalog::Table;
use super::position::Position;

/// What the last completed sync left.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Cursor {
    /// Hash of the settings that decide what is read.
    pub settings: String,
    /// Whether an unchanged binary log means that the index has all there is: no advanced rules, no views that depend on the
    /// time, deletions seen in all tables.
    pub steady: bool,
    /// The tables that were read, by name. None: an earlier version of this source left the cursor.
    pub tables: Option<Vec<String>>,
    /// Where the binary log was.
    pub position: Option<Position>,
    /// For each table the greatest value of the watermark column.
    pub watermarks: Option<Map<String, Json>>,
}

impl Cursor {
    /// Tables that were read and are not among these any more.
    pub(super) fn missing<'a>(&'a self, tables: &[Arc<Table>]) -> Vec<&'a str> {
        let is_there = |name: &str| tables.iter().any(|table| table.name == name);
        let known = self.tables.iter().flatten().map(String::as_str);
        known.filter(|name| !is_there(name)).collect()
    }

    pub(in super::super) fn to_json(&self) -> Json {
        let mut cursor = json!({"settings": self.settings, "steady": self.steady});
        if let Some(tables) = &self.tables {
            cursor["tables"] = tables.clone().into();
        }
        if let Some(position) = &self.position {
            cursor["binlog"] = position.to_json();
        }
        if let Some(watermarks) = &self.watermarks {
            cursor["watermarks"] = watermarks.clone().into();
        }
        cursor
    }

    /// None: nobody left one, or another version of this source did.
    pub(in super::super) fn from_json(value: Option<&Json>) -> Option<Self> {
        let value = value?;
        Some(Self {
            settings: value["settings"].as_str()?.to_owned(),
            steady: value["steady"].as_bool()?,
            tables: value["tables"]
                .as_array()
                .map(|names| names.iter().filter_map(Json::as_str).map(str::to_owned).collect()),
            position: value.get("binlog").and_then(Position::from_json),
            watermarks: value["watermarks"].as_object().cloned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_kept_as_json() {
        let position =
            Position { server: "s".to_owned(), file: "b.1".to_owned(), offset: 7, gtid: String::new() };
        let watermarks = Map::from_iter([("t".to_owned(), json!(5))]);
        for (position, watermarks) in [
            (Some(position.clone()), None),
            (None, Some(watermarks.clone())),
            (Some(position), Some(watermarks)),
        ] {
            for tables in [None, Some(vec!["t".to_owned()])] {
                let (position, watermarks) = (position.clone(), watermarks.clone());
                let cursor = Cursor { settings: "x".to_owned(), steady: true, tables, position, watermarks };
                assert_eq!(Cursor::from_json(Some(&cursor.to_json())), Some(cursor));
            }
        }
        for other in
            [None, Some(json!(null)), Some(json!({"settings": "x"})), Some(json!({"watermarks": {}}))]
        {
            assert_eq!(Cursor::from_json(other.as_ref()), None, "{other:?}");
        }
    }
}
