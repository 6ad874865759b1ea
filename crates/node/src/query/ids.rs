//! `ids`.

use serde_json::Value;
use tantivy::query::Query;

use super::body::Body;
use super::{Clause, Marks, QueryContext, scoring};
use crate::error::Result;

#[derive(Debug)]
struct Ids {
    values: Vec<String>,
    boost: f32,
}

/// `{"ids": {"values": [..]}}`.
pub fn parse(value: &Value) -> Result<Box<dyn Clause>> {
    let mut body = Body::of("ids", value)?;
    let values = body.texts("values")?.unwrap_or_default();
    let boost = body.boost()?;
    body.finish_object()?;
    Ok(Box::new(Ids { values, boost }))
}

impl Clause for Ids {
    fn compile(&self, context: &QueryContext<'_>) -> Result<Box<dyn Query>> {
        Ok(scoring::boosted(context.ids(&self.values), self.boost))
    }

    fn marks(&self, _: &QueryContext<'_>, _: &mut Marks) -> Result<()> {
        Ok(())
    }
}
