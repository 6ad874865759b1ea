//! A document on its way into tantivy. Tens of thousands of them wait there under load, so text that stands in the
//! source without escapes is not copied out of it, and names are numbers.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use tantivy::schema::document::{Document, ReferenceValue, ReferenceValueLeaf, Value};
use tantivy::schema::{Field, Term};
use tokio::sync::OwnedSemaphorePermit;

use super::schema::Fields;

/// One value as tantivy indexes it.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValue {
    /// Text that stands in the source as it is.
    Slice {
        /// First byte.
        start: u32,
        /// Bytes.
        length: u32,
    },
    /// Any other text.
    Text(Box<str>),
    /// A name of the mapping.
    Name(u32),
    /// Whole number or date.
    Integer(i64),
    /// Floating point number.
    Float(f64),
    /// Truth value.
    Boolean(bool),
}

impl FieldValue {
    /// Text of a document, by reference when `text` was borrowed from `source`.
    pub fn text(source: &[u8], text: Cow<'_, str>) -> Self {
        if let Cow::Borrowed(text) = text
            && let Some(start) = (text.as_ptr() as usize).checked_sub(source.as_ptr() as usize)
            && start + text.len() <= source.len()
            && let (Ok(start), Ok(length)) = (u32::try_from(start), u32::try_from(text.len()))
        {
            return Self::Slice { start, length };
        }
        Self::Text(text.into())
    }

    /// The bytes of text; `source` is the one it was made with.
    pub fn text_bytes<'a>(&'a self, source: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            Self::Slice { start, length } => source.get(*start as usize..(*start + *length) as usize),
            Self::Text(text) => Some(text.as_bytes()),
            _ => None,
        }
    }
}

/// A value of a field, named by its number in [`IndexDocument::names`].
pub type Named = (u32, FieldValue);

/// A document with everything tantivy needs, and a share of the node's write buffer that is given back when tantivy
/// has taken it in: tantivy's own queue counts documents, not bytes. One pointer, because each writer has room for 40,000
/// of them in its queue from the start.
pub struct IndexDocument(Box<Parts>);

struct Parts {
    id: Box<str>,
    seq_no: u64,
    source: Bytes,
    fields: Arc<Fields>,
    names: Arc<[Arc<str>]>,
    texts: Vec<(Field, FieldValue)>,
    overflow: Vec<Named>,
    values: Vec<Named>,
    present: Vec<u32>,
    budget: Option<Arc<OwnedSemaphorePermit>>,
}

impl fmt::Debug for IndexDocument {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<_> = self.iter_fields_and_values().collect();
        formatter.debug_struct("IndexDocument").field("fields", &all).finish_non_exhaustive()
    }
}

impl IndexDocument {
    /// A document that is found by its `_id` only. `names` are those of its mapping.
    pub fn new(fields: &Arc<Fields>, names: &Arc<[Arc<str>]>, id: &str, source: Bytes) -> Self {
        Self(Box::new(Parts {
            id: id.into(),
            seq_no: 0,
            source,
            fields: fields.clone(),
            names: names.clone(),
            texts: Vec::new(),
            overflow: Vec::new(),
            values: Vec::new(),
            present: Vec::new(),
            budget: None,
        }))
    }

    /// Adds text to a slot.
    pub fn add_text(&mut self, slot: usize, value: FieldValue) {
        let field = self.0.fields.text[slot];
        self.0.texts.push((field, value));
    }

    /// Adds encoded tokens of a text field without slot.
    pub fn add_overflow(&mut self, name: u32, value: FieldValue) {
        self.0.overflow.push((name, value));
    }

    /// Sets everything but text, and the names of fields the document has.
    pub fn set_values(&mut self, values: Vec<Named>, present: Vec<u32>) {
        let parts = &mut *self.0;
        (parts.values, parts.present) = (values, present);
        parts.values.shrink_to_fit();
        parts.present.shrink_to_fit();
    }

    /// The sequence number, known once the store has taken the operation.
    pub fn set_seq_no(&mut self, seq_no: u64) {
        self.0.seq_no = seq_no;
    }

    /// The share of the write buffer this document stands for.
    pub fn set_budget(&mut self, budget: Arc<OwnedSemaphorePermit>) {
        self.0.budget = Some(budget);
    }

