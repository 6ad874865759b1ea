//! `boosting`: a query whose hits lose score where another matches.

use std::sync::Arc;

use serde_json::Value;
use tantivy::query::{EnableScoring, Explanation, Query, Scorer, Weight};
use tantivy::{DocId, DocSet, Score, SegmentReader};

use super::body::Body;
use super::{Clause, Marks, QueryContext, scoring};
use crate::error::{ApiError, Result};

#[derive(Debug)]
struct Boosting {
    positive: Box<dyn Clause>,
    negative: Box<dyn Clause>,
    negative_boost: f32,
    boost: f32,
}

/// `{"boosting": {"positive", "negative", "negative_boost"}}`, all required.
pub fn parse(value: &Value) -> Result<Box<dyn Clause>> {
    let mut body = Body::of("boosting", value)?;
    let mut part = |key: &'static str| match body.take(key) {
        Some(query) => super::parse(query),
        None => Err(ApiError::parsing(format!("[boosting] query requires '{key}' query to be set'"))),
    };
    let positive = part("positive")?;
    let negative = part("negative")?;
    let Some(negative_boost) = body.number("negative_boost")?.filter(|boost| *boost >= 0.0) else {
        return Err(ApiError::parsing(
            "[boosting] query requires 'negative_boost' to be set to be a positive value'",
        ));
    };
    let boost = body.boost()?;
    body.finish()?;
    #[expect(clippy::cast_possible_truncation, reason = "scores are f32")]
    let negative_boost = negative_boost as f32;
    Ok(Box::new(Boosting { positive, negative, negative_boost, boost }))
}

impl Clause for Boosting {
    fn compile(&self, context: &QueryContext<'_>) -> Result<Box<dyn Query>> {
        let query = Demoting {
            positive: Arc::from(self.positive.compile(context)?),
            negative: Arc::from(self.negative.compile(context)?),
            factor: self.negative_boost,
        };
        Ok(scoring::boosted(Box::new(query), self.boost))
    }

    fn marks(&self, context: &QueryContext<'_>, marks: &mut Marks) -> Result<()> {
        self.positive.marks(context, marks)
    }
}

#[derive(Debug, Clone)]
struct Demoting {
    positive: Arc<dyn Query>,
    negative: Arc<dyn Query>,
    factor: Score,
}

impl Query for Demoting {
    fn weight(&self, enable_scoring: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        if !enable_scoring.is_scoring_enabled() {
            return self.positive.weight(enable_scoring);
        }
        let negative = match enable_scoring.searcher() {
            Some(searcher) => EnableScoring::disabled_from_searcher(searcher),
            None => EnableScoring::disabled_from_schema(enable_scoring.schema()),
        };
        Ok(Box::new(DemotingWeight {
            positive: self.positive.weight(enable_scoring)?,
            negative: self.negative.weight(negative)?,
            factor: self.factor,
        }))
    }
}

struct DemotingWeight {
    positive: Box<dyn Weight>,
    negative: Box<dyn Weight>,
    factor: Score,
}

impl Weight for DemotingWeight {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        Ok(Box::new(DemotingScorer {
            positive: self.positive.scorer(reader, boost)?,
            negative: self.negative.scorer(reader, 1.0)?,
            factor: self.factor,
        }))
    }

    fn explain(&self, reader: &SegmentReader, doc: DocId) -> tantivy::Result<Explanation> {
        self.positive.explain(reader, doc)
    }
}

struct DemotingScorer {
    positive: Box<dyn Scorer>,
    negative: Box<dyn Scorer>,
    factor: Score,
}

impl DocSet for DemotingScorer {
    fn advance(&mut self) -> DocId {
        self.positive.advance()
    }

    fn seek(&mut self, target: DocId) -> DocId {
        self.positive.seek(target)
    }

    fn doc(&self) -> DocId {
        self.positive.doc()
    }

    fn size_hint(&self) -> u32 {
        self.positive.size_hint()
    }
}

impl Scorer for DemotingScorer {
    fn score(&mut self) -> Score {
        let doc = self.positive.doc();
        if self.negative.doc() < doc {
            self.negative.seek(doc);
        }
        let score = self.positive.score();
        if self.negative.doc() == doc { score * self.factor } else { score }
    }
}
