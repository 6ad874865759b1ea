//! What tells two versions of a document apart whose source knows no time of change: a hash of its fields, kept in the index
//! in the field `_content_hash`. A table that did not change then costs no write.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use connectors_protocol::pipeline::Pipeline;
use connectors_sdk::Document;
use serde_json::{Value, json};
use xxhash_rust::xxh3::Xxh3Default;

/// A 128-bit hash as text: 22 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest([u8; 22]);

impl Digest {
    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        // URL-safe base64 is ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Hashes documents.
pub(crate) struct ContentHasher {
    hash: Xxh3Default,
    /// What else decides what is indexed: name and settings of the pipeline. Another pipeline makes other documents.
    pipeline: String,
}

impl std::fmt::Debug for ContentHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ContentHasher")
    }
}

impl ContentHasher {
    /// For documents that go through this pipeline.
    pub(crate) fn new(pipeline: Option<&Pipeline>) -> Self {
        let settings = pipeline.map(|pipeline| {
            let Pipeline { name, extract_binary_content, reduce_whitespace, run_ml_inference, .. } = pipeline;
            json!([name, extract_binary_content, reduce_whitespace, run_ml_inference]).to_string()
        });
        Self { hash: Xxh3Default::new(), pipeline: settings.unwrap_or_default() }
    }

    /// The hash of the fields of a document without a timestamp. None for one with a timestamp, which is all that counts then,
    /// and for one with a download, whose content is not known before it is written.
    pub(crate) fn of(&mut self, document: &Document) -> Option<Digest> {
        if document.timestamp.is_some() || document.download.is_some() {
            return None;
        }
        self.hash.reset();
        self.hash.update(self.pipeline.as_bytes());
        self.hash.update(document.text.as_bytes());
        for (name, value) in &document.fields {
            self.text(name);
            self.value(value);
        }
        let mut text = [0; 22];
        // 16 bytes are 22 characters, always.
        URL_SAFE_NO_PAD.encode_slice(self.hash.digest128().to_be_bytes(), &mut text).ok()?;
        Some(Digest(text))
    }

    /// Every value is led by its type and, where that is not fixed, its length: no two values look alike.
    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.hash.update(b"n"),
            Value::Bool(false) => self.hash.update(b"f"),
            Value::Bool(true) => self.hash.update(b"t"),
            Value::Number(number) => {
                if let Some(number) = number.as_i64() {
                    self.tagged(b'i', number.to_le_bytes());
                } else if let Some(number) = number.as_u64() {
                    self.tagged(b'u', number.to_le_bytes());
                } else {
                    self.tagged(b'd', number.as_f64().unwrap_or_default().to_bits().to_le_bytes());
                }
            }
            Value::String(text) => {
                self.hash.update(b"s");
                self.text(text);
            }
            Value::Array(items) => {
                self.tagged(b'a', (items.len() as u64).to_le_bytes());
                for item in items {
                    self.value(item);
                }
            }
            Value::Object(fields) => {
                self.tagged(b'o', (fields.len() as u64).to_le_bytes());
                for (name, value) in fields {
                    self.text(name);
                    self.value(value);
                }
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.hash.update(&(text.len() as u64).to_le_bytes());
        self.hash.update(text.as_bytes());
    }

    fn tagged(&mut self, tag: u8, bytes: [u8; 8]) {
        let mut buffer = [tag; 9];
        buffer[1..].copy_from_slice(&bytes);
        self.hash.update(&buffer);
    }
}

#[cfg(test)]
mod tests {
    use connectors_sdk::{FieldName, FieldsPage, FieldsText, LazyDownload};
    use serde_json::{Map, json};

    use super::*;

    fn hash(fields: Value) -> String {
        let fields: Map<String, Value> = serde_json::from_value(fields).unwrap();
        ContentHasher::new(None).of(&Document::new("1", fields)).unwrap().as_str().to_owned()
    }

    #[test]
    fn equal_content_has_equal_hashes_in_every_process() {
        let content = json!({"a": 1, "b": [true, null, {"c": 1.5}], "d": "text"});
        assert_eq!(hash(content.clone()), hash(content));
        // Stored in indices: a change of the algorithm rewrites every document once.
        assert_eq!(hash(json!({})), "maoG0wFHmNhgAcMkRo1Jfw");
        assert_eq!(hash(json!({"a": 1})).len(), 22);
    }

    #[test]
    fn whatever_differs_has_another_hash() {
        let different = [
            json!({}),
            json!({"a": null}),
            json!({"a": false}),
            json!({"a": true}),
            json!({"a": 0}),
            json!({"a": 0.0}),
            json!({"a": u64::MAX}),
            json!({"a": -1}),
            json!({"a": ""}),
            json!({"a": "0"}),
            json!({"a": []}),
            json!({"a": {}}),
            json!({"a": [[]]}),
            json!({"a": [1, 2]}),
            json!({"a": [[1], 2]}),
            json!({"a": ["x", "y"]}),
            json!({"a": ["xy", ""]}),
            json!({"ab": "c"}),
            json!({"a": "bc"}),
            json!({"a": {"b": 1}, "c": 2}),
            json!({"a": {"b": 1, "c": 2}}),
        ];
        let hashes: std::collections::HashSet<String> = different.iter().cloned().map(hash).collect();
        assert_eq!(hashes.len(), different.len());
    }

    #[test]
    fn another_pipeline_makes_other_documents() {
        let document = Document::new("1", Map::new());
        let of = |pipeline: Option<&Pipeline>| ContentHasher::new(pipeline).of(&document).unwrap();
        let pipeline = Pipeline::default();
        let other = Pipeline { reduce_whitespace: !pipeline.reduce_whitespace, ..pipeline.clone() };
        assert_eq!(of(Some(&pipeline)), of(Some(&pipeline)));
        assert_ne!(of(Some(&pipeline)), of(Some(&other)));
        assert_ne!(of(Some(&pipeline)), of(None));
    }

    #[test]
    fn where_a_timestamp_or_a_download_counts_there_is_no_hash() {
        let mut hasher = ContentHasher::new(None);
        assert!(hasher.of(&Document::new("1", Map::new()).with_timestamp("t")).is_none());
        let download = LazyDownload::blocking(1, || Ok(None));
        assert!(hasher.of(&Document::new("1", Map::new()).with_download(download)).is_none());
        assert!(hasher.of(&Document::new("1", Map::new())).is_some());
    }

    #[test]
    fn fields_that_are_json_count() {
        let mut page = FieldsPage::default();
        let mut text = page.begin();
        text.field(&FieldName::distinct(["a"]).unwrap()[0]).integer(1);
        let text = text.finish();
        let hash = |text: &FieldsText, fields: Value| {
            let fields: Map<String, Value> = serde_json::from_value(fields).unwrap();
            ContentHasher::new(None).of(&Document { fields, ..Document::written("1", text.clone()) }).unwrap()
        };
        let first = hash(&text, json!({}));
        assert_eq!(first, hash(&text, json!({})));
        assert_ne!(first, hash(&text, json!({"b": 1})));
        assert_ne!(first, hash(&FieldsText::default(), json!({})));
    }
}
