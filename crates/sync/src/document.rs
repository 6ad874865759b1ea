//! From a source's document to the JSON that is sent.

use std::io::Write;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use connectors_es_client::BulkOpKind;
use connectors_protocol::pipeline::Pipeline;
use connectors_protocol::timestamp;
use connectors_sdk::{Content, Document, FieldsText, LazyDownload, json};
use serde_json::{Map, Value};

use crate::content_hash::Digest;

const ID: &str = "id";
const TIMESTAMP: &str = "_timestamp";
/// Field of a file for the ingest pipeline.
const ATTACHMENT: &str = "_attachment";
/// Field of plain text.
const BODY: &str = "body";
/// Field of the hash that tells the version of a document without a timestamp.
pub(crate) const CONTENT_HASH: &str = "_content_hash";
/// Fields of a download that are for the framework, not for the index.
const NOT_INDEXED: [&str; 3] = ["_id", TIMESTAMP, "_original_filename"];

/// A document on its way to the index.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub id: String,
    pub kind: BulkOpKind,
    pub fields: Map<String, Value>,
    /// Fields that are JSON already.
    pub text: FieldsText,
    /// The engine's fields of a document that is in `text`; in `fields` they are already.
    pub added: Option<Added>,
    /// The value of `_timestamp` for those; the moment of writing, if there is none.
    pub timestamp: Option<String>,
    pub download: Option<LazyDownload>,
    /// About how many bytes it takes without its download.
    pub size: usize,
    /// Where documents say who may see them, an older version must not stay when this one cannot be written: it may be open
    /// to people who may not see it any more.
    pub all_or_nothing: bool,
}

/// The fields that the engine adds to a document, but for the values of `id` and `_timestamp`.
#[derive(Debug)]
pub(crate) struct Added {
    /// Whether the field `id` is the engine's: the source owns none.
    id: bool,
    /// What tells the version of a document without a timestamp.
    hash: Option<Digest>,
    /// What the pipeline shall do: fields and whether it shall.
    settings: Option<[(&'static str, bool); 3]>,
}

/// A value of such a field.
enum AddedValue<'a> {
    Text(&'a str),
    Flag(bool),
}

impl Added {
    /// About how many bytes they take.
    pub(crate) const SIZE: usize = 200;

    /// For a document. A field `id` of the source is kept where it `owns_id_field`.
    pub(crate) fn to(
        document: &Document,
        pipeline: Option<&Pipeline>,
        owns_id_field: bool,
        hash: Option<Digest>,
    ) -> Self {
        let has_id = document.text.has_id() || document.fields.contains_key(ID);
        Self {
            id: !(owns_id_field && has_id),
            hash,
            settings: pipeline.map(|pipeline| {
                [
                    ("_extract_binary_content", pipeline.extract_binary_content),
                    ("_reduce_whitespace", pipeline.reduce_whitespace),
                    ("_run_ml_inference", pipeline.run_ml_inference),
                ]
            }),
        }
    }

    /// Puts them into the fields of the document.
    pub(crate) fn insert(&self, document: &mut Document) {
        let Document { id, timestamp, fields, .. } = document;
        self.each(id, timestamp.as_deref(), |name, value| {
            let value = match value {
                AddedValue::Text(text) => text.into(),
                AddedValue::Flag(flag) => flag.into(),
            };
            fields.insert(name.to_owned(), value);
        });
    }

    /// Without a `timestamp`, it is now.
    fn each(&self, id: &str, timestamp: Option<&str>, mut put: impl FnMut(&'static str, AddedValue<'_>)) {
        if self.id {
            put(ID, AddedValue::Text(id));
        }
        if let Some(hash) = &self.hash {
            put(CONTENT_HASH, AddedValue::Text(hash.as_str()));
        }
        match timestamp {
            Some(timestamp) => put(TIMESTAMP, AddedValue::Text(timestamp)),
            None => put(TIMESTAMP, AddedValue::Text(&timestamp::format(jiff::Timestamp::now()))),
        }
        for (name, setting) in self.settings.into_iter().flatten() {
            put(name, AddedValue::Flag(setting));
        }
    }
}

/// The fields together with the content, which wins where both have a field.
pub(crate) struct Body<'a> {
    pub fields: &'a Map<String, Value>,
    /// Fields that are JSON already, of a document without content.
    pub text: &'a FieldsText,
    /// The engine's fields where the document is in `text`, with its id and timestamp.
    pub added: Option<(&'a Added, &'a str, Option<&'a str>)>,
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
        if let Some((added, id, timestamp)) = self.added {
            added.each(id, timestamp, |name, value| {
                begin(out, name);
                match value {
                    AddedValue::Text(text) => json::write_string(out, text),
                    AddedValue::Flag(flag) => json::write_value(out, &Value::Bool(flag)),
                }
            });
        }
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
    use connectors_sdk::{FieldName, FieldsPage};
    use serde_json::json;

    use super::*;
    use crate::content_hash::ContentHasher;

    fn fields(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    fn complete(
        document: &mut Document,
        pipeline: Option<&Pipeline>,
        owns_id_field: bool,
        hash: Option<Digest>,
    ) {
        Added::to(document, pipeline, owns_id_field, hash).insert(document);
    }

    fn hash() -> Option<Digest> {
        ContentHasher::new(None).of(&Document::new("1", Map::new()))
    }

    fn written(source: &Map<String, Value>, content: Option<&Content>) -> Value {
        let mut out = Vec::new();
        Body { fields: source, text: &FieldsText::default(), added: None, content }.write(&mut out);
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
            Body { fields: source, text: &FieldsText::default(), added: None, content }.has_attachment()
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
        let hash = hash();
        complete(&mut document, None, true, hash);
        assert_eq!(document.fields["id"], 1);
        assert_eq!(document.fields[CONTENT_HASH], hash.unwrap().as_str());
        let mut document = Document::new("t_1", Map::new());
        complete(&mut document, None, true, None);
        assert_eq!(document.fields["id"], "t_1");
        assert!(!document.fields.contains_key(CONTENT_HASH));
    }

    #[test]
    fn fields_that_are_json_get_the_same() {
        let pipeline = Pipeline::default();
        let names = FieldName::distinct(["id", "a"]).unwrap();
        let mut page = FieldsPage::default();
        for (owns_id_field, id) in [(true, json!(7)), (false, json!("t_7"))] {
            let mut text = page.begin();
            if owns_id_field {
                text.field(&names[0]).integer(7);
            }
            text.field(&names[1]).string("x");
            let document = Document::written("t_7", text.finish());
            let added = Added::to(&document, Some(&pipeline), owns_id_field, hash());
            let mut out = Vec::new();
            let added = Some((&added, document.id.as_str(), Some("t")));
            Body { fields: &document.fields, text: &document.text, added, content: None }.write(&mut out);
            let mut map = Document::new("t_7", fields(json!({"id": 7, "a": "x"}))).with_timestamp("t");
            complete(&mut map, Some(&pipeline), owns_id_field, hash());
            assert_eq!(map.fields["id"], id);
            let text = String::from_utf8(out.clone()).unwrap();
            assert!(
                map.fields.keys().all(|name| text.matches(&format!("\"{name}\":")).count() == 1),
                "{text}"
            );
            assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), Value::Object(map.fields));
        }
    }
}
