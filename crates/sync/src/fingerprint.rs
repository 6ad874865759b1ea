//! What besides the source decides what is in the index. A source that says that nothing changed since a cursor knows nothing
//! of rules and pipelines, nor of what others did to the index: the cursor remembers how the last sync left it.

use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::xxh3_128;

use crate::job::SyncInput;

/// Keys in a cursor that is an object.
const SETTINGS: &str = "_settings";
const DOCUMENTS: &str = "_documents";

/// How a sync left the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Made {
    /// Fingerprint of the rules and the pipeline that its documents went through.
    pub settings: String,
    /// How many there were.
    pub documents: u64,
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
pub(crate) fn split(mut cursor: Option<Value>) -> (Option<Value>, Option<Made>) {
    let Some(object) = cursor.as_mut().and_then(Value::as_object_mut) else { return (cursor, None) };
    // Not `remove`, which would change the order of the others.
    let taken = [SETTINGS, DOCUMENTS].map(|key| object.shift_remove(key));
    // The source left none: there is nothing but ours.
    let none = object.is_empty() && taken.iter().any(Option::is_some);
    let made = match &taken {
        [Some(Value::String(settings)), Some(Value::Number(documents))] => {
            documents.as_u64().map(|documents| Made { settings: settings.clone(), documents })
        }
        _ => None,
    };
    (cursor.filter(|_| !none), made)
}

/// The cursor as it is stored. One that is neither an object nor absent goes without.
pub(crate) fn join(cursor: Option<Value>, made: Option<&Made>) -> Option<Value> {
    let Some(Made { settings, documents }) = made else { return cursor };
    let mut object = match cursor {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(cursor)) => cursor,
        other => return other,
    };
    object.insert(SETTINGS.to_owned(), json!(settings));
    object.insert(DOCUMENTS.to_owned(), json!(documents));
    Some(Value::Object(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_carries_the_fingerprint_past_the_source() {
        let made = Made { settings: "abc".to_owned(), documents: 7 };
        let stored = join(Some(json!({"lsn": "0/1"})), Some(&made));
        assert_eq!(stored, Some(json!({"lsn": "0/1", "_settings": "abc", "_documents": 7})));
        assert_eq!(split(stored), (Some(json!({"lsn": "0/1"})), Some(made.clone())));
        assert_eq!(split(join(Some(json!("text")), Some(&made))), (Some(json!("text")), None));
        assert_eq!(split(join(None, Some(&made))), (None, Some(made)));
        assert_eq!(split(Some(json!({}))), (Some(json!({})), None));
        assert_eq!(join(Some(json!({})), None), Some(json!({})));
        // Somebody wrote it.
        assert_eq!(split(Some(json!({"_settings": "abc", "_documents": "7"}))), (None, None));
    }
}
