//! The connector protocol: the documents Kibana, the service and other connectors exchange through two Elasticsearch
//! indices, and the rules that say how they may change.
//!
//! Types and state rules only, no I/O: a transition takes the current document and returns the *partial document* to
//! write ([`PartialDocument`]); who writes it, and with which concurrency guard, is the caller's business. Dates are
//! [`jiff::Timestamp`]s, always UTC.

pub mod configuration;
pub mod connector;
pub mod cron;
pub mod document_id;
mod extra;
pub mod filtering;
pub mod index_mapping;
pub mod index_name;
pub mod indices;
pub mod language;
mod lenient;
pub mod pipeline;
pub mod schedule;
pub mod sync_job;
pub mod timestamp;

pub use extra::Extra;

/// The body of an update: only the fields that change, nulls included. [`merge`] says how it changes a document; the
/// simple ones may be sent as the `doc` of an update request as well.
pub type PartialDocument = serde_json::Map<String, serde_json::Value>;

/// Builds a [`PartialDocument`] from `"field" => value` pairs.
macro_rules! partial {
    ($($field:expr => $value:expr),* $(,)?) => {{
        let mut document = $crate::PartialDocument::new();
        $(document.insert(String::from($field), serde_json::json!($value));)*
        document
    }};
}
pub(crate) use partial;

/// Writes `partial` into a whole document, for writers that replace the document under a concurrency guard.
///
/// A field is replaced, so that an object such as `sync_cursor` or `features` keeps nothing of its former content.
/// Merged instead are `configuration` (fields, and the properties of each field) and a job's `connector` snapshot.
pub fn merge(document: &mut PartialDocument, partial: PartialDocument) {
    for (key, value) in partial {
        let levels = match key.as_str() {
            "configuration" => 2,
            "connector" => 1,
            _ => 0,
        };
        merge_value(document.entry(key).or_insert(serde_json::Value::Null), value, levels);
    }
}

fn merge_value(stored: &mut serde_json::Value, value: serde_json::Value, levels: u8) {
    match (stored, value) {
        (serde_json::Value::Object(stored), serde_json::Value::Object(entries)) if levels > 0 => {
            for (key, value) in entries {
                let entry = stored.entry(key).or_insert(serde_json::Value::Null);
                merge_value(entry, value, levels - 1);
            }
        }
        (stored, value) => *stored = value,
    }
}

/// A text short enough for a `keyword` field: Elasticsearch refuses a document with a keyword of more than 32,766
/// bytes, and an error nobody can store is lost. Cut at a character, and marked as cut.
pub(crate) fn keyword_text(text: &str) -> std::borrow::Cow<'_, str> {
    const MAX_BYTES: usize = 8192;
    if text.len() <= MAX_BYTES {
        return text.into();
    }
    format!("{}…", &text[..text.floor_char_boundary(MAX_BYTES)]).into()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn merging_replaces_fields_but_keeps_configuration_and_snapshot() {
        let mut document = json!({
            "status": "a", "sync_cursor": {"old": 1},
            "configuration": {"a": {"value": 1, "label": "A", "options": {"x": 1}}, "b": {"value": 2}},
            "connector": {"id": "c", "sync_cursor": {"old": 1}},
        })
        .as_object()
        .unwrap()
        .clone();
        let partial = json!({
            "status": "b", "sync_cursor": {"new": 2}, "extra": null,
            "configuration": {"a": {"label": "B", "options": {"y": 1}}, "c": {"value": 3}},
            "connector": {"sync_cursor": {"new": 2}},
        });
        merge(&mut document, partial.as_object().unwrap().clone());
        assert_eq!(
            Value::Object(document),
            json!({
                "status": "b", "sync_cursor": {"new": 2}, "extra": null,
                "configuration": {"a": {"value": 1, "label": "B", "options": {"y": 1}}, "b": {"value": 2}, "c": {"value": 3}},
                "connector": {"id": "c", "sync_cursor": {"new": 2}},
            })
        );
    }

    #[test]
    fn texts_for_keywords_are_cut_at_a_character() {
        assert_eq!(keyword_text("short"), "short");
        let cut = keyword_text(&"é".repeat(5000)).into_owned();
        assert!(cut.len() < 8200 && cut.ends_with("é…"));
        let odd = keyword_text(&format!("a{}", "é".repeat(5000))).into_owned();
        assert!(odd.ends_with("é…"));
    }
}
