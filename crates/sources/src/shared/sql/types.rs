//! From the types of columns to the types of fields in an index.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use super::rules::given;

/// What a field of an index is mapped as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldType {
    Boolean,
    Long,
    Double,
    Date,
    Text,
}

/// Fields whose mapping the sync engine says.
const ENGINES: [&str; 2] = ["id", "body"];
/// More fields than this are no index that anybody could use. (Elasticsearch's own limit, `index.mapping.total_fields.limit`, is 1000.)
const MOST: usize = 10_000;

impl FieldType {
    /// Values that do not fit a number or a date are stored all the same (`infinity`, more digits than there are).
    fn definition(self) -> Value {
        match self {
            Self::Boolean => json!({"type": "boolean"}),
            Self::Long => json!({"type": "long", "ignore_malformed": true}),
            Self::Double => json!({"type": "double", "ignore_malformed": true}),
            Self::Date => json!({"type": "date", "ignore_malformed": true}),
            // As Elasticsearch maps a text by itself.
            Self::Text => {
                json!({"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}})
            }
        }
    }

    /// What takes the values of both.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (one, other) if one == other => one,
            (Self::Long, Self::Double) | (Self::Double, Self::Long) => Self::Double,
            _ => Self::Text,
        }
    }
}

/// A field, and what it is mapped as if its column says.
pub(crate) type Field = (String, Option<FieldType>);

/// The fields of a connector's tables, once these were looked at.
#[derive(Debug, Default)]
pub(crate) struct Fields(OnceLock<Vec<Field>>);

impl Fields {
    /// Keeps what the tables have. The first look counts.
    pub(crate) fn learn(&self, fields: impl FnOnce() -> Vec<Field>) {
        self.0.get_or_init(fields);
    }

    /// `properties` of a mapping. What custom queries make of the tables' columns is known when they run.
    pub(crate) fn mapping(&self, advanced_rules: Option<&Value>) -> Map<String, Value> {
        match self.0.get() {
            Some(fields) if given(advanced_rules).is_none() => mapping(fields.iter().cloned()),
            _ => Map::new(),
        }
    }
}

/// `properties` of a mapping for these fields. One that several columns become gets a type for all of them; none if the type
/// of one is not known. Left to the first values are fields that cannot be named here, and all if there are too many.
pub(crate) fn mapping(fields: impl IntoIterator<Item = Field>) -> Map<String, Value> {
    let mut types: BTreeMap<String, Option<FieldType>> = BTreeMap::new();
    for (name, kind) in fields {
        // A dot would make an object of it.
        if name.trim().is_empty() || name.contains('.') || ENGINES.contains(&name.as_str()) {
            continue;
        }
        match types.entry(name) {
            Entry::Vacant(entry) => {
                entry.insert(kind);
            }
            Entry::Occupied(mut entry) => {
                let both = entry.get().zip(kind).map(|(one, other)| one.or(other));
                entry.insert(both);
            }
        }
    }
    let types: Vec<(String, FieldType)> =
        types.into_iter().filter_map(|(name, kind)| Some((name, kind?))).collect();
    if types.len() > MOST {
        tracing::warn!("{} fields are more than an index takes: name fewer tables", types.len());
        return Map::new();
    }
    types.into_iter().map(|(name, kind)| (name, kind.definition())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &[(&str, Option<FieldType>)]) -> Value {
        mapping(fields.iter().map(|(name, kind)| ((*name).to_owned(), *kind))).into()
    }

    #[test]
    fn a_field_of_several_columns_takes_the_values_of_all() {
        use FieldType::{Boolean, Date, Double, Long, Text};
        let text = Text.definition();
        assert_eq!(of(&[("a", Some(Long)), ("a", Some(Long))]), json!({"a": Long.definition()}));
        assert_eq!(of(&[("a", Some(Long)), ("a", Some(Double))]), json!({"a": Double.definition()}));
        assert_eq!(of(&[("a", Some(Date)), ("b", Some(Boolean)), ("a", Some(Long))])["a"], text);
        assert_eq!(of(&[("a", Some(Date)), ("a", None), ("a", Some(Date))]), json!({}));
    }

    #[test]
    fn what_cannot_be_said_is_left_to_the_first_values() {
        let long = Some(FieldType::Long);
        assert_eq!(of(&[("id", long), ("body", long), ("a.b", long), (" ", long), ("", long)]), json!({}));
        let many = |count: usize| mapping((0..count).map(|number| (format!("f{number}"), long))).len();
        assert_eq!((many(10_000), many(10_001)), (10_000, 0));
    }
}
