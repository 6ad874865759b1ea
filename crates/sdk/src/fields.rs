//! Fields that a source writes as JSON itself: rows of a table need no map to become one.

use std::fmt;

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

/// Fields as JSON, without the braces around them: `"a":1,"b":"x"`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FieldsText {
    text: Vec<u8>,
    has_id: bool,
}

impl FieldsText {
    /// No fields yet. `bytes`: about how many there will be. There is room for the engine's fields besides.
    pub fn with_capacity(bytes: usize) -> Self {
        /// `id`, `_timestamp`, `_content_hash`, three for the pipeline, and some escapes.
        const ADDED: usize = 288;
        Self { text: Vec::with_capacity(bytes + ADDED), has_id: false }
    }

    /// Begins a field, whose value comes next. Each of the names given to [`FieldName::distinct`] may be used once.
    pub fn field(&mut self, name: &FieldName) -> FieldValue<'_> {
        self.comma();
        self.text.extend_from_slice(&name.text);
        self.has_id |= name.is_id;
        FieldValue(&mut self.text)
    }

    /// Adds fields.
    pub fn append(&mut self, other: &Self) {
        if !other.is_empty() {
            self.comma();
            self.text.extend_from_slice(&other.text);
            self.has_id |= other.has_id;
        }
    }

    /// Begins a field of the sync engine.
    pub fn engine_field(&mut self, name: &str) -> FieldValue<'_> {
        self.comma();
        json::write_string(&mut self.text, name);
        self.text.push(b':');
        self.has_id |= name == ID;
        FieldValue(&mut self.text)
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

    fn comma(&mut self) {
        if !self.text.is_empty() {
            self.text.push(b',');
        }
    }
}

impl fmt::Debug for FieldsText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", String::from_utf8_lossy(&self.text))
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
        let mut fields = FieldsText::with_capacity(10);
        assert!(fields.is_empty() && fields.parse().unwrap().is_empty());
        fields.field(&names[0]).string("x\ny");
        assert!(!fields.has_id());
        fields.field(&names[1]).integer(-5);
        assert!(fields.has_id());
        let mut more = FieldsText::default();
        more.append(&FieldsText::default());
        more.field(&names[2]).null();
        more.field(&names[3]).value(&json!([1.5, true]));
        fields.append(&more);
        fields.append(&FieldsText::default());
        fields.engine_field("_timestamp").string("t");
        assert_eq!(
            fields.as_bytes(),
            br#""a\"b":"x\ny","id":-5,"c":null,"d":[1.5,true],"_timestamp":"t""#.as_slice()
        );
        let map = fields.parse().unwrap();
        assert_eq!(
            Value::Object(map),
            json!({"a\"b": "x\ny", "id": -5, "c": null, "d": [1.5, true], "_timestamp": "t"})
        );
        let mut own = FieldsText::default();
        own.engine_field("id").string("1");
        assert!(own.has_id());
    }

    #[test]
    fn what_may_take_the_place_of_another_field_needs_a_map() {
        assert_eq!(FieldName::distinct(["a", "b", "a"]), None);
        assert_eq!(FieldName::distinct(["a", "_timestamp"]), None);
        assert_eq!(FieldName::distinct([]).unwrap(), []);
        assert_eq!(FieldName::distinct(["a", "A", "a_"]).unwrap().len(), 3);
    }
}
