//! Mappings as they are given, one laid over the other.
//!
//! This is not what an update of a live mapping does: nothing was written yet, so that a later part may say what it
//! likes. Elasticsearch merges the JSON member by member, but replaces a field's definition as a whole unless both are
//! objects, of which it keeps the earlier one's fields only; lists of named things (`dynamic_templates`) are merged by
//! name, other lists get the earlier elements they lack at their end.

use serde_json::{Map, Value};

/// Lays `over` over `base`.
pub fn merge_mappings(base: &mut Map<String, Value>, over: &Map<String, Value>) {
    merge(None, base, over);
}

fn merge(parent: Option<&str>, base: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, new) in over {
        match (base.get_mut(key), new) {
            (Some(Value::Object(old)), Value::Object(new)) if parent == Some("properties") => {
                merge_field(old, new);
            }
            (Some(Value::Object(old)), Value::Object(new)) => merge(Some(key), old, new),
            (Some(Value::Array(old)), Value::Array(new)) => merge_lists(old, new),
            _ => {
                base.insert(key.clone(), new.clone());
            }
        }
    }
}

fn merge_field(old: &mut Map<String, Value>, new: &Map<String, Value>) {
    let kind = |field: &Map<String, Value>| {
        field.get("type").map_or_else(|| "object".to_owned(), crate::cluster::text_of)
    };
    let both = kind(old);
    if both == kind(new) && matches!(both.as_str(), "object" | "nested") {
        old.retain(|key, _| matches!(key.as_str(), "properties" | "subobjects"));
        merge(None, old, new);
    } else {
        old.clone_from(new);
    }
}

fn merge_lists(old: &mut Vec<Value>, new: &[Value]) {
    if let (Some(before), Some(after)) = (named(old), named(new)) {
        let mut all: Map<String, Value> = before;
        for (name, value) in after {
            match (all.get_mut(&name), value) {
                (Some(Value::Object(old)), Value::Object(new)) => merge(None, old, &new),
                (_, value) => {
                    all.insert(name, value);
                }
            }
        }
        *old = all.into_iter().map(|entry| Value::Object(Map::from_iter([entry]))).collect();
        return;
    }
    let mut all = new.to_vec();
    all.extend(old.drain(..).filter(|item| !new.contains(item)));
    *old = all;
}

/// A list of objects of one member each, by name.
fn named(items: &[Value]) -> Option<Map<String, Value>> {
    items
        .iter()
        .map(|item| match item {
            Value::Object(entry) if entry.len() == 1 => {
                entry.iter().next().map(|(name, value)| (name.clone(), value.clone()))
            }
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(base: Value, over: Value) -> Value {
        let (Value::Object(mut base), Value::Object(over)) = (base, over) else { panic!("objects") };
        merge_mappings(&mut base, &over);
        Value::Object(base)
    }

    #[test]
    fn a_field_is_replaced_and_an_object_keeps_its_fields_only() {
        assert_eq!(
            merged(
                json!({ "properties": {
                    "a": { "type": "keyword", "index": false, "fields": { "t": { "type": "text" } } },
                    "o": { "dynamic": false, "properties": { "x": { "type": "long" } } },
                    "s": { "type": "text" },
                } }),
                json!({ "properties": {
                    "a": { "type": "keyword", "ignore_above": 10 },
                    "o": { "type": "object", "properties": { "y": { "type": "long" } } },
                    "s": { "properties": { "k": { "type": "long" } } },
                } }),
            ),
            json!({ "properties": {
                "a": { "type": "keyword", "ignore_above": 10 },
                "o": { "type": "object", "properties": { "x": { "type": "long" }, "y": { "type": "long" } } },
                "s": { "properties": { "k": { "type": "long" } } },
            } })
        );
    }

    #[test]
    fn a_field_called_properties_is_a_field() {
        let of = |name: &str| json!({ "properties": { "properties": { "properties": { name: { "type": "long" } } } } });
        assert_eq!(
            merged(of("a"), of("b")),
            json!({ "properties": { "properties": { "properties": {
                "a": { "type": "long" }, "b": { "type": "long" },
            } } } })
        );
    }

    #[test]
    fn lists_are_merged_by_name_or_joined() {
        assert_eq!(
            merged(
                json!({
                    "dynamic_templates": [
                        { "x": { "match": "x" } },
                        { "y": { "match": "y", "path_match": "q", "mapping": { "type": "long" } } },
                    ],
                    "dynamic_date_formats": ["yyyy", "MM"],
                    "_meta": { "a": 1, "c": { "d": 1 } },
                    "dynamic": "strict",
                }),
                json!({
                    "dynamic_templates": [
                        { "y": { "match": "z", "mapping": { "type": "keyword" } } },
                        { "z": { "match": "z" } },
                    ],
                    "dynamic_date_formats": ["yyyy-MM", "MM"],
                    "_meta": { "a": 2, "c": { "e": 1 } },
                    "dynamic": true,
                }),
            ),
            json!({
                "dynamic_templates": [
                    { "x": { "match": "x" } },
                    { "y": { "match": "z", "path_match": "q", "mapping": { "type": "keyword" } } },
                    { "z": { "match": "z" } },
                ],
                "dynamic_date_formats": ["yyyy-MM", "MM", "yyyy"],
                "_meta": { "a": 2, "c": { "d": 1, "e": 1 } },
                "dynamic": true,
            })
        );
    }
}
