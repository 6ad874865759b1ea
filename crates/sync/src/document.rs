//! From a source's document to the JSON that is sent.

use std::io::Write;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use connectors_es_client::BulkOpKind;
use connectors_protocol::pipeline::Pipeline;
use connectors_protocol::timestamp;
use connectors_sdk::{Content, Document, FieldsText, LazyDownload, json};
use serde_json::{Map, Value};

/// Field of a file for the ingest pipeline.
const ATTACHMENT: &str = "_attachment";
/// Field of plain text.
const BODY: &str = "body";
/// Field of the hash that tells the version of a document without a timestamp.
pub(crate) const CONTENT_HASH: &str = "_content_hash";
/// Fields of a download that are for the framework, not for the index.
const NOT_INDEXED: [&str; 3] = ["_id", "_timestamp", "_original_filename"];

/// A document on its way to the index.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub id: String,
    pub kind: BulkOpKind,
    pub fields: Map<String, Value>,
    /// More fields.
    pub text: FieldsText,
    pub download: Option<LazyDownload>,
    /// About how many bytes it takes without its download.
    pub size: usize,
    /// Where documents say who may see them, an older version must not stay when this one cannot be written: it may be open
    /// to people who may not see it any more.
    pub all_or_nothing: bool,
}

/// Adds what every content document carries. Rules see these fields too. A field `id` of the source is kept where it
/// `owns_id_field`. With `hash`, what tells the version of a document without a timestamp.
pub(crate) fn complete(
    document: &mut Document,
    pipeline: Option<&Pipeline>,
    owns_id_field: bool,
    hash: Option<&str>,
) {
    let Document { id, timestamp, fields, text, .. } = document;
    let now;
    let timestamp = match timestamp {
        Some(timestamp) => timestamp.as_str(),
        None => {
            now = timestamp::format(jiff::Timestamp::now());
            &now
        }
    };
    let has_id = text.has_id() || fields.contains_key("id");
    // Where the source wrote JSON, it goes on there: such names are none of the source's (see `FieldName`).
    let is_text = !text.is_empty();
    let mut put = |name: &str, value: &str| {
        if is_text {
            text.engine_field(name).string(value);
        } else {
            fields.insert(name.to_owned(), value.into());
        }
    };
    if !(owns_id_field && has_id) {
        put("id", id);
    }
    if let Some(hash) = hash {
        put(CONTENT_HASH, hash);
    }
    put("_timestamp", timestamp);
    let Some(pipeline) = pipeline else { return };
    for (name, setting) in [
        ("_extract_binary_content", pipeline.extract_binary_content),
        ("_reduce_whitespace", pipeline.reduce_whitespace),
        ("_run_ml_inference", pipeline.run_ml_inference),
    ] {
        if is_text {
            text.engine_field(name).value(&Value::Bool(setting));
        } else {
            fields.insert(name.to_owned(), Value::Bool(setting));
        }
    }
}

/// The fields together with the content, which wins where both have a field.
pub(crate) struct Body<'a> {
    pub fields: &'a Map<String, Value>,
    /// More fields, of a document without content.
    pub text: &'a FieldsText,
    pub content: Option<&'a Content>,
}

