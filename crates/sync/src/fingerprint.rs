//! What besides the source decides what is in the index. A source that says that nothing changed since a cursor knows nothing
//! of rules and pipelines, nor of what others did to the index: the cursor remembers how the last sync left it.

use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::xxh3_128;

use crate::job::SyncInput;

/// Keys in a cursor that is an object.
const SETTINGS: &str = "_settings";
const DOCUMENTS: &str = "_documents";

/// How a sync left the index, as far as that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Left {
    /// Fingerprint of the rules and the pipeline that all documents went through. None: some have to be looked at again.
    pub settings: Option<String>,
    /// How many documents there were.
    pub documents: Option<u64>,
}

/// Hash of the job's rules, pipeline and index.
pub(crate) fn of(input: &SyncInput) -> String {
    let rules = if input.apply_basic_rules { json!(input.filter.rules) } else { Value::Null };
    let settings = json!([
        input.index,
        input.pipeline,
        rules,
        input.filter.advanced_rules(),
        input.source.restricts_access(),
    ]);
    format!("{:032x}", xxh3_128(settings.to_string().as_bytes()))
}

/// The cursor as the source gave it, and what was stored with it.
pub(crate) fn split(mut cursor: Option<Value>) -> (Option<Value>, Left) {
    let Some(object) = cursor.as_mut().and_then(Value::as_object_mut) else {
        return (cursor, Left::default());
    };
    // Not `remove`, which would change the order of the others.
    let [settings, documents] = [SETTINGS, DOCUMENTS].map(|key| object.shift_remove(key));
    // The source left none: there is nothing but ours.
    let none = object.is_empty() && (settings.is_some() || documents.is_some());
    let left = Left {
        settings: settings.as_ref().and_then(Value::as_str).map(str::to_owned),
        documents: documents.as_ref().and_then(Value::as_u64),
    };
    (cursor.filter(|_| !none), left)
}

/// The cursor as it is stored. One that is neither an object nor absent goes without.
pub(crate) fn join(cursor: Option<Value>, left: &Left) -> Option<Value> {
    let mut object = match cursor {
        None | Some(Value::Null) if *left == Left::default() => return None,
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(cursor)) => cursor,
        other => return other,
    };
    let ours = [
        (SETTINGS, left.settings.as_ref().map(|text| json!(text))),
        (DOCUMENTS, left.documents.map(|count| json!(count))),
    ];
    object.extend(ours.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    Some(Value::Object(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_carries_the_fingerprint_past_the_source() {
        let left = Left { settings: Some("abc".to_owned()), documents: Some(7) };
        let stored = join(Some(json!({"lsn": "0/1"})), &left);
        assert_eq!(stored, Some(json!({"lsn": "0/1", "_settings": "abc", "_documents": 7})));
        assert_eq!(split(stored), (Some(json!({"lsn": "0/1"})), left.clone()));
        assert_eq!(split(join(Some(json!("text")), &left)), (Some(json!("text")), Left::default()));
        assert_eq!(split(join(None, &left)), (None, left.clone()));
        let counted = Left { settings: None, ..left };
        assert_eq!(split(join(None, &counted)), (None, counted));
        assert_eq!(split(Some(json!({}))), (Some(json!({})), Left::default()));
        assert_eq!(join(None, &Left::default()), None);
        assert_eq!(join(Some(json!({})), &Left::default()), Some(json!({})));
        // Somebody wrote it.
        assert_eq!(split(Some(json!({"_settings": 1, "_documents": "7"}))), (None, Left::default()));
    }
}
