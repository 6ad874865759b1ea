//! Runs of ascending sequence numbers within a segment.
//!
//! `_doc` order is the order of writing, by sequence number, so that it neither depends on how indexing threads and
//! merges laid documents out, nor repeats between pages. A segment is a handful of ascending runs (one for each
//! segment it was merged from): to find the page after a sequence number takes a binary search in each run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tantivy::SegmentReader;
use tantivy::columnar::Column;
use tantivy::index::SegmentId;

use crate::error::Result;

/// First documents of the runs of a segment, the first of which is 0.
pub type Runs = Arc<[u32]>;

/// Runs of the segments of one view, found once.
#[derive(Debug, Default)]
pub struct RunCache(Mutex<HashMap<SegmentId, Runs>>);

impl RunCache {
    /// The runs of a segment.
    pub fn runs(&self, reader: &SegmentReader) -> Result<Runs> {
        let id = reader.segment_id();
        if let Some(runs) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(runs.clone());
        }
        let column = reader.fast_fields().u64("_seq_no")?;
        let runs: Runs = find(&column, reader.max_doc()).into();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, runs.clone());
        Ok(runs)
    }
}

fn find(column: &Column<u64>, max_doc: u32) -> Vec<u32> {
    let mut runs = vec![0];
    let mut last = 0;
    for doc in 0..max_doc {
        let seq_no = column.values.get_val(doc);
        if doc > 0 && seq_no < last {
            runs.push(doc);
        }
        last = seq_no;
    }
    runs
}

/// The first document of `start..end`, one run, whose sequence number is at least `least`; `end` when there is none.
pub fn first_at_least(column: &Column<u64>, start: u32, end: u32, least: u64) -> u32 {
    let (mut low, mut high) = (start, end);
    while low < high {
        let middle = low.midpoint(high);
        if column.values.get_val(middle) < least {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}
