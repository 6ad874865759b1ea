//! `constant_score`.

use serde_json::Value;
use tantivy::query::Query;

use super::body::Body;
use super::{Clause, Marks, QueryContext, scoring};
use crate::error::{ApiError, Result};

#[derive(Debug)]
struct ConstantScore {
    filter: Box<dyn Clause>,
    boost: f32,
}

/// `{"constant_score": {"filter": query, "boost": ..}}`.
pub fn parse(value: &Value) -> Result<Box<dyn Clause>> {
    let mut body = Body::of("constant_score", value)?;
    let filter = match body.take("filter") {
        Some(filter @ Value::Object(_)) => super::parse(filter)?,
        Some(_) => return Err(ApiError::parsing("unexpected token [START_ARRAY]")),
        None => return Err(ApiError::parsing("[constant_score] requires a 'filter' element")),
    };
    let boost = body.boost()?;
    body.finish()?;
    Ok(Box::new(ConstantScore { filter, boost }))
}

impl Clause for ConstantScore {
    fn compile(&self, context: &QueryContext<'_>) -> Result<Box<dyn Query>> {
        Ok(scoring::boosted(scoring::constant(self.filter.compile(context)?), self.boost))
    }

    fn marks(&self, context: &QueryContext<'_>, marks: &mut Marks) -> Result<()> {
        self.filter.marks(context, marks)
    }
}
