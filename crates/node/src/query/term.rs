//! `term`: one exact value.

use serde_json::Value;
use tantivy::query::Query;

use super::body::{Body, single_field};
use super::field::string_value;
use super::marks::What;
use super::{Clause, Marks, QueryContext, scoring};
use crate::error::{ApiError, Result};

#[derive(Debug)]
struct Term {
    field: String,
    value: Value,
    boost: f32,
    case_insensitive: bool,
}

/// `{"term": {"field": value}}` or `{"term": {"field": {"value": .., "boost": .., "case_insensitive": ..}}}`.
pub fn parse(value: &Value) -> Result<Box<dyn Clause>> {
    let (field, inner) = single_field("term", value)?;
    let missing = || ApiError::illegal_argument("value cannot be null");
    let (value, boost, case_insensitive) = match inner {
        Value::Object(_) => {
            let mut body = Body::of("term", inner)?;
            let value = body.take("value").cloned();
            let parsed = (value, body.boost()?, body.boolean("case_insensitive")?.unwrap_or(false));
            body.finish()?;
            (parsed.0.ok_or_else(missing)?, parsed.1, parsed.2)
        }
        Value::Array(_) => return Err(ApiError::parsing("[term] query does not support array of values")),
        Value::Null => return Err(ApiError::illegal_argument("field name is null or empty")),
        value => (value.clone(), 1.0, false),
    };
    if value.is_array() || value.is_object() {
        return Err(ApiError::parsing("[term] query does not support array of values"));
    }
    Ok(Box::new(Term { field: field.to_owned(), value, boost, case_insensitive }))
}

impl Clause for Term {
    fn compile(&self, context: &QueryContext<'_>) -> Result<Box<dyn Query>> {
        let query = context.term_query(&self.field, &self.value, self.case_insensitive)?;
        Ok(scoring::boosted(query, self.boost))
    }

    fn marks(&self, context: &QueryContext<'_>, marks: &mut Marks) -> Result<()> {
        let text = string_value(&self.value);
        let what = if self.case_insensitive {
            let folded = text.to_lowercase();
            What::matching(move |token| token.to_lowercase() == folded)
        } else {
            What::Term(text)
        };
        marks.add(context, &self.field, what);
        Ok(())
    }
}