impl Body<'_> {
    /// Whether it holds a file, which the limit for text is not for.
    pub(crate) fn has_attachment(&self) -> bool {
        self.fields.contains_key(ATTACHMENT)
            || match self.content {
                Some(Content::Binary(_)) => true,
                Some(Content::Fields(fields)) => fields.contains_key(ATTACHMENT),
                Some(Content::Text(_)) | None => false,
            }
    }

    /// Adds it as JSON.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let replaced = |name: &str| match self.content {
            Some(Content::Text(_)) => name == BODY,
            Some(Content::Binary(_)) => name == ATTACHMENT,
            Some(Content::Fields(fields)) => fields.contains_key(name) && !NOT_INDEXED.contains(&name),
            None => false,
        };
        out.push(b'{');
        out.extend_from_slice(self.text.as_bytes());
        let mut is_first = self.text.is_empty();
        let mut begin = |out: &mut Vec<u8>, name: &str| {
            if !std::mem::take(&mut is_first) {
                out.push(b',');
            }
            json::write_string(out, name);
            out.push(b':');
        };
        for (name, value) in self.fields.iter().filter(|(name, _)| !replaced(name)) {
            begin(out, name);
            json::write_value(out, value);
        }
        match self.content {
            Some(Content::Text(text)) => {
                begin(out, BODY);
                json::write_string(out, text);
            }
            Some(Content::Binary(bytes)) => {
                begin(out, ATTACHMENT);
                // Letters, digits and a few signs, into memory: nothing has to be escaped, nothing can fail.
                let _infallible = write!(out, "\"{}\"", Base64Display::new(bytes, &STANDARD));
            }
            Some(Content::Fields(fields)) => {
                for (name, value) in fields.iter().filter(|(name, _)| !NOT_INDEXED.contains(&name.as_str())) {
                    begin(out, name);
                    json::write_value(out, value);
                }
            }
            None => {}
        }
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use connectors_sdk::FieldName;
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    fn written(source: &Map<String, Value>, content: Option<&Content>) -> Value {
        let mut out = Vec::new();
        Body { fields: source, text: &FieldsText::default(), content }.write(&mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn content_is_merged_into_the_fields() {
        let source = fields(json!({"path": "/a", "body": "old", "_timestamp": "t"}));
        assert_eq!(written(&source, None), json!({"path": "/a", "body": "old", "_timestamp": "t"}));
        let text = Content::Text("new".to_owned());
        assert_eq!(written(&source, Some(&text)), json!({"path": "/a", "_timestamp": "t", "body": "new"}));
        let binary = Content::Binary(b"\x00\xff>".as_slice().into());
        assert_eq!(written(&source, Some(&binary))["_attachment"], "AP8+");
        let other = Content::Fields(fields(
            json!({"_id": "x", "_timestamp": "y", "_original_filename": "z", "path": "/b", "_attachment": "AA=="}),
        ));
        assert_eq!(
            written(&source, Some(&other)),
            json!({"path": "/b", "body": "old", "_timestamp": "t", "_attachment": "AA=="})
        );
    }

    #[test]
    fn attachments_are_recognised_wherever_they_are() {
        let none = fields(json!({"a": 1}));
        let own = fields(json!({"_attachment": "AA=="}));
        let has = |source: &Map<String, Value>, content: Option<&Content>| {
            Body { fields: source, text: &FieldsText::default(), content }.has_attachment()
        };
        assert!(has(&own, None) && has(&none, Some(&Content::Binary(Vec::new().into()))));
        assert!(has(&none, Some(&Content::Fields(own.clone()))));
        assert!(!has(&none, None) && !has(&none, Some(&Content::Text(String::new()))));
        assert!(!has(&none, Some(&Content::Fields(none.clone()))));
    }

    #[test]
    fn every_content_document_says_what_the_pipeline_shall_do() {
        let pipeline = Pipeline { reduce_whitespace: false, ..Pipeline::default() };
        let mut document = Document::new("1", fields(json!({"id": "the third party's"}))).with_timestamp("t");
        complete(&mut document, Some(&pipeline), false, None);
        assert_eq!(
            Value::Object(document.fields),
            json!({
                "id": "1", "_timestamp": "t", "_extract_binary_content": true, "_reduce_whitespace": false,
                "_run_ml_inference": true,
            })
        );
        let mut identity = Document::new("2", Map::new());
        complete(&mut identity, None, false, None);
        assert_eq!(identity.fields.len(), 2);
        assert!(identity.fields["_timestamp"].as_str().unwrap().ends_with("+00:00"), "now");
    }

    #[test]
    fn a_source_may_own_the_field_id() {
        let mut document = Document::new("t_1", fields(json!({"id": 1})));
        complete(&mut document, None, true, Some("hash"));
        assert_eq!((&document.fields["id"], &document.fields[CONTENT_HASH]), (&json!(1), &json!("hash")));
        let mut document = Document::new("t_1", Map::new());
        complete(&mut document, None, true, None);
        assert_eq!(document.fields["id"], "t_1");
        assert!(!document.fields.contains_key(CONTENT_HASH));
    }

    #[test]
    fn fields_that_are_json_get_the_same() {
        let pipeline = Pipeline::default();
        let names = FieldName::distinct(["id", "a"]).unwrap();
        for (owns_id_field, id) in [(true, json!(7)), (false, json!("t_7"))] {
            let mut text = FieldsText::default();
            if owns_id_field {
                text.field(&names[0]).integer(7);
            }
            text.field(&names[1]).string("x");
            let mut document = Document::written("t_7", text).with_timestamp("t");
            complete(&mut document, Some(&pipeline), owns_id_field, Some("hash"));
            let mut out = Vec::new();
            Body { fields: &document.fields, text: &document.text, content: None }.write(&mut out);
            let mut map = Document::new("t_7", fields(json!({"id": 7, "a": "x"}))).with_timestamp("t");
            complete(&mut map, Some(&pipeline), owns_id_field, Some("hash"));
            assert_eq!(map.fields["id"], id);
            assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), Value::Object(map.fields));
        }
    }
}