    /// Term of the `_id`.
    pub fn id_term(&self) -> Term {
        Term::from_field_text(self.0.fields.id, &self.0.id)
    }

    fn name(&self, name: u32) -> &str {
        self.0.names.get(name as usize).map_or("", |name| name)
    }
}

/// A value of an [`IndexDocument`], borrowed.
#[derive(Clone, Copy)]
pub enum ValueRef<'a> {
    /// Text.
    Text(&'a str),
    /// A sequence number.
    Unsigned(u64),
    /// Any value of a field.
    Value(&'a IndexDocument, &'a FieldValue),
    /// A JSON field.
    Object(&'a IndexDocument, &'a [Named]),
}

impl fmt::Debug for ValueRef<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_value() {
            ReferenceValue::Leaf(leaf) => leaf.fmt(formatter),
            ReferenceValue::Object(members) => formatter.debug_map().entries(members).finish(),
            ReferenceValue::Array(_) => Ok(()),
        }
    }
}

impl<'a> Value<'a> for ValueRef<'a> {
    type ArrayIter = std::iter::Empty<Self>;
    type ObjectIter = ObjectIter<'a>;

    fn as_value(&self) -> ReferenceValue<'a, Self> {
        let leaf = match *self {
            Self::Text(text) => ReferenceValueLeaf::Str(text),
            Self::Unsigned(number) => ReferenceValueLeaf::U64(number),
            Self::Value(document, value) => match value {
                FieldValue::Slice { start, length } => {
                    let (start, length) = (*start as usize, *length as usize);
                    // It was text when the document was read, and bytes do not change.
                    let bytes = document.0.source.get(start..start + length).unwrap_or_default();
                    ReferenceValueLeaf::Str(std::str::from_utf8(bytes).unwrap_or_default())
                }
                FieldValue::Text(text) => ReferenceValueLeaf::Str(text),
                FieldValue::Name(name) => ReferenceValueLeaf::Str(document.name(*name)),
                FieldValue::Integer(value) => ReferenceValueLeaf::I64(*value),
                FieldValue::Float(value) => ReferenceValueLeaf::F64(*value),
                FieldValue::Boolean(value) => ReferenceValueLeaf::Bool(*value),
            },
            Self::Object(document, entries) => {
                return ReferenceValue::Object(ObjectIter { document, entries: entries.iter() });
            }
        };
        ReferenceValue::Leaf(leaf)
    }
}

/// Members of a JSON field; a path may stand more than once.
#[derive(Debug, Clone)]
pub struct ObjectIter<'a> {
    document: &'a IndexDocument,
    entries: std::slice::Iter<'a, Named>,
}

impl<'a> Iterator for ObjectIter<'a> {
    type Item = (&'a str, ValueRef<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.entries.next()?;
        Some((self.document.name(*name), ValueRef::Value(self.document, value)))
    }
}

/// Fields of an [`IndexDocument`].
#[derive(Debug, Clone)]
pub struct FieldsIter<'a> {
    document: &'a IndexDocument,
    at: usize,
}

impl<'a> Iterator for FieldsIter<'a> {
    type Item = (Field, ValueRef<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let document = self.document;
        let parts = &*document.0;
        let fields = &*parts.fields;
        loop {
            let at = self.at;
            self.at += 1;
            return Some(match at {
                0 => (fields.id, ValueRef::Text(&parts.id)),
                1 => (fields.seq_no, ValueRef::Unsigned(parts.seq_no)),
                2 if parts.values.is_empty() => continue,
                2 => (fields.values, ValueRef::Object(document, &parts.values)),
                3 if parts.overflow.is_empty() => continue,
                3 => (fields.text_overflow, ValueRef::Object(document, &parts.overflow)),
                at => {
                    let at = at - 4;
                    if let Some((field, value)) = parts.texts.get(at) {
                        (*field, ValueRef::Value(document, value))
                    } else {
                        let name = parts.present.get(at - parts.texts.len())?;
                        (fields.field_names, ValueRef::Text(document.name(*name)))
                    }
                }
            });
        }
    }
}

impl Document for IndexDocument {
    type Value<'a> = ValueRef<'a>;
    type FieldsValuesIter<'a> = FieldsIter<'a>;

    fn iter_fields_and_values(&self) -> FieldsIter<'_> {
        FieldsIter { document: self, at: 0 }
    }
}
