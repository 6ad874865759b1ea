//! A document on its way into tantivy.

use std::fmt;
use std::sync::Arc;

use tantivy::schema::document::{Document, ReferenceValue, ReferenceValueLeaf, Value};
use tantivy::schema::{Field, Term};
use tantivy::tokenizer::PreTokenizedString;
use tokio::sync::OwnedSemaphorePermit;

use super::schema::Fields;

/// One value as tantivy indexes it.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValue {
    /// Text or keyword.
    Text(String),
    /// Text that many documents share (field names).
    Shared(Arc<str>),
    /// Tokens of an analyzer that tantivy does not know.
    Tokens(PreTokenizedString),
    /// Whole number or date.
    Integer(i64),
    /// Sequence number.
    Unsigned(u64),
    /// Floating point number.
    Float(f64),
    /// Truth value.
    Boolean(bool),
    /// Values of a JSON field by dotted path; a path may stand more than once.
    Object(Vec<(Arc<str>, FieldValue)>),
}

/// A document with everything tantivy needs, and a share of the node's write buffer that is given back when tantivy
/// has taken it in: tantivy's own queue counts documents, not bytes.
pub struct IndexDocument {
    fields: Vec<(Field, FieldValue)>,
    budget: Option<Arc<OwnedSemaphorePermit>>,
}

impl fmt::Debug for IndexDocument {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("IndexDocument").field("fields", &self.fields).finish_non_exhaustive()
    }
}

const ID: usize = 0;
const SEQ_NO: usize = 1;

impl IndexDocument {
    /// A document that is found by its `_id` only.
    pub fn new(fields: &Fields, id: &str) -> Self {
        let first = [(fields.id, FieldValue::Text(id.to_owned())), (fields.seq_no, FieldValue::Unsigned(0))];
        Self { fields: first.into(), budget: None }
    }

    /// Adds a value.
    pub fn add(&mut self, field: Field, value: FieldValue) {
        self.fields.push((field, value));
    }

    /// The sequence number, known once the store has taken the operation.
    pub fn set_seq_no(&mut self, seq_no: u64) {
        self.fields[SEQ_NO].1 = FieldValue::Unsigned(seq_no);
    }

    /// The share of the write buffer this document stands for.
    pub fn set_budget(&mut self, budget: Arc<OwnedSemaphorePermit>) {
        self.budget = Some(budget);
    }

    /// Term of the `_id`.
    pub fn id_term(&self) -> Term {
        match &self.fields[ID] {
            (field, FieldValue::Text(id)) => Term::from_field_text(*field, id),
            (field, _) => Term::from_field_text(*field, ""),
        }
    }

    /// The fields, for tests and for the explanation of a document.
    pub fn fields(&self) -> &[(Field, FieldValue)] {
        &self.fields
    }
}

/// A borrowed [`FieldValue`].
#[derive(Debug, Clone, Copy)]
pub struct ValueRef<'a>(&'a FieldValue);

impl<'a> Value<'a> for ValueRef<'a> {
    type ArrayIter = std::iter::Empty<Self>;
    type ObjectIter = ObjectIter<'a>;

    fn as_value(&self) -> ReferenceValue<'a, Self> {
        let leaf = match self.0 {
            FieldValue::Text(text) => ReferenceValueLeaf::Str(text),
            FieldValue::Shared(text) => ReferenceValueLeaf::Str(text),
            FieldValue::Tokens(tokens) => ReferenceValueLeaf::PreTokStr(Box::new(tokens.clone())),
            FieldValue::Integer(value) => ReferenceValueLeaf::I64(*value),
            FieldValue::Unsigned(value) => ReferenceValueLeaf::U64(*value),
            FieldValue::Float(value) => ReferenceValueLeaf::F64(*value),
            FieldValue::Boolean(value) => ReferenceValueLeaf::Bool(*value),
            FieldValue::Object(entries) => return ReferenceValue::Object(ObjectIter(entries.iter())),
        };
        ReferenceValue::Leaf(leaf)
    }
}

/// Entries of a [`FieldValue::Object`].
#[derive(Debug, Clone)]
pub struct ObjectIter<'a>(std::slice::Iter<'a, (Arc<str>, FieldValue)>);

impl<'a> Iterator for ObjectIter<'a> {
    type Item = (&'a str, ValueRef<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(path, value)| (&**path, ValueRef(value)))
    }
}

/// Fields of an [`IndexDocument`].
#[derive(Debug, Clone)]
pub struct FieldsIter<'a>(std::slice::Iter<'a, (Field, FieldValue)>);

impl<'a> Iterator for FieldsIter<'a> {
    type Item = (Field, ValueRef<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(field, value)| (*field, ValueRef(value)))
    }
}

impl Document for IndexDocument {
    type Value<'a> = ValueRef<'a>;
    type FieldsValuesIter<'a> = FieldsIter<'a>;

    fn iter_fields_and_values(&self) -> FieldsIter<'_> {
        FieldsIter(self.fields.iter())
    }
}
