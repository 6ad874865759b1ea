//! `match_all` and `match_none`.

use serde_json::Value;
use tantivy::query::Query;

use super::body::Body;
use super::{Clause, Marks, QueryContext, scoring};
use crate::error::Result;

#[derive(Debug)]
struct Everything {
    boost: f32,
}

#[derive(Debug)]
struct Nothing;

/// `{"match_all": {"boost": 1}}`.
pub fn parse(value: &Value) -> Result<Box<dyn Clause>> {
    let mut body = Body::of("match_all", value)?;
    let boost = body.boost()?;
    body.finish_object()?;
    Ok(Box::new(Everything { boost }))
}

/// `{"match_none": {}}`.
pub fn parse_none(value: &Value) -> Result<Box<dyn Clause>> {
    let mut body = Body::of("match_none", value)?;
    body.boost()?;
    body.finish_object()?;
    Ok(Box::new(Nothing))
}

impl Clause for Everything {
    fn compile(&self, _: &QueryContext<'_>) -> Result<Box<dyn Query>> {
        Ok(scoring::boosted(scoring::all(), self.boost))
    }

    fn marks(&self, _: &QueryContext<'_>, _: &mut Marks) -> Result<()> {
        Ok(())
    }
}

impl Clause for Nothing {
    fn compile(&self, _: &QueryContext<'_>) -> Result<Box<dyn Query>> {
        Ok(scoring::none())
    }

    fn marks(&self, _: &QueryContext<'_>, _: &mut Marks) -> Result<()> {
        Ok(())
    }
}
