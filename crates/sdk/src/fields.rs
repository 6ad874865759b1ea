//! Fields that a source writes as JSON itself: rows of a table need no map to become one.

use std::fmt;

use bytes::{Bytes, BytesMut};
use serde_json::{Map, Value};

use crate::json;

/// Field that a document's id goes to, unless the source owns it.
const ID: &str = "id";
/// What fields begin with that mean something to the sync engine or to Elasticsearch.
const SPECIAL: char = '_';

/// Name of a field that can be written as JSON: see [`distinct`](Self::distinct).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldName {
    /// `"name":`
    text: Box<[u8]>,
    is_id: bool,
}

impl FieldName {
    /// The names of all fields that a document has. None, if they can only be put into a map, where a later field takes the
    /// place of an earlier one: two are equal, or one begins with an underscore and may be one of the engine's own.
    pub fn distinct<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Vec<Self>> {
        let names: Vec<&str> = names.into_iter().collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        let equal = sorted.windows(2).any(|pair| pair[0] == pair[1]);
        if equal || names.iter().any(|name| name.starts_with(SPECIAL)) {
            return None;
        }
        Some(names.into_iter().map(Self::new).collect())
    }

    fn new(name: &str) -> Self {
        let mut text = Vec::new();
        json::write_string(&mut text, name);
        text.push(b':');
        Self { text: text.into(), is_id: name == ID }
    }
}

/// Fields as JSON, without the braces around them: `"a":1,"b":"x"`. Clones share the text.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FieldsText {
    text: Bytes,
    has_id: bool,
}

impl FieldsText {
    /// The same text in memory of its own, for one that is kept while the documents beside it are dropped: it keeps no
    /// [page](FieldsPage) taken.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { text: Bytes::copy_from_slice(&self.text), has_id: self.has_id }
    }

    /// Whether there is a field `id`.
    pub fn has_id(&self) -> bool {
        self.has_id
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The JSON, without braces.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// The fields as a map.
    ///
    /// # Errors
    /// Values nested deeper than `serde_json` reads (127 levels).
    pub fn parse(&self) -> Result<Map<String, Value>, serde_json::Error> {
        let mut whole = Vec::with_capacity(self.text.len() + 2);
        whole.push(b'{');
        whole.extend_from_slice(&self.text);
        whole.push(b'}');
        serde_json::from_slice(&whole)
    }
}

impl fmt::Debug for FieldsText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", String::from_utf8_lossy(&self.text))
    }
}

/// Memory that the fields of many documents are written to, one document after the other. A piece of it is given back when the last
/// document in it is dropped. (Memory of its own for each document would be taken by one thread and given back by another, tens of
/// thousands of times a second.)
#[derive(Debug, Default)]
pub struct FieldsPage {
    /// The document that is being written.
    scratch: Vec<u8>,
    page: BytesMut,
}

impl FieldsPage {
    /// Bytes of a piece. A longer document has one for itself.
    const BYTES: usize = 64 * 1024;

    /// Begins the fields of a document. What was begun before and not finished is forgotten.
    pub fn begin(&mut self) -> FieldsWriter<'_> {
        self.scratch.clear();
        FieldsWriter { page: self, has_id: false }
    }

    /// Moves the document to the page.
    fn keep(&mut self) -> Bytes {
        if self.scratch.len() > Self::BYTES {
            let mut giant = std::mem::take(&mut self.scratch);
            giant.shrink_to_fit();
            return giant.into();
        }
        if self.page.capacity() < self.scratch.len() {
            self.page = BytesMut::with_capacity(Self::BYTES);
        }
        self.page.extend_from_slice(&self.scratch);
        self.page.split().freeze()
    }
}

/// Writes the fields of one document.
#[derive(Debug)]
pub struct FieldsWriter<'a> {
    page: &'a mut FieldsPage,
    has_id: bool,
}

