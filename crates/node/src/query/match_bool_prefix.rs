//! `match_bool_prefix`: words, the last one a prefix.

use serde_json::Value;
use tantivy::query::Query;

use super::body::{Body, single_field};
use super::match_query::{matching, query_text};
use super::text::Matching;
use super::{Clause, Marks, QueryContext, scoring};
use crate::error::Result;

#[derive(Debug)]
struct MatchBoolPrefix {
    field: String,
    text: Value,
    matching: Matching,
    boost: f32,
}

/// `{"match_bool_prefix": {"field": "text"}}` or the long form.
pub fn parse(value: &Value) -> Result<Box<dyn Clause>> {
    let (field, inner) = single_field("match_bool_prefix", value)?;
    let (text, mut matching, boost) = match inner {
        Value::Object(_) => {
            let mut body = Body::of("match_bool_prefix", inner)?;
            let text = body.take("query");
            let matching = matching(&mut body)?;
            let boost = body.boost()?;
            body.finish()?;
            (query_text("match_bool_prefix", text)?, matching, boost)
        }
        text => (query_text("match_bool_prefix", Some(text))?, Matching::default(), 1.0),
    };
    matching.last_is_prefix = true;
    Ok(Box::new(MatchBoolPrefix { field: field.to_owned(), text, matching, boost }))
}

impl Clause for MatchBoolPrefix {
    fn compile(&self, context: &QueryContext<'_>) -> Result<Box<dyn Query>> {
        Ok(scoring::boosted(self.matching.compile(context, &self.field, &self.text)?, self.boost))
    }

    fn marks(&self, context: &QueryContext<'_>, marks: &mut Marks) -> Result<()> {
        self.matching.marks(context, &self.field, &self.text, marks)
    }
}
