//! `dis_max`: the best of several queries.

use serde_json::Value;
use tantivy::query::{DisjunctionMaxQuery, Query};

use super::body::Body;
use super::{Clause, Marks, QueryContext, scoring};
use crate::error::{ApiError, Result};

#[derive(Debug)]
struct DisMax {
    queries: Vec<Box<dyn Clause>>,
    tie_breaker: f32,
    boost: f32,
}

/// `{"dis_max": {"queries": [..], "tie_breaker": ..}}`.
pub fn parse(value: &Value) -> Result<Box<dyn Clause>> {
    let mut body = Body::of("dis_max", value)?;
    let queries = match body.take("queries") {
        Some(Value::Array(queries)) if !queries.is_empty() => {
            queries.iter().map(super::parse).collect::<Result<Vec<_>>>()?
        }
        Some(query @ Value::Object(_)) => vec![super::parse(query)?],
        _ => return Err(ApiError::parsing("[dis_max] requires 'queries' field with at least one clause")),
    };
    let tie_breaker = tie_breaker(&mut body)?;
    let boost = body.boost()?;
    body.finish()?;
    Ok(Box::new(DisMax { queries, tie_breaker, boost }))
}

/// `tie_breaker`, 0 when absent.
pub fn tie_breaker(body: &mut Body<'_>) -> Result<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "scores are f32")]
    let value = body.number("tie_breaker")?.unwrap_or(0.0) as f32;
    Ok(value)
}

impl Clause for DisMax {
    fn compile(&self, context: &QueryContext<'_>) -> Result<Box<dyn Query>> {
        let queries = self.queries.iter().map(|query| query.compile(context)).collect::<Result<Vec<_>>>()?;
        Ok(scoring::boosted(best_of(queries, self.tie_breaker), self.boost))
    }

    fn marks(&self, context: &QueryContext<'_>, marks: &mut Marks) -> Result<()> {
        self.queries.iter().try_for_each(|query| query.marks(context, marks))
    }
}

/// The highest score, plus `tie_breaker` times the others.
pub fn best_of(mut queries: Vec<Box<dyn Query>>, tie_breaker: f32) -> Box<dyn Query> {
    match queries.len() {
        0 => scoring::none(),
        1 => queries.remove(0),
        _ => Box::new(DisjunctionMaxQuery::with_tie_breaker(queries, tie_breaker)),
    }
}