impl FieldsWriter<'_> {
    /// Begins a field, whose value comes next. Each of the names given to [`FieldName::distinct`] may be used once.
    pub fn field(&mut self, name: &FieldName) -> FieldValue<'_> {
        self.comma();
        self.has_id |= name.is_id;
        let text = &mut self.page.scratch;
        text.extend_from_slice(&name.text);
        FieldValue(text)
    }

    /// Adds fields.
    pub fn append(&mut self, other: &FieldsText) {
        if !other.is_empty() {
            self.comma();
            self.page.scratch.extend_from_slice(&other.text);
            self.has_id |= other.has_id;
        }
    }

    /// Ends the document.
    #[must_use]
    pub fn finish(self) -> FieldsText {
        FieldsText { text: self.page.keep(), has_id: self.has_id }
    }

    fn comma(&mut self) {
        if !self.page.scratch.is_empty() {
            self.page.scratch.push(b',');
        }
    }
}

/// Where the value of one field goes.
#[derive(Debug)]
#[must_use = "a field needs a value"]
pub struct FieldValue<'a>(&'a mut Vec<u8>);

impl FieldValue<'_> {
    /// Null.
    pub fn null(self) {
        self.0.extend_from_slice(b"null");
    }

    /// A text.
    pub fn string(self, text: &str) {
        json::write_string(self.0, text);
    }

    /// An integer.
    pub fn integer(self, number: i64) {
        // A number into memory: nothing can fail.
        let _infallible = serde_json::to_writer(self.0, &number);
    }

    /// Any value.
    pub fn value(self, value: &Value) {
        json::write_value(self.0, value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_json() {
        let names = FieldName::distinct(["a\"b", "id", "c", "d"]).unwrap();
        let (mut page, mut other) = (FieldsPage::default(), FieldsPage::default());
        let mut fields = page.begin();
        fields.field(&names[0]).string("x\ny");
        assert!(!fields.has_id);
        fields.field(&names[1]).integer(-5);
        let mut more = other.begin();
        more.append(&FieldsText::default());
        more.field(&names[2]).null();
        more.field(&names[3]).value(&json!([1.5, true]));
        let more = more.finish();
        assert!(!more.has_id());
        fields.append(&more);
        fields.append(&FieldsText::default());
        let fields = fields.finish();
        assert!(fields.has_id());
        assert_eq!(fields.as_bytes(), br#""a\"b":"x\ny","id":-5,"c":null,"d":[1.5,true]"#.as_slice());
        let map = fields.parse().unwrap();
        assert_eq!(Value::Object(map), json!({"a\"b": "x\ny", "id": -5, "c": null, "d": [1.5, true]}));
        let none = FieldsText::default();
        assert!(none.is_empty() && none.parse().unwrap().is_empty());
    }

    #[test]
    fn documents_of_any_length_share_pages() {
        let name = &FieldName::distinct(["a"]).unwrap()[0];
        let mut page = FieldsPage::default();
        let lengths =
            [0, 1, 1000, FieldsPage::BYTES - 6, FieldsPage::BYTES, 3 * FieldsPage::BYTES, 5, 40_000, 40_000];
        let texts: Vec<String> = lengths.iter().map(|length| "x".repeat(*length)).collect();
        let write = |text: &String| {
            let mut fields = page.begin();
            fields.field(name).string(text);
            let fields = fields.finish();
            // A giant takes its memory along.
            assert!(page.scratch.capacity() <= 2 * FieldsPage::BYTES);
            fields
        };
        let written: Vec<FieldsText> = texts.iter().map(write).collect();
        for (text, fields) in texts.iter().zip(&written) {
            assert_eq!(fields.parse().unwrap()["a"], *text);
        }
        assert_eq!(written[1].as_bytes().as_ptr(), written[0].as_bytes().as_ptr_range().end);
        let copy = written[1].detached();
        assert_eq!(copy, written[1]);
        assert_ne!(copy.as_bytes().as_ptr(), written[1].as_bytes().as_ptr());
        // What is not finished is not there.
        page.begin().field(name).string("lost");
        let mut fields = page.begin();
        fields.field(name).null();
        assert_eq!(fields.finish().as_bytes(), br#""a":null"#);
    }

    #[test]
    fn what_may_take_the_place_of_another_field_needs_a_map() {
        assert_eq!(FieldName::distinct(["a", "b", "a"]), None);
        assert_eq!(FieldName::distinct(["a", "_timestamp"]), None);
        assert_eq!(FieldName::distinct([]).unwrap(), []);
        assert_eq!(FieldName::distinct(["a", "A", "a_"]).unwrap().len(), 3);
    }
}
