//! The one tantivy schema every index uses. Fields of documents are mapped onto it by the index's mapping, because
//! a tantivy schema cannot grow.

use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, JsonObjectOptions, STRING, Schema, TextFieldIndexing,
    TextOptions,
};

/// Text fields of a mapping that get field norms (BM25 length normalisation). Further text fields share one JSON
/// field, which scores without them.
pub const TEXT_SLOTS: usize = 64;

/// Raised whenever the schema or the way documents are written into it changes: older folders are rebuilt from the store.
pub const SCHEMA_VERSION: u64 = 1;

/// Handles into the schema.
#[derive(Debug, Clone)]
pub struct Fields {
    /// `_id`, raw, indexed only (the source is found by `_seq_no`).
    pub id: Field,
    /// `_seq_no`, fast and indexed u64.
    pub seq_no: Field,
    /// Analysed text with positions and norms; `FieldMapping::slot` says which.
    pub text: Vec<Field>,
    /// Analysed text of mappings with more than [`TEXT_SLOTS`] text fields: JSON, path = field path.
    pub text_overflow: Field,
    /// Keywords (str), integers and dates (i64; dates are epoch milliseconds), floats (f64; integral values are stored
    /// as tantivy does, see `query::term`), booleans (bool). JSON with dots expanded; path = field path; indexed raw and fast.
    pub values: Field,
    /// Paths present in the document (each field and its parent objects), for `exists`.
    pub field_names: Field,
}

/// Name of [`Fields::values`]; a column of it is addressed as `_v.<path>` in `fast_fields().dynamic_column_handles`.
pub const VALUES: &str = "_v";

/// Path in [`VALUES`] of the names of fields that left a value of the document out; no field of a document can have it.
pub const IGNORED: &str = "_ignored";

/// Builds the schema.
pub fn schema() -> (Schema, Fields) {
    let mut builder = Schema::builder();
    let indexing = |tokenizer: &str| {
        TextFieldIndexing::default()
            .set_tokenizer(tokenizer)
            .set_index_option(IndexRecordOption::WithFreqsAndPositions)
    };
    let id = builder.add_text_field("_id", STRING);
    let seq_no = builder.add_u64_field("_seq_no", FAST | INDEXED);
    let text = (0..TEXT_SLOTS)
        .map(|n| {
            let options =
                TextOptions::default().set_indexing_options(indexing("standard").set_fieldnorms(true));
            builder.add_text_field(&format!("_t{n:02}"), options)
        })
        .collect();
    let text_overflow = builder.add_json_field(
        "_tx",
        JsonObjectOptions::default()
            .set_indexing_options(indexing(super::tokens::TOKENIZER))
            .set_expand_dots_enabled(),
    );
    let values = builder.add_json_field(
        VALUES,
        JsonObjectOptions::default()
            .set_indexing_options(
                TextFieldIndexing::default().set_tokenizer("raw").set_index_option(IndexRecordOption::Basic),
            )
            .set_fast("raw")
            .set_expand_dots_enabled(),
    );
    let field_names = builder.add_text_field("_field_names", STRING);
    (builder.build(), Fields { id, seq_no, text, text_overflow, values, field_names })
}

/// Registers the tokenizers the schema names. Every index that is opened or made needs them.
pub fn register_tokenizers(index: &tantivy::Index) {
    index.tokenizers().register(super::tokens::TOKENIZER, super::tokens::analyzer());
}
