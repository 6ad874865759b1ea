//! What besides the source decides what is in the index. A source that says that nothing changed since a cursor knows nothing
//! of rules and pipelines: the cursor of a full sync remembers those it was made with, and only then the source is asked.

use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::xxh3_128;

use crate::job::SyncInput;

/// Key of the fingerprint in a cursor that is an object.
const KEY: &str = "_settings";

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

/// The cursor as the source gave it, and the fingerprint it was stored with.
pub(crate) fn split(mut cursor: Option<Value>) -> (Option<Value>, Option<String>) {
    let object = cursor.as_mut().and_then(Value::as_object_mut);
    // Not `remove`, which would change the order of the others.
    let taken = object.and_then(|cursor| cursor.shift_remove(KEY));
    let fingerprint = taken.as_ref().and_then(Value::as_str).map(str::to_owned);
    // The source left none: there is nothing but the fingerprint.
    let none = fingerprint.is_some() && cursor.as_ref().and_then(Value::as_object).is_some_and(Map::is_empty);
    (cursor.filter(|_| !none), fingerprint)
}

/// The cursor as it is stored. One that is neither an object nor absent goes without.
pub(crate) fn join(cursor: Option<Value>, fingerprint: Option<&str>) -> Option<Value> {
    let Some(fingerprint) = fingerprint else { return cursor };
    match cursor {
        None | Some(Value::Null) => Some(json!({ KEY: fingerprint })),
        Some(Value::Object(mut cursor)) => {
            cursor.insert(KEY.to_owned(), Value::String(fingerprint.to_owned()));
            Some(Value::Object(cursor))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_carries_the_fingerprint_past_the_source() {
        let stored = join(Some(json!({"lsn": "0/1"})), Some("abc"));
        assert_eq!(stored, Some(json!({"lsn": "0/1", "_settings": "abc"})));
        assert_eq!(split(stored), (Some(json!({"lsn": "0/1"})), Some("abc".to_owned())));
        assert_eq!(split(join(Some(json!("text")), Some("abc"))), (Some(json!("text")), None));
        assert_eq!(split(join(None, Some("abc"))), (None, Some("abc".to_owned())));
        assert_eq!(split(Some(json!({}))), (Some(json!({})), None));
        assert_eq!(join(Some(json!({})), None), Some(json!({})));
    }
}
