//! Mappings: from JSON, to JSON, and from documents to fields.

mod types;

pub use types::{Dynamic, FieldMapping, FieldTable, FieldType};
