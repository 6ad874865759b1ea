//! One published state of an index: what searches, scrolls and points in time see.

use std::sync::Arc;

use bytes::Bytes;
use tantivy::Searcher;

use super::schema::Fields;
use crate::analysis::Analyzers;
use crate::error::Result;
use crate::mapping::FieldTable;

/// A document as the store keeps it.
#[derive(Debug, Clone)]
pub struct StoredDocument {
    /// `_id`.
    pub id: String,
    /// `_seq_no`.
    pub seq_no: u64,
    /// `_version`.
    pub version: u64,
    /// `_routing`, where one was given.
    pub routing: Option<String>,
    /// `_source`, as it was sent (or as the ingest pipeline left it).
    pub source: Bytes,
}

/// Reads documents of the view's store snapshot.
pub trait DocumentReader: Send + Sync + std::fmt::Debug {
    /// The document written under `seq_no`.
    ///
    /// # Errors
    /// 500 when the store fails or the row is missing, which a consistent view cannot see.
    fn read(&self, seq_no: u64) -> Result<StoredDocument>;
}

/// A pair of searcher and store snapshot that belong together. Cheap to clone; holding one keeps its files.
#[derive(Debug, Clone)]
pub struct IndexView {
    /// Index name.
    pub name: Arc<str>,
    /// The published tantivy state.
    pub searcher: Searcher,
    /// Handles into the schema.
    pub fields: Arc<Fields>,
    /// The mapping when the view was taken.
    pub table: Arc<FieldTable>,
    /// Analyzers of the index (built in, and those of its settings).
    pub analyzers: Arc<Analyzers>,
    /// Sources, by sequence number.
    pub documents: Arc<dyn DocumentReader>,
}
