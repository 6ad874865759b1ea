//! A range over a column that may be asked about documents it has already passed.
//!
//! Exclusions ask their scorers about every candidate, from the first on, though an intersection inside them may have
//! moved on already. tantivy's range scorer subtracts the two positions (an overflow where those are checked).

use tantivy::query::{AllScorer, EmptyScorer, EnableScoring, Explanation, Query, RangeQuery, Scorer, Weight};
use tantivy::{COLLECT_BLOCK_BUFFER_LEN, DocId, DocSet, Score, SeekDangerResult, SegmentReader};

/// [`RangeQuery`] with scorers that take any order of questions.
#[derive(Debug, Clone)]
pub struct ColumnRange(pub RangeQuery);

impl Query for ColumnRange {
    fn weight(&self, enable_scoring: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(ColumnRangeWeight(self.0.weight(enable_scoring)?)))
    }
}

struct ColumnRangeWeight(Box<dyn Weight>);

impl Weight for ColumnRangeWeight {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let scorer = self.0.scorer(reader, boost)?;
        if scorer.is::<AllScorer>() || scorer.is::<EmptyScorer>() {
            return Ok(scorer);
        }
        Ok(Box::new(ColumnRangeScorer { scorer, uncertain: false }))
    }

    fn explain(&self, reader: &SegmentReader, doc: DocId) -> tantivy::Result<Explanation> {
        self.0.explain(reader, doc)
    }
}

struct ColumnRangeScorer {
    scorer: Box<dyn Scorer>,
    /// The last answer was only a bound, so that `doc` says nothing.
    uncertain: bool,
}

impl DocSet for ColumnRangeScorer {
    fn advance(&mut self) -> DocId {
        self.uncertain = false;
        self.scorer.advance()
    }

    fn seek(&mut self, target: DocId) -> DocId {
        self.uncertain = false;
        self.scorer.seek(target)
    }

    fn seek_danger(&mut self, target: DocId) -> SeekDangerResult {
        if !self.uncertain {
            let doc = self.scorer.doc();
            if doc == target {
                return SeekDangerResult::Found;
            }
            if doc > target {
                return SeekDangerResult::SeekLowerBound(doc);
            }
        }
        let result = self.scorer.seek_danger(target);
        self.uncertain = result != SeekDangerResult::Found;
        result
    }

    fn fill_buffer(&mut self, buffer: &mut [DocId; COLLECT_BLOCK_BUFFER_LEN]) -> usize {
        self.scorer.fill_buffer(buffer)
    }

    fn doc(&self) -> DocId {
        self.scorer.doc()
    }

    fn size_hint(&self) -> u32 {
        self.scorer.size_hint()
    }

    fn cost(&self) -> u64 {
        self.scorer.cost()
    }
}

impl Scorer for ColumnRangeScorer {
    fn score(&mut self) -> Score {
        self.scorer.score()
    }
}
