//! BM25 as Elasticsearch computes it: over the documents that have the field, not over all of the index.

use std::sync::Arc;

use tantivy::columnar::{Column, ColumnIndex, DynamicColumn};
use tantivy::query::{Bm25StatisticsProvider, EnableScoring, Explanation, Query, Scorer, Weight};
use tantivy::schema::Field;
use tantivy::{DocId, Score, Searcher, SegmentReader, Term};

use crate::index::schema::VALUES;

/// Where the numbers of a field come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A text slot with norms: documents by `_field_names`, tokens by the slot.
    Text {
        /// Term of the field's path in `_field_names`.
        present: Term,
    },
    /// Text in the overflow field, which has no norms.
    Overflow {
        /// Term of the field's path in `_field_names`.
        present: Term,
    },
    /// A keyword or boolean column: no norms, every value counts one.
    Column {
        /// Path within [`VALUES`].
        path: String,
    },
}

/// Scores the terms of one field with that field's own statistics.
#[derive(Debug, Clone)]
pub struct FieldScored {
    query: Arc<dyn Query>,
    source: Source,
    /// Use this as the document frequency of each term (terms that stand for one another share the highest).
    doc_freq: Option<u64>,
}

impl FieldScored {
    /// `query` must hold terms of the one field that `source` describes.
    pub fn new(query: Box<dyn Query>, source: Source) -> Self {
        Self { query: Arc::from(query), source, doc_freq: None }
    }

    /// All terms as frequent as that.
    pub fn with_doc_freq(query: Box<dyn Query>, source: Source, doc_freq: u64) -> Self {
        Self { query: Arc::from(query), source, doc_freq: Some(doc_freq) }
    }
}

impl Query for FieldScored {
    fn weight(&self, enable_scoring: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        match enable_scoring {
            EnableScoring::Enabled { searcher, .. } => {
                let statistics = FieldStatistics::read(searcher, &self.source, self.doc_freq)?;
                let weight = self
                    .query
                    .weight(EnableScoring::enabled_from_statistics_provider(&statistics, searcher))?;
                Ok(match self.source {
                    Source::Column { .. } => Box::new(Unpruned(weight)),
                    Source::Text { .. } | Source::Overflow { .. } => weight,
                })
            }
            disabled @ EnableScoring::Disabled { .. } => self.query.weight(disabled),
        }
    }

    fn query_terms<'a>(&'a self, visitor: &mut dyn FnMut(&'a Term, bool)) {
        self.query.query_terms(visitor);
    }
}

/// A weight whose blocks are never skipped. A column's postings have no frequencies, so tantivy takes the best score of
/// each block for zero, and would skip documents that tie with the worst hit.
struct Unpruned(Box<dyn Weight>);

impl Weight for Unpruned {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        self.0.scorer(reader, boost)
    }

    fn explain(&self, reader: &SegmentReader, doc: DocId) -> tantivy::Result<Explanation> {
        self.0.explain(reader, doc)
    }

    fn count(&self, reader: &SegmentReader) -> tantivy::Result<u32> {
        self.0.count(reader)
    }
}

struct FieldStatistics<'a> {
    searcher: &'a Searcher,
    documents: u64,
    /// Tokens of the field if known, else those of the slot are counted.
    tokens: Option<u64>,
    doc_freq: Option<u64>,
}

impl<'a> FieldStatistics<'a> {
    fn read(searcher: &'a Searcher, source: &Source, doc_freq: Option<u64>) -> tantivy::Result<Self> {
        let (documents, tokens) = match source {
            Source::Text { present } => (searcher.doc_freq(present)?, None),
            Source::Overflow { present } => {
                let documents = searcher.doc_freq(present)?;
                (documents, Some(documents))
            }
            Source::Column { path } => {
                let (documents, values) = column_counts(searcher, path)?;
                (documents, Some(values))
            }
        };
        Ok(Self { searcher, documents: documents.max(doc_freq.unwrap_or(0)).max(1), tokens, doc_freq })
    }
}

/// Documents with a value and number of values in a column, over all segments. A value counts once for a document that
/// has it several times, as a posting does.
fn column_counts(searcher: &Searcher, path: &str) -> tantivy::Result<(u64, u64)> {
    let mut documents = 0;
    let mut values = 0;
    let mut add = |(with_value, count): (u64, u64)| {
        documents += with_value;
        values += count;
    };
    for reader in searcher.segment_readers() {
        for handle in reader.fast_fields().dynamic_column_handles(&format!("{VALUES}.{path}"))? {
            match handle.open()? {
                DynamicColumn::Str(column) => add(distinct(column.ords(), reader.max_doc())),
                DynamicColumn::Bool(column) => add(distinct(&column, reader.max_doc())),
                _ => {}
            }
        }
    }
    Ok((documents, values))
}

fn distinct<T: PartialOrd + Ord + Copy + std::fmt::Debug + Send + Sync + 'static>(
    column: &Column<T>,
    max_doc: u32,
) -> (u64, u64) {
    let single = |count: u32| (u64::from(count), u64::from(count));
    match &column.index {
        ColumnIndex::Empty { .. } => (0, 0),
        ColumnIndex::Full => single(max_doc),
        ColumnIndex::Optional(optional) => single(optional.num_non_nulls()),
        ColumnIndex::Multivalued(_) => {
            let mut counts = (0, 0);
            let mut of_one: Vec<T> = Vec::new();
            for doc in 0..max_doc {
                of_one.clear();
                of_one.extend(column.values_for_doc(doc));
                of_one.sort_unstable();
                of_one.dedup();
                counts.0 += u64::from(!of_one.is_empty());
                counts.1 += of_one.len() as u64;
            }
            counts
        }
    }
}

impl Bm25StatisticsProvider for FieldStatistics<'_> {
    fn total_num_tokens(&self, field: Field) -> tantivy::Result<u64> {
        match self.tokens {
            Some(tokens) => Ok(tokens),
            None => Bm25StatisticsProvider::total_num_tokens(self.searcher, field),
        }
    }

    fn total_num_docs(&self) -> tantivy::Result<u64> {
        Ok(self.documents)
    }

    fn doc_freq(&self, term: &Term) -> tantivy::Result<u64> {
        let own = match self.doc_freq {
            Some(doc_freq) => doc_freq,
            None => self.searcher.doc_freq(term)?,
        };
        Ok(own.min(self.documents))
    }
}
